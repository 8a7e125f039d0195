"""The objectives of joint-embedding self-supervised learning, as pure functions of embeddings.

Every loss is `loss(z_a, z_b, *, hyper-parameters, axis_name=None) -> (loss, terms)`, with `terms` a NamedTuple of the summands: it
works with `jax.value_and_grad(f, has_aux=True)`. z [N, d]: N batch, d embedding width; several views are [V, N, d]. Inputs may be
float16, bfloat16, float32 or float64; statistics and results are in at least float32. With `axis_name` the batch is that of all devices:
the value is the same on each, and `pmean` of the per-device gradients is the gradient of the whole batch on one device.
"""

from sslx.losses._barlow_twins import BarlowTwinsTerms as BarlowTwinsTerms
from sslx.losses._barlow_twins import barlow_twins as barlow_twins
from sslx.losses._isoloss import IsoEuclideanTerms as IsoEuclideanTerms
from sslx.losses._isoloss import IsoTerms as IsoTerms
from sslx.losses._isoloss import iso_cosine as iso_cosine
from sslx.losses._isoloss import iso_euclidean as iso_euclidean
from sslx.losses._nt_xent import NtXentTerms as NtXentTerms
from sslx.losses._nt_xent import nt_xent as nt_xent
from sslx.losses._regression import RegressionTerms as RegressionTerms
from sslx.losses._regression import cosine as cosine
from sslx.losses._regression import euclidean as euclidean
from sslx.losses._vicreg import VicregTerms as VicregTerms
from sslx.losses._vicreg import vicreg as vicreg
