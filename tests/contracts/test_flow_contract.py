"""What every flow promises, asked of all of them: one solution, one velocity, one autodiff gradient."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reference_dynamics as reference
from sslx import dynamics

TIMES = np.asarray([0.0, 0.05, 0.7, 3.0, 12.0])
PAIR_START = np.asarray([0.3, 1.9])
BARLOW_START = np.asarray([1e-3, 0.2, 0.7, 1.1, 0.4, 0.6])
BARLOW_GAMMA = jnp.asarray([0.15, 0.04, -0.03, 0.1, 0.0, 0.09])
LAYERS_START = np.asarray([0.8, 1.1, 0.5, 0.3, 0.4, 0.2, 0.5, 0.9])


def flattened(flow, per_mode):
    """A flow of [..., per_mode, M] as one of [..., per_mode M]."""

    def shaped(x):
        return x.reshape(*x.shape[:-1], per_mode, -1)

    def flat(x):
        return x.reshape(*x.shape[:-2], -1)

    return dynamics.EigenFlow(
        lambda x: flat(flow.velocity(shaped(x))),
        lambda t, x: flat(flow.solution(t, shaped(x))),
        lambda t, x: flow.invariant(t, shaped(x)),
        lambda x: flat(flow.fixed_points(shaped(x))),
    )


COUPLED = {
    "barlow twins": (dynamics.barlow_twins(BARLOW_GAMMA), BARLOW_START),
    "infonce": (dynamics.infonce(jnp.asarray([0.2, -0.3, 0.05])), np.asarray([1e-3, 1.4, 0.3])),
    "infonce, two layers": (flattened(dynamics.infonce_two_layer(jnp.asarray([0.03, -0.3, 0.05, -0.2])), 2), LAYERS_START),
    "cosine linearised": (dynamics.cosine_linearised(), np.asarray([0.9, 1.0, 1.15])),
    "cosine pair": (dynamics.cosine_pair(alpha=1.0), PAIR_START),
    "iso cosine pair": (dynamics.iso_cosine_pair(), PAIR_START),
}
SOLVED = {name: (flow, reference.START) for name, (flow, _, _) in reference.SOLVED.items()} | COUPLED
UNSOLVED = {
    "cosine": (dynamics.cosine(alpha=1.0), np.asarray([0.3, 1.9, 0.8])),
    "cosine decay": (dynamics.cosine(weight_decay=0.04), np.asarray([0.3, 1.9, 0.8])),
    "iso cosine": (dynamics.iso_cosine(alpha=0.7, noise=(0.2, 0.3)), np.asarray([0.3, 1.9, 0.8])),
    "cosine no predictor": (dynamics.cosine_no_predictor(noise=(0.5, 0.5)), np.asarray([0.3, 1.9, 0.8])),
    "directpred": (dynamics.directpred(noise=0.2), np.asarray([[0.3, 1.9, 0.8], [0.4, 0.1, 0.3]])),
    "directpred decay": (
        dynamics.directpred(predictor_lr=0.7, tau=0.9, noise=0.2, weight_decay=0.1),
        np.asarray([[0.6, 0.9, 0.8], [0.6, 1.2, 1.0]]),
    ),
    "directpred target": (
        dynamics.directpred_ema(predictor_lr=0.7, rate=0.4, noise=0.2, weight_decay=0.1),
        np.asarray([[0.6, 0.9, 0.8], [0.8, 1.1, 1.0], [0.8, 1.0, 1.2]]),
    ),
    "mean field": (dynamics.cosine_mean_field(), np.asarray([0.3, 1.9, 0.8])),
    "iso mean field decay": (dynamics.iso_cosine_mean_field(weight_decay=0.04), np.asarray([0.3, 1.9, 0.8])),
}


STEPS = np.asarray([-2, -1, 1, 2])


@cache
def along(name):
    """Everything about one solution, compiled once: states, d/dt, d/dlam0, velocity, invariant, second derivatives, neighbours."""
    flow, start = SOLVED[name]
    mode = np.eye(len(start))
    along_time, along_start = np.zeros((1 + len(start), len(TIMES))), np.concatenate([0 * mode[:1], mode])
    along_time[0] = 1
    later = np.concatenate([1e-3 * STEPS, 0 * STEPS.repeat(len(start))])
    higher = np.concatenate([np.zeros((4, len(start))), (STEPS[:, None, None] * 1e-4 * start * mode).reshape(-1, len(start))])

    @jax.jit
    def compute(t, lam0):
        lam, derivatives = jax.vmap(lambda dt, dx: jax.jvp(flow.solution, (t, lam0), (dt, dx)), out_axes=(None, 0))(along_time, along_start)
        return {
            "lam": lam,
            "rate": derivatives[0],
            "velocity": flow.velocity(lam),
            "sensitivity": derivatives[1:],
            "curvature": jax.jacfwd(jax.grad(lambda x: jnp.sum(flow.solution(t[2], x))))(lam0),
            "invariant": flow.invariant(t, lam),
            "fixed": flow.fixed_points(lam0),
            "nudged": jax.vmap(flow.solution)(t + later[:, None], lam0 + higher),
        }

    found = {key: np.asarray(value) for key, value in compute(TIMES, start).items()}
    nudged = found.pop("nudged")
    return found | {"nudged_time": nudged[:4], "nudged_start": nudged[4:].reshape(4, len(start), *found["lam"].shape)}


def quotient(nudged, size):
    """The derivative from values at -2, -1, 1 and 2 steps of this size, to fourth order."""
    back2, back, ahead, ahead2 = nudged
    with np.errstate(invalid="ignore"):
        return (back2 - ahead2 + 8 * (ahead - back)) / (12 * size)


@pytest.mark.parametrize("name", SOLVED)
def test_time_derivative_is_the_velocity(name):
    """Of the derivative that jax sees, to 1e-9, and of the solution's own difference quotient, to its error."""
    a = along(name)
    finite = np.isfinite(a["lam"])
    np.testing.assert_allclose(a["rate"][finite], a["velocity"][finite], rtol=1e-9, atol=1e-12)
    assert np.all(a["rate"][~finite] == 0)
    slope = quotient(a["nudged_time"], 1e-3)
    calm = np.isfinite(slope) & (TIMES > 0)[:, None]
    np.testing.assert_allclose(slope[calm], a["velocity"][calm], rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("name", SOLVED)
def test_starts_where_it_is_told(name):
    np.testing.assert_allclose(along(name)["lam"][0], SOLVED[name][1], rtol=1e-14)


@pytest.mark.parametrize("name", SOLVED)
def test_derivative_in_the_start(name):
    a, start = along(name), SOLVED[name][1]
    finite = np.broadcast_to(np.isfinite(a["lam"]), a["sensitivity"].shape)
    slope = quotient(a["nudged_start"], 1e-4 * start[:, None, None])
    np.testing.assert_allclose(a["sensitivity"][finite], slope[finite], rtol=1e-6, atol=1e-7)
    assert np.all(np.isfinite(a["curvature"]))


@pytest.mark.parametrize("name", SOLVED)
def test_invariant_is_constant(name):
    """Up to t = 3: later, modes that are within 1e-7 of a fixed point have no digits left to tell the time by."""
    a = along(name)
    constant = a["invariant"][:4][np.isfinite(a["lam"][:4]).all(1)]
    np.testing.assert_allclose(constant, constant[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", SOLVED)
def test_agrees_with_an_adaptive_integration_of_the_velocity(name):
    """Modes that blow up aside, which an integration cannot pass."""
    flow, start = SOLVED[name]
    solved = along(name)["lam"]
    kept = np.isfinite(solved).all(0)
    start = np.where(kept, start, 0.5)
    np.testing.assert_allclose(solved[:, kept], reference.integrate(flow, TIMES, start)[:, kept], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", reference.SOLVED)
def test_agrees_with_the_time_integral_in_high_precision(name):
    """To 1e-12, and for the smallest start also at the very moment it escapes, where a naive formula has 8 digits left."""
    flow, velocity, _ = reference.SOLVED[name]
    start = np.asarray([1e-8, 0.3, 1.4])
    escape, fixed = map(np.asarray, jax.jit(lambda x: (dynamics.escape_time(flow, x, 0.6), flow.fixed_points(x)[:, 0]))(start))
    times = np.unique([0.4, 6.0, *escape[np.isfinite(escape)]])
    lam = np.asarray(jax.jit(flow.solution)(times, start))
    checked = 0
    for t, row in zip(times, lam, strict=True):
        for lam0, value in zip(start, row, strict=True):
            if np.isfinite(value) and value > 1e-12 and np.min(np.abs(value - fixed[fixed > 0]), initial=1) > 1e-6:
                assert reference.relative_error(velocity, t, lam0, value) < 1e-12, (t, lam0, value)
                checked += 1
    assert checked >= 4


@pytest.mark.parametrize("name", reference.SOLVED)
def test_ends_at_the_predicted_fixed_point_and_stays_right_on_the_way(name):
    """Also from 1e-8, from far beyond, from each fixed point itself, and at t = 1e9 and infinity; without a NaN in any derivative."""
    flow, _, ends = reference.SOLVED[name]
    fixed = np.asarray(jax.jit(flow.fixed_points)(reference.START))[:, 0]
    start = np.concatenate([reference.START, fixed, [300.0]])
    times = np.asarray([0.0, 1e-3, 1.0, 1e3, 1e6, 1e9, np.inf])

    @jax.jit
    def compute(start):
        lam, rate = jax.jvp(lambda t: flow.solution(t, start), (times[:-1],), (jnp.ones(6),))
        _, slope = jax.jvp(lambda x: flow.solution(times[:-1], x), (start,), (jnp.ones_like(start),))
        return flow.solution(times, start), lam, rate, slope, flow.velocity(fixed)

    lam, _, rate, slope, at_rest = map(np.asarray, compute(start))
    np.testing.assert_allclose(lam[-1, :6], ends, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(lam[-2, :6], ends, rtol=1e-6, atol=1e-6)  # marginal fixed points are reached as 1/t
    np.testing.assert_array_equal(lam[:, 6:-1], np.broadcast_to(fixed, (7, len(fixed))))
    np.testing.assert_array_equal(at_rest, 0)
    assert not np.isnan(lam).any()
    assert np.isfinite(rate).all()
    assert np.isfinite(slope).all()
    tidy = lam[:, np.argsort(start)]
    assert (np.diff(np.where(np.isinf(tidy), 1e308, tidy), axis=1) >= -1e-12).all()  # modes never overtake one another


@pytest.mark.parametrize("name", ["euclidean", "euclidean decay", "iso", "no stop", "wrong stop", "normalised"])
def test_derivative_in_the_start_at_a_fixed_point(name):
    flow, _, _ = reference.SOLVED[name]
    fixed = np.asarray(jax.jit(flow.fixed_points)(reference.START))[:, 0]
    slope = jax.jit(jax.vmap(jax.grad(flow.velocity)))(fixed)
    derivative = jax.jit(lambda x: jax.jvp(partial(flow.solution, 2.0), (x,), (jnp.ones_like(x),))[1])
    got, next_float, near = (derivative(x) for x in (fixed, np.nextafter(fixed, 9), fixed + 1e-10))
    np.testing.assert_allclose(got, np.exp(2 * slope), rtol=1e-10)
    np.testing.assert_allclose(next_float, np.exp(2 * slope), rtol=1e-10)
    np.testing.assert_allclose(near, np.exp(2 * slope), rtol=1e-5)


@pytest.mark.parametrize("name", ["euclidean", "euclidean decay", "iso", "wrong stop", "no predictor"])
def test_float32_is_less_accurate_but_sound(name):
    flow, _, ends = reference.SOLVED[name]
    start, t = reference.START.astype(np.float32), np.asarray([0.0, 0.7, 12.0, 1e9], np.float32)
    lam, slope = map(np.asarray, jax.jit(lambda t, x: jax.jvp(partial(flow.solution, t), (x,), (jnp.ones_like(x),)))(t, start))
    assert lam.dtype == jnp.float32
    np.testing.assert_allclose(lam[:3], jax.jit(flow.solution)(t[:3].astype(float), start.astype(float)), rtol=1e-4)
    np.testing.assert_allclose(lam[-1], ends, rtol=1e-5, atol=1e-30)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("name", SOLVED)
def test_times_before_the_start(name):
    """The flow leads from there to the start again; far before it the state may be infinite, but it is never unknown."""
    flow, start = SOLVED[name]
    times = np.asarray([0.05, 0.9, 1e4, 1e9])

    @jax.jit
    def compute(t, start):
        states, rates = jax.jvp(lambda t: flow.solution(-t, start), (t,), (jnp.ones(4),))
        before = states[:2]
        return before, rates[:2], flow.velocity(before), jax.vmap(flow.solution)(t[:2], before), states[2:]

    before, rate, velocity, again, far = map(np.asarray, compute(times, start))
    assert np.any(np.abs(before[1] / start - 1) > 1e-3)
    finite = np.isfinite(before)
    assert finite[0, :4].all()
    np.testing.assert_allclose(again[finite], np.broadcast_to(start, again.shape)[finite], rtol=1e-12)
    np.testing.assert_allclose(-rate[finite], velocity[finite], rtol=1e-9, atol=1e-12)
    assert np.all(rate[~finite] == 0)
    assert not np.isnan(far).any()


@pytest.mark.parametrize(
    ("flow", "start", "blow_up"),
    [
        (dynamics.euclidean_no_stop_gradient(), 4.0, np.log(4 / 3) - 1 / 3),  # d lam/dt = -lam (1 - lam)^2
        (dynamics.barlow_twins(jnp.asarray([-1.0])), 0.5, -np.log(5) / 8),  # ds/dt = -4 s (1 + s^2)
    ],
)
def test_infinite_before_a_blow_up_that_lies_before_the_start(flow, start, blow_up):
    lam = np.asarray(flow.solution(blow_up * np.asarray([1 - 1e-6, 1 + 1e-6]), jnp.asarray([start])))[:, 0]
    assert np.isfinite(lam[0])
    assert lam[0] > 100
    assert np.isposinf(lam[1])


def test_derivative_in_the_start_on_the_way_back_from_a_stable_fixed_point():
    """d lam/dt = lam (1 - lam): lam = lam0/(lam0 + (1 - lam0) e^{-t}), which has long left the fixed point at t = -30."""
    start, growth = np.asarray([1 - 1e-9]), np.exp(30.0)
    slope = jax.jvp(partial(dynamics.iso_euclidean().solution, -30.0), (start,), (np.ones(1),))[1]
    np.testing.assert_allclose(slope, growth / (start + (1 - start) * growth) ** 2, rtol=1e-6)


def test_an_unknown_time_gives_an_unknown_state():
    for name in ("euclidean", "euclidean decay", "iso"):
        assert np.isnan(SOLVED[name][0].solution(np.nan, SOLVED[name][1])).all()


@pytest.mark.parametrize("name", ["euclidean decay", "barlow twins", "infonce", "no predictor"])
def test_an_unknown_start_has_unknown_states_and_times(name):
    flow, start = SOLVED[name]
    broken = np.where(np.arange(len(start)) == 1, np.nan, start)
    unknown = np.isnan(broken)
    np.testing.assert_array_equal(np.isnan(flow.solution(np.inf, broken)), unknown)
    np.testing.assert_array_equal(np.isnan(flow.arrival(0.5, broken)), unknown)
    assert np.isnan(flow.arrival(np.nan, start)).all()


def test_times_of_any_shape_and_batched_starts():
    flow, start = SOLVED["euclidean decay"]
    solution = jax.jit(flow.solution)
    t = np.asarray([[0.1, 1.0, 2.0], [3.0, 4.0, 5.0]])
    lam = np.asarray(solution(t, start))
    assert lam.shape == (2, 3, 6)
    np.testing.assert_array_equal(lam[1, 2], solution(5.0, start))
    np.testing.assert_allclose(jax.jit(jax.vmap(partial(flow.solution, 1.0)))(np.stack([start, 2 * start])).shape, (2, 6))
    assert jax.jit(flow.invariant)(t, lam).shape == (2, 3)


@pytest.mark.parametrize("name", UNSOLVED)
def test_unsolved_flow_keeps_its_invariant_and_reaches_its_fixed_point(name):
    flow, start = UNSOLVED[name]
    assert flow.solution is None
    times = np.asarray([0.0, 1.0, 8.0, 100.0])
    lam = reference.integrate(flow, times, start)

    @jax.jit
    def compute(lam, start):
        fixed = flow.fixed_points(start)
        return flow.invariant(times[:3], lam[:3]), flow.invariant(0.0, start), fixed[-1], flow.velocity(fixed)

    constant, at_start, end, at_rest = compute(lam, start)
    np.testing.assert_allclose(constant, at_start, rtol=1e-8)
    np.testing.assert_allclose(at_rest, 0, atol=1e-12)
    np.testing.assert_allclose(lam[-1], end, rtol=1e-4, atol=4e-4)
