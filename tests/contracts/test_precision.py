"""Matrix products keep all digits of their type: on an accelerator that is not told so, float32 has three."""

import jax
import jax.numpy as jnp
import pytest

from sslx import augment, dynamics, entropy, geometry, information, losses, predictors

KEY, SQUARE, WIDE, TALL = jax.random.key(0), jnp.eye(4), jnp.ones((3, 4)), jnp.ones((6, 4))
IMAGES = jnp.ones((2, 4, 4, 3))
CALLS = {
    "affine": lambda: augment.affine(IMAGES, jnp.ones((2, 2, 2)), jnp.zeros((2, 2))),
    "alignment_rate": lambda: dynamics.alignment_rate(SQUARE, SQUARE),
    "barlow_twins_init": lambda: dynamics.barlow_twins_init(WIDE, SQUARE),
    "barlow_twins_kernel": lambda: dynamics.barlow_twins_kernel(SQUARE, 2),
    "canonical spectra": lambda: geometry.data_metric_spectra(TALL, TALL),
    "contrast": lambda: augment.contrast(IMAGES, jnp.ones(2)),
    "cosine": lambda: dynamics.cosine(nodes=4).velocity(jnp.ones(3)),
    "cosine_no_predictor": lambda: dynamics.cosine_no_predictor(noise=(0.1, 0.1), nodes=4).velocity(jnp.ones(3)),
    "directpred": lambda: predictors.directpred(SQUARE),
    "directpred_by_products": lambda: predictors.directpred_by_products(SQUARE),
    "fisher_input": lambda: geometry.fisher_input(jnp.sin, TALL, 1.0),
    "fisher_output": lambda: geometry.fisher_output(jnp.sin, TALL, 1.0),
    "fisher_parameters": lambda: geometry.fisher_parameters(jnp.multiply, jnp.ones(4), TALL, 1.0),
    "hutchinson_participation": lambda: geometry.hutchinson_participation(jnp.sin, KEY, jnp.ones(4)),
    "induced_gaussian": lambda: information.induced_gaussian(jnp.sin, jnp.ones(3), jnp.eye(3)),
    "infonce_bound": lambda: information.infonce_bound(TALL, TALL),
    "infonce_matrix": lambda: dynamics.infonce_matrix(TALL, TALL, WIDE),
    "infonce_weights": lambda: dynamics.infonce_weights(jnp.ones(2), WIDE, SQUARE),
    "lanczos_spectrum": lambda: geometry.lanczos_spectrum(jnp.sin, KEY, jnp.ones(4)),
    "laplacian_optimum": lambda: dynamics.laplacian_optimum(SQUARE, 0.1, 2),
    "lidar": lambda: geometry.lidar(jnp.ones((4, 3, 2))),
    "logdet_entropy": lambda: entropy.logdet_entropy(TALL),
    "matrix_ssl": lambda: losses.matrix_ssl(TALL, TALL),
    "mixture_entropy": lambda: information.mixture_entropy(TALL, 1.0),
    "nt_xent": lambda: losses.nt_xent(TALL, TALL),
    "pairwise_entropy_isotropic": lambda: entropy.pairwise_entropy_isotropic(TALL, 1.0),
    "projection_residual": lambda: information.projection_residual(TALL, TALL),
    "quartic_optimum": lambda: dynamics.quartic_optimum(SQUARE, SQUARE, 2),
    "rademacher_draws": lambda: information.rademacher_draws(KEY, WIDE, draws=2),
    "resized_crop": lambda: augment.resized_crop(IMAGES, jnp.full((2, 4), 2.0), (3, 3)),
    "sigreg": lambda: losses.sigreg(TALL, WIDE),
    "simulate": lambda: dynamics.simulate(KEY, WIDE, lambda a, b, p: jnp.sum(a * b), predictor=jnp.cos, learning_rate=0.1, steps=1),
    "spectral_contrastive": lambda: losses.spectral_contrastive(TALL, TALL),
    "ssl_hsic_random": lambda: losses.ssl_hsic_random(KEY, jnp.stack([TALL, TALL]), features=4),
    "vicreg": lambda: losses.vicreg(TALL, TALL),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_product_is_told_to_keep_its_digits(name):
    program = jax.jit(CALLS[name]).lower().as_text()
    products = [line for line in program.splitlines() if "dot_general" in line]
    assert products
    assert all("HIGHEST" in line for line in products)
