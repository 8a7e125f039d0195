"""The information-theoretic view: induced densities, entropy and mutual-information bounds, normality, generalisation.

N components, images or samples, K (or d) embedding width, D input entries. Entropies are in nats; sigma is a standard deviation,
a covariance given as a scalar is a variance; f maps ONE input to one embedding.
"""

from sslx.entropy import gaussian_entropy as gaussian_entropy, logdet_entropy as logdet_entropy
from sslx.information._divergence import chernoff as chernoff, gaussian_kl as gaussian_kl
from sslx.information._generalization import (
    GeneralizationTerms as GeneralizationTerms,
    ProjectionMoments as ProjectionMoments,
    generalization_surrogate as generalization_surrogate,
    projection_moments as projection_moments,
    projection_residual as projection_residual,
    rademacher_draws as rademacher_draws,
    rademacher_massart as rademacher_massart,
    residual_from_moments as residual_from_moments,
)
from sslx.information._induced import (
    induced_covariance_operator as induced_covariance_operator,
    induced_gaussian as induced_gaussian,
    induced_mixture as induced_mixture,
    induced_samples as induced_samples,
    local_affine as local_affine,
)
from sslx.information._mixture import (
    MixtureEntropy as MixtureEntropy,
    mixture_entropy as mixture_entropy,
    mixture_entropy_bounds as mixture_entropy_bounds,
    pairwise_entropy as pairwise_entropy,
)
from sslx.information._mutual import (
    InfoNCEBound as InfoNCEBound,
    MutualInformationBound as MutualInformationBound,
    infonce_bound as infonce_bound,
    invariance_term as invariance_term,
    mutual_information_bound as mutual_information_bound,
)
from sslx.information._normality import normality_pvalues as normality_pvalues, normaltest as normaltest
from sslx.information._region import (
    boundary_distance as boundary_distance,
    linearisation_error as linearisation_error,
    region_exit_bound as region_exit_bound,
    same_region as same_region,
)
from sslx.information._vicreg_steps import VICRegSteps as VICRegSteps, vicreg_decomposition as vicreg_decomposition
