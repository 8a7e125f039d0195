"""The six statements behind "Barlow Twins is optimally efficient" (Zhang 2025, arXiv:2510.10980), and where they stop.

Views are built with exact sample moments, so that statements about populations hold for them to rounding.
"""

import jax
import numpy as np
import pytest

from sslx import geometry

D = 6


def _orthonormal(n, d, seed=0):
    """[n, d], mean 0, sample covariance (over n) exactly I."""
    q = np.linalg.qr(np.c_[np.ones(n), np.random.default_rng(seed).normal(size=(n, d))])[0][:, 1:]
    return q * np.sqrt(n)


def _covariance(seed, spread=1.0, d=D):
    generator = np.random.default_rng(seed)
    u = np.linalg.qr(generator.normal(size=(d, d)))[0]
    return u * np.exp(-spread * np.arange(d)) @ u.T


def _root(s):
    l, u = np.linalg.eigh(s)
    return u * np.sqrt(np.maximum(l, 0)) @ u.T


def _views(signal, noise, n=100):
    """z + e_a, z + e_b with E zz^T = signal, E ee^T = noise and every cross moment 0, all exact; scaled so that R has unit diagonal."""
    q = _orthonormal(n, 3 * D)
    z, e_a, e_b = q[:, :D] @ _root(signal), q[:, D : 2 * D] @ _root(noise), q[:, 2 * D :] @ _root(noise)
    return z + e_a, z + e_b


def _unit(signal, noise):
    scale = 1 / np.sqrt(np.diagonal(signal + noise))
    return signal * np.outer(scale, scale), noise * np.outer(scale, scale)


def _random_pair(seed, closeness):
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(200, D)) @ _root(_covariance(seed, 0.3))
    return z, z + generator.normal(size=z.shape) * closeness * generator.uniform(size=D)


efficiency_of = jax.jit(geometry.barlow_twins_efficiency)
augmentation_fisher_of = jax.jit(geometry.augmentation_fisher)
spectra_of = jax.jit(geometry.data_metric_spectra)
representation_efficiency = jax.jit(geometry.efficiency)
effective_dimension = jax.jit(geometry.effective_dimension, static_argnames="kind")


@jax.jit
def curvature_of(x, m, z, covariance):
    """Second derivative in z of -log N(x; m z, covariance)."""
    return jax.hessian(lambda z: -jax.scipy.stats.multivariate_normal.logpdf(x, m @ z, covariance))(z)


def test_identity_cross_correlation_forces_equal_views_and_full_efficiency():
    """C = I => R = C = I, eta = 1, bound 1. Per feature, mean (a - b)^2 = 2 (1 - C_ii), which is what forces z_a = z_b."""
    z = _orthonormal(50, D) * 3 + 1
    terms = efficiency_of(z, z)
    np.testing.assert_allclose(terms.correlation, np.eye(D), atol=1e-12)
    np.testing.assert_allclose((terms.distance, terms.efficiency, terms.efficiency_bound), (0, 1, 1), atol=1e-6)
    a, b = ((v - v.mean(0)) / v.std(0) for v in _random_pair(0, 1.0))
    c = efficiency_of(a, b).cross_correlation
    np.testing.assert_allclose(np.mean((a - b) ** 2, axis=0), 2 * (1 - np.diagonal(c)), rtol=1e-10)


def test_closeness_of_the_cross_correlation_bounds_efficiency():
    """|R_ij - C_ij| <= sqrt(2 (1 - C_jj)), its Frobenius form, and eta >= 1 / (1 + e^2 / d) on 60 pairs from near to far."""
    bounds = []
    for seed in range(60):
        z_a, z_b = _random_pair(seed, 10 ** (-seed / 12))
        c, r, eta, distance, bound = map(np.asarray, efficiency_of(z_a, z_b))
        columns = np.sqrt(2 * (1 - np.diagonal(c)))
        assert np.all(np.abs(r - c) <= columns * (1 + 1e-12))
        assert np.linalg.norm(r - np.eye(D)) <= distance + np.sqrt(D) * np.linalg.norm(columns)
        assert bound <= eta * (1 + 1e-12)
        bounds.append(float(bound))
    z = _orthonormal(200, 2 * D)
    near = efficiency_of(z[:, :D], z[:, :D] + 1e-3 * z[:, D:])
    assert min(bounds) < 0.2 < 0.99 < float(near.efficiency_bound)


@pytest.mark.parametrize("seed", range(3))
def test_efficiency_is_redundancy_energy(seed):
    z_a, z_b = _random_pair(seed, 0.5)
    terms = efficiency_of(z_a, z_b)
    r = np.asarray(terms.correlation)
    np.testing.assert_allclose(np.asarray(terms.efficiency) * np.sum(r**2), D, rtol=1e-12)
    np.testing.assert_allclose(terms.efficiency, 1 / (1 + np.sum((r - np.diag(np.diag(r))) ** 2) / D), rtol=1e-12)
    np.testing.assert_allclose(terms.efficiency, representation_efficiency(terms.correlation), rtol=1e-12)


def test_additive_noise_information_is_the_inverse_of_correlation_minus_cross_correlation():
    """R = S_z + S_e and C = S_z; and (R - C)^-1 is the curvature of -log N(t; z, S_e) in z, by autodiff."""
    signal, noise = _unit(_covariance(1), 0.3 * _covariance(2))
    z_a, z_b = _views(signal, noise)
    terms = efficiency_of(z_a, z_b)
    np.testing.assert_allclose(terms.correlation, signal + noise, atol=1e-12)
    np.testing.assert_allclose(terms.cross_correlation, signal, atol=1e-12)
    fisher = augmentation_fisher_of(z_a, z_b)
    np.testing.assert_allclose(fisher, curvature_of(z_a[0], np.eye(D), z_b[0], noise), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(augmentation_fisher_of(5 * z_a + 2, 0.1 * z_b), fisher, rtol=1e-9, atol=1e-9)


def test_predictive_information_has_the_canonical_correlations():
    """M^T K^-1 M is the curvature of -log N(z_b; M z, K) in z; whitened by R it has rho^2 / (1 - rho^2)."""
    signal, noise = _unit(_covariance(3), 0.5 * _covariance(4))
    z_a, z_b = _views(signal, noise)
    r, c = signal + noise, signal
    m = c.T @ np.linalg.inv(r)
    fisher = np.asarray(jax.jit(geometry.predictive_fisher)(z_a, z_b))
    np.testing.assert_allclose(fisher, curvature_of(z_b[0], m, z_a[0], r - m @ c), rtol=1e-8, atol=1e-8)
    rho = np.sort(np.linalg.eigvals(np.linalg.solve(r, c)).real)[::-1]
    np.testing.assert_allclose(np.linalg.eigvalsh(_root(r) @ fisher @ _root(r))[::-1], rho**2 / (1 - rho**2), rtol=1e-7, atol=1e-9)
    spectra = spectra_of(z_a, z_b)
    np.testing.assert_allclose(spectra.predictive, rho**2 / (1 - rho**2), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(spectra.augmentation, rho / (1 - rho), rtol=1e-7)


def test_lidar_reads_the_same_spectrum():
    """LiDAR of S_b = S_z, S_w = S_e is the entropy dimension of rho / (1 - rho); and of many drawn views, near it."""
    signal, noise = _unit(_covariance(5, 0.4), 0.3 * _covariance(6, 0.4))
    spectrum = spectra_of(*_views(signal, noise)).augmentation
    dimension = effective_dimension(spectrum, kind="entropy")
    exact = [geometry.Moments(np.asarray(1.0), np.zeros(D), s) for s in (signal, noise)]
    np.testing.assert_allclose(geometry.lidar_from_moments(*exact, delta=0.0, eps=0.0), dimension, rtol=1e-9)
    generator = np.random.default_rng(7)
    images = generator.normal(size=(3000, 1, D)) @ _root(signal)
    drawn = images + generator.normal(size=(3000, 20, D)) @ _root(noise)
    np.testing.assert_allclose(jax.jit(geometry.lidar)(drawn), dimension, rtol=0.05)


# Where the statements stop.


def test_isotropic_noise_makes_efficiency_trivially_one():
    """Equally correlated features, C far from I: the noise information is I / s^2 all the same."""
    signal = 0.8 * (0.1 * np.eye(D) + 0.9)
    z_a, z_b = _views(signal, 0.2 * np.eye(D))
    np.testing.assert_allclose(representation_efficiency(augmentation_fisher_of(z_a, z_b)), 1, rtol=1e-9)
    assert float(efficiency_of(z_a, z_b).efficiency) < 0.4


def test_near_the_optimum_noise_information_depends_on_the_direction():
    """C = diag(1 - delta): the limit of eta is the participation ratio of 1/delta over d, 0.0644 for one delta of 1e-6 among 15 of 1e-3."""
    delta = np.r_[1e-6, np.full(15, 1e-3)]
    q = _orthonormal(100, 48)
    z, e = q[:, :16] * np.sqrt(1 - delta), np.sqrt(delta)
    fisher = augmentation_fisher_of(z + q[:, 16:32] * e, z + q[:, 32:] * e)
    expected = np.sum(1 / delta) ** 2 / np.sum(1 / delta**2) / 16
    np.testing.assert_allclose(representation_efficiency(fisher), expected, rtol=1e-6)
    np.testing.assert_allclose(expected, 0.0644, atol=5e-5)


def test_inverse_covariance_does_not_see_dimensional_collapse():
    s = np.diag(np.r_[1.0, np.full(15, 1e-6)])
    np.testing.assert_allclose(representation_efficiency(s), 1 / 16, rtol=1e-4)
    np.testing.assert_allclose(representation_efficiency(np.linalg.inv(s)), 15 / 16, rtol=1e-4)
    powers = np.arange(1, 17.0)
    found = [representation_efficiency(powers**exponent) for exponent in (-1, 1, -2, 2)]
    np.testing.assert_allclose(found, [0.451, 0.773, 0.145, 0.574], atol=5e-4)


def test_noise_features_are_efficient_up_to_the_bias_of_few_samples():
    """Independent noise has eta near 1 / (1 + d/N), whatever it is (not) good for."""
    for n, d in ((64, 256), (4096, 64)):
        z = np.random.default_rng(0).normal(size=(n, d))
        np.testing.assert_allclose(efficiency_of(z, z).efficiency, 1 / (1 + d / n), rtol=0.03)


def test_pull_back_to_the_input_is_isotropic_in_units_of_the_data_only():
    """The optimal linear map W = Gamma^{-1/2} V^T: J J^T has eigenvalues 1/gamma, eta 0.662 for (8, 4, 2, 1); W Gamma W^T = I."""
    gamma = np.array([8.0, 4, 2, 1])
    v = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    w, root = gamma[:, None] ** -0.5 * v.T, v * np.sqrt(gamma) @ v.T
    x = np.random.default_rng(2).normal(size=(3, 4))
    efficiency = jax.jit(lambda root, x: geometry.efficiency(geometry.fisher_output(lambda u: w @ (root @ u), x, 1.0)))
    euclidean = efficiency(np.eye(4), x)
    np.testing.assert_allclose(euclidean, np.sum(1 / gamma) ** 2 / np.sum(1 / gamma**2) / 4, rtol=1e-12)
    np.testing.assert_allclose(euclidean, 0.662, atol=5e-4)
    np.testing.assert_allclose(efficiency(root, x), 1, rtol=1e-12)


@pytest.mark.parametrize("rank", [1, 4])
def test_a_projector_wider_than_the_data_cannot_be_efficient(rank):
    """eta <= r/d, attained when the r directions are equally strong and every feature sees them alike; C = I is out of reach."""
    z = _orthonormal(50, rank) @ np.random.default_rng(3).normal(size=(rank, 12))
    terms = efficiency_of(z, z)
    assert float(terms.efficiency) <= rank / 12 * (1 + 1e-12)
    assert float(terms.distance) >= np.sqrt(12 - rank) * (1 - 1e-12)
    repeated = np.repeat(_orthonormal(50, rank), 12 // rank, axis=1)
    np.testing.assert_allclose(efficiency_of(repeated, repeated).efficiency, rank / 12, rtol=1e-12)
