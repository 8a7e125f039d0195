"""Exact dynamics of linear self-supervised networks: eigenmode flows, their solutions, invariants and fixed points.

A flow is an `EigenFlow`, a tuple of pure functions of the state [..., M] of its M modes. Nothing here trains a real network;
`simulate` trains a linear one, as ground truth. What theory does not give is None, such as `cosine().solution`: take `integrate` there.

In the Euclidean and the cosine flows the network is z = W x on white inputs, and its predictor W_P = F^alpha of F = W W^T, which has the
eigenvalues s. The state of the Euclidean flows is lam = s^alpha, the eigenvalues of W_P, that of the cosine flows is s. Time is that of
gradient flow at unit rate on 1/2 ||W_P z_1 - z_2||^2 and on -cos(W_P z_1, z_2): gradient descent on `losses.euclidean`, which has no 1/2,
and on `losses.cosine`, which is 2 - 2 cos, advances t by 2 learning_rate per step.

A flow is also a function of its hyper-parameters, which jax can differentiate by, map over and compile with:
jax.grad(lambda eta: euclidean(weight_decay=eta).solution(t, lam0)[0])(0.1). There `fixed_points` has 0 in the place of those that are not
there, and a weight decay counts as not 0. Exactness needs float64: switch it on with jax.config.update("jax_enable_x64", True). In float32
everything runs with the accuracy of float32.
"""

from sslx.dynamics._analysis import (
    collapse_boundary as collapse_boundary,
    collapse_threshold as collapse_threshold,
    escape_time as escape_time,
    linear_stability as linear_stability,
)
from sslx.dynamics._barlow_twins import (
    barlow_twins as barlow_twins,
    barlow_twins_init as barlow_twins_init,
    barlow_twins_kernel as barlow_twins_kernel,
)
from sslx.dynamics._cosine import (
    cosine as cosine,
    cosine_no_predictor as cosine_no_predictor,
    cosine_no_stop_gradient as cosine_no_stop_gradient,
    iso_cosine as iso_cosine,
)
from sslx.dynamics._cosine_limits import (
    cosine_linearised as cosine_linearised,
    cosine_mean_field as cosine_mean_field,
    cosine_pair as cosine_pair,
    iso_cosine_mean_field as iso_cosine_mean_field,
    iso_cosine_pair as iso_cosine_pair,
)
from sslx.dynamics._directpred import (
    alignment_rate as alignment_rate,
    directpred as directpred,
    directpred_balanced as directpred_balanced,
    directpred_ema as directpred_ema,
)
from sslx.dynamics._euclidean import (
    euclidean as euclidean,
    euclidean_no_predictor as euclidean_no_predictor,
    euclidean_no_stop_gradient as euclidean_no_stop_gradient,
    euclidean_wrong_stop_gradient as euclidean_wrong_stop_gradient,
    iso_euclidean as iso_euclidean,
)
from sslx.dynamics._flow import EigenFlow as EigenFlow
from sslx.dynamics._infonce import (
    infonce as infonce,
    infonce_matrix as infonce_matrix,
    infonce_two_layer as infonce_two_layer,
    infonce_weights as infonce_weights,
)
from sslx.dynamics._integrate import integrate as integrate
from sslx.dynamics._lambert import lambertw as lambertw
from sslx.dynamics._landscape import (
    QuarticOptimum as QuarticOptimum,
    laplacian_optimum as laplacian_optimum,
    quartic_optimum as quartic_optimum,
)
from sslx.dynamics._normalised import (
    euclidean_ema_target as euclidean_ema_target,
    euclidean_normalised as euclidean_normalised,
    iso_euclidean_normalised as iso_euclidean_normalised,
)
from sslx.dynamics._simulate import simulate as simulate
