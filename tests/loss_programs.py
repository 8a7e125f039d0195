"""Values and gradients of every loss on a small batch: one program for all of them, so that there are a few to compile and not hundreds."""

import functools

import jax
import numpy as np
import pytest

import loss_cases

CASES = loss_cases.cases()
N, D = 16, loss_cases.WIDTH
EVERY_LOSS = pytest.mark.parametrize("name", CASES)


def batch(seed=0, n=N, dtype=np.float64):
    """Two correlated views with unequal features and a mean, [n, D] each."""
    r = np.random.default_rng(seed)
    common = r.normal(size=(n, D)) @ r.normal(size=(D, D)) + 0.5
    return tuple((common + 0.6 * r.normal(size=(n, D))).astype(dtype) for _ in range(2))


TRACED_SHAPES = []


def every_loss(a, b, axis_name=None):
    """{name: ((loss, terms), gradients with respect to a and b)}."""
    TRACED_SHAPES.append((a.shape, a.dtype))
    return {
        name: jax.value_and_grad(lambda x, case=case: case.loss(*x, axis_name=axis_name), has_aux=True)((a, b))
        for name, case in CASES.items()
    }


compiled = jax.jit(every_loss)
values_and_gradients = functools.lru_cache(lambda dtype=np.float64: jax.device_get(compiled(*batch(dtype=dtype))))


def worst(found, wanted):
    """||found - wanted|| / ||wanted|| over the leaves of two trees."""
    found, wanted = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (found, wanted))
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
