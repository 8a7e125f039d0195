"""Float64 NumPy twins of sslx.information, one component or pair at a time, from the textbook formulas."""

import numpy as np


def kl(m_p, s_p, m_q, s_q):
    d = m_p - m_q
    inverse = np.linalg.inv(s_q)
    log_ratio = np.linalg.slogdet(s_q)[1] - np.linalg.slogdet(s_p)[1]
    return 0.5 * (log_ratio + d @ inverse @ d + np.trace(inverse @ s_p) - len(d))


def chernoff(m_p, s_p, m_q, s_q, alpha):
    """-ln int p^alpha q^(1-alpha), by completing the square: the product is an unnormalised Gaussian of precision a/S_p + (1-a)/S_q."""
    p_inv, q_inv = alpha * np.linalg.inv(s_p), (1 - alpha) * np.linalg.inv(s_q)
    precision = p_inv + q_inv
    centre = np.linalg.solve(precision, p_inv @ m_p + q_inv @ m_q)
    quadratic = m_p @ p_inv @ m_p + m_q @ q_inv @ m_q - centre @ precision @ centre
    logdets = alpha * np.linalg.slogdet(s_p)[1] + (1 - alpha) * np.linalg.slogdet(s_q)[1] + np.linalg.slogdet(precision)[1]
    return 0.5 * (quadratic + logdets)


def log_density(z, means, covs, weights):
    """ln sum_j c_j N(z; m_j, S_j) of every row of z."""
    logs = []
    for m, s, c in zip(means, covs, weights, strict=True):
        whitened = np.linalg.solve(np.linalg.cholesky(s), (z - m).T)
        logs.append(np.log(c) - 0.5 * (np.sum(whitened**2, axis=0) + np.linalg.slogdet(2 * np.pi * s)[1]))
    return np.logaddexp.reduce(logs)


def entropy_monte_carlo(rng, means, covs, weights, samples):
    """-E ln p(z) and its standard error."""
    which = rng.choice(len(weights), samples, p=weights)
    noise = rng.standard_normal((samples, means.shape[1]))
    z = means[which] + np.einsum("nij,nj->ni", np.linalg.cholesky(covs)[which], noise)
    log_p = log_density(z, means, covs, weights)
    return -log_p.mean(), log_p.std() / np.sqrt(samples)


def gaussian_entropy(s):
    return 0.5 * np.linalg.slogdet(2 * np.pi * np.e * s)[1]


def pairwise_entropy(means, covs, weights, divergence):
    """sum_i c_i H(p_i) - sum_i c_i ln sum_j c_j exp(-D(p_i || p_j))."""
    total = 0.0
    for m_i, s_i, c_i in zip(means, covs, weights, strict=True):
        overlap = sum(c_j * np.exp(-divergence(m_i, s_i, m_j, s_j)) for m_j, s_j, c_j in zip(means, covs, weights, strict=True))
        total += c_i * (gaussian_entropy(s_i) - np.log(overlap))
    return total


def elk(means, covs, weights):
    """-sum_i c_i ln sum_j c_j N(m_i; m_j, S_i + S_j)."""
    return -sum(c_i * log_density(m_i[None], means, covs + s_i, weights)[0] for m_i, s_i, c_i in zip(means, covs, weights, strict=True))


def moment_matched(means, covs, weights):
    """Covariance of the mixture."""
    centred = means - weights @ means
    return np.tensordot(weights, covs, 1) + (centred * weights[:, None]).T @ centred
