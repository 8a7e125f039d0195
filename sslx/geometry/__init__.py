"""Geometry of representations: Fisher information, effective dimension and efficiency, spectral and neighbourhood metrics.

Shapes: z [N, d] embeddings of N images, x [N, ...] inputs, f maps one input to one embedding [d]. Pure functions of arrays.
"""

from sslx.geometry._barlow_twins import (
    BarlowTwinsEfficiency as BarlowTwinsEfficiency,
    DataMetricSpectra as DataMetricSpectra,
    augmentation_fisher as augmentation_fisher,
    barlow_twins_efficiency as barlow_twins_efficiency,
    data_metric_spectra as data_metric_spectra,
    efficiency_bound as efficiency_bound,
    predictive_fisher as predictive_fisher,
)
from sslx.geometry._effective_dimension import effective_dimension as effective_dimension, efficiency as efficiency
from sslx.geometry._fisher import (
    fisher_input as fisher_input,
    fisher_input_operator as fisher_input_operator,
    fisher_output as fisher_output,
    fisher_output_operator as fisher_output_operator,
    fisher_parameters as fisher_parameters,
    fisher_parameters_operator as fisher_parameters_operator,
)
from sslx.geometry._gauges import Efficiencies as Efficiencies, EfficienciesByGauge as EfficienciesByGauge, efficiencies as efficiencies
from sslx.geometry._lidar import lidar as lidar
from sslx.geometry._neighbourhood import (
    alignment as alignment,
    self_cluster as self_cluster,
    uniformity as uniformity,
    uniformity_sampled as uniformity_sampled,
)
from sslx.geometry._spectral import (
    alpha_req as alpha_req,
    condition_number as condition_number,
    corrected_participation_ratio as corrected_participation_ratio,
    effective_rank as effective_rank,
    nesum as nesum,
    participation_ratio as participation_ratio,
    rankme as rankme,
    stable_rank as stable_rank,
)
from sslx.geometry._stochastic import (
    Estimate as Estimate,
    HutchinsonParticipation as HutchinsonParticipation,
    LanczosSpectrum as LanczosSpectrum,
    hutchinson_participation as hutchinson_participation,
    lanczos_spectrum as lanczos_spectrum,
)
from sslx.geometry._streaming import (
    Moments as Moments,
    SpectralMetrics as SpectralMetrics,
    init_host_moments as init_host_moments,
    init_moments as init_moments,
    lidar_from_moments as lidar_from_moments,
    merge_moments as merge_moments,
    moment_metrics as moment_metrics,
    rankme_from_moments as rankme_from_moments,
    self_cluster_from_moments as self_cluster_from_moments,
    stream_metrics as stream_metrics,
    update_moments as update_moments,
)
