"""Flows as functions of their hyper-parameters: differentiated, mapped and compiled, for fits and sweeps."""

from functools import partial

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import reference_dynamics as reference
from sslx import dynamics

TIMES = np.asarray([0.7, 3.0])
LATE = np.asarray([*TIMES, 60.0, 2000.0, np.inf])


def kappa(sigma):
    return 1 + sigma**2


# the flow of one hyper-parameter, its velocity in plain arithmetic, the derivative of that by the hyper-parameter, and values of it
FAMILIES = {
    "euclidean, decay": (
        lambda eta: dynamics.euclidean(alpha=0.7, noise=(0.2, 0.0), weight_decay=eta),
        lambda x, eta: -1.4 * x * (1.04 * x**2 - x + eta),
        lambda x, eta: -1.4 * x,
        [0.0, 1e-4, 0.1, 0.24, 0.3, 0.9],
    ),
    "euclidean at the threshold": (
        lambda eta: dynamics.euclidean(weight_decay=eta),
        lambda x, eta: -x * (x**2 - x + eta),
        lambda x, eta: -x,
        [0.25 - 1e-6, 0.25, 0.25 + 1e-9],
    ),
    "euclidean, noise": (
        lambda sigma: dynamics.euclidean(noise=(sigma, 0.0)),
        lambda x, sigma: x**2 * (1 - kappa(sigma) * x),
        lambda x, sigma: -2 * sigma * x**3,
        [0.3],
    ),
    "iso, decay": (
        lambda eta: dynamics.iso_euclidean(alpha=0.7, weight_decay=eta),
        lambda x, eta: 1.4 * x * (1 - x - eta),
        lambda x, eta: -1.4 * x,
        [0.0, 0.4, 1.0, 1.5],
    ),
    "no stop, noise": (
        lambda sigma: dynamics.euclidean_no_stop_gradient(noise=(sigma, 0.1)),
        lambda x, sigma: -x * (kappa(sigma) * x**2 - 2 * x + kappa(mpmath.mpf(0.1))),
        lambda x, sigma: -2 * sigma * x**3,
        [0.3],
    ),
    "wrong stop, decay": (
        lambda eta: dynamics.euclidean_wrong_stop_gradient(weight_decay=eta),
        lambda x, eta: x * (x - 1 - eta),
        lambda x, eta: -x,
        [0.5],
    ),
    "no predictor": (
        lambda sigma: dynamics.euclidean_no_predictor(noise=(sigma, 0.1)),
        lambda x, sigma: -2 * sigma**2 * x,
        lambda x, sigma: -4 * sigma * x,
        [0.3],
    ),
    "normalised": (
        lambda sigma: dynamics.euclidean_normalised(noise=(sigma, 0.0)),
        lambda x, sigma: x * (1 - x) * (kappa(sigma) * x + sigma**2),
        lambda x, sigma: x * (1 - x) * 2 * sigma * (x + 1),
        [0.3],
    ),
}


def derivative(velocity, by_parameter, value, start, end):
    """v(lam) Int_{lam0}^{lam} (dv/d theta)/v^2 dx, in 30 digits."""
    with mpmath.workdps(30):
        theta, low, high = mpmath.mpf(value), mpmath.log(mpmath.mpf(start)), mpmath.log(mpmath.mpf(end))
        pieces = mpmath.linspace(low, high, int(4 * abs(high - low)) + 2)

        def integrand(u):
            x = mpmath.exp(u)
            return x * by_parameter(x, theta) / velocity(x, theta) ** 2

        return float(mpmath.quad(integrand, pieces, method="gauss-legendre") * velocity(mpmath.mpf(end), theta))


@pytest.mark.parametrize("name", FAMILIES)
def test_derivative_by_a_hyper_parameter(name):
    family, velocity, by_parameter, values = FAMILIES[name]

    @jax.jit
    @jax.vmap
    def compute(value):
        return jax.jvp(lambda x: family(x).solution(TIMES, reference.START), (value,), (jnp.ones_like(value),))

    for value, lam, slope in zip(values, *map(np.asarray, compute(np.asarray(values))), strict=True):
        np.testing.assert_allclose(lam, family(value).solution(TIMES, reference.START), rtol=1e-10)
        for row, found in zip(lam, slope, strict=True):
            for start, end, got in zip(reference.START, row, found, strict=True):
                wanted = derivative(velocity, by_parameter, value, start, end) if np.isfinite(end) else 0.0
                np.testing.assert_allclose(got, wanted, rtol=1e-7, atol=1e-14 * min(end, 1))


def test_derivative_of_a_mode_that_rests_on_a_fixed_point():
    """On the lower one lam moves as e^{v' t}, on the upper one it stays; on both the fixed point moves away under it."""
    eta, times = 0.1, np.asarray([0.0, 2.0, 1e6])
    fixed = np.asarray(dynamics.euclidean(weight_decay=eta).fixed_points(jnp.ones(1)))[:, 0]
    slope = -fixed * (2 * fixed - 1)  # v' where lam^2 - lam + eta = 0
    found = jax.jit(jax.jacfwd(lambda x: dynamics.euclidean(weight_decay=x).solution(times[:2], fixed[1:])))(eta)
    np.testing.assert_allclose(found, -fixed[1:] * np.expm1(slope[1:] * times[:2, None]) / slope[1:], rtol=1e-12, atol=1e-15)
    late = jax.jit(jax.jacrev(lambda x: dynamics.euclidean(weight_decay=x).solution(times[2], np.asarray([0.05, 0.5, 3.0]))))(eta)
    np.testing.assert_allclose(late, [0.0, *[-1 / (2 * fixed[2] - 1)] * 2], rtol=1e-9, atol=1e-300)


SPEEDS = pytest.mark.parametrize("speed", [1e-9, 1.0, 1e9])


@jax.jit
@partial(jax.vmap, in_axes=(0, 0, None, None))
def first_and_second(eta, lam0, t, speed=1.0):
    """Derivatives by the weight decay and the start, [2] and [2, 2], of the state at t of a clock that runs at this speed."""

    def state(eta, lam0):
        return dynamics.euclidean(alpha=speed / 2, weight_decay=eta).solution(t / speed, lam0[None])[0]

    def gradient(*at):
        found = jnp.stack(jax.grad(state, (0, 1))(*at))
        return found, found

    second, first = jax.jacfwd(gradient, (0, 1), has_aux=True)(eta, lam0)
    return first, jnp.stack(second, axis=-1)


@SPEEDS
def test_second_derivatives_on_a_fixed_point(speed):
    """From the variational equations there, where the velocity has slope a: of dv/d eta = -x, d^2 v/dx^2 = 2 - 6 x."""
    eta, t = 0.1, 3.0
    x = np.asarray(dynamics.euclidean(weight_decay=eta).fixed_points(jnp.ones(1)))[:, 0]
    a, bend = 2 * x - 3 * x**2 - eta, 2 - 6 * x
    growth, span = np.exp(a * t), np.expm1(a * t) / a
    twice = growth * (bend * -x * (span - t) / a - t)
    of_decay = bend * x**2 * ((growth**2 - growth) / a - 2 * t * growth + span) / a**2 + 2 * x * (t * growth - span) / a
    first, second = first_and_second(np.full(3, eta), x, t, speed)
    np.testing.assert_allclose(first, np.stack([-x * span, growth], axis=-1), rtol=1e-10, atol=1e-14)
    wanted = np.asarray([[of_decay, twice], [twice, growth * bend * span]])
    np.testing.assert_allclose(second, np.moveaxis(wanted, -1, 0), rtol=1e-10, atol=1e-14)


@SPEEDS
def test_derivatives_next_to_a_double_root(speed):
    """Where -x (x - 1/2)^2 - x (eta - 1/4) hardly moves a mode: from the variational equations at x = 1/2."""
    t, mixed = 5.0, 5.0**2 / 4 - 5.0
    first, second = first_and_second(np.full(3, 0.25), 0.5 + np.asarray([0.0, 1e-15, -1e-9]), t, speed)
    np.testing.assert_allclose(first, [[-t / 2, 1.0]] * 3, rtol=1e-7)
    np.testing.assert_allclose(second, [[[t**2 / 2 - t**3 / 12, mixed], [mixed, -t]]] * 3, rtol=1e-7)


@pytest.mark.parametrize("decay", [0.25, 1.5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_second_derivatives_next_to_a_fixed_point(dtype, decay):
    """Of a logistic that grows or collapses, where its mode is dead or hardly alive, and next to a capacity by about half the digits."""

    def closed_form(eta, lam0):
        return lam0 / (jnp.exp((eta - 1) * 3.0) - jnp.expm1((eta - 1) * 3.0) * lam0 / (1 - eta))

    def state(eta, lam0):
        return dynamics.iso_euclidean(weight_decay=eta).solution(jnp.asarray(3.0, lam0.dtype), lam0[None])[0]

    half = np.finfo(dtype).eps ** 0.5
    starts = np.asarray([0.0, 1e-30, 1e-10, 1e-3, 0.25, 0.75 * (1 - half / 10), 0.75 * (1 - 3 * half), 0.75])
    found, wanted = (
        jax.jit(jax.vmap(jax.hessian(f, (0, 1)), (None, 0)))(*map(jnp.asarray, xs))
        for f, xs in ((state, (dtype(decay), starts.astype(dtype))), (closed_form, (decay, starts)))
    )
    np.testing.assert_allclose(found, wanted, rtol=10 * half, atol=1e-12)


def test_derivative_of_the_pair_by_the_exponent():
    """The sum of the modes, or of their powers, stays what it was; the other equation by differences."""
    start, step = np.asarray([0.3, 1.9]), 1e-4
    for family in (dynamics.cosine_pair, dynamics.iso_cosine_pair):
        solve = jax.jit(jax.vmap(lambda alpha, family=family: family(alpha=alpha).solution(TIMES, start)))
        back, here, ahead = solve(0.7 + step * np.asarray([-1, 0, 1]))
        np.testing.assert_allclose(here, family(alpha=0.7).solution(TIMES, start), rtol=1e-12)
        slope = jax.jit(jax.jacfwd(lambda alpha, family=family: family(alpha=alpha).solution(TIMES, start)))(0.7)
        np.testing.assert_allclose(slope, (ahead - back) / (2 * step), rtol=1e-6)


@jax.jit
def course(eta):
    """States, also late ones, and their first and second derivatives by the weight decay, the second backwards over forwards."""

    def slope(eta):
        lam, slope = jax.jvp(lambda x: dynamics.euclidean(weight_decay=x).solution(LATE, np.asarray([0.05, 0.2, 0.9])), (eta,), (1.0,))
        return slope, (lam, slope)

    second, (lam, slope) = jax.jacrev(slope, has_aux=True)(eta)
    return lam, slope, second


def test_a_fit_of_the_weight_decay():
    """Newton's method on the squared error: second derivatives are there as well."""
    seen, eta = course(np.float64(0.07))[0], np.float64(0.05)
    for _ in range(6):
        lam, slope, second = map(np.asarray, course(eta))
        error = lam - seen
        eta -= np.sum(error * slope) / np.sum(error * second + slope**2)
    np.testing.assert_allclose(eta, 0.07, rtol=1e-10)


def test_second_derivative_of_a_mode_that_has_arrived():
    """It is that of the fixed point (1 + sqrt(1 - 4 eta))/2."""
    np.testing.assert_allclose(course(np.float64(0.07))[2][2:, 1:], np.full((3, 2), -2 * (1 - 0.28) ** -1.5), rtol=1e-9)


@pytest.mark.parametrize("eta", [0.1, 0.25, 0.4])
def test_invariant_fixed_points_threshold_and_arrival(eta):
    """A flow of what jax transforms says what that of the number says; fixed points that are not there are 0."""
    lam = jnp.asarray([0.2, 0.7, 1.3])

    def facts(eta):
        flow = dynamics.euclidean(noise=(0.0, 0.3), weight_decay=eta)
        return (
            flow.invariant(0.3, lam),
            dynamics.escape_time(flow, lam, 0.6),
            flow.fixed_points(lam)[:, 0],
            dynamics.collapse_threshold(flow),
        )

    invariant, times, fixed, threshold = facts(eta)
    found = jax.jit(facts)(eta)
    np.testing.assert_allclose(found[0], invariant, rtol=1e-12)
    np.testing.assert_allclose(found[1], times, rtol=1e-12)
    np.testing.assert_allclose(np.unique(found[2]), fixed, rtol=1e-12)
    assert found[3] == threshold


FLOWS = {
    "cosine": (lambda x: dynamics.cosine(alpha=x, noise=(x, 0.1), weight_decay=x), (3,)),
    "iso cosine": (lambda x: dynamics.iso_cosine(alpha=x, noise=(x, 0.1), weight_decay=x), (3,)),
    "mean field": (lambda x: dynamics.cosine_mean_field(alpha=x, weight_decay=x), (3,)),
    "directpred": (lambda x: dynamics.directpred(predictor_lr=x, tau=x, noise=x, weight_decay=x), (2, 3)),
    "ema": (lambda x: dynamics.directpred_ema(predictor_lr=x, rate=x, noise=x, weight_decay=x), (3, 3)),
    "ema target": (lambda x: dynamics.euclidean_ema_target(alpha=x, rate=x, noise=(x, x), weight_decay=x), (2, 3)),
    "barlow twins": (lambda x: dynamics.barlow_twins(x * jnp.asarray([0.3, 0.1, -0.2])), (3,)),
}


@pytest.mark.parametrize("name", FLOWS)
def test_flows_without_a_law_of_one_variable_are_functions_of_their_hyper_parameters_too(name):
    family, shape = FLOWS[name]
    state = jnp.linspace(0.3, 1.1, int(np.prod(shape))).reshape(shape)

    def of(x):
        flow = family(x)
        return jnp.concatenate([jnp.ravel(y) for y in (flow.velocity(state), flow.fixed_points(state)) if y is not None])

    step = 1e-5
    back, here, ahead = jax.jit(jax.vmap(of))(0.2 + step * np.asarray([-1, 0, 1]))
    slope = jax.jit(jax.jacfwd(of))(0.2)
    np.testing.assert_allclose(slope, (ahead - back) / (2 * step), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(here[: state.size], jnp.ravel(family(0.2).velocity(state)), rtol=1e-9)


def test_a_hyper_parameter_is_one_number(without_typing_hook):
    lam = jnp.asarray([0.2, 0.7])
    for one in (jnp.asarray(0.1), np.float32(0.1), np.asarray(0.1)):
        np.testing.assert_allclose(
            dynamics.euclidean(weight_decay=one).solution(1.0, lam), dynamics.euclidean(weight_decay=0.1).solution(1.0, lam), rtol=1e-7
        )
    with pytest.raises(ValueError, match=r"weight_decay must be one number, got an array of shape \(2,\); jax.vmap makes the flows"):
        dynamics.euclidean(weight_decay=lam)


def test_a_mode_at_rest_or_gone_spoils_no_derivative():
    """0 grows in theory beyond every number, and squares of what has collapsed vanish: the others keep their derivatives."""
    starts = jnp.asarray([0.0, 0.01, 0.5])

    def late(eta):
        return dynamics.iso_euclidean(alpha=0.1, weight_decay=eta).solution(5000.0, starts)

    np.testing.assert_allclose(jax.jit(jax.jacrev(late))(0.1), [0.0, -1.0, -1.0], rtol=1e-12)

    _, slope, second = map(np.asarray, course(np.float64(1.0)))
    assert np.all(slope[:2] < 0)
    assert np.all((second[:2] > 0) & (second[:2] < 10))
    np.testing.assert_allclose([slope[3:], second[3:]], 0, atol=1e-300)


def test_a_hyper_parameter_that_is_an_array_is_told_in_a_program_too():
    with pytest.raises(ValueError, match=r"weight_decay must be one number, got an array of shape \(2,\)"):
        jax.jit(lambda eta: dynamics.euclidean(weight_decay=eta).solution(1.0, eta))(jnp.ones(2))
