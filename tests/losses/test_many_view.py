"""Coding rates, MMCR, W-MSE, SSL-HSIC, SIGReg, CorInfoMax and Matrix-SSL: limits, options, states and random draws."""

import math
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg

import reference
from sslx import losses
from sslx.losses._whitening import whiten

R = np.random.default_rng(0)
KEY = jax.random.key(1)
TALL, WIDE = R.normal(size=(2, 9, 4)), R.normal(size=(2, 4, 9))


@pytest.mark.parametrize("z", [TALL, WIDE])
def test_coding_rates_on_either_gram_matrix(z):
    assert losses.total_coding_rate(jnp.asarray(z[0]))[0] == pytest.approx(-reference.coding_rate(z[0]), rel=1e-12)
    assert losses.total_coding_rate(jnp.asarray(z))[0] == pytest.approx(reference.total_coding_rate(z)[0], rel=1e-12)
    assert losses.mec(*map(jnp.asarray, z))[0] == pytest.approx(reference.mec(*z)[0], rel=1e-12)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e3])
def test_a_feature_that_stands_there_twice_counts_once(scale):
    z = np.float32(scale * np.tile(R.normal(size=(128, 16)), 2))
    assert losses.total_coding_rate(jnp.asarray(z))[0] == pytest.approx(-reference.coding_rate(np.float64(z)), rel=1e-3)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_series_of_any_order(order):
    a, b = map(jnp.asarray, TALL)
    assert losses.mec(a, b, eps_squared=8.0, order=order)[0] == pytest.approx(reference.mec(*TALL, eps_squared=8.0, order=order)[0])
    found, _ = losses.matrix_ssl(a, b, gamma=0.7, mu=0.9, lam=0.4, order=order)
    assert found == pytest.approx(reference.matrix_ssl(*TALL, gamma=0.7, mu=0.9, lam=0.4, order=order)[0])


def test_series_approach_their_logarithms():
    rows = reference.unit_rows(TALL[0])
    lam = 4 / (9 * 16.0)
    wanted = -np.linalg.slogdet(np.eye(4) + lam * rows.T @ rows)[1] / (9 * lam)
    assert losses.mec(jnp.asarray(rows), jnp.asarray(rows), eps_squared=16.0, order=20)[0] == pytest.approx(wanted, rel=1e-9)
    cov = reference.biased_covariance(0.5 * rows)
    found = losses.matrix_ssl(jnp.asarray(0.5 * rows), jnp.asarray(0.5 * rows), order=20)[1]
    assert found.correlation == pytest.approx(-np.trace(scipy.linalg.logm(np.eye(4) + cov)), rel=1e-9)
    assert found.covariance == pytest.approx(-np.trace((np.eye(4) + cov) @ scipy.linalg.logm(np.eye(4) + cov)), rel=1e-9)


def test_mmcr_is_lowest_for_orthogonal_images():
    z = jnp.stack([jnp.eye(4), jnp.eye(4)])
    loss, terms = losses.mmcr(z)
    assert loss == pytest.approx(-4)
    assert terms.local == 0
    assert losses.mmcr(z, lam=1.0)[1].local == pytest.approx(math.sqrt(2))  # two equal unit rows


def test_w_mse_whitens_each_sub_batch():
    v = whiten(jnp.asarray(TALL[0]), 0.0)
    np.testing.assert_allclose(np.cov(v.T), np.eye(4), atol=1e-11)
    np.testing.assert_allclose(np.mean(v, axis=0), 0, atol=1e-14)


def test_w_mse_does_not_depend_on_the_scale():
    loss = jax.jit(lambda z: losses.w_mse(KEY, z)[0])
    np.testing.assert_allclose(loss(1e-7 * TALL), loss(TALL), rtol=1e-9)
    np.testing.assert_allclose(loss(np.float32(1e-5 * TALL)), loss(np.float32(TALL)), rtol=1e-5)


def test_w_mse_calls_lapack_for_one_matrix_at_a_time():
    """On a CPU jax 0.10 may wait for ever in two batched calls."""
    gradient = jax.jit(jax.grad(lambda z: losses.w_mse(KEY, z, sub_batch=4)[0]))
    operands = re.findall(r"@lapack_\w+\([^)]*\).*?: \((.*?)\) ->", gradient.lower(jnp.zeros((2, 8, 3))).as_text())
    assert {x.count("x") for operand in operands for x in operand.split(", ")} == {2}


def test_w_mse_takes_a_small_batch_whole_and_shrinks_by_eps():
    whole, shrunk = jax.jit(lambda z: (losses.w_mse(KEY, z)[0], losses.w_mse(KEY, z, eps=0.3)[0]))(TALL)
    assert whole == pytest.approx(reference.w_mse(TALL, [np.arange(9)])[0])
    assert shrunk == pytest.approx(reference.w_mse(TALL, [np.arange(9)], eps=0.3)[0])


def test_imq_features_have_the_inverse_multiquadric_kernel():
    draw = losses.imq_features(KEY, 3, features=200_000, scale=1.5)
    points = jnp.asarray(R.normal(size=(5, 3)), jnp.float32)
    phi = math.sqrt(2 / 200_000) * jnp.cos(points @ draw.frequencies.T + draw.phases)
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.testing.assert_allclose(phi @ phi.T, 1.5 / np.sqrt(1.5**2 + distance**2), atol=0.01)  # 4 standard errors


def test_random_ssl_hsic_is_the_core_on_two_independent_draws():
    draws = [losses.imq_features(k, 4, features=8, scale=2.0, dtype=jnp.float64) for k in jax.random.split(KEY)]
    found, _ = losses.ssl_hsic_random(KEY, jnp.asarray(TALL), features=8, scale=2.0)
    assert found == pytest.approx(losses.ssl_hsic(jnp.asarray(TALL), *draws)[0])
    assert not np.allclose(draws[0].frequencies, draws[1].frequencies)


def test_sigreg_converges_to_the_integral_and_charges_collapse_with_n():
    z = TALL[0, :, :1]

    def gap(t):
        return abs(np.mean(np.exp(1j * t * z)) - np.exp(-(t**2) / 2)) ** 2 * np.exp(-(t**2) / 2)

    exact = len(z) * scipy.integrate.quad(gap, -3, 3)[0]
    assert jax.jit(lambda: losses.sigreg(jnp.asarray(z), jnp.ones((1, 1)), knots=401)[0])() == pytest.approx(exact, rel=1e-4)
    collapsed = jax.jit(lambda: [losses.sigreg(jnp.zeros((n, 2)), jnp.eye(2))[0] for n in (10, 1000)])()
    assert collapsed[1] == pytest.approx(100 * collapsed[0])


def test_corinfomax_carries_its_state_without_gradient():
    first, second = TALL, 0.5 * TALL + 1
    start = losses.corinfomax_init(4, scale=2.0)
    state = (np.zeros(4), np.zeros(4), 2 * np.eye(4), 2 * np.eye(4))
    corinfomax = jax.jit(partial(losses.corinfomax, forgetting=0.3))
    _, _, running = corinfomax(*first, start)
    mean_a = 0.7 * first[0].mean(0)
    cov_a = 0.3 * state[2] + 0.7 * (first[0] - mean_a).T @ (first[0] - mean_a) / 9
    np.testing.assert_allclose(running.mean_a, mean_a)
    np.testing.assert_allclose(running.cov_a, cov_a)
    loss, _, _ = corinfomax(*second, running)
    assert loss == pytest.approx(reference.corinfomax(*second, [np.asarray(x) for x in running], forgetting=0.3)[0])
    for leaf in jax.tree.leaves(jax.jit(jax.jacrev(lambda z: losses.corinfomax(z, z, running)[2]))(first[0])):
        np.testing.assert_array_equal(leaf, 0)


def test_forgetting_multiplies_the_old_state():
    start = losses.corinfomax_init(4)
    kept = losses.corinfomax(*map(jnp.asarray, TALL), start, forgetting=1.0)[2]
    jax.tree.map(np.testing.assert_array_equal, kept, start)
