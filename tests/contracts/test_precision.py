"""Matrix products keep all digits of their type: on an accelerator that is not told so, float32 has three."""

import jax
import jax.numpy as jnp
import pytest

from sslx import dynamics, geometry, information, losses, predictors

KEY, SQUARE, WIDE, TALL = jax.random.key(0), jnp.eye(4), jnp.ones((3, 4)), jnp.ones((6, 4))
CALLS = {
    "alignment_rate": lambda: dynamics.alignment_rate(SQUARE, SQUARE),
    "barlow_twins_init": lambda: dynamics.barlow_twins_init(WIDE, SQUARE),
    "barlow_twins_kernel": lambda: dynamics.barlow_twins_kernel(SQUARE, 2),
    "canonical spectra": lambda: geometry.data_metric_spectra(TALL, TALL),
    "cosine": lambda: dynamics.cosine(nodes=4).velocity(jnp.ones(3)),
    "cosine_no_predictor": lambda: dynamics.cosine_no_predictor(noise=(0.1, 0.1), nodes=4).velocity(jnp.ones(3)),
    "directpred": lambda: predictors.directpred(SQUARE),
    "directpred_by_products": lambda: predictors.directpred_by_products(SQUARE),
    "induced_gaussian": lambda: information.induced_gaussian(jnp.sin, jnp.ones(3), jnp.eye(3)),
    "infonce_matrix": lambda: dynamics.infonce_matrix(TALL, TALL, WIDE),
    "infonce_weights": lambda: dynamics.infonce_weights(jnp.ones(2), WIDE, SQUARE),
    "laplacian_optimum": lambda: dynamics.laplacian_optimum(SQUARE, 0.1, 2),
    "lidar": lambda: geometry.lidar(jnp.ones((4, 3, 2))),
    "matrix_ssl": lambda: losses.matrix_ssl(TALL, TALL),
    "nt_xent": lambda: losses.nt_xent(TALL, TALL),
    "quartic_optimum": lambda: dynamics.quartic_optimum(SQUARE, SQUARE, 2),
    "sigreg": lambda: losses.sigreg(TALL, WIDE),
    "simulate": lambda: dynamics.simulate(KEY, WIDE, lambda a, b, p: jnp.sum(a * b), predictor=jnp.cos, learning_rate=0.1, steps=1),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_product_is_told_to_keep_its_digits(name):
    program = jax.jit(CALLS[name]).lower().as_text()
    products = [line for line in program.splitlines() if "dot_general" in line]
    assert products
    assert all("HIGHEST" in line for line in products)
