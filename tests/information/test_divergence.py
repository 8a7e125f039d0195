import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reference_information as reference
from sslx.information import chernoff, gaussian_kl

kl = jax.jit(gaussian_kl)
chernoff_of = jax.jit(chernoff)


def random_pair(seed, width=3):
    rng = np.random.default_rng(seed)
    roots = rng.standard_normal((2, width, width))
    covs = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(width)
    return [np.asarray(a) for a in (rng.standard_normal(width), covs[0], rng.standard_normal(width), covs[1])]


def jnp_all(arrays):
    return [jnp.asarray(a) for a in arrays]


def test_kl_and_chernoff_agree_with_numpy():
    pair = random_pair(0)
    np.testing.assert_allclose(kl(*jnp_all(pair)), reference.kl(*pair), rtol=1e-12)
    for alpha in (0.0, 0.3, 1.0):
        np.testing.assert_allclose(chernoff_of(*jnp_all(pair), alpha=alpha), reference.chernoff(*pair, alpha), rtol=1e-11, atol=1e-13)


def test_they_agree_with_the_integrals_in_one_dimension():
    z = np.linspace(-30.0, 30.0, 200_001)
    p, q = (np.exp(-((z - m) ** 2) / (2 * s)) / np.sqrt(2 * np.pi * s) for m, s in ((0.5, 0.8), (-1.0, 2.5)))
    pair = (jnp.array([0.5]), 0.8, jnp.array([-1.0]), 2.5)
    np.testing.assert_allclose(kl(*pair), np.trapezoid(p * (np.log(p) - np.log(q)), z), rtol=1e-9)
    np.testing.assert_allclose(chernoff_of(*pair, alpha=0.3), -np.log(np.trapezoid(p**0.3 * q**0.7, z)), rtol=1e-9)


@pytest.mark.parametrize("shape", [(), (3,)])
def test_variances_and_diagonals_equal_matrices(shape):
    m_p, _, m_q, _ = jnp_all(random_pair(1))
    s_p, s_q = np.broadcast_to(0.4, shape), np.linspace(0.5, 2.0, 3) if shape else np.array(1.7)
    full_p, full_q = (jnp.asarray(np.diag(np.broadcast_to(s, (3,)))) for s in (s_p, s_q))
    s_p, s_q = jnp.asarray(s_p), jnp.asarray(s_q)
    np.testing.assert_allclose(kl(m_p, s_p, m_q, s_q), kl(m_p, full_p, m_q, full_q), rtol=1e-12)
    np.testing.assert_allclose(chernoff_of(m_p, s_p, m_q, s_q, alpha=0.2), chernoff_of(m_p, full_p, m_q, full_q, alpha=0.2), rtol=1e-12)


def test_chernoff_is_below_both_kl_and_swaps_with_alpha():
    for seed in range(10):
        m_p, s_p, m_q, s_q = jnp_all(random_pair(seed))
        value = chernoff_of(m_p, s_p, m_q, s_q, alpha=0.3)
        assert 0 < value < min(0.7 * kl(m_p, s_p, m_q, s_q), 0.3 * kl(m_q, s_q, m_p, s_p))
        np.testing.assert_allclose(value, chernoff_of(m_q, s_q, m_p, s_p, alpha=0.7), rtol=1e-12)


def test_float32_is_close_to_float64():
    pair = [np.float32(a) for a in random_pair(11)]
    for function in (kl, chernoff_of):
        low, high = (function(*(jnp.asarray(a, dtype) for a in pair)) for dtype in (jnp.float32, jnp.float64))
        assert low.dtype == jnp.float32
        np.testing.assert_allclose(low, high, rtol=1e-4)


def test_covariances_keep_their_digits_beside_half_precision_means():
    cov, mean = np.float32(random_pair(11)[1]), jnp.arange(3, dtype=jnp.bfloat16)
    for function, expected in ((kl, 1.5 * (np.log(1.5) - 1 / 3)), (chernoff_of, 1.5 * np.log(1.25 / np.sqrt(1.5)))):
        np.testing.assert_allclose(function(mean, cov, mean, np.float32(1.5) * cov), expected, rtol=1e-4)


@pytest.mark.usefixtures("without_typing_hook")
def test_bad_input_is_named():
    mean = jnp.ones(3)
    with pytest.raises(ValueError, match=r"cov_p and cov_q must both be \[\], \[3\] or \[3, 3\], got \(\) and \(3,\); widen"):
        gaussian_kl(mean, 1.0, mean, jnp.ones(3))
    with pytest.raises(ValueError, match=r"vectors \[K\] of one width, got \(3,\) and \(2,\)"):
        chernoff(mean, 1.0, jnp.ones(2), 1.0)
    with pytest.raises(ValueError, match=r"vectors \[K\] of one width, got \(0,\) and \(0,\); K is at least 1"):
        gaussian_kl(mean[:0], 1.0, mean[:0], 1.0)
    with pytest.raises(TypeError, match="mean_q must be floating-point"):
        gaussian_kl(mean, 1.0, jnp.ones(3, jnp.int32), 1.0)
