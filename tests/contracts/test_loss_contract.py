"""What every loss promises, one parametrised suite over the table in tests/loss_cases.py.

What they promise on several devices is in test_loss_devices.py.
"""

import functools
import itertools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from jax.test_util import check_grads

import loss_cases
from loss_programs import CASES, EVERY_LOSS, TRACED_SHAPES, D, N, batch, compiled, values_and_gradients, worst
from sslx.flops import inner_programs


def magnitude(loss, terms):
    return max(abs(loss), sum(map(abs, terms)))


@EVERY_LOSS
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 1e-5)])
def test_value_and_terms_equal_the_numpy_twin(name, dtype, tolerance):
    (loss, terms), _ = values_and_gradients(dtype)[name]
    wanted, wanted_terms = CASES[name].twin(*batch(dtype=dtype))
    assert loss.dtype == dtype
    assert abs(loss - wanted) <= tolerance * magnitude(wanted, wanted_terms)
    assert len(terms) == len(wanted_terms)
    for term, wanted_term in zip(terms, wanted_terms, strict=True):
        assert abs(term - wanted_term) <= tolerance * magnitude(wanted, wanted_terms)


@EVERY_LOSS
def test_gradient_is_the_derivative_of_the_value(name):
    """Central differences along a random direction; stopped arguments are held fixed. IsoLoss and medians are tested in their own files."""
    sides = CASES[name].gradient
    if sides:
        r = np.random.default_rng(1)
        direction = [r.normal(size=(N, D)), r.normal(size=(N, D)) * (sides == "both")]
        _, gradient = values_and_gradients()[name]
        slope = sum(np.sum(g * v) for g, v in zip(gradient, direction, strict=True))
        ahead, behind = (CASES[name].twin(*(x + h * v for x, v in zip(batch(), direction, strict=True)))[0] for h in (1e-6, -1e-6))
        assert slope == pytest.approx((ahead - behind) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.gradient])
def test_check_grads(name):
    a, b = map(jnp.asarray, batch())
    loss = with_compiled_gradient(name)
    stopped, moving = ((), (a, b)) if CASES[name].gradient == "both" else ((b,), (a,))
    check_grads(lambda *views: loss(*views, *stopped), moving, order=1, modes=["rev"], rtol=1e-6, atol=1e-7)


def with_compiled_gradient(name):
    """The loss as a function of the views whose derivative is the gradient that `compiled` gives."""

    def with_gradient(*views):
        (loss, _), gradient = compiled(*views)[name]
        return loss, gradient

    loss = jax.custom_vjp(lambda *views: with_gradient(*views)[0])
    loss.defvjp(with_gradient, lambda gradient, by: tuple(by * g for g in gradient))
    return loss


DEGENERATE = {
    "zeros": lambda a, b: (0 * a, 0 * b),
    "equal rows": lambda a, b: (0 * a + a[:1], 0 * b + a[:1]),
    "one direction": lambda a, b: (a[:, :1] * a[:1], b[:, :1] * a[:1]),
    "dead features": lambda a, b: (a * [0, 0, 1, 1, 1], b * [0, 0, 1, 1, 1]),
    "duplicated rows": lambda a, b: (np.concatenate([a[: N // 2]] * 2), np.concatenate([b[: N // 2]] * 2)),
    "equal views": lambda a, b: (a, a),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", DEGENERATE)
def test_gradient_is_finite_at_collapse(kind, dtype):
    found = compiled(*(x.astype(dtype) for x in DEGENERATE[kind](*batch())))
    assert not_finite(found) == []


def test_two_rows():
    views = batch(n=2, dtype=np.float32)
    found = jax.device_get(compiled(*views))
    assert not_finite(found) == []
    for name in CASES.keys() - {"w_mse"}:  # two rows in five dimensions cannot be whitened
        wanted, terms = CASES[name].twin(*views)
        assert abs(found[name][0][0] - wanted) <= 1e-5 * magnitude(wanted, terms), name


def test_equal_rows_are_never_driven_apart():
    """At exact collapse the gradient is zero, or one drift that all rows share: the docstrings say which."""
    collapsed = jax.device_get(compiled(*DEGENERATE["equal rows"](*batch())))
    for name, (_, gradient) in collapsed.items():
        size = np.linalg.norm(values_and_gradients()[name][1])
        assert all(np.ptp(side, axis=0).max() < 1e-12 * size for side in gradient), name
        assert (np.linalg.norm(gradient) > 1e-3 * size) == CASES[name].drifts, name


def not_finite(found):
    return [name for name, tree in found.items() if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))]


@hypothesis.given(
    rank=st.integers(0, D),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    repeats=st.integers(1, N),
    offset=st.floats(-10, 10),
    seed=st.integers(0, 99),
)
@hypothesis.settings(max_examples=25, deadline=None)
def test_degenerate_matrices_stay_finite(rank, scale, repeats, offset, seed):
    r = np.random.default_rng(seed)
    left, right = r.normal(size=(N, rank)), r.normal(size=(rank, D))
    views = [scale * (left @ right + noise * r.normal(size=(N, D)) + offset) for noise in (0, 1e-3)]
    rows = np.arange(N) // repeats
    assert not_finite(compiled(*(view[rows].astype(np.float32) for view in views))) == []


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e-1, 1e1, 1e3, 1e6])
def test_float32_holds_its_value_over_scales(scale):
    a, b = (np.float32(scale) * x for x in batch(dtype=np.float32))
    wrong = []
    for name, ((loss, _), _) in jax.device_get(compiled(a, b)).items():
        smallest, largest = CASES[name].scales
        if smallest <= scale <= largest:
            wanted, terms = CASES[name].twin(a, b)
            if not abs(loss - wanted) <= 1e-5 * magnitude(wanted, terms):
                wrong.append((name, loss, wanted))
    assert wrong == []


ROTATION = np.linalg.qr(np.random.default_rng(4).normal(size=(D, D)))[0]
CHANGES = {
    "permutation": lambda a, b: (np.roll(a, 3, axis=0), np.roll(b, 3, axis=0)),
    "rotation": lambda a, b: (a @ ROTATION, b @ ROTATION),
    "translation": lambda a, b: (a + 0.3, b + 0.3),
    "scale": lambda a, b: (1.7 * a, 1.7 * b),
    "swap": lambda a, b: (b, a),
}


@EVERY_LOSS
@pytest.mark.parametrize("change", CHANGES)
def test_invariances_it_has_and_those_it_has_not(name, change):
    (loss, terms), _ = values_and_gradients()[name]
    (changed, _), _ = changed_batch(change)[name]
    gap = abs(changed - loss) / magnitude(loss, terms)
    if change in CASES[name].holds:
        assert gap < 1e-9
    elif change in CASES[name].nearly:
        assert 1e-12 < gap < 1e-4
    else:
        assert gap > 1e-4


@functools.lru_cache
def changed_batch(change):
    return jax.device_get(compiled(*CHANGES[change](*batch())))


@hypothesis.given(
    name=st.sampled_from(list(CASES)),
    n=st.integers(2, 8),
    width=st.integers(1, 9),
    dtype=st.sampled_from([jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64]),
)
@hypothesis.settings(max_examples=15, deadline=None)
def test_any_shape_and_type_gives_scalars_of_at_least_float32(name, n, width, dtype):
    case, view = loss_cases.cases(width)[name], jax.ShapeDtypeStruct((n, width), dtype)
    found, gradient = jax.eval_shape(lambda x: jax.value_and_grad(lambda x: case.loss(*x), has_aux=True)(x), (view, view))
    assert all(x.shape == () and x.dtype == jnp.promote_types(dtype, jnp.float32) for x in jax.tree.leaves(found))
    assert [(x.shape, x.dtype) for x in gradient] == [(view.shape, view.dtype)] * 2


def test_jit_traces_once_per_shape():
    compiled(*batch(0))
    before = len(TRACED_SHAPES)
    compiled(*batch(1))
    assert len(TRACED_SHAPES) == before > 0


@EVERY_LOSS
def test_numpy_arrays_are_welcome(name):
    assert of_numpy_arrays()[name] == pytest.approx(values_and_gradients()[name][0][0], rel=1e-9)


@functools.lru_cache
def of_numpy_arrays():
    """Constants of one program, so that each loss sees NumPy arrays, as in an eager call."""

    @jax.jit
    def every_loss():
        found = {name: case.loss(*batch())[0] for name, case in CASES.items()}
        assert [name for name, value in found.items() if not isinstance(value, jax.Array)] == []
        return found

    return every_loss()


def test_vmap_equals_a_loop():
    pairs = [batch(seed) for seed in (0, 1)]
    values = jax.jit(jax.vmap(lambda a, b: {name: case.loss(a, b) for name, case in CASES.items()}))
    together = jax.device_get(values(*map(np.stack, zip(*pairs, strict=True))))
    for i, pair in enumerate(pairs):
        wanted = jax.device_get(compiled(*pair))
        for name in CASES:
            assert worst(jax.tree.map(lambda x, i=i: x[i], together[name]), wanted[name][0]) < 1e-9


MOVES = {"broadcast_in_dim", "concatenate", "pad", "reshape", "rev", "slice", "squeeze", "stack", "transpose"}


@EVERY_LOSS
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_computed_in_float32(name, dtype):
    """Nothing but moving and widening is done to numbers of half precision, and none are made; float64 is off, as in training."""
    view = jax.ShapeDtypeStruct((N, D), dtype)
    with jax.enable_x64(False):
        program = jax.make_jaxpr(CASES[name].loss)(view, view)
    assert all(x.dtype == jnp.float32 for x in program.out_avals)
    assert list(done_in_half_precision(program.jaxpr)) == []


def done_in_half_precision(program):
    """The lines that calculate in half precision or round to it, but for the difference of two views that is a view itself."""
    for line in program.eqns:
        inner = list(inner_programs(line.params))
        if line.params.get("name") == loss_cases.difference.__name__ or line.primitive.name in MOVES:
            continue
        yield from itertools.chain.from_iterable(map(done_in_half_precision, inner))
        widens = line.primitive.name == "convert_element_type" and not any(map(is_half, line.outvars))
        if not inner and not widens and any(map(is_half, line.invars + line.outvars)):
            yield line


def is_half(variable):
    return variable.aval.dtype in (jnp.float16, jnp.bfloat16)
