"""Geometry of representations: Fisher information, effective dimension and efficiency, spectral and neighbourhood metrics.

Shapes: z [N, d] embeddings of N images, x [N, ...] inputs, f maps one input to one embedding [d]. Pure functions of arrays.
"""

from sslx.geometry._effective_dimension import effective_dimension as effective_dimension
from sslx.geometry._effective_dimension import efficiency as efficiency
from sslx.geometry._lidar import lidar as lidar
from sslx.geometry._neighbourhood import alignment as alignment
from sslx.geometry._neighbourhood import self_cluster as self_cluster
from sslx.geometry._neighbourhood import uniformity as uniformity
from sslx.geometry._neighbourhood import uniformity_sampled as uniformity_sampled
from sslx.geometry._spectral import alpha_req as alpha_req
from sslx.geometry._spectral import condition_number as condition_number
from sslx.geometry._spectral import corrected_participation_ratio as corrected_participation_ratio
from sslx.geometry._spectral import effective_rank as effective_rank
from sslx.geometry._spectral import nesum as nesum
from sslx.geometry._spectral import participation_ratio as participation_ratio
from sslx.geometry._spectral import rankme as rankme
from sslx.geometry._spectral import stable_rank as stable_rank
from sslx.geometry._streaming import Moments as Moments
from sslx.geometry._streaming import SpectralMetrics as SpectralMetrics
from sslx.geometry._streaming import init_host_moments as init_host_moments
from sslx.geometry._streaming import init_moments as init_moments
from sslx.geometry._streaming import lidar_from_moments as lidar_from_moments
from sslx.geometry._streaming import merge_moments as merge_moments
from sslx.geometry._streaming import moment_metrics as moment_metrics
from sslx.geometry._streaming import self_cluster_from_moments as self_cluster_from_moments
from sslx.geometry._streaming import stream_metrics as stream_metrics
from sslx.geometry._streaming import update_moments as update_moments
