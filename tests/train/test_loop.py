import itertools

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from sslx.train import Divergence, batches, train

IMAGES = np.arange(10)
LABELS = IMAGES + 100


def taken(start, count, **options):
    return [images.tolist() for images, _ in itertools.islice(batches(IMAGES, LABELS, 4, start=start, **options), count)]


def test_an_epoch_visits_no_image_twice_and_the_next_is_in_another_order():
    first, second = taken(0, 2, seed=0), taken(2, 2, seed=0)
    assert len({image for batch in first for image in batch}) == 8
    assert first != second


def test_labels_follow_their_images():
    for images, labels in itertools.islice(batches(IMAGES, LABELS, 4, seed=3), 5):
        np.testing.assert_array_equal(labels, images + 100)


def test_a_stream_from_step_5_continues_the_stream_from_step_0():
    assert taken(0, 9, seed=1)[5:] == taken(5, 4, seed=1)
    assert taken(0, 2, seed=1) != taken(0, 2, seed=2)


def count_up(state, batch):
    return state + batch, {"loss": np.float32(state), "term": np.float32(batch)}


def test_events_come_at_multiples_and_at_the_end_with_the_metrics_between():
    events = list(train(count_up, 0, itertools.repeat(1), start=4, stop=11, every=3))
    assert [event.step for event in events] == [6, 9, 11]
    assert [event.metrics["loss"][:, 0].tolist() for event in events] == [[0, 1], [2, 3, 4], [5, 6]]
    assert events[-1].state == 7
    assert events[1].metrics["term"].shape == (3, 1)


@pytest.mark.parametrize("lost", ["loss", "gradient_norm"])
def test_a_loss_or_gradient_that_is_not_finite_stops_the_run_and_names_step_and_terms(lost):
    def diverge(state, batch):
        metrics = {"loss": np.float32(1.0), "gradient_norm": np.float32(1.0), "variance": np.float32(2.0)}
        return state, metrics | ({lost: np.float32(np.nan)} if batch == 5 else {})

    events = train(diverge, 0, iter(range(100)), start=0, stop=20, every=4)
    assert next(events).step == 4
    with pytest.raises(Divergence, match=r"step 6 .*variance 2.*--learning-rate"):
        next(events)


def test_on_a_cpu_blas_has_one_thread_while_steps_run():
    """A thread of OpenBLAS that waits keeps a core busy."""

    def threads():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    def step(state, batch):
        return state, {"loss": np.float32(0), "threads": np.float32(max(threads()))}

    with threadpool_limits(3, user_api="blas"):
        for event in train(step, 0, itertools.repeat(1), start=0, stop=4, every=2):
            np.testing.assert_array_equal(event.metrics["threads"], 1)
            assert threads() == {3}
