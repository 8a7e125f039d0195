"""Every mistake in shape, rank or dtype is refused in one line with the remedy, whatever the loss."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import losses

pytestmark = pytest.mark.usefixtures("without_typing_hook")

Z, EYE = jnp.ones((4, 3)), jnp.eye(3)
DRAW = losses.RandomFeatures(jnp.ones((2, 3)), jnp.ones(2))
PAIRS = {
    "vicreg": losses.vicreg,
    "barlow_twins": losses.barlow_twins,
    "nt_xent": losses.nt_xent,
    "spectral_contrastive": losses.spectral_contrastive,
    "euclidean": losses.euclidean,
    "cosine": losses.cosine,
    "iso_euclidean": lambda a, b: losses.iso_euclidean(a, b, EYE),
    "iso_cosine": lambda a, b: losses.iso_cosine(a, b, EYE),
    "vicreg_logdet": losses.vicreg_logdet,
    "vicreg_pairdist": losses.vicreg_pairdist,
    "byol_logdet": lambda a, b: losses.byol_logdet(a, b, Z),
    "byol_pairdist": lambda a, b: losses.byol_pairdist(a, b, Z),
    "mec": losses.mec,
    "corinfomax": lambda a, b: losses.corinfomax(a, b, losses.corinfomax_init(3)),
    "matrix_ssl": losses.matrix_ssl,
}
VIEWS = {
    "total_coding_rate": losses.total_coding_rate,
    "emp_ssl": losses.emp_ssl,
    "mmcr": losses.mmcr,
    "w_mse": lambda z: losses.w_mse(jax.random.key(0), z),
    "sigreg": lambda z: losses.sigreg(z, Z),
    "lejepa": lambda z: losses.lejepa(jax.random.key(0), z),
    "ssl_hsic": lambda z: losses.ssl_hsic(z, DRAW, DRAW),
    "ssl_hsic_random": lambda z: losses.ssl_hsic_random(jax.random.key(0), z),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    ("other", "error", "message"),
    [
        (jnp.ones((5, 3)), ValueError, r"must have one shape \[N, d\], got .*; row i of both is one image"),
        (jnp.ones((2, 4, 3)), ValueError, r"must have shape \[N, d\], got \(2, 4, 3\); flatten"),
        (jnp.ones((4, 3), int), TypeError, r"must be floating-point, got dtype int64; convert it with"),
        ([[1.0]], TypeError, r"must be a floating-point array, got list; pass jnp.asarray"),
    ],
)
def test_two_views(name, other, error, message):
    with pytest.raises(error, match=message):
        PAIRS[name](Z, other)


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize(
    ("z", "error", "message"),
    [
        (jnp.ones(3), ValueError, r"must have shape .*, got \(3,\); (stack the views|flatten)"),
        (np.ones((2, 4, 3), int), TypeError, r"must be floating-point, got dtype int64; convert it with"),
    ],
)
def test_several_views(name, z, error, message):
    with pytest.raises(error, match=message):
        VIEWS[name](z)


@pytest.mark.parametrize("name", ["vicreg", "nt_xent", "spectral_contrastive", "vicreg_pairdist", "byol_pairdist"])
def test_one_row_is_too_few(name):
    byol = {"byol_pairdist": lambda a, b: losses.byol_pairdist(a, b, a)}
    with pytest.raises(ValueError, match="must have at least 2 rows over all devices, got 1; pass a larger batch"):
        (PAIRS | byol)[name](Z[:1], Z[:1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.cosine(Z, Z, stop_gradient="left"), "stop_gradient must be one of target, online, none, got 'left'"),
        (lambda: losses.iso_cosine(Z, Z, jnp.eye(4)), r"predictor must have shape \[3, 3\], got \(4, 4\)"),
        (lambda: losses.nt_xent(Z, Z, chunk=-1), "chunk must be an integer of at least 1, got -1"),
        (lambda: losses.mec(Z, Z, order=0), "order must be an integer of at least 1, got 0"),
        (lambda: losses.sigreg(Z, jnp.ones((2, 4))), r"directions must have shape \[S, 3\], got \(2, 4\)"),
        (lambda: losses.sigreg(Z, jnp.ones((2, 3)), knots=1), "knots must be an integer of at least 2, got 1"),
        (lambda: losses.ssl_hsic(jnp.ones((2, 4, 5)), DRAW, DRAW), r"features_a must hold frequencies \[R, 5\], got \(2, 3\)"),
        (lambda: losses.w_mse(jax.random.key(0), jnp.ones((2, 6, 3)), sub_batch=4), "sub_batch must divide the 6 rows"),
        (lambda: losses.w_mse(jax.random.key(0), jnp.ones((1, 6, 3))), "z must have at least 2 views"),
        (lambda: losses.corinfomax(Z, Z, losses.corinfomax_init(4)), r"running.cov_a must have shape \[3, 3\], got \(4, 4\)"),
        (lambda: losses.byol_logdet(Z, Z, jnp.ones((4, 2))), "p and z_online must have one shape"),
        (
            lambda: losses.ssl_hsic(jnp.ones((2, 4, 3)), DRAW._replace(phases=jnp.ones(1)), DRAW),
            r"features_a must hold phases \[R\] = \(2,\), got \(1,\); draw them with imq_features",
        ),
        (
            lambda: losses.corinfomax(Z, Z, losses.corinfomax_init(3)._replace(mean_a=jnp.ones(1))),
            r"running.mean_a must have shape \[3\], got \(1,\); start from corinfomax_init\(3\)",
        ),
        (lambda: losses.corinfomax(Z, Z, losses.corinfomax_init(3)._replace(mean_b=jnp.ones((4, 1)))), "running.mean_b must have shape"),
        (lambda: losses.ssl_hsic_random(jax.random.key(0), jnp.ones((2, 4, 3)), features=0), "features must be an integer of at least 1"),
        (lambda: losses.lejepa(jax.random.key(0), jnp.ones((2, 4, 3)), slices=2.5), "slices must be an integer of at least 1, got 2.5"),
        (lambda: losses.w_mse(jax.random.key(0), jnp.ones((2, 4, 3)), sub_batch=2.0), "sub_batch must be an integer of at least 2"),
        (lambda: losses.corinfomax_init(0), "width must be an integer of at least 1, got 0"),
    ],
)
def test_arguments_of_one_loss(call, message):
    with pytest.raises(ValueError, match=message):
        call()


STACK, KEY = jnp.ones((2, 4, 3)), jax.random.key(0)


@pytest.mark.parametrize(
    ("loss", "name", "value", "wanted"),
    [
        (losses.barlow_twins, "eps", -5.0, "at least 0"),
        (losses.vicreg, "eps", -1e-4, "at least 0"),
        (losses.nt_xent, "temperature", 0.0, "above 0"),
        (losses.nt_xent, "temperature", -0.5, "above 0"),
        (losses.nt_xent, "temperature", float("nan"), "above 0"),
        (losses.spectral_contrastive, "mu", -1.0, "above 0"),
        (losses.vicreg_logdet, "beta", -1.0, "at least 0"),
        (losses.vicreg_pairdist, "variance", 0.0, "above 0"),
        (partial(losses.byol_logdet, z_online=Z), "beta", np.float32(-1), "at least 0"),
        (partial(losses.byol_pairdist, z_online=Z), "variance", -1, "above 0"),
        (losses.mec, "eps_squared", 0, "above 0"),
        (losses.matrix_ssl, "mu", -1.0, "at least 0"),
        (partial(losses.corinfomax, running=losses.corinfomax_init(3)), "forgetting", 2.0, "between 0 and 1"),
        (partial(losses.corinfomax, running=losses.corinfomax_init(3)), "eps", -1.0, "at least 0"),
        (lambda a, b, **kw: losses.corinfomax_init(3, **kw), "scale", -1.0, "at least 0"),
        (lambda a, b, **kw: losses.total_coding_rate(a, **kw), "eps_squared", -0.1, "above 0"),
        (lambda a, b, **kw: losses.emp_ssl(STACK, **kw), "eps_squared", 0.0, "above 0"),
        (lambda a, b, **kw: losses.w_mse(KEY, STACK, **kw), "eps", 2.0, "between 0 and 1"),
        (lambda a, b, **kw: losses.sigreg(a, EYE, **kw), "t_max", 0.0, "above 0"),
        (lambda a, b, **kw: losses.lejepa(KEY, STACK, **kw), "lam", 2.0, "between 0 and 1"),
        (lambda a, b, **kw: losses.ssl_hsic_random(KEY, STACK, **kw), "scale", -1.0, "above 0"),
    ],
)
def test_numbers_out_of_range_are_refused(loss, name, value, wanted):
    """Outside lie NaN, or a number that means something else."""
    with pytest.raises(ValueError, match=f"^{name} must be {wanted}, got {value}$"):
        loss(Z, Z, **{name: value})
