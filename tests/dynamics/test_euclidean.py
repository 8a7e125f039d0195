"""The Euclidean flows are the autodiff gradient of the losses on an actual linear network, and what happens without the conditions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reference_dynamics as reference
from sslx import dynamics

S = np.asarray([0.1, 0.6, 1.7])
NOISE = (0.2, 0.4)
ETA = 0.03
EUCLIDEAN = reference.EUCLIDEAN_LOSSES
ALIGNED = {
    "target": (dynamics.euclidean(alpha=0.7, noise=NOISE, weight_decay=ETA), "target", 0.7, ETA),
    "iso": (dynamics.iso_euclidean(alpha=0.7, noise=NOISE, weight_decay=ETA), "iso", 0.7, ETA),
    "none": (dynamics.euclidean_no_stop_gradient(alpha=0.7, noise=NOISE, weight_decay=ETA), "none", 0.7, ETA),
    "online": (dynamics.euclidean_wrong_stop_gradient(alpha=0.7, noise=NOISE, weight_decay=ETA), "online", 0.7, ETA),
    "no predictor": (dynamics.euclidean_no_predictor(noise=NOISE), "target", None, 0.0),
    "no predictor, both": (dynamics.euclidean_no_predictor(noise=NOISE, stop_gradient=False), "none", None, 0.0),
}


@pytest.mark.parametrize("name", ALIGNED)
def test_velocity_is_the_projected_gradient_of_the_loss(name):
    """To 1e-9, on a batch with exact moments, and the modes decouple: nothing off the diagonal."""
    flow, loss, alpha, eta = ALIGNED[name]
    predictor = jnp.ones_like if alpha is None else reference.power(alpha)
    batch = reference.gaussian_batch(4)
    moved = np.asarray(reference.autodiff_velocity(EUCLIDEAN[loss], S, batch, noise=NOISE, weight_decay=eta, predictor=predictor))
    s_dot, velocity = np.diagonal(moved), jax.jit(flow.velocity)
    np.testing.assert_allclose(moved - np.diag(s_dot), 0, atol=1e-12)
    if alpha is None:
        np.testing.assert_allclose(velocity(S), s_dot, rtol=1e-9)
    else:
        lam = S**alpha
        np.testing.assert_allclose(velocity(lam), alpha * lam * s_dot / S, rtol=1e-9)


@pytest.mark.parametrize(("factory", "loss"), [(dynamics.euclidean_normalised, "target"), (dynamics.iso_euclidean_normalised, "iso")])
def test_normalised_predictor(factory, loss):
    """lam_m = (s_m/s_max)^alpha, and the decay of s_max that the docstring states."""
    moved = reference.autodiff_velocity(
        EUCLIDEAN[loss], S, reference.gaussian_batch(4), noise=NOISE, weight_decay=ETA, predictor=lambda s: (s / s.max()) ** 0.7
    )
    growth = np.diagonal(np.asarray(moved)) / S
    lam = (S / S.max()) ** 0.7
    velocity = jax.jit(factory(alpha=0.7, noise=NOISE).velocity)(lam)
    np.testing.assert_allclose(velocity, 0.7 * lam * (growth - growth[-1]), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(growth[-1], -2 * (NOISE[0] ** 2 + ETA), rtol=1e-9)


def test_target_network():
    """The online half on a network whose target has the same modes and other sizes; fixed points are at rest."""
    flow = dynamics.euclidean_ema_target(alpha=0.5, rate=0.3, noise=NOISE, weight_decay=ETA)
    w, w_a = state = np.stack([np.sqrt(S), [0.5, 0.2, 1.0]])
    online, u = map(np.asarray, reference.network(jax.random.key(3), S, 4))
    target = u * (w_a / w) @ u.T @ online
    x, xi_1, xi_2 = reference.gaussian_batch(4)
    w_p = u * w @ u.T

    def objective(matrix, target):
        return EUCLIDEAN["target"]((x + NOISE[0] * xi_1) @ matrix.T, (x + NOISE[1] * xi_2) @ target.T, w_p) / 2

    @jax.jit
    def compute(online, target, state):
        fixed = flow.fixed_points(state)
        _, middle, end = (dynamics.linear_stability(flow, x).max() for x in fixed)
        return jax.grad(objective)(online, target), flow.velocity(state), fixed, flow.velocity(fixed), middle, end

    gradient, velocity, fixed, at_rest, middle, end = map(np.asarray, compute(online, target, state))
    force = -gradient - ETA * online
    expected = np.diagonal(u.T @ (force @ online.T) @ u) / w
    np.testing.assert_allclose(velocity, np.stack([expected, 0.3 * (w - w_a)]), rtol=1e-9)
    np.testing.assert_allclose(at_rest, 0, atol=1e-15)
    assert fixed.shape == (3, 2, 3)
    assert middle > 0 > end
    np.testing.assert_allclose(dynamics.collapse_threshold(flow), 1 / (4 * 1.04))


def test_inputs_that_are_not_isotropic_couple_the_modes():
    """The condition of the docstring: with variances 2, 1, 1/2, 1 along the inputs the flow is not the autodiff gradient."""
    x, xi_1, xi_2 = reference.gaussian_batch(4)
    stretched = np.stack([x * np.sqrt([2.0, 1.0, 0.5, 1.0]), xi_1, xi_2])
    moved = np.asarray(reference.autodiff_velocity(EUCLIDEAN["target"], S, stretched, predictor=reference.power(1.0)))
    velocity = np.asarray(jax.jit(dynamics.euclidean(alpha=1.0).velocity)(S))
    assert np.max(np.abs(moved - np.diag(np.diagonal(moved)))) > 0.05
    assert np.max(np.abs(np.diagonal(moved) - velocity)) > 0.05


def test_a_predictor_that_is_not_aligned_couples_the_modes():
    """The other condition: the same eigenvalues in other directions."""
    w, u = map(np.asarray, reference.network(jax.random.key(3), S, 4))
    turned, _ = np.linalg.qr(u + 0.3 * np.asarray(jax.random.normal(jax.random.key(8), u.shape)))
    x, _, _ = reference.gaussian_batch(4)

    @jax.jit
    def moved(basis):
        w_p = basis * S @ basis.T
        force = -jax.grad(lambda m: EUCLIDEAN["target"](x @ m.T, x @ m.T, w_p) / 2)(w)
        return u.T @ (force @ w.T + w @ force.T) @ u

    aligned, other = np.asarray(moved(u)), np.asarray(moved(turned))
    np.testing.assert_allclose(aligned, np.diag(jax.jit(dynamics.euclidean(alpha=1.0).velocity)(S)), atol=1e-12)
    assert np.max(np.abs(other - aligned)) > 0.05


def test_escape_times_are_those_of_the_early_laws():
    """1/(2 alpha lam0) for the Euclidean loss, ln(1/lam0)/(2 alpha) for its IsoLoss; the solution is at the level then."""
    start = np.asarray([1e-8, 1e-4])
    for flow, early in ((dynamics.euclidean(alpha=0.7), 1 / (1.4 * start)), (dynamics.iso_euclidean(alpha=0.7), np.log(1 / start) / 1.4)):
        time = jax.jit(partial(dynamics.escape_time, flow))(start)
        np.testing.assert_allclose(time, early, rtol=2e-3)
        np.testing.assert_allclose(np.diagonal(np.asarray(jax.jit(flow.solution)(time, start))), 0.5, rtol=1e-6)
    slow, falling = dynamics.euclidean_no_stop_gradient(noise=(0.0, 0.01)), dynamics.euclidean(weight_decay=0.1)
    time = jax.jit(partial(dynamics.escape_time, slow, level=0.2))(np.asarray([2.0]))
    np.testing.assert_allclose(time, np.pi / 0.01, rtol=0.02)  # the bottleneck at 1
    faint = dynamics.euclidean_no_stop_gradient(noise=(0.0, 1e-7))
    np.testing.assert_allclose(dynamics.escape_time(faint, np.asarray([2.0]), 0.2), 31415926.36533916, rtol=1e-12)  # mpmath, 40 digits
    assert np.isinf(jax.jit(partial(dynamics.escape_time, falling))(np.asarray([0.05]))).all()


@pytest.mark.parametrize("name", [name for name, (flow, *_) in reference.SOLVED.items() if flow.arrival is not None])
def test_a_mode_arrives_where_the_solution_is_at_that_time(name):
    """At once where it is, after t at lam(t), and never at a level behind it."""
    flow, start = reference.SOLVED[name][0], reference.START[1:]

    @jax.jit
    def compute(start):
        ahead, behind = (flow.solution(t, start) for t in (0.2, -0.1))
        return flow.arrival(start, start), flow.arrival(ahead, start), flow.arrival(behind, start)

    at_once, later, never = compute(start)
    np.testing.assert_array_equal(at_once, 0)
    np.testing.assert_allclose(later, 0.2, rtol=1e-10)
    np.testing.assert_array_equal(never, np.inf)


def test_derivatives_at_the_end_of_time():
    """At a fixed point whose rate is 0 the solution is the start, for ever."""
    flows = dynamics.euclidean(), dynamics.euclidean_no_stop_gradient(), dynamics.euclidean_no_predictor()
    for flow, start in zip(flows, (0.0, 1.0, 0.7), strict=True):
        solve = lambda t, s, flow=flow: flow.solution(t, s[None])[0]  # noqa: E731
        assert jax.jit(jax.grad(solve, argnums=(0, 1)))(np.inf, start) == (0.0, 1.0)


def test_integers_are_as_good_as_floats():
    assert dynamics.euclidean().solution(1, np.asarray([1, 2])).dtype == jnp.float64
    assert dynamics.euclidean().solution(1, np.float32([1, 2])).dtype == jnp.float32


def test_starts_that_single_precision_cannot_hold():
    """They stay where they are for any time that a float32 holds, and escape in the end; the seed of the solution is a float32."""
    start = np.asarray([1e-280, 1e-200, 1e-40])
    lam = jax.jit(dynamics.euclidean().solution)(np.asarray([0.0, 1e9, np.inf]), start)
    np.testing.assert_allclose(lam, [start, start, np.ones(3)], rtol=1e-13)


def test_stability_and_thresholds():
    """Rates at the fixed point: -2 alpha/kappa, -2 alpha; thresholds 1/(4 kappa) and 1; collapse on one side only."""
    flows = [factory(alpha=0.7, noise=(0.2, 0.0)) for factory in (dynamics.euclidean, dynamics.iso_euclidean)]
    rates = jax.jit(lambda point: [dynamics.linear_stability(flow, point) for flow in flows])(np.full(3, 1 / 1.04))
    np.testing.assert_allclose(rates[0], -1.4 / 1.04, rtol=1e-12)
    np.testing.assert_allclose(rates[1], -1.4, rtol=1e-12)
    critical = dynamics.collapse_threshold(dynamics.euclidean(noise=(0.2, 0.0)))
    for factor, survives in ((0.99, True), (1.01, False)):
        flow = dynamics.euclidean(noise=(0.2, 0.0), weight_decay=factor * critical)
        (end,) = np.asarray(jax.jit(flow.solution)(1e6, np.asarray([3.0])))
        assert bool(end > 0.4) is survives
    assert dynamics.collapse_threshold(dynamics.iso_euclidean()) == 1.0


def test_blow_up_happens_when_it_should():
    solution = jax.jit(dynamics.euclidean_wrong_stop_gradient(alpha=0.5).solution)
    lam0 = np.asarray([1.25])
    blow_up = -np.log(1 - 1 / 1.25)
    assert np.isfinite(solution(blow_up - 1e-9, lam0)).all()
    assert np.isposinf(solution(blow_up + 1e-9, lam0)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dynamics.euclidean(alpha=0.0), "alpha must be positive, got 0.0"),
        (lambda: dynamics.euclidean(alpha=np.inf), "alpha must be positive, got inf"),
        (lambda: dynamics.euclidean(noise=0.1), "noise must be two standard deviations >= 0, .online, target., got 0.1"),  # pyright: ignore
        (lambda: dynamics.euclidean(noise=(0.0, np.nan)), "noise must be two standard deviations"),
        (lambda: dynamics.directpred(noise=np.nan), "noise and weight_decay must be >= 0, got nan"),
        (lambda: dynamics.directpred(noise=(0.1, 0.1)), r"noise must be one number, got an array of shape \(2,\)"),  # pyright: ignore
        (lambda: dynamics.cosine_pair().solution(1.0, np.ones(3)), r"s0 must have shape \[2\], two modes, got \(3,\)"),
        (lambda: dynamics.iso_euclidean(noise=(0.1, -0.1)), "noise must be two standard deviations >= 0"),
        (lambda: dynamics.euclidean(weight_decay=-1.0), "weight_decay must be >= 0, got -1.0"),
        (lambda: dynamics.euclidean_ema_target(rate=0.0), "rate must be positive"),
        (lambda: dynamics.euclidean_ema_target(rate=np.ones(2)), "rate must be one number"),  # pyright: ignore
        (lambda: dynamics.escape_time(dynamics.cosine(), jnp.ones(2)), "flow has no closed time law"),
        (lambda: dynamics.collapse_threshold(dynamics.cosine()), "flow has no collapse threshold"),
        (lambda: dynamics.collapse_boundary(dynamics.directpred(), jnp.ones((2, 1))), "flow has coupled modes"),
        (lambda: dynamics.cosine(nodes=1), "nodes must be an integer of at least 2, got 1"),
        (lambda: dynamics.cosine(nodes=40.5), "nodes must be an integer of at least 2, got 40.5"),  # pyright: ignore
        (lambda: dynamics.directpred(tau=0.0), "tau must be positive, got 0.0"),
        (lambda: dynamics.alignment_rate(jnp.eye(2), jnp.eye(2), predictor_lr=0.0), "predictor_lr must be positive, got 0.0"),
        (
            lambda: dynamics.integrate(dynamics.euclidean(), np.asarray([1.0, -0.5]), jnp.ones(2)),
            "t must be >= 0, got -0.5; for times before",
        ),
        (lambda: dynamics.integrate(dynamics.euclidean(), np.asarray([1.0, np.inf]), jnp.ones(2)), "t must be finite, got inf"),
    ],
)
def test_bad_input_is_told_apart(call, message, without_typing_hook):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("flow", "start", "time"),
    [(dynamics.euclidean(weight_decay=0.12), 1 / 3, 5.0), (dynamics.euclidean_normalised(alpha=5e-10, noise=(1.0, 0.0)), 1e-8, 18e9)],
)
def test_derivative_in_a_start_is_the_ratio_of_the_velocities(flow, start, time):
    """From an inflection of v, which is no fixed point, and from next to one at a rate that is small."""
    start = np.asarray([start])
    lam, slope = jax.jvp(partial(flow.solution, time), (start,), (np.ones(1),))
    np.testing.assert_allclose(slope, flow.velocity(lam) / flow.velocity(start), rtol=1e-12)
