"""Hand values and limits of the plain two-view losses: VICReg, Barlow Twins, NT-Xent, spectral, regression, IsoLoss."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reference
from sslx import losses

R = np.random.default_rng(0)
A, B, W_P = (jnp.asarray(x) for x in (R.normal(size=(6, 3)), R.normal(size=(6, 3)), np.diag([1.0, 0.5, 0.1])))
HADAMARD = jnp.array([[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1.0]])  # orthogonal columns of mean 0 and mean square 1
EQUAL = jnp.ones((6, 1)) * A[:1]


def test_vicreg_vanishes_on_agreeing_decorrelated_wide_features():
    loss, terms = losses.vicreg(HADAMARD, HADAMARD)
    np.testing.assert_allclose((loss, *terms), 0, atol=1e-15)


def test_vicreg_hinge_charges_only_features_narrower_than_gamma():
    z = HADAMARD * jnp.array([3.0, 0.5, 0.0])  # unbiased variances 12, 1/3, 0
    _, terms = losses.vicreg(z, z, gamma=2.0)
    assert terms.variance == pytest.approx((2 - math.sqrt(1 / 3 + 1e-4) + 2 - 0.01) / 3)


def test_vicreg_weights_multiply_their_terms():
    _, terms = losses.vicreg(A, B)
    for i, name in enumerate(("sim_coeff", "std_coeff", "cov_coeff")):
        loss, _ = losses.vicreg(A, B, **({"sim_coeff": 0, "std_coeff": 0, "cov_coeff": 0} | {name: 7.0}))
        assert loss == pytest.approx(7 * terms[i])


@pytest.mark.parametrize("name", ["vicreg", "barlow_twins"])
def test_wide_embeddings_by_the_gram_matrices_of_the_rows(name):
    views = R.normal(size=(2, 5, 12))
    loss, wanted = getattr(losses, name), getattr(reference, name)
    value, gradient = jax.jit(jax.value_and_grad(lambda x: loss(*x)[0]))(tuple(map(jnp.asarray, views)))
    assert value == pytest.approx(wanted(*views)[0], rel=1e-12)
    step = R.normal(size=views.shape)
    ahead, behind = (wanted(*(views + h * step))[0] for h in (1e-6, -1e-6))
    assert np.sum(np.asarray(gradient) * step) == pytest.approx((ahead - behind) / 2e-6, rel=1e-7)


WITH_GRADIENT = {
    name: jax.jit(jax.value_and_grad(lambda x, loss=loss: loss(*x), has_aux=True))
    for name, loss in (("vicreg", losses.vicreg), ("barlow_twins", losses.barlow_twins))
}


@pytest.mark.parametrize("name", WITH_GRADIENT)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("spread", [np.ones(64), np.r_[np.ones(1), np.zeros(63)], np.geomspace(1, 1e-4, 64), np.zeros(64)])
def test_wide_embeddings_in_float32(name, scale, spread):
    """To 1e-5 of the terms, whatever the variances of the features, and with finite gradients where some or all are constant."""
    views = (scale * (R.normal(size=(2, 16, 64)) * spread + 1)).astype(np.float32)
    (value, terms), gradient = WITH_GRADIENT[name](tuple(map(jnp.asarray, views)))
    wanted, wanted_terms = getattr(reference, name)(*views.astype(np.float64))
    size = max(abs(wanted), sum(map(abs, wanted_terms)))
    assert abs(value - wanted) <= 1e-5 * size
    assert all(abs(term - other) <= 1e-5 * size for term, other in zip(terms, wanted_terms, strict=True))
    assert all(term >= 0 for term in terms)
    assert np.all(np.isfinite(gradient))


def test_barlow_twins_is_zero_for_equal_decorrelated_views_and_d_for_collapsed_ones():
    assert losses.barlow_twins(HADAMARD, HADAMARD, eps=0)[0] == pytest.approx(0, abs=1e-15)
    assert losses.barlow_twins(EQUAL, EQUAL)[0] == pytest.approx(3)


def test_a_constant_feature_without_eps_is_finite():
    """barlow_twins counts it as uncorrelated with everything, itself too."""
    dead = A.at[:, 1].set(2.0)
    for loss in (losses.barlow_twins, losses.vicreg):
        value, gradient = jax.value_and_grad(lambda a, loss=loss: loss(a, a, eps=0.0)[0])(dead)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
    assert losses.barlow_twins(dead, dead, eps=0.0)[1].on_diagonal == pytest.approx(1)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_nt_xent_of_orthogonal_images(temperature):
    z = jnp.eye(3)[:2]
    loss, _ = losses.nt_xent(z, 5 * z, temperature=temperature)
    assert loss == pytest.approx(-1 / temperature + math.log(math.exp(1 / temperature) + 2))


@pytest.mark.parametrize("loss", [losses.nt_xent, losses.spectral_contrastive, losses.vicreg_pairdist])
@pytest.mark.parametrize("chunk", [1, 4, 12])
def test_pairwise_losses_in_chunks_are_the_same(loss, chunk):
    found, wanted = (jax.jit(jax.value_and_grad(lambda x, c=c: loss(*x, chunk=c)[0]))((A, B)) for c in (chunk, None))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-14)


def test_spectral_contrastive_of_orthogonal_images_and_its_clip():
    z = jnp.eye(3)
    assert losses.spectral_contrastive(z, z)[0] == pytest.approx(-2)
    assert losses.spectral_contrastive(9 * z, 9 * z)[0] == pytest.approx(-2)
    assert losses.spectral_contrastive(9 * z, 9 * z, mu=4)[0] == pytest.approx(-2)
    assert losses.spectral_contrastive(0.5 * z, 0.5 * z)[0] == pytest.approx(-0.5)


@pytest.mark.parametrize("loss", [losses.euclidean, losses.cosine])
@pytest.mark.parametrize(("stop", "moves"), [("target", (True, False)), ("online", (False, True)), ("none", (True, True))])
def test_stop_gradient_chooses_the_side(loss, stop, moves):
    value, gradient = jax.value_and_grad(lambda x: loss(*x, stop_gradient=stop)[0])((A, B))
    free = jax.jit(jax.grad(lambda x: loss(*x, stop_gradient="none")[0]))((A, B))
    assert value == loss(A, B)[0]
    for found, wanted, moving in zip(gradient, free, moves, strict=True):
        np.testing.assert_allclose(found, wanted if moving else 0 * wanted)


@pytest.mark.parametrize(("iso", "plain"), [(losses.iso_euclidean, losses.euclidean), (losses.iso_cosine, losses.cosine)])
def test_iso_gradient_is_that_of_the_plain_loss_at_the_prediction(iso, plain):
    """The plain loss has the gradient W_P dL/dp; IsoLoss takes the factor W_P off."""
    found = jax.jit(jax.grad(lambda x: iso(*x)[0]))((A, B, W_P))
    np.testing.assert_allclose(found[0], jax.jit(jax.grad(lambda p: plain(p, B)[0]))(A @ W_P), rtol=1e-12)
    np.testing.assert_array_equal(found[1], 0)
    np.testing.assert_array_equal(found[2], 0)


def test_iso_cosine_restrains_half_of_its_attraction():
    """At the fixed point form sim - 1/2 sim of the definition: with W_P = I both parts are cosines."""
    _, terms = losses.iso_cosine(A, B, jnp.eye(3))
    assert terms.restraint == pytest.approx(-terms.attraction / 2)


@pytest.mark.parametrize("loss", [losses.vicreg, losses.barlow_twins, losses.nt_xent, losses.cosine])
def test_no_force_out_of_exact_collapse(loss):
    for gradient in jax.jit(jax.grad(lambda x: loss(*x)[0]))((EQUAL, EQUAL)):
        np.testing.assert_allclose(gradient, 0, atol=1e-12)
