"""Exact dynamics of linear self-supervised networks: eigenmode flows, their solutions, invariants and fixed points.

A flow is an `EigenFlow`, a tuple of pure functions of the state [..., M] of its M modes. Nothing here trains a real network;
`simulate` trains a linear one, as ground truth. Exactness needs float64: switch it on with
jax.config.update("jax_enable_x64", True). In float32 everything runs with the accuracy of float32.
"""

from sslx.dynamics._euclidean import (
    euclidean as euclidean,
    euclidean_no_predictor as euclidean_no_predictor,
    euclidean_no_stop_gradient as euclidean_no_stop_gradient,
    euclidean_wrong_stop_gradient as euclidean_wrong_stop_gradient,
    iso_euclidean as iso_euclidean,
)
from sslx.dynamics._flow import EigenFlow as EigenFlow
from sslx.dynamics._lambert import lambertw as lambertw
