"""The cosine flows: exact against autodiff where an exact design exists, within sampling error elsewhere, and their limits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reference_dynamics as reference
from sslx import dynamics
from sslx.dynamics._expectation import norm_expectation, paired, tilted_views

FACTORIES = {
    "cosine": dynamics.cosine,
    "none": dynamics.cosine_no_stop_gradient,
    "iso": dynamics.iso_cosine,
}
PAIR = np.asarray([0.5, 1.4])
FOUR = np.asarray([0.2, 0.6, 1.1, 1.9])


@pytest.mark.parametrize("name", FACTORIES)
def test_two_modes_to_rounding(name):
    """Equally spaced angles are an exact design for two modes: velocity = projected autodiff gradient to 1e-9."""
    loss, predictor = reference.COSINE_LOSSES[name], reference.power(0.8)
    moved = np.asarray(reference.autodiff_velocity(loss, PAIR, reference.circle(), predictor=predictor))
    np.testing.assert_allclose(np.diagonal(moved), jax.jit(FACTORIES[name](alpha=0.8).velocity)(PAIR), rtol=1e-9)
    np.testing.assert_allclose(moved[0, 1], 0, atol=1e-12)


def test_inputs_that_are_not_isotropic_couple_the_modes():
    """The condition of the docstring: stretched along one input, the flow is not the autodiff gradient, which also turns the modes."""
    stretched = reference.circle() * np.asarray([1.6, 0.6])
    moved = np.asarray(reference.autodiff_velocity(reference.COSINE_LOSSES["cosine"], PAIR, stretched, predictor=reference.power(1.0)))
    velocity = np.asarray(jax.jit(dynamics.cosine(alpha=1.0).velocity)(PAIR))
    size = np.max(np.abs(velocity))
    assert np.abs(moved[0, 1]) > 0.05 * size
    assert np.max(np.abs(np.diagonal(moved) - velocity)) > 0.05 * size


@pytest.mark.parametrize("name", FACTORIES)
def test_four_modes_of_noisy_views_within_sampling_error(name):
    noise = (0.4, 0.7)

    def one(key):
        batch = jax.random.normal(key, (3, 4000, 4))
        loss, predictor = reference.COSINE_LOSSES[name], reference.power(1.0)
        return jnp.diagonal(reference.autodiff_velocity(loss, FOUR, batch, noise=noise, predictor=predictor))

    samples = np.asarray(jax.jit(lambda key: jax.lax.map(one, jax.random.split(key, 50)))(jax.random.key(0)))
    error = np.std(samples, axis=0, ddof=1) / 50**0.5
    exact = np.asarray(jax.jit(FACTORIES[name](alpha=1.0, noise=noise).velocity)(FOUR))
    assert np.all(np.abs(samples.mean(0) - exact) < 4 * error)
    assert np.all(error < 0.05 * np.max(np.abs(exact)))  # the test can tell


def test_the_published_update_without_stop_gradient_is_not_the_gradient():
    """It has d (W_P p + z)/(|p|^3 |z|) in place of d z/(|p| |z|^3); the gradient conserves sum s, the published update does not."""
    w, u = map(np.asarray, reference.network(jax.random.key(3), PAIR, 2))
    x = reference.circle()[0]
    w_p = u * PAIR @ u.T
    z = x @ w.T
    p = z @ w_p
    size_p, size_z = (np.linalg.norm(a, axis=1, keepdims=True) for a in (p, z))
    d = np.sum(p * z, axis=1, keepdims=True)
    attract = (z @ w_p + p) / (size_p * size_z) - d * p @ w_p / (size_p**3 * size_z)
    published = attract - d * (p @ w_p + z) / (size_p**3 * size_z)
    gradient = attract - d * z / (size_p * size_z**3)

    def drift(force):
        return np.diagonal(u.T @ (lambda a: a + a.T)(force.T @ x @ w.T / len(x)) @ u)

    np.testing.assert_allclose(drift(gradient), jax.jit(dynamics.cosine_no_stop_gradient(alpha=1.0).velocity)(PAIR), rtol=1e-9)
    assert abs(np.sum(drift(gradient))) < 1e-12
    assert abs(np.sum(drift(published))) > 0.1


def test_without_stop_gradient_the_larger_mode_wins():
    """Also long after the other one has died, which an integrator takes below zero."""
    flow, times = dynamics.cosine_no_stop_gradient(alpha=1.0), np.asarray([0.0, 3.0, 400.0])
    path = np.asarray(jax.jit(lambda start: dynamics.integrate(flow, times, start, rtol=1e-6))(PAIR))
    assert path[1, 1] > PAIR[1]
    assert path[1, 0] < PAIR[0]
    np.testing.assert_allclose(path.sum(axis=1), PAIR.sum(), rtol=1e-9)
    np.testing.assert_allclose(path[2], [0, PAIR.sum()], atol=1e-6)


TABLE = [
    (0.5, 3, (1e-12, 1e-12)),
    (0.5, 20, (1e-11, 1e-12)),
    (0.5, 1e4, (5e-4, 5e-7)),
    (1.0, 20, (5e-8, 1e-12)),
    (1.0, 100, (2e-5, 5e-10)),
    (1.0, 1e4, (1e-2, 1e-4)),
]


@partial(jax.jit, static_argnames="nodes")
def expectation(s, lam, nodes):
    """E[z_k^2 z_m^2/(||Dz||^3 ||z||)]."""
    views = tilted_views(s, lam, 3, 1, nodes, (0.0, 0.0))
    return paired(views.cross, views.cross)


@pytest.mark.parametrize(("alpha", "ratio", "bounds"), TABLE)
def test_accuracy_of_the_quadrature_by_spread(alpha, ratio, bounds):
    """The table of the module: nodes 40 and 60 against 140, over M = 2, 5 and three kinds of spectrum."""
    spectra = [np.exp(np.linspace(0, -np.log(ratio), 2)), np.exp(np.linspace(0, -np.log(ratio), 5))]
    spectra += [np.r_[1.0, np.full(4, 1 / ratio)], np.r_[np.ones(4), 1 / ratio]]
    for s in spectra:
        s = s / s.mean()
        lam = s**alpha / np.max(s**alpha)
        apart = ~np.eye(len(s), dtype=bool)
        exact = np.asarray(expectation(s, lam, 140))
        for nodes, bound in zip((40, 60), bounds, strict=True):
            assert np.max(np.abs(expectation(s, lam, nodes) / exact - 1)[apart]) < bound


@pytest.mark.parametrize("factory", FACTORIES.values())
def test_dead_modes_cost_no_accuracy(factory):
    """To rounding, where the quadrature used to follow the range down to a mode at 0 and lost all digits but one."""
    velocity = jax.jit(factory(alpha=1.0).velocity)
    np.testing.assert_allclose(velocity(np.r_[0.0, PAIR, 0.0]), np.r_[0, velocity(PAIR), 0], rtol=1e-12)


@pytest.mark.parametrize(
    ("flow", "state"),
    [
        (dynamics.cosine_no_predictor(noise=(0.1, 0.1)), [0.1, 0.2, 0.3]),
        (dynamics.cosine(alpha=1.0), [1e-5, 1.0]),
        (dynamics.cosine_no_stop_gradient(noise=(0.3, 0.5)), [1e-4, 0.2]),
        (dynamics.iso_cosine(), [0.0, 0.2]),
    ],
)
def test_few_modes_in_float32(flow, state):
    """As in float64, whose range holds the factors of the integrand; and with finite derivatives."""
    low, slope = jax.jit(lambda s: (flow.velocity(s), jax.jacrev(flow.velocity)(s)))(np.float32(state))
    assert low.dtype == slope.dtype == jnp.float32
    np.testing.assert_allclose(low, jax.jit(flow.velocity)(np.float32(state).astype(float)), rtol=1e-5)
    assert np.isfinite(slope).all()


def test_a_small_mode_beside_large_ones_in_float32():
    """With noise; forward mode and curvature too."""
    flow, state = dynamics.cosine(alpha=1.0, noise=(0.1, 0.2)), np.float32([1.0, 1e-6, 0.5, 0.1])

    @jax.jit
    def derivatives(s):
        curvature = jax.jacfwd(jax.jacrev(lambda s: flow.velocity(s)[0]))(s)
        return jax.jacfwd(flow.velocity)(s), jax.jacrev(flow.velocity)(s), curvature

    forward, reverse, curvature = derivatives(state)
    np.testing.assert_allclose(forward, reverse, rtol=1e-5, atol=1e-6 * np.abs(reverse).max())
    assert np.isfinite(curvature).all()


def test_two_mode_expectation_against_the_integral_over_the_circle():
    """E[z_1^2 z_2^2/(||Dz||^3 ||z||)] is a mean over directions when M = 2: the quadrature's own derivation is not used."""
    s, lam = PAIR, PAIR**0.5
    angle = 2 * np.pi * np.arange(400) / 400
    z = np.sqrt(s) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    integrand = np.prod(z**2, axis=1) / np.linalg.norm(z * lam, axis=1) ** 3 / np.linalg.norm(z, axis=1)
    np.testing.assert_allclose(np.asarray(expectation(s, lam, 40))[0, 1], integrand.mean(), rtol=1e-12)


def test_rescaling_of_states():
    """Degree 0 for the cosine flow and -alpha for its IsoLoss, also for eigenvalues of 1e-3, and in the derivative."""
    for flow, degree in ((dynamics.cosine(alpha=0.7), 0.0), (dynamics.iso_cosine(alpha=0.7), -0.7)):
        velocity, euler = map(np.asarray, jax.jit(lambda s, flow=flow: jax.jvp(flow.velocity, (s,), (s,)))(FOUR))
        np.testing.assert_allclose(jax.jit(flow.velocity)(1e-3 * FOUR), 1e-3**degree * velocity, rtol=1e-9)
        np.testing.assert_allclose(euler, degree * velocity, rtol=1e-7, atol=1e-9)
    velocity = jax.jit(dynamics.cosine().velocity)
    assert np.isfinite(velocity(np.asarray([0.0, 1.0, 2.0]))).all()
    np.testing.assert_array_equal(velocity(np.zeros(3)), 0)


def test_weight_decay_only_changes_the_clock():
    """s/sum s with decay is the flow without it at (e^{2 eta t} - 1)/(2 eta S0): what the docstring says, on the two-mode solution."""
    eta, t = 0.1, 2.0
    decayed = np.asarray(jax.jit(lambda start: dynamics.integrate(dynamics.cosine(weight_decay=eta), t, start))(PAIR))
    effective = (np.exp(2 * eta * t) - 1) / (2 * eta * PAIR.sum())
    free = jax.jit(dynamics.cosine_pair().solution)(effective, PAIR / PAIR.sum())
    np.testing.assert_allclose(decayed / decayed.sum(), free, rtol=1e-8)
    np.testing.assert_allclose(decayed.sum(), PAIR.sum() * np.exp(-2 * eta * t), rtol=1e-8)


@pytest.mark.parametrize(("flow", "power"), [(dynamics.cosine(alpha=0.8), 0.0), (dynamics.iso_cosine(alpha=0.8), 0.8)])
def test_linearised_rate(flow, power):
    """-2 alpha/(sbar (M + 2)) along every direction but the common one, over lam for the IsoLoss."""
    rates = np.asarray(jax.jit(partial(dynamics.linear_stability, flow))(np.full(4, 1.5)))
    np.testing.assert_allclose(rates[:3], -1.6 / (1.5 * 6) / 1.5**power, rtol=1e-9)
    assert abs(rates[3]) < 1e-10


def test_linearised_and_mean_field_limits():
    """The linearised flow errs at second order in the spread; the mean field at first order in 1/M, the remainder at second."""
    shape = np.asarray([1.0, -0.4, -0.6])
    gap = jax.jit(lambda s: dynamics.cosine().velocity(s) - dynamics.cosine_linearised().velocity(s))
    near = [gap(1 + h * shape) for h in (0.02, 0.01)]
    np.testing.assert_allclose(np.linalg.norm(near[0]) / np.linalg.norm(near[1]), 4, rtol=0.05)
    for exact, field in ((dynamics.cosine, dynamics.cosine_mean_field), (dynamics.iso_cosine, dynamics.iso_cosine_mean_field)):
        errors = []
        ratio = jax.jit(lambda s, field=field, exact=exact: field().velocity(s)[0] / exact().velocity(s)[0])
        for modes in (16, 32, 64):
            s = np.tile([0.5, 1.5], modes // 2)
            errors.append(float(ratio(s)) - 1)
        remainder = 2 * np.asarray(errors[1:]) - np.asarray(errors[:-1])
        np.testing.assert_allclose(remainder[0] / remainder[1], 4, rtol=0.05)


def exact_no_predictor(s, kappa_1, kappa_2, points=240):
    """ds/dt = 2 (E[z1 z2/(|z1||z2|)] - E[cos z1^2/|z1|^2]) for jointly Gaussian views of any noise, by brute-force trapezoids."""
    grid = np.linspace(-56, 24, points)
    u, v = np.exp(grid)[:, None], np.exp(grid)
    uk, vk = u[..., None], v[:, None]
    det = (1 + 2 * uk * kappa_1 * s) * (1 + 2 * vk * kappa_2 * s) - 4 * uk * vk * s**2
    weight = np.sqrt(u * v) / np.pi * (grid[1] - grid[0]) ** 2 / np.sqrt(np.prod(det, axis=-1))
    cross, own = s / det, (kappa_1 * s + 2 * vk * s**2 * (kappa_1 * kappa_2 - 1)) / det
    total = cross.sum(-1, keepdims=True) + 2 * cross
    return 2 * np.sum(weight[..., None] * (cross - 2 * uk * total * own), axis=(0, 1))


def test_without_predictor_the_leading_order_is_approached_as_noise_squared():
    """Against the exact average over noisy views (itself checked against autodiff below), 6 modes: error of order noise^2."""
    s = np.asarray([0.4, 0.7, 0.9, 1.2, 1.4, 1.4])
    errors = []
    for sigma in (0.1, 0.05):
        kappa = 1 + sigma**2
        leading = jax.jit(dynamics.cosine_no_predictor(noise=(sigma, sigma)).velocity)(s)
        exact = exact_no_predictor(s, kappa, kappa)
        errors.append(np.linalg.norm(leading - exact) / np.linalg.norm(exact))
    assert 0.03 < errors[0] < 0.12
    np.testing.assert_allclose(errors[0] / errors[1], 4, rtol=0.25)
    both = jax.jit(dynamics.cosine_no_predictor(noise=(0.1, 0.2), stop_gradient=False).velocity)(s)
    one = jax.jit(dynamics.cosine_no_predictor(noise=(0.2, 0.1)).velocity)(s)
    np.testing.assert_allclose(both, 2 * np.asarray(one), rtol=1e-12)


def test_noise_enters_exactly():
    """A predictor of exponent 0 is none: the flow at alpha -> 0 is the exact average over noisy views by another rule."""
    s = np.asarray([0.4, 0.7, 0.9, 1.2, 1.4, 1.4])
    nearly_none = jax.jit(dynamics.cosine(alpha=1e-12, noise=(0.3, 0.5)).velocity)(s)
    np.testing.assert_allclose(nearly_none, exact_no_predictor(s, 1.09, 1.25), atol=1e-9)


def test_noise_decides_whether_equal_modes_survive_without_stop_gradient():
    """Equal modes are marginal without noise, and attract at a rate of order noise^2 with it."""
    flows = [dynamics.cosine_no_stop_gradient(alpha=1.0, noise=(0.0, n)) for n in (0.0, 0.1, 0.2)]
    rates = np.asarray(jax.jit(lambda s: jnp.stack([dynamics.linear_stability(flow, s) for flow in flows]))(np.full(4, 1.5)))
    np.testing.assert_allclose(rates[0], 0, atol=1e-12)
    np.testing.assert_allclose(rates[2][:3] / rates[1][:3], 4, rtol=0.15)
    assert np.all(rates[1][:3] < 0)


def test_without_predictor_against_autodiff_on_sampled_views():
    sigma = (0.8, 0.5)

    def one(key):
        batch = jax.random.normal(key, (3, 8000, 4))
        return jnp.diagonal(
            reference.autodiff_velocity(reference.COSINE_LOSSES["cosine"], FOUR, batch, noise=sigma, predictor=jnp.ones_like)
        )

    samples = np.asarray(jax.jit(lambda key: jax.lax.map(one, jax.random.split(key, 40)))(jax.random.key(1)))
    error = np.std(samples, axis=0, ddof=1) / 40**0.5
    exact = exact_no_predictor(FOUR, 1 + sigma[0] ** 2, 1 + sigma[1] ** 2)
    assert np.all(np.abs(samples.mean(0) - exact) < 4 * error)
    assert np.all(error < 0.05 * np.max(np.abs(exact)))


def test_norm_expectation_in_closed_form():
    """Equal modes: E[z_k^2 z_m^2/||z||^6] = 1/((M + 2) M (M - 2)) / s."""
    for modes in (3, 6):
        got = np.asarray(jax.jit(partial(norm_expectation, nodes=40))(np.full(modes, 2.0)))[0, 1]
        np.testing.assert_allclose(got, 0.5 / ((modes + 2) * modes * (modes - 2)), rtol=1e-11)


def test_the_mean_field_does_not_mind_dead_modes_and_scales():
    """A mode at 0 has finite derivatives, one that an integrator took below 0 counts as dead, and velocities are of degree 0 and -alpha."""
    state = np.asarray([0.0, 1.0, 2.0])
    for flow, degree in ((dynamics.cosine_mean_field(), 0.0), (dynamics.iso_cosine_mean_field(), -0.5)):
        slope, velocity, below, small = jax.jit(
            lambda s, low, flow=flow: (
                jax.jacfwd(flow.velocity)(s),
                flow.velocity(s),
                flow.velocity(s - low),
                flow.velocity(np.float32(1e-12) * s),
            )
        )(state, np.asarray([1e-20, 0.0, 0.0]))
        assert np.isfinite(slope).all()
        np.testing.assert_allclose(below, velocity, rtol=1e-12)
        np.testing.assert_allclose(small, 1e-12**degree * velocity, rtol=1e-5)


def test_without_predictor_two_modes_are_refused(without_typing_hook):
    with pytest.raises(ValueError, match="s must have at least 3 modes here, got 2"):
        dynamics.cosine_no_predictor(noise=(0.1, 0.1)).velocity(PAIR)
    assert np.isnan(dynamics.cosine_no_predictor(noise=(0.1, 0.1)).velocity(jnp.asarray([0.0, *PAIR]))).all()
