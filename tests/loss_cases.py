"""Every loss behind one signature, with its NumPy twin and the properties it is expected to have (or not to have).

a, b [N, d] are two views. Losses of several views see [a, b, a - b]; everything else they need is drawn here, once and for width WIDTH.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import reference
from sslx import losses

WIDTH = 5
KEY = jax.random.key(3)
ALL = frozenset({"permutation", "rotation", "translation", "scale", "swap"})


class Case(NamedTuple):
    """`loss(a, b, axis_name=None)` and `twin(a, b)` give (loss, terms)."""

    loss: Callable
    twin: Callable
    holds: frozenset  # the invariances it has; those left out it must not have
    gradient: str = "both"  # the arguments whose gradient is that of the value: "both", "first" or "" (IsoLoss)
    nearly: frozenset = frozenset()  # invariances up to a small eps or memory
    per_sample: bool = False  # a mean over samples: the gradient needs no collective, the value does
    scales: tuple[float, float] = (1e-6, 1e6)  # between these float32 keeps 1e-5; docs/conventions.md says what happens outside
    drifts: bool = False  # equal rows feel a gradient, the same for all of them


@jax.jit
def difference(a, b):
    return a - b


def third(a, b):
    """A view made of two; under jax a called function, so that who reads a traced program can tell it from the work of a loss."""
    return difference(a, b) if isinstance(a, jax.Array) else a - b


def stacked(a, b):
    return (jnp if isinstance(a, jax.Array) else np).stack([a, b, third(a, b)])


def constants(width):
    """A symmetric positive definite predictor, unit directions and two draws of random features."""
    r = np.random.default_rng(7)
    root = r.normal(size=(width, width)) / width**0.5
    directions = reference.unit_rows(r.normal(size=(7, width)))
    draws = [losses.RandomFeatures(r.normal(size=(11, width)) / width**0.5, r.uniform(0, 6, size=11)) for _ in range(2)]
    return root @ root.T + 0.1 * np.eye(width), directions, draws


def cases(width=WIDTH, sub_batch=8, extent=0.3):
    """The table, for embeddings of this width."""
    predictor, directions, draws = constants(width)
    rotated = frozenset({"permutation", "rotation", "swap"})
    cosines = frozenset({"permutation", "rotation", "scale"})

    def two(loss, twin, holds, **options):
        return Case(loss, lambda a, b: twin(*(np.asarray(x, np.float64) for x in (a, b))), frozenset(holds), **options)

    def views(loss, twin, holds, **options):
        def of_two(a, b, axis_name=None):
            return loss(stacked(a, b), axis_name=axis_name)

        return Case(of_two, lambda a, b: twin(stacked(a, b).astype(np.float64)), frozenset(holds), **options)

    def online(loss):
        return lambda a, b, axis_name=None: loss(a, b, third(a, b), axis_name=axis_name)

    def corinfomax(a, b, axis_name=None):
        return losses.corinfomax(a, b, losses.corinfomax_init(a.shape[1]), sim_coeff=1.0, axis_name=axis_name)[:2]

    def sub_batches(z):
        return np.asarray(jax.random.permutation(KEY, z.shape[1])).reshape(-1, sub_batch)

    def lejepa_twin(a, b):
        directions = jax.random.normal(KEY, (6, width), a.dtype)  # drawn in the type of the embeddings
        return reference.lejepa(stacked(a, b).astype(np.float64), reference.unit_rows(np.asarray(directions, np.float64)))

    def hsic(z, axis_name=None):
        return losses.ssl_hsic(z, *jax.tree.map(lambda x: jnp.asarray(x, z.dtype), draws), axis_name=axis_name)

    start = (np.zeros(width), np.zeros(width), np.eye(width), np.eye(width))
    return {
        "vicreg": two(losses.vicreg, reference.vicreg, {"permutation", "translation", "swap"}),
        "barlow_twins": two(losses.barlow_twins, reference.barlow_twins, {"permutation", "translation", "swap"}, nearly={"scale"}),
        "nt_xent": two(losses.nt_xent, reference.nt_xent, cosines | {"swap"}),
        "spectral_contrastive": two(
            partial(losses.spectral_contrastive, mu=20.0), partial(reference.spectral_contrastive, mu=20.0), rotated, drifts=True
        ),
        "euclidean": two(losses.euclidean, reference.euclidean, rotated | {"translation"}, gradient="first", per_sample=True),
        "cosine": two(losses.cosine, reference.cosine, cosines | {"swap"}, gradient="first", per_sample=True),
        "iso_euclidean": two(
            lambda a, b, axis_name=None: losses.iso_euclidean(a, b, jnp.asarray(predictor, a.dtype), axis_name=axis_name),
            lambda a, b: reference.iso_euclidean(a, b, predictor),
            {"permutation"},
            gradient="",
            per_sample=True,
            drifts=True,
        ),
        "iso_cosine": two(
            lambda a, b, axis_name=None: losses.iso_cosine(a, b, jnp.asarray(predictor, a.dtype), axis_name=axis_name),
            lambda a, b: reference.iso_cosine(a, b, predictor),
            {"permutation", "scale"},
            gradient="",
            per_sample=True,
            drifts=True,
        ),
        "vicreg_logdet": two(losses.vicreg_logdet, partial(reference.vicreg_entropy, entropy_of=reference.logdet_entropy), ALL - {"scale"}),
        "vicreg_pairdist": two(
            partial(losses.vicreg_pairdist, sim_coeff=0.01),
            partial(reference.vicreg_entropy, entropy_of=reference.pairdist_entropy, sim_coeff=0.01),
            ALL - {"scale"},
            gradient="",
            scales=(1e-3, 1e6),
        ),
        "byol_logdet": two(
            online(losses.byol_logdet),
            lambda a, b: reference.byol_entropy(a, b, a - b, reference.logdet_entropy),
            rotated,
            gradient="first",
        ),
        "byol_pairdist": two(
            online(losses.byol_pairdist),
            lambda a, b: reference.byol_entropy(a, b, a - b, reference.pairdist_entropy),
            rotated,
            gradient="",
            scales=(1e-3, 1e6),
        ),
        "mec": two(losses.mec, reference.mec, cosines | {"swap"}),
        "total_coding_rate": views(losses.total_coding_rate, reference.total_coding_rate, rotated, scales=(1e-6, 1e3), drifts=True),
        "emp_ssl": views(losses.emp_ssl, reference.emp_ssl, cosines),
        "mmcr": views(partial(losses.mmcr, lam=extent), partial(reference.mmcr, lam=extent), cosines),
        "w_mse": views(
            partial(losses.w_mse, KEY, sub_batch=sub_batch),
            lambda z: reference.w_mse(z, sub_batches(z)),
            {"translation", "scale"},
        ),
        "sigreg": two(
            lambda a, b, axis_name=None: losses.sigreg(third(a, b), jnp.asarray(directions, a.dtype), axis_name=axis_name),
            lambda a, b: reference.sigreg(a - b, directions),
            {"permutation", "translation", "swap"},
            scales=(1e-6, 10),
        ),
        "lejepa": views(partial(losses.lejepa, KEY, slices=6), None, {"permutation"}, scales=(1e-6, 10), drifts=True)._replace(
            twin=lejepa_twin
        ),
        "ssl_hsic": views(hsic, lambda z: reference.ssl_hsic(z, *draws), {"permutation"}, scales=(1e-6, 10), drifts=True),
        "corinfomax": two(
            corinfomax, lambda a, b: reference.corinfomax(a, b, start, sim_coeff=1.0), rotated, nearly={"translation"}, drifts=True
        ),
        "matrix_ssl": two(losses.matrix_ssl, reference.matrix_ssl, {"permutation", "rotation", "translation"}, scales=(1e-6, 1e3)),
    }
