"""The information-theoretic view: induced densities, entropy and mutual-information bounds, normality, generalisation.

N components, images or samples, K (or d) embedding width, D input entries. Entropies are in nats; sigma is a standard deviation,
a covariance given as a scalar is a variance; f maps ONE input to one embedding.
"""

from sslx.entropy import gaussian_entropy as gaussian_entropy
from sslx.entropy import logdet_entropy as logdet_entropy
from sslx.information._divergence import chernoff as chernoff
from sslx.information._divergence import gaussian_kl as gaussian_kl
from sslx.information._generalization import GeneralizationTerms as GeneralizationTerms
from sslx.information._generalization import ProjectionMoments as ProjectionMoments
from sslx.information._generalization import generalization_surrogate as generalization_surrogate
from sslx.information._generalization import projection_moments as projection_moments
from sslx.information._generalization import projection_residual as projection_residual
from sslx.information._generalization import rademacher_draws as rademacher_draws
from sslx.information._generalization import rademacher_massart as rademacher_massart
from sslx.information._generalization import residual_from_moments as residual_from_moments
from sslx.information._induced import induced_covariance_operator as induced_covariance_operator
from sslx.information._induced import induced_gaussian as induced_gaussian
from sslx.information._induced import induced_mixture as induced_mixture
from sslx.information._induced import induced_samples as induced_samples
from sslx.information._induced import local_affine as local_affine
from sslx.information._mixture import MixtureEntropy as MixtureEntropy
from sslx.information._mixture import mixture_entropy as mixture_entropy
from sslx.information._mixture import mixture_entropy_bounds as mixture_entropy_bounds
from sslx.information._mixture import pairwise_entropy as pairwise_entropy
from sslx.information._mutual import InfoNCEBound as InfoNCEBound
from sslx.information._mutual import MutualInformationBound as MutualInformationBound
from sslx.information._mutual import infonce_bound as infonce_bound
from sslx.information._mutual import invariance_term as invariance_term
from sslx.information._mutual import mutual_information_bound as mutual_information_bound
from sslx.information._normality import normality_pvalues as normality_pvalues
from sslx.information._normality import normaltest as normaltest
from sslx.information._region import boundary_distance as boundary_distance
from sslx.information._region import linearisation_error as linearisation_error
from sslx.information._region import region_exit_bound as region_exit_bound
from sslx.information._region import same_region as same_region
from sslx.information._vicreg_steps import VICRegSteps as VICRegSteps
from sslx.information._vicreg_steps import vicreg_decomposition as vicreg_decomposition
