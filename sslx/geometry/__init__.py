"""Geometry of representations: Fisher information, effective dimension and efficiency, spectral and neighbourhood metrics.

Shapes: z [N, d] embeddings of N images, x [N, ...] inputs, f maps one input to one embedding [d]. Pure functions of arrays.
"""

from sslx.geometry._effective_dimension import effective_dimension as effective_dimension
from sslx.geometry._effective_dimension import efficiency as efficiency
from sslx.geometry._spectral import effective_rank as effective_rank
from sslx.geometry._spectral import rankme as rankme
