"""The objectives of joint-embedding self-supervised learning, as pure functions of embeddings.

Every loss is `loss(z_a, z_b, *, hyper-parameters, axis_name=None) -> (loss, terms)`, with `terms` a NamedTuple of the summands: it
works with `jax.value_and_grad(f, has_aux=True)`. z [N, d]: N batch, d embedding width; several views are [V, N, d]. Inputs may be
float16, bfloat16, float32 or float64; statistics and results are in at least float32. With `axis_name` the batch is that of all devices:
the value is the same on each, and `pmean` of the per-device gradients is the gradient of the whole batch on one device.

Methods whose loss has another name: SimCLR `nt_xent`; BYOL, SimSiam and DirectPred `cosine` or `euclidean`; IsoLoss `iso_cosine` or
`iso_euclidean`.
"""

from sslx.losses._barlow_twins import BarlowTwinsTerms as BarlowTwinsTerms, barlow_twins as barlow_twins
from sslx.losses._coding_rate import (
    CodingRateTerms as CodingRateTerms,
    EmpSslTerms as EmpSslTerms,
    MecTerms as MecTerms,
    emp_ssl as emp_ssl,
    mec as mec,
    total_coding_rate as total_coding_rate,
)
from sslx.losses._corinfomax import (
    CorInfoMaxState as CorInfoMaxState,
    CorInfoMaxTerms as CorInfoMaxTerms,
    corinfomax as corinfomax,
    corinfomax_init as corinfomax_init,
)
from sslx.losses._entropy import (
    EntropyTerms as EntropyTerms,
    byol_logdet as byol_logdet,
    byol_pairdist as byol_pairdist,
    vicreg_logdet as vicreg_logdet,
    vicreg_pairdist as vicreg_pairdist,
)
from sslx.losses._hsic import (
    RandomFeatures as RandomFeatures,
    SslHsicTerms as SslHsicTerms,
    imq_features as imq_features,
    ssl_hsic as ssl_hsic,
    ssl_hsic_random as ssl_hsic_random,
)
from sslx.losses._isoloss import (
    IsoEuclideanTerms as IsoEuclideanTerms,
    IsoTerms as IsoTerms,
    iso_cosine as iso_cosine,
    iso_euclidean as iso_euclidean,
)
from sslx.losses._matrix_ssl import MatrixSslTerms as MatrixSslTerms, matrix_ssl as matrix_ssl
from sslx.losses._mmcr import MmcrTerms as MmcrTerms, mmcr as mmcr
from sslx.losses._nt_xent import NtXentTerms as NtXentTerms, nt_xent as nt_xent
from sslx.losses._regression import RegressionTerms as RegressionTerms, cosine as cosine, euclidean as euclidean
from sslx.losses._sigreg import LejepaTerms as LejepaTerms, SigregTerms as SigregTerms, lejepa as lejepa, sigreg as sigreg
from sslx.losses._spectral import SpectralContrastiveTerms as SpectralContrastiveTerms, spectral_contrastive as spectral_contrastive
from sslx.losses._vicreg import VicregTerms as VicregTerms, vicreg as vicreg
from sslx.losses._whitening import WMseTerms as WMseTerms, w_mse as w_mse
