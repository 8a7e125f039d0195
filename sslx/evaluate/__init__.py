"""How good frozen features are. NumPy and scikit-learn on the host.

N training images, T test images, d features, K classes.
"""

from sslx.evaluate._arrays import random_rows as random_rows
from sslx.evaluate._diagnose import Diagnosis as Diagnosis, diagnose as diagnose, signal as signal
from sslx.evaluate._features import extract as extract, jitted as jitted, raw_pixels as raw_pixels
from sslx.evaluate._few_label import few_label_accuracy as few_label_accuracy
from sslx.evaluate._knn import knn_accuracy as knn_accuracy
from sslx.evaluate._linear_probe import linear_accuracy as linear_accuracy
from sslx.evaluate._modes import Modes as Modes, eigenmodes as eigenmodes
from sslx.evaluate._monitor import (
    ValidationSplit as ValidationSplit,
    embedding_scores as embedding_scores,
    monitor as monitor,
    monitored as monitored,
    validation_split as validation_split,
)
from sslx.evaluate._protocol import PARTS as PARTS, evaluate as evaluate
