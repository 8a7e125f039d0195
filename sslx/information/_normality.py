"""Are the outputs of a network Gaussian under input noise? The D'Agostino-Pearson omnibus test, in jax.

x [images, ...]; f maps ONE input to one vector [units]; a p-value is uniform on [0, 1] where the outputs are Gaussian.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, PRNGKeyArray

from sslx.checks import check_floating, check_integer, check_positive
from sslx.moments import at_least_float32


def normality_pvalues(
    key: PRNGKeyArray, f: Callable[[Array], Array], x: Float[Array, "images ..."], sigma: ArrayLike, *, samples: int = 512
) -> Float[Array, "images units"]:
    """P-value of normality of every unit of f(x_n + e), e ~ N(0, sigma^2 I), for every image x_n.

    Args:
        key: the noise; every image gets its own.
        f: one input -> one vector [units], batch norm in inference mode.
        x: images [images, ...].
        sigma: standard deviation of the noise, a scalar above 0.
        samples: noise draws per image, at least 20.

    Returns:
        p-values [images, units] of `normaltest`; nan for a unit whose output does not vary (a dead ReLU). In float32 a noise so
        small that the outputs differ by a few units in the last place shows the rounding, not the network.

    Raises:
        TypeError, ValueError: x is not floating-point, samples is not an integer or < 20, or sigma is not one number above 0.

    Reference: D'Agostino and Pearson, 1973, Biometrika 60; used on networks by Shwartz-Ziv et al., 2023, arXiv 2303.00633.
    """
    check_floating("x", x)
    check_integer("samples", samples, minimum=20)
    check_positive("sigma", sigma)
    if jnp.shape(sigma) != ():
        raise ValueError(f"sigma must be one number, got shape {jnp.shape(sigma)}; scale the input inside f for other noise")
    x = at_least_float32(x)

    def one_image(key_and_image: tuple[Array, Array]) -> Array:
        image_key, image = key_and_image
        noise = sigma * jax.random.normal(image_key, (samples, *image.shape), image.dtype)
        return normaltest(jax.vmap(f)(image + noise))

    return lax.map(one_image, (jax.random.split(key, x.shape[0]), x))


def normaltest(values: Float[Array, "samples units"]) -> Float[Array, " units"]:
    """D'Agostino-Pearson omnibus p-value of each column, [units].

    p = exp(-K^2 / 2),  K^2 = Z_skewness^2 + Z_kurtosis^2, which is chi-squared with two degrees of freedom under normality.

    Raises:
        TypeError, ValueError: values are not floating-point [samples, units], or there are fewer than 20 samples.

    Reference: D'Agostino and Pearson, 1973, Biometrika 60; the two scores of D'Agostino, 1970, and Anscombe and Glynn, 1983.
    """
    check_floating("values", values)
    if values.ndim != 2 or values.shape[0] < 20:
        raise ValueError(
            f"values must have shape [samples, units] with samples >= 20, got {values.shape}; the test's approximation needs more samples"
        )
    values = at_least_float32(values)
    n = values.shape[0]
    mean = jnp.mean(values, axis=0)
    spread = jnp.ptp(values, axis=0)
    unit = jnp.where(spread > 0, spread, 1.0)  # of each column, whose squares may leave the range of float32
    centred = (values - mean) / unit
    variance = jnp.mean(centred**2, axis=0)
    alive = (spread > 0) & (variance > (jnp.finfo(values.dtype).eps * jnp.abs(mean) / unit) ** 2)
    score = centred / jnp.sqrt(jnp.where(alive, variance, 1.0))
    k_squared = _skewness_score(jnp.mean(score**3, axis=0), n) ** 2 + _kurtosis_score(jnp.mean(score**4, axis=0), n) ** 2
    return jnp.where(alive, jnp.exp(-k_squared / 2), jnp.nan)


def _skewness_score(skewness: Array, n: int) -> Array:
    """D'Agostino's (1970) normal score of the skewness of n samples."""
    beta2 = 3.0 * (n**2 + 27 * n - 70) * (n + 1) * (n + 3) / ((n - 2.0) * (n + 5) * (n + 7) * (n + 9))
    w_squared = (2 * (beta2 - 1)) ** 0.5 - 1
    y = skewness * ((n + 1) * (n + 3) / (6.0 * (n - 2)) * (w_squared - 1) / 2) ** 0.5
    return jnp.arcsinh(y) / math.sqrt(0.5 * math.log(w_squared))


def _kurtosis_score(kurtosis: Array, n: int) -> Array:
    """Anscombe and Glynn's (1983) normal score of the kurtosis of n samples."""
    expected = 3.0 * (n - 1) / (n + 1)
    variance = 24.0 * n * (n - 2) * (n - 3) / ((n + 1) ** 2 * (n + 3) * (n + 5))
    x = (kurtosis - expected) / variance**0.5
    skew = 6.0 * (n * n - 5 * n + 2) / ((n + 7) * (n + 9)) * (6.0 * (n + 3) * (n + 5) / (n * (n - 2) * (n - 3))) ** 0.5
    a = 6.0 + 8.0 / skew * (2.0 / skew + (1 + 4.0 / skew**2) ** 0.5)
    cube_root = jnp.cbrt((1 - 2.0 / a) / (1 + x * (2.0 / (a - 4.0)) ** 0.5))
    return (1 - 2.0 / (9.0 * a) - cube_root) / (2.0 / (9.0 * a)) ** 0.5
