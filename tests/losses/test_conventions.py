"""One test per row of docs/conventions.md: other people's formulas, and the coefficients that make ours equal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reference
from sslx import losses
from sslx.linalg import l2_normalise
from sslx.moments import second_moment, standardise

R = np.random.default_rng(0)
N, D = 12, 4
A, B = (R.normal(size=(N, D)) * [0.3, 0.6, 1, 2] + 0.5 for _ in range(2))


def value(loss, *arguments, **options):
    return jax.jit(lambda *x: loss(*x, **options)[0])(*arguments)


def hinges(z):
    return np.mean(np.maximum(0, 1 - np.sqrt(np.var(z, 0, ddof=1) + 1e-4)))


def off_diagonal(z):
    c = np.cov(z.T)
    return (np.sum(c**2) - np.sum(np.diag(c) ** 2)) / D


SQUARES = np.mean((A - B) ** 2)
VARIANCES = hinges(A) + hinges(B)
COVARIANCES = off_diagonal(A) + off_diagonal(B)


@pytest.mark.parametrize(
    ("theirs", "options"),
    [
        pytest.param(25 * SQUARES + 25 * VARIANCES / 2 + COVARIANCES, {}, id="authors' code, lightly"),
        pytest.param(25 * SQUARES * D + 25 * VARIANCES + COVARIANCES, {"sim_coeff": 25.0 * D, "std_coeff": 50.0}, id="paper"),
        pytest.param(25 * SQUARES + 25 * VARIANCES + COVARIANCES, {"std_coeff": 50.0}, id="solo-learn"),
    ],
)
def test_vicreg(theirs, options):
    assert value(losses.vicreg, A, B, **options) == pytest.approx(theirs, rel=1e-12)


def barlow(c, lambd):
    on_diagonal = np.sum((np.diag(c) - 1) ** 2)
    return on_diagonal + lambd * (np.sum(c**2) - np.sum(np.diag(c) ** 2))


def correlation(eps=0.0, ddof=0):
    a, b = ((z - z.mean(0)) / np.sqrt(z.var(0, ddof=ddof) + eps) for z in (A, B))
    return a.T @ b / N


def test_barlow_twins_of_the_authors_code():
    assert value(losses.barlow_twins, A, B) == pytest.approx(barlow(correlation(1e-5), 0.0051), rel=1e-12)


def test_barlow_twins_of_the_paper():
    a, b = A - A.mean(0), B - B.mean(0)
    c = a.T @ b / np.outer(np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0))
    assert value(losses.barlow_twins, A, B, lambd=5e-3, eps=0.0) == pytest.approx(barlow(c, 5e-3), rel=1e-12)


def test_barlow_twins_of_solo_learn():
    assert 0.025 * value(losses.barlow_twins, A, B, lambd=5e-3) == pytest.approx(0.025 * barlow(correlation(1e-5), 5e-3), rel=1e-12)


def test_barlow_twins_of_the_pseudo_code():
    ours = second_moment(standardise(jnp.asarray(A), eps=0.0), standardise(jnp.asarray(B), eps=0.0))
    np.testing.assert_allclose((1 - 1 / N) * ours, correlation(ddof=1), rtol=1e-12)


def test_barlow_twins_gradient_of_the_authors_code_is_too_small_on_w_devices():
    """Their all-reduce is a constant to autodiff: after averaging over W devices 1/W of the gradient is left. Ours keeps all of it.

    Standardised features stand for their synchronised batch norm.
    """
    devices = 4
    a, b = ((z - z.mean(0)) / z.std(0) for z in (A, B))

    def of_correlation(c):
        return jnp.sum((jnp.diagonal(c) - 1) ** 2) + 0.0051 * (jnp.sum(c**2) - jnp.sum(jnp.diagonal(c) ** 2))

    def authors(w, a, b):
        local = (a @ w).T @ (b @ w) / N
        total = jax.lax.psum(jax.lax.stop_gradient(local), "batch")
        return of_correlation(local + total - jax.lax.stop_gradient(local))  # value: the sum; gradient: of the local part only

    w = jnp.asarray(np.eye(D) + 0.1 * R.normal(size=(D, D)))
    exact = jax.jit(jax.grad(lambda w: of_correlation((a @ w).T @ (b @ w) / N)))(w)
    step = jax.pmap(lambda a, b: jax.lax.pmean(jax.grad(authors)(w, a, b), "batch"), axis_name="batch", devices=jax.devices()[:devices])
    np.testing.assert_allclose(step(a.reshape(devices, -1, D), b.reshape(devices, -1, D))[0], exact / devices, rtol=1e-9)


def cross_entropies():
    """Row by row: the cross entropy of each anchor in both directions, [2, N], at temperature 0.1."""
    a, b = reference.unit_rows(A), reference.unit_rows(B)
    found = []
    for anchors, others in ((a, b), (b, a)):
        between, within = anchors @ others.T / 0.1, anchors @ anchors.T / 0.1
        np.fill_diagonal(within, -np.inf)
        found.append(np.log(np.sum(np.exp(np.concatenate([between, within], 1)), 1)) - np.diag(between))
    return np.array(found)


def test_simclr_of_the_paper_and_of_solo_learn():
    assert value(losses.nt_xent, A, B, temperature=0.1) == pytest.approx(np.mean(cross_entropies()), rel=1e-12)


def test_simclr_of_the_authors_code():
    assert 2 * value(losses.nt_xent, A, B, temperature=0.1) == pytest.approx(np.mean(np.sum(cross_entropies(), axis=0)), rel=1e-12)


P_A, P_B = R.normal(size=(2, N, D))


def both_orders():
    return value(losses.cosine, P_A, B) + value(losses.cosine, P_B, A)


def test_byol_of_the_paper_and_of_solo_learn():
    squares = [np.sum((reference.unit_rows(p) - reference.unit_rows(z)) ** 2, 1) for p, z in ((P_A, B), (P_B, A))]
    assert both_orders() == pytest.approx(np.mean(squares[0]) + np.mean(squares[1]), rel=1e-12)


def test_simsiam_takes_the_mean_of_negative_cosines():
    cosines = [np.mean(np.sum(reference.unit_rows(p) * reference.unit_rows(z), 1)) for p, z in ((P_A, B), (P_B, A))]
    assert both_orders() / 4 - 1 == pytest.approx(-(cosines[0] + cosines[1]) / 2, rel=1e-12)


def symmetric_statistic(u, t):
    gap = np.abs(np.mean(np.exp(1j * t * u[:, None]), 0) - np.exp(-(t**2) / 2)) ** 2 * np.exp(-(t**2) / 2)
    return len(u) * np.trapezoid(gap, t)


@pytest.mark.parametrize(
    ("points", "options"),
    [
        pytest.param(np.linspace(-3, 3, 33), {}, id="authors' code"),
        pytest.param(np.linspace(-5, 5, 17), {"knots": 9, "t_max": 5.0}, id="symmetric listing"),
    ],
)
def test_sigreg(points, options):
    directions = reference.unit_rows(R.normal(size=(3, D)))
    theirs = np.mean([symmetric_statistic(A @ a, points) for a in directions])
    assert value(losses.sigreg, A, directions, **options) == pytest.approx(theirs, rel=1e-12)


def test_lejepa_of_the_authors_code():
    key, z = jax.random.key(0), np.stack([A, B])
    directions = reference.unit_rows(np.asarray(jax.random.normal(key, (256, D), jnp.float64)))
    statistic = np.mean([symmetric_statistic(view @ a, np.linspace(-3, 3, 33)) for view in z for a in directions])
    assert value(lambda z: losses.lejepa(key, z), z) == pytest.approx(0.98 * np.mean((z - z.mean(0)) ** 2) + 0.02 * statistic, rel=1e-10)


def test_matrix_ssl_and_corinfomax_take_rows_as_they_are():
    a, b = reference.unit_rows(A), reference.unit_rows(B)
    unit_a, unit_b = (l2_normalise(jnp.asarray(z)) for z in (A, B))
    start, state = losses.corinfomax_init(D), (np.zeros(D), np.zeros(D), np.eye(D), np.eye(D))
    assert value(losses.matrix_ssl, unit_a, unit_b) == pytest.approx(reference.matrix_ssl(a, b)[0], rel=1e-12)
    assert losses.corinfomax(unit_a, unit_b, start)[0] == pytest.approx(reference.corinfomax(a, b, state)[0], rel=1e-12)
    for loss in (losses.mec, losses.nt_xent):
        assert value(loss, A, B) == pytest.approx(float(value(loss, a, b)), rel=1e-12)
    for loss in (losses.emp_ssl, losses.mmcr):
        assert value(loss, np.stack([A, B])) == pytest.approx(float(value(loss, np.stack([a, b]))), rel=1e-12)
