"""The online probe: what it learns inside the step is what a probe outside learns from the same features."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from sslx import methods, parallel
from sslx.models import MLP, Head
from sslx.train import Batch, Network, apply_views, create_state, init, init_probe, make_step, probe_accuracy, probe_step

N, CLASSES, WIDTH = 16, 3, 6
RNG = np.random.default_rng(0)
LABELS = np.r_[RNG.integers(0, CLASSES, N - 4), [-1] * 4].astype(np.int32)
BATCH = Batch(RNG.uniform(size=(N, 4, 4, 1)), LABELS)
VIEWS = [lambda key, images, index: images, lambda key, images, index: images**2]


def build(*, probe, axis_name=None):
    method, optimizer, head = methods.build("vicreg"), optax.sgd(0.1), {"out": 4, "layers": 1, "bias": False}
    variables = init(Network(MLP((WIDTH,)), Head(**head)), jax.random.key(0), jnp.zeros((2, 4, 4, 1)))
    wide = jax.tree.map(lambda x: x.astype(jnp.float64), (variables, init_probe(WIDTH, CLASSES)))
    state = create_state(jax.random.key(1), wide[0], optimizer, {}, has_target=False, probe=wide[1] if probe else None)
    network = Network(MLP((WIDTH,), axis_name=axis_name), Head(**head))
    return network, make_step(network, method, optimizer, VIEWS, total_steps=9, axis_name=axis_name), state


def three_steps(*, probe):
    """The network and the states before and after each of three steps."""
    network, step, state = build(probe=probe)
    step, states = jax.jit(step), [state]
    for _ in range(3):
        state, metrics = step(state, BATCH)
        states.append(state)
    return network, states, metrics


def test_a_probe_inside_the_step_is_the_probe_outside_and_leaves_the_encoder_alone():
    network, states, metrics = three_steps(probe=True)
    params, optimizer = states[0].probe["params"], optax.adam(1e-3)
    opt_state, known = jax.jit(optimizer.init)(params), LABELS >= 0
    pixels, labels = np.stack([BATCH.images, BATCH.images**2]), np.tile(LABELS[known], 2)

    @jax.jit
    def outside(variables, params, opt_state):
        features = apply_views(network, variables, jnp.asarray(pixels))[0].features[:, known].reshape(-1, WIDTH)

        def loss(p):
            return optax.softmax_cross_entropy_with_integer_labels(features @ p["kernel"] + p["bias"], labels).mean()

        value, grads = jax.value_and_grad(loss)(params)
        updates, opt_state = optimizer.update(grads, opt_state)
        return features, value, optax.apply_updates(params, updates), opt_state

    for before in states[:3]:
        last = params
        features, value, params, opt_state = outside({"params": before.params, "batch_stats": before.batch_stats}, params, opt_state)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), states[3].probe["params"], params)
    np.testing.assert_allclose(metrics["probe_loss"], value, rtol=1e-9)
    np.testing.assert_allclose(metrics["probe_accuracy"], probe_accuracy({"params": last}, features, labels), rtol=1e-9)
    without = three_steps(probe=False)[1][3].params
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), states[3].params, without)


def test_four_devices_train_the_probe_of_one():
    lift = parallel.lift("pmap", 4)
    _, step, state = build(probe=True, axis_name=lift.axis_name)
    moved, metrics = lift.step(step)(lift.replicate(state), Batch(*lift.shard(BATCH)))
    want, want_metrics = jax.jit(build(probe=True)[1])(state, BATCH)
    got = lift.unreplicate(moved).probe["params"]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), got, want.probe["params"])
    np.testing.assert_allclose(metrics["probe_loss"], want_metrics["probe_loss"], rtol=1e-9)


def test_an_image_without_a_label_counts_nowhere():
    """Not as a wrong answer, and not by features that are NaN."""
    labels = np.asarray([0, 1, -1, -1])
    features = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
    probe = init_probe(2, 2) | {"params": {"kernel": np.eye(2, dtype=np.float32), "bias": np.zeros(2, np.float32)}}
    assert probe_accuracy(probe, features, labels) == 1.0
    stepped, metrics = probe_step(probe, jnp.asarray(np.where(labels[:, None] < 0, np.nan, features))[None], jnp.asarray(labels))
    assert metrics["probe_accuracy"] == 1.0
    assert np.isfinite(stepped["params"]["kernel"]).all()
