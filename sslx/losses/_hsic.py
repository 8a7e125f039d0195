"""SSL-HSIC: dependence of embeddings on image identity, by random features of a kernel.

z [V, N, d]: V views, N batch, d embedding width; R random features.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike
from jaxtyping import Float

from sslx.checks import check_floating, check_integer, check_positive, check_views
from sslx.collectives import pmean_if
from sslx.linalg import product, safe_norm
from sslx.moments import at_least_float32
from sslx.typing import AnyArray, AxisName, Number, Scalar, Views


class RandomFeatures(NamedTuple):
    """A draw of random Fourier features: phi(z) = sqrt(2/R) cos(z frequencies^T + phases)."""

    frequencies: Float[AnyArray, "R d"]
    phases: Float[AnyArray, " R"]


class SslHsicTerms(NamedTuple):
    """The summands of SSL-HSIC: loss = gamma root_hsic_zz - hsic_zy."""

    root_hsic_zz: Scalar
    hsic_zy: Scalar


def imq_features(key: Array, width: int, *, features: int = 512, scale: Number = 1.0, dtype: DTypeLike = jnp.float32) -> RandomFeatures:
    """Random features whose kernel is the inverse multiquadric k(a, b) = scale / sqrt(scale^2 + |a - b|^2).

    k is the mean over t ~ Gamma(1/2, rate scale^2) of the Gaussian kernel exp(-t |a - b|^2), so a frequency is g n / scale with g a
    scalar and n a d-vector of independent standard normals.

    Args:
        key: random key.
        width: d, the embedding width.
        features: R, how many to draw.
        scale: width of the kernel, in units of the embedding.
        dtype: of the draw.

    Returns:
        Frequencies [R, d] and phases [R].

    Raises:
        ValueError: unless scale > 0 and width and features are integers of at least 1.
    """
    check_integer("width", width)
    check_integer("features", features)
    check_positive("scale", scale)
    key_scalar, key_vector, key_phase = jax.random.split(key, 3)
    stretch = jax.random.normal(key_scalar, (features, 1), dtype) / scale
    frequencies = stretch * jax.random.normal(key_vector, (features, width), dtype)
    return RandomFeatures(frequencies, jax.random.uniform(key_phase, (features,), dtype, maxval=2 * jnp.pi))


def ssl_hsic(
    z: Views, features_a: RandomFeatures, features_b: RandomFeatures, *, gamma: Number = 3.0, axis_name: AxisName = None
) -> tuple[Scalar, SslHsicTerms]:
    """SSL-HSIC on two given draws of random features phi_a and phi_b.

    loss = gamma sqrt(HSIC(Z, Z)) - HSIC(Z, Y),     with V views and N images,
    HSIC(Z, Y) = sum_n |sum_v phi_a(z_vn)|^2 / (N V (V - 1)) - |sum_vn phi_a(z_vn)|^2 / (N V)^2,
    HSIC(Z, Z) = ||sum_vn (phi_a - mean)(z_vn)^T (phi_b - mean)(z_vn)||_F^2 / (N V)^2.

    The square root has gradient 0 where HSIC(Z, Z) is 0. When all rows are equal they share one gradient (|phi_a|^2 of a finite draw
    depends on z): no force separates them.

    Args:
        z: embeddings of the views, [V, N, d], V >= 2.
        features_a: frequencies [R, d] and phases [R], as `imq_features` draws them; the same on every device.
        features_b: a second, independent draw.
        gamma: weight of the regulariser.
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [] and its terms, unweighted.

    Raises:
        ValueError: unless z has shape [V, N, d], the features are as wide and each has its phase.
        TypeError: unless z and the features are floating-point arrays.

    Reference: Li, Pogodin, Sutherland, Gretton, "Self-Supervised Learning with Kernel Dependence Maximization", 2021, arXiv 2106.08320.
    """
    check_views("z", z, min_views=2)
    for name, features in (("features_a", features_a), ("features_b", features_b)):
        _check_features(name, features, z.shape[2])
    views = z.shape[0]
    phi_a, phi_b = _evaluate(z, features_a), _evaluate(z, features_b)
    mean_a = pmean_if(jnp.mean(phi_a, axis=(0, 1)), axis_name)
    mean_b = pmean_if(jnp.mean(phi_b, axis=(0, 1)), axis_name)
    same_image = pmean_if(jnp.mean(jnp.sum(jnp.sum(phi_a, axis=0) ** 2, axis=-1)), axis_name)
    cross = jnp.einsum("vnr,vns->rs", phi_a - mean_a, phi_b - mean_b, precision=lax.Precision.HIGHEST) / (views * z.shape[1])
    terms = SslHsicTerms(
        root_hsic_zz=safe_norm(pmean_if(cross, axis_name).ravel()),
        hsic_zy=same_image / (views * (views - 1)) - jnp.sum(mean_a**2),
    )
    return gamma * terms.root_hsic_zz - terms.hsic_zy, terms


def ssl_hsic_random(
    key: Array, z: Views, *, gamma: Number = 3.0, features: int = 512, scale: Number = 1.0, axis_name: AxisName = None
) -> tuple[Scalar, SslHsicTerms]:
    """`ssl_hsic` on two fresh draws of `imq_features`.

    Args:
        key: random key; the same on every device.
        z: embeddings of the views, [V, N, d], V >= 2.
        gamma: weight of the regulariser.
        features: R, random features of each draw.
        scale: width of the kernel, in units of the embedding.
        axis_name: axis of a parallel map over which the batch is split.

    Returns:
        The loss [] and its terms, unweighted.

    Raises:
        ValueError: unless z has shape [V, N, d], V >= 2, scale > 0 and `features` is at least 1.
        TypeError: unless z is a floating-point array.

    Reference: as `ssl_hsic`, which learns `scale` in the authors' code; here it is fixed.
    """
    check_views("z", z, min_views=2)
    dtype = jnp.promote_types(z.dtype, jnp.float32)
    first, second = (imq_features(k, z.shape[2], features=features, scale=scale, dtype=dtype) for k in jax.random.split(key))
    return ssl_hsic(z, first, second, gamma=gamma, axis_name=axis_name)


def _check_features(name: str, features: RandomFeatures, width: int) -> None:
    """Raise unless one draw is floating-point, frequencies [R, width] with a phase each."""
    frequencies, phases = features
    check_floating(f"{name}.frequencies", frequencies)
    check_floating(f"{name}.phases", phases)
    if frequencies.shape[1:] != (width,):
        raise ValueError(f"{name} must hold frequencies [R, {width}], got {frequencies.shape}; draw them with imq_features")
    if phases.shape != frequencies.shape[:1]:
        raise ValueError(f"{name} must hold phases [R] = {frequencies.shape[:1]}, got {phases.shape}; draw them with imq_features")


def _evaluate(z: Views, features: RandomFeatures) -> Float[Array, "V N R"]:
    frequencies, phases = (at_least_float32(x) for x in features)
    angle = product(at_least_float32(z), frequencies.T) + phases
    return jnp.sqrt(2 / len(phases)) * jnp.cos(angle)
