import jax.numpy as jnp
import numpy as np

from sslx.train import TrainState
from sslx.train._step import move_target, target_momentum


def test_the_momentum_rises_from_its_start_to_one():
    values = [float(target_momentum(0.99, jnp.asarray(k), 100)) for k in (0, 50, 100)]
    np.testing.assert_allclose(values, [0.99, 0.995, 1.0], rtol=1e-6)


def test_the_target_averages_parameters_and_keeps_its_own_statistics():
    state = TrainState(step=0, key=0, params={"w": jnp.array(2.0)}, batch_stats={"m": jnp.array(5.0)}, opt_state=(), target={
        "params": {"w": jnp.array(1.0)}, "batch_stats": {"m": jnp.array(3.0)}}, method_state={})  # fmt: skip
    moved = move_target(state, {"w": jnp.array(4.0)}, {"m": jnp.array(7.0)}, jnp.asarray(0.75))
    assert moved["params"]["w"] == 0.75 * 1 + 0.25 * 4
    assert moved["batch_stats"]["m"] == 7


def test_without_a_target_network_there_is_none_to_move():
    state = TrainState(step=0, key=0, params={}, batch_stats={}, opt_state=(), target={}, method_state={})
    assert move_target(state, {}, {}, jnp.asarray(0.5)) == {}
