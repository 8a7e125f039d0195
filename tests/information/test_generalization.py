import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from sslx.information import (
    generalization_surrogate,
    projection_moments,
    projection_residual,
    rademacher_draws,
    rademacher_massart,
    residual_from_moments,
)

surrogate = jax.jit(generalization_surrogate, static_argnames="num_classes")
residual_of, massart_of = jax.jit(projection_residual), jax.jit(rademacher_massart)


def data(seed, m=20, n=15, d=4, classes=3):
    rng = np.random.default_rng(seed)
    a, z = rng.standard_normal((m, d)), rng.standard_normal((n, d))
    b = a + 0.1 * rng.standard_normal((m, d))
    return *(jnp.asarray(x) for x in (a, b, z)), *(jnp.asarray(np.arange(k) % classes) for k in (n, m))


def residual(z, y):
    """||P Y||_F with P = I - Z Z^+ written out."""
    return np.linalg.norm((np.eye(len(z)) - z @ np.linalg.pinv(z)) @ y)


def test_terms_agree_with_numpy():
    a, b, z, y, y_pairs = data(0)
    t = surrogate(a, b, z, y, pair_labels=y_pairs, num_classes=3)
    one_hot = np.eye(3)
    expected = (
        np.mean(np.linalg.norm(np.asarray(a) - np.asarray(b), axis=1)),
        residual(np.asarray(z), one_hot[y]) / np.sqrt(15),
        2 * residual(np.asarray(a), one_hot[y_pairs]) / np.sqrt(20),
        2 * np.sqrt(20 - 4),
    )
    np.testing.assert_allclose(t[:4], expected, rtol=1e-12)
    np.testing.assert_allclose(t.surrogate, sum(expected[:3]), rtol=1e-12)
    assert t.unlabelled_residual <= t.label_free_residual


def test_labelled_residual_is_the_training_error_of_the_least_squares_head():
    a, b, z, _, _ = data(1)
    targets = np.asarray(jax.random.normal(jax.random.key(0), (15, 2), jnp.float64))
    head = np.linalg.lstsq(np.asarray(z), targets)[0]
    rmse = np.sqrt(np.mean(np.sum((np.asarray(z) @ head - targets) ** 2, axis=1)))
    np.testing.assert_allclose(surrogate(a, b, z, targets).labelled_residual, rmse, rtol=1e-12)


def test_without_pair_labels_the_label_free_form_stands_in_and_says_when_it_is_vacuous():
    a, b, z, y, _ = map(np.asarray, data(2))
    t = jax.device_get(surrogate(a, b, z, y, num_classes=3))
    assert np.isnan(t.unlabelled_residual)
    np.testing.assert_allclose(t.surrogate, t.invariance + t.labelled_residual + t.label_free_residual, rtol=1e-12)
    assert t.vacuous
    few = jax.device_get(surrogate(a[:4], b[:4], z, y, num_classes=3))
    assert not few.vacuous
    assert few.label_free_residual == 0
    collapsed = surrogate(a[[0, 1, 2, 2]], b[:4], z, y, num_classes=3)
    assert collapsed.vacuous
    np.testing.assert_allclose(collapsed.label_free_residual, 2.0, rtol=1e-12)


def test_a_vacuous_label_free_form_warns_outside_jit(recwarn):
    a, b, z, y, y_pairs = data(2)
    with pytest.warns(UserWarning, match="20 pairs outnumber the rank 4 of their embeddings"):
        generalization_surrogate(a, b, z, y)
    generalization_surrogate(a, b, z, y, pair_labels=y_pairs)
    assert not recwarn.list


def test_float32_is_close_to_float64():
    arrays = [np.float32(x) for x in data(9)[:3]]
    y = data(9)[3]
    low, high = (surrogate(*(x.astype(dtype) for x in arrays), y, num_classes=3) for dtype in (np.float32, np.float64))
    assert low.surrogate.dtype == jnp.float32
    np.testing.assert_allclose(low, high, rtol=1e-4)


def test_jit_needs_the_number_of_classes_and_float_targets_do_not():
    a, b, z, y, y_pairs = data(3)
    eager = generalization_surrogate(a, b, z, y, pair_labels=y_pairs)
    np.testing.assert_allclose(surrogate(a, b, z, y, pair_labels=y_pairs, num_classes=3), eager, rtol=1e-12)
    np.testing.assert_allclose(surrogate(a, b, z, jnp.asarray(np.eye(3)[y]))[:2], eager[:2], rtol=1e-12)


def test_stream_equals_the_whole():
    _, _, z, y, _ = data(4, n=60)
    z, targets = np.array(z), np.eye(3)[y]
    z[:, 3] = z[:, 2]  # rank 3 of 4: the pseudo-inverse has to cope
    chunks = [projection_moments(z[i : i + 25], targets[i : i + 25]) for i in (0, 25, 50)]
    total = jax.tree.map(lambda *parts: sum(parts), *chunks)
    np.testing.assert_allclose(residual_from_moments(total), residual(z, targets), rtol=1e-9)
    np.testing.assert_allclose(residual_of(z, targets), residual(z, targets), rtol=1e-12)


def test_a_small_residual_survives_float32_input():
    """Residual 1e-3 of labels of size 10 on features of condition 1e3: direct in float32, and by moments on the host."""
    rng = np.random.default_rng(5)
    z = (rng.standard_normal((200, 6)) * np.geomspace(1, 1e-3, 6)).astype(np.float32)
    y = (z @ rng.standard_normal((6, 1)) * 10 + 1e-3 * rng.standard_normal((200, 1))).astype(np.float32)
    exact = residual(z.astype(np.float64), y.astype(np.float64))
    np.testing.assert_allclose(residual_from_moments(projection_moments(z, y)), exact, rtol=1e-6)
    np.testing.assert_allclose(residual_of(z, y), exact, rtol=1e-4)


def test_many_rows_do_not_hide_a_direction_in_float32():
    """Features far from the origin: the smallest singular values are 3e-4 of the largest, below N eps and far above rounding."""
    rng = np.random.default_rng(10)
    z = (rng.standard_normal((5000, 8)) + 1000).astype(np.float32)
    y = ((z - z.mean(0)) @ rng.standard_normal((8, 2))).astype(np.float32)
    terms = surrogate(z, z, z, y)
    exact = np.linalg.lstsq(z.astype(np.float64), y.astype(np.float64))[1]
    np.testing.assert_allclose(terms.labelled_residual, np.sqrt(np.sum(exact) / 5000), rtol=1e-3)
    np.testing.assert_allclose(terms.label_free_residual**2 / np.mean(np.sum(y**2, axis=1)), 4 * (5000 - 8), rtol=1e-4)


def test_classes_are_counted_over_both_label_sets():
    a, b, z, y, y_pairs = data(3)
    counted, given = (generalization_surrogate(a, b, z, y % 2, pair_labels=y_pairs, num_classes=k) for k in (None, 3))
    np.testing.assert_array_equal(counted, given)


def test_nan_input_gives_nan():
    a, b, z, y, y_pairs = data(3)
    terms = surrogate(a.at[0, 0].set(jnp.nan), b, z, y, pair_labels=y_pairs, num_classes=3)
    assert np.isnan([terms.invariance, terms.unlabelled_residual, terms.label_free_residual, terms.surrogate]).all()
    terms = surrogate(a, b, z.at[0, 0].set(jnp.nan), y, pair_labels=y_pairs, num_classes=3)
    assert np.isnan([terms.labelled_residual, terms.surrogate]).all()
    assert np.isnan(residual_from_moments(projection_moments(z, np.full((15, 1), np.nan))))


def test_gradient_is_that_of_the_projection():
    a, b, z, y, y_pairs = data(6)
    check_grads(lambda *x: surrogate(*x, y, pair_labels=y_pairs, num_classes=3).surrogate, (a, b, z), 1, ["rev"], eps=1e-6)


def test_collapse_has_the_right_limit_and_a_finite_gradient():
    zero, y = np.zeros((6, 3)), jnp.asarray(np.arange(6) % 2)

    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def all_equal(z):
        terms = generalization_surrogate(z, z, z, y, pair_labels=y, num_classes=2)
        return terms.surrogate, terms

    (_, terms), gradient = all_equal(zero)
    np.testing.assert_allclose(terms[:3], [0, 1, 2], rtol=1e-12)
    assert np.isfinite(gradient).all()


def test_rademacher_terms_bracket_the_exact_mean():
    distances = np.random.default_rng(7).uniform(0, 1, (3, 8))
    signs = np.array(list(itertools.product((-1, 1), repeat=8)))
    exact = np.mean(np.max(signs @ distances.T, axis=1)) / np.sqrt(8)
    draws = np.asarray(jax.jit(partial(rademacher_draws, draws=4000))(jax.random.key(0), distances))
    assert abs(draws.mean() - exact) < 4 * draws.std() / np.sqrt(4000)
    massart = float(massart_of(distances))
    np.testing.assert_allclose(massart, np.sqrt(np.max(np.mean(distances**2, axis=1)) * 2 * np.log(3)), rtol=1e-12)
    assert exact <= massart
    assert float(massart_of(distances[:1])) == 0


@pytest.mark.usefixtures("without_typing_hook")
def test_bad_input_is_named():
    a, b, z, y, y_pairs = data(8)
    with pytest.raises(ValueError, match=r"labels must be classes \[N\] or targets \[N, r\] with N = 15, got shape \(20,\)"):
        generalization_surrogate(a, b, z, y_pairs)
    with pytest.raises(ValueError, match="pair_labels must be classes"):
        generalization_surrogate(a, b, z, y, pair_labels=y)
    with pytest.raises(ValueError, match="pairs_a and pairs_b must have one shape"):
        generalization_surrogate(a, b[:3], z, y)
    with pytest.raises(ValueError, match=r"pair_labels must be classes in \[0, 2\), got 0 to 2; raise num_classes"):
        generalization_surrogate(a, b, z, y % 2, pair_labels=y_pairs, num_classes=2)
    with pytest.raises(ValueError, match=r"labels must be classes in \[0, 2\), got -1 to 1"):
        generalization_surrogate(a, b, z, y - 1)
    with pytest.raises(TypeError, match=r"labels must be an array of classes \[N\] or targets \[N, r\], got list"):
        generalization_surrogate(a, b, z, y.tolist())
    with pytest.raises(ValueError, match=r"labels and pair_labels must be as wide, got \(15, 2\) and \(20, 5\)"):
        generalization_surrogate(a, b, z, jnp.ones((15, 2)), pair_labels=jnp.ones((20, 5)))
    with pytest.raises(ValueError, match=r"z and y must have one row per sample, got \(15, .\) and \(4, 1\)"):
        projection_residual(z, jnp.ones((4, 1)))
    with pytest.raises(ValueError, match="num_classes must be given"):
        surrogate(a, b, z, y)
    with pytest.raises(ValueError, match=r"distances must have shape \[N, d\]"):
        rademacher_massart(jnp.ones(3))
