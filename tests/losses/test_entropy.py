"""The entropy-regularised losses: weights, widths, and what carries gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reference
from sslx import losses

R = np.random.default_rng(0)
P, Z, ONLINE = map(jnp.asarray, R.normal(size=(3, 8, 3)))


def test_a_width_from_the_batch_carries_no_gradient():
    width = reference.median_squared_distance(ONLINE) / 8
    automatic = jax.jit(jax.value_and_grad(lambda z: losses.byol_pairdist(P, Z, z)[0]))(ONLINE)
    fixed = jax.jit(jax.value_and_grad(lambda z: losses.byol_pairdist(P, Z, z, variance=width)[0]))(ONLINE)
    np.testing.assert_allclose(automatic[0], fixed[0], rtol=1e-12)
    np.testing.assert_allclose(automatic[1], fixed[1], rtol=1e-9)


@pytest.mark.parametrize("side", [P, ONLINE])
def test_pairdist_gradient_at_a_given_width(side):
    def value(z):
        return reference.byol_entropy(P, Z, z, lambda x: reference.pairwise_entropy(x, 0.3))[0]

    direction = R.normal(size=side.shape)
    slope = np.sum(jax.jit(jax.grad(lambda z: losses.byol_pairdist(P, Z, z, variance=0.3)[0]))(side) * direction)
    assert slope == pytest.approx((value(side + 1e-6 * direction) - value(side - 1e-6 * direction)) / 2e-6, rel=1e-7)


def test_vicreg_pairdist_gives_each_view_its_own_width():
    found = losses.vicreg_pairdist(P, 9 * Z)[1].entropy
    assert found == pytest.approx((reference.pairdist_entropy(P) + reference.pairdist_entropy(9 * Z)) / 6)


@pytest.mark.parametrize("loss", [losses.byol_logdet, losses.byol_pairdist])
def test_byol_target_receives_no_gradient(loss):
    gradient = jax.jit(jax.grad(lambda x: loss(*x)[0]))((P, Z, ONLINE))
    assert [bool(np.any(np.asarray(g) != 0)) for g in gradient] == [True, False, True]


@pytest.mark.parametrize("loss", [losses.vicreg_logdet, losses.vicreg_pairdist])
def test_weights_and_entropy_scale(loss):
    value, terms = loss(P, Z, sim_coeff=2.0, entropy_coeff=3.0)
    assert value == pytest.approx(2 * terms.invariance - 3 * terms.entropy)
    assert losses.vicreg_logdet(P, Z, beta=4.0)[1].entropy == pytest.approx(losses.vicreg_logdet(2 * P, 2 * Z)[1].entropy)
