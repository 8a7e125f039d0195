"""Float64 NumPy twins of the losses, written from their published definitions with loops where a loop is plainer.

Each returns (loss, terms) with the terms in the order of the library's tuple. a, b [N, d] are two views, z [V, N, d] several.
"""

import math

import numpy as np


def unit_rows(z):
    return z / np.linalg.norm(z, axis=-1, keepdims=True)


def biased_covariance(z):
    centred = z - z.mean(0)
    return centred.T @ centred / len(z)


def half_logdet(a):
    return np.linalg.slogdet(a)[1] / 2


def vicreg(a, b, sim_coeff=25.0, std_coeff=25.0, cov_coeff=1.0, gamma=1.0, eps=1e-4):
    d = a.shape[1]
    invariance = np.mean((a - b) ** 2)
    variance = sum(np.mean(np.maximum(0, gamma - np.sqrt(z.var(0, ddof=1) + eps))) / 2 for z in (a, b))
    covariance = 0.0
    for z in (a, b):
        c = np.cov(z.T)
        covariance += (np.sum(c**2) - np.sum(np.diag(c) ** 2)) / d
    return sim_coeff * invariance + std_coeff * variance + cov_coeff * covariance, (invariance, variance, covariance)


def barlow_twins(a, b, lambd=0.0051, eps=1e-5):
    a, b = ((z - z.mean(0)) / np.sqrt(z.var(0) + eps) for z in (a, b))
    c = a.T @ b / len(a)
    on_diagonal = sum((c[i, i] - 1) ** 2 for i in range(len(c)))
    off_diagonal = sum(c[i, j] ** 2 for i in range(len(c)) for j in range(len(c)) if i != j)
    return on_diagonal + lambd * off_diagonal, (on_diagonal, off_diagonal)


def nt_xent(a, b, temperature=0.5):
    n = len(a)
    s = unit_rows(np.concatenate([a, b])) @ unit_rows(np.concatenate([a, b])).T / temperature
    alignment, uniformity = [], []
    for i in range(2 * n):
        alignment.append(-s[i, (i + n) % (2 * n)])
        uniformity.append(math.log(sum(math.exp(s[i, k]) for k in range(2 * n) if k != i)))
    return np.mean(alignment) + np.mean(uniformity), (np.mean(alignment), np.mean(uniformity))


def spectral_contrastive(a, b, mu=1.0):
    a, b = ([row * min(1.0, math.sqrt(mu) / np.linalg.norm(row)) for row in z] for z in (a, b))
    n = len(a)
    alignment = -2 / mu * np.mean([x @ y for x, y in zip(a, b, strict=True)])
    uniformity = sum((a[i] @ b[j]) ** 2 for i in range(n) for j in range(n) if i != j) / (n * (n - 1) * mu)
    return alignment + uniformity, (alignment, uniformity)


def euclidean(p, z):
    loss = np.mean([np.sum((x - y) ** 2) for x, y in zip(p, z, strict=True)])
    return loss, (loss,)


def cosine(p, z):
    loss = np.mean([2 - 2 * x @ y / np.linalg.norm(x) / np.linalg.norm(y) for x, y in zip(p, z, strict=True)])
    return loss, (loss,)


def iso_euclidean(z, z_target, w_p):
    return euclidean(z @ w_p, z_target)


def iso_cosine(z, z_target, w_p):
    c, u = np.linalg.eigh(w_p)
    root = u @ np.diag(np.sqrt(c)) @ u.T
    attraction, restraint = [], []
    for x, y in zip(z, z_target, strict=True):
        p = x @ w_p
        length_p, length_y = np.linalg.norm(p), np.linalg.norm(y)
        attraction.append(-2 * x @ y / (length_p * length_y))
        restraint.append(p @ y / (length_p**3 * length_y) * np.sum((x @ root) ** 2))
    return np.mean(attraction) + np.mean(restraint), (np.mean(attraction), np.mean(restraint))


def logdet_entropy(z, beta=1.0):
    return half_logdet(np.eye(z.shape[1]) + beta * biased_covariance(z))


def pairwise_entropy(z, variance, lower=True):
    n, d = z.shape
    total = 0.0
    for i in range(n):
        total -= math.log(np.mean([math.exp(-np.sum((z[i] - z[j]) ** 2) / ((8 if lower else 2) * variance)) for j in range(n)]))
    return d / 2 * math.log(2 * math.pi * math.e * variance) + total / n


def median_squared_distance(z):
    return np.median([np.sum((z[i] - z[j]) ** 2) for i in range(len(z)) for j in range(len(z)) if i != j])


def pairdist_entropy(z):
    return pairwise_entropy(z, median_squared_distance(z) / 8)


def vicreg_entropy(a, b, entropy_of, sim_coeff=1.0, entropy_coeff=1.0):
    invariance = np.mean(np.sum((a - b) ** 2, 1))
    entropy = (entropy_of(a) + entropy_of(b)) / (2 * a.shape[1])
    return sim_coeff * invariance - entropy_coeff * entropy, (invariance, entropy)


def byol_entropy(p, z, z_online, entropy_of, sim_coeff=1.0, entropy_coeff=1.0):
    invariance = cosine(p, z)[0]
    entropy = entropy_of(z_online) / z.shape[1]
    return sim_coeff * invariance - entropy_coeff * entropy, (invariance, entropy)


def mec(a, b, eps_squared=64.0, order=4):
    n, d = a.shape
    lam = d / (n * eps_squared)
    c = lam * unit_rows(a) @ unit_rows(b).T
    series = sum((-1) ** (k + 1) / k * np.linalg.matrix_power(c, k) for k in range(1, order + 1))
    loss = -np.trace(series) / (n * lam)
    return loss, (loss,)


def coding_rate(z, eps_squared=0.2):
    n, d = z.shape
    return half_logdet(np.eye(n) + d / (n * eps_squared) * z @ z.T)


def total_coding_rate(z, eps_squared=0.2):
    rate = np.mean([coding_rate(view, eps_squared) for view in z])
    return -rate, (rate,)


def emp_ssl(z, similarity_coeff=200.0, eps_squared=0.2):
    z = unit_rows(z)
    centroid = unit_rows(z.mean(0))
    similarity = np.mean([np.sum(view * centroid, 1) for view in z])
    rate = np.mean([coding_rate(view, eps_squared) for view in z])
    return -similarity_coeff * similarity - rate, (similarity, rate)


def mmcr(z, lam=0.0):
    z = unit_rows(z)
    centroids = np.linalg.norm(z.mean(0), "nuc")
    local = np.mean([np.linalg.norm(z[:, n], "nuc") for n in range(z.shape[1])]) if lam else 0.0
    return lam * local - centroids, (local, centroids)


def w_mse(z, sub_batches, eps=0.0):
    whitened = np.empty_like(z)
    for rows in sub_batches:
        for v in range(len(z)):
            part = z[v, rows]
            cov = (1 - eps) * np.cov(part.T) + eps * np.eye(part.shape[1])
            whitened[v, rows] = (part - part.mean(0)) @ np.linalg.inv(np.linalg.cholesky(cov)).T
    pairs = [(i, j) for i in range(len(z)) for j in range(i + 1, len(z))]
    loss = np.mean([cosine(whitened[i], whitened[j])[0] for i, j in pairs])
    return loss, (loss,)


def ssl_hsic(z, draw_a, draw_b, gamma=3.0):
    views, n, _ = z.shape
    phi_a, phi_b = (math.sqrt(2 / len(phase)) * np.cos(z @ freq.T + phase) for freq, phase in (draw_a, draw_b))
    zy = sum(np.sum(phi_a[:, i].sum(0) ** 2) for i in range(n)) / (n * views * (views - 1))
    zy -= np.sum(phi_a.sum((0, 1)) ** 2) / (n * views) ** 2
    flat_a, flat_b = (phi.reshape(views * n, -1) - phi.mean((0, 1)) for phi in (phi_a, phi_b))
    zz = np.sum((flat_a.T @ flat_b) ** 2) / (n * views) ** 2
    return gamma * math.sqrt(zz) - zy, (math.sqrt(zz), zy)


def sigreg(z, directions, knots=17, t_max=3.0):
    t = np.linspace(0, t_max, knots)
    statistics = []
    for a in directions:
        u = z @ a
        gap = [((np.mean(np.cos(s * u)) - np.exp(-(s**2) / 2)) ** 2 + np.mean(np.sin(s * u)) ** 2) * np.exp(-(s**2) / 2) for s in t]
        statistics.append(len(z) * 2 * np.trapezoid(gap, t))
    return np.mean(statistics), (np.mean(statistics),)


def lejepa(z, directions, lam=0.02):
    invariance = np.mean((z - z.mean(0)) ** 2)
    gaussianity = np.mean([sigreg(view, directions)[0] for view in z])
    return (1 - lam) * invariance + lam * gaussianity, (invariance, gaussianity)


def corinfomax(a, b, running, sim_coeff=250.0, eps=1e-8, forgetting=0.01):
    d = a.shape[1]
    invariance, entropy = np.mean((a - b) ** 2), 0.0
    for z, old_mean, old_cov in ((a, running[0], running[2]), (b, running[1], running[3])):
        mu = forgetting * old_mean + (1 - forgetting) * z.mean(0)
        cov = forgetting * old_cov + (1 - forgetting) * (z - mu).T @ (z - mu) / len(z)
        entropy += np.linalg.slogdet(cov + eps * np.eye(d))[1] / d
    return sim_coeff * invariance - entropy, (invariance, entropy)


def matrix_ssl(a, b, gamma=1.0, mu=1.0, lam=1.0, order=4):
    n, d = a.shape
    eye, centring = np.eye(d), np.eye(n) - np.ones((n, n)) / n

    def cross_entropy(p, q):
        series = sum((-1) ** (k + 1) / k * np.linalg.matrix_power(q - eye, k) for k in range(1, order + 1))
        return -np.trace(p @ series)

    correlation = cross_entropy(lam * eye, a.T @ centring @ b / n + mu * eye)
    covariance = cross_entropy(a.T @ centring @ a / n + mu * eye, b.T @ centring @ b / n + mu * eye)
    return correlation + gamma * covariance, (correlation, covariance)
