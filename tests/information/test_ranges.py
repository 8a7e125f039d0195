"""Counts and parameters out of range are refused in one line, before anything is computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sslx import information

pytestmark = pytest.mark.usefixtures("without_typing_hook")
KEY, Z = jax.random.key(0), jnp.ones((4, 3))


@pytest.mark.parametrize(
    ("call", "name", "value", "wanted"),
    [
        (lambda **kw: information.mixture_entropy(Z, 1.0, **kw), "chunk", 0, "an integer of at least 1"),
        (lambda **kw: information.mixture_entropy_bounds(Z, 1.0, **kw), "chunk", -1, "an integer of at least 1"),
        (lambda **kw: information.pairwise_entropy(Z, 1.0, **kw), "chunk", 2.5, "an integer of at least 1"),
        (lambda **kw: information.rademacher_draws(KEY, Z, **kw), "draws", 0, "an integer of at least 1"),
        (lambda **kw: information.induced_samples(KEY, lambda x: x, Z[0], 1.0, **kw), "samples", -1, "an integer of at least 1"),
        (lambda **kw: information.normality_pvalues(KEY, lambda x: x, Z, 1.0, **kw), "samples", 20.5, "an integer of at least 20"),
        (lambda **kw: information.generalization_surrogate(Z, Z, Z, jnp.zeros(4, int), **kw), "num_classes", 0, "an integer of at least 1"),
        (lambda **kw: information.pairwise_entropy(Z, 1.0, distance="chernoff", **kw), "chernoff_alpha", 2.0, "between 0 and 1"),
        (lambda **kw: information.chernoff(Z[0], 1.0, Z[1], 2.0, **kw), "alpha", -0.5, "between 0 and 1"),
        (lambda **kw: information.infonce_bound(Z, Z, **kw), "temperature", 0.0, "above 0"),
        (lambda **kw: information.mutual_information_bound(Z, Z, **kw), "likelihood_variance", -1.0, "above 0"),
        (lambda **kw: information.vicreg_decomposition(Z, **kw), "eps", -9.0, "at least 0"),
        (lambda **kw: information.mixture_entropy_bounds(Z, **kw), "covs", -1.0, "at least 0"),
        (lambda **kw: information.pairwise_entropy(Z, **kw), "covs_or_variance", -1.0, "at least 0"),
        (lambda **kw: information.invariance_term(Z, Z, 1.0, **kw), "cov_b", -1.0, "at least 0"),
        (lambda **kw: information.induced_gaussian(lambda x: x, Z[0], **kw), "cov_or_sigma", np.float32(-0.5), "at least 0"),
        (lambda **kw: information.induced_covariance_operator(lambda x: x, Z[0], **kw), "cov_or_sigma", -1, "at least 0"),
        (lambda **kw: information.induced_samples(KEY, lambda x: x, Z[0], **kw), "sigma", -0.5, "at least 0"),
        (lambda **kw: information.region_exit_bound(lambda x: x, Z[0], **kw), "sigma", 0.0, "above 0"),
    ],
)
def test_out_of_range(call, name, value, wanted):
    with pytest.raises(ValueError, match=f"^{name} must be {wanted}, got {value}$"):
        call(**{name: value})
