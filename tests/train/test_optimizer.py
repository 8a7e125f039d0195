"""AdamW, LARS and LARC on fixed gradients: Adam turns a gradient that is zero up to rounding into +-lr, so trained runs prove little."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx.train import optimizer, warmup_cosine

PARAMS = {"kernel": jnp.array([[3.0, 4.0]]), "bias": jnp.array([2.0])}
GRADS = {"kernel": jnp.array([[0.8, 0.6]]), "bias": jnp.array([0.5])}


def first_update(name, **options):
    transform = optimizer(name, 0.1, **options)
    return transform.update(GRADS, transform.init(PARAMS), PARAMS)[0]


def test_sgd_decays_weights_but_not_biases():
    update = first_update("sgd", weight_decay=0.01)
    np.testing.assert_allclose(update["kernel"], -0.1 * (GRADS["kernel"] + 0.01 * PARAMS["kernel"]), rtol=1e-6)
    np.testing.assert_allclose(update["bias"], -0.1 * GRADS["bias"], rtol=1e-6)


def test_lars_scales_weights_by_the_trust_ratio_and_leaves_biases_alone():
    update = first_update("lars", weight_decay=0.1)
    g = np.array(GRADS["kernel"] + 0.1 * PARAMS["kernel"])
    ratio = 0.02 * np.linalg.norm(PARAMS["kernel"]) / np.linalg.norm(g)
    np.testing.assert_allclose(update["kernel"], -0.1 * ratio * g, rtol=1e-5)
    np.testing.assert_allclose(update["bias"], -0.1 * GRADS["bias"], rtol=1e-6)


@pytest.mark.parametrize(("rate", "limited"), [(1e-3, False), (0.3, True), (1.0, True)])
def test_larc_limits_the_step_of_sgd_to_a_part_of_the_weight(rate, limited):
    transform = optimizer("larc", rate, weight_decay=0.1)
    update, _ = transform.update(GRADS, transform.init(PARAMS), PARAMS)
    g = np.array(GRADS["kernel"] + 0.1 * PARAMS["kernel"])
    ratio = 0.02 * np.linalg.norm(PARAMS["kernel"]) / np.linalg.norm(g)
    assert (ratio < rate) == limited
    np.testing.assert_allclose(update["kernel"], -min(ratio, rate) * g, rtol=1e-5)
    np.testing.assert_allclose(update["bias"], -rate * GRADS["bias"], rtol=1e-6)


def test_larc_takes_norms_in_float32():
    w, g = jnp.ones((64, 64), jnp.float16), jnp.full((64, 64), 700, jnp.float16)
    transform = optimizer("larc", 0.1)
    update, _ = transform.update(g, transform.init(w), w)
    assert update.dtype == jnp.float16
    np.testing.assert_allclose(update, -0.02, rtol=1e-2)


@pytest.mark.parametrize("params", [jax.tree.map(jnp.zeros_like, PARAMS), PARAMS])
@pytest.mark.parametrize("grads", [jax.tree.map(jnp.zeros_like, GRADS), GRADS])
def test_larc_moves_weights_that_are_zero_and_stays_where_there_is_no_gradient(params, grads):
    transform = optimizer("larc", 0.01)
    update, _ = transform.update(grads, transform.init(params), params)
    jax.tree.map(lambda u, g: np.testing.assert_allclose(u, -0.01 * g, rtol=1e-6), update, grads)


def test_adamw_decays_weights_but_not_biases():
    update = first_update("adamw", weight_decay=0.5)
    np.testing.assert_allclose(update["kernel"], -0.1 * (1 + 0.5 * PARAMS["kernel"]), rtol=1e-4)
    np.testing.assert_allclose(update["bias"], [-0.1], rtol=1e-4)


@pytest.mark.parametrize("name", ["sgd", "lars", "larc"])
def test_a_tenth_of_the_momentum_is_lost_in_a_step(name):
    transform = optimizer(name, 0.1)
    first, state = transform.update(GRADS, transform.init(PARAMS), PARAMS)
    second, _ = transform.update(GRADS, state, PARAMS)
    jax.tree.map(lambda u, v: np.testing.assert_allclose(v, 1.9 * u, rtol=1e-6), first, second)


def test_the_learning_rate_rises_linearly_and_falls_along_a_cosine():
    schedule = jax.vmap(warmup_cosine(2.0, steps=110, warmup_steps=10))
    np.testing.assert_allclose(schedule(jnp.array([0, 5, 10, 60, 110])), [0, 1, 2, 1, 0], atol=1e-6)


def test_no_warmup_starts_at_the_top():
    np.testing.assert_allclose(warmup_cosine(2.0, steps=100, warmup_steps=0)(0), 2.0)


def test_unknown_optimizer_names_the_known_ones():
    with pytest.raises(ValueError, match="one of sgd, lars, larc, adamw, got 'adam'"):
        optimizer("adam", 0.1)
