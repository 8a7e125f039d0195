"""Views of a batch of images, made on the device.

N batch, H x W image, C channels, V views. A view is a function `(key, images [N, H, W, C] in [0, 1], index [N]) -> images`:
`key` belongs to the batch and is the same on every device, `index` holds the global position of each example. Whatever is
drawn per example is drawn from `fold_in(key, index)`, so a batch gets the same views on one device or eight.
"""

from sslx.augment._digits import digits_view as digits_view
from sslx.augment._geometry import affine as affine
from sslx.augment._geometry import warp as warp
from sslx.augment._recipes import RECIPES as RECIPES
from sslx.augment._views import View as View
from sslx.augment._views import example_keys as example_keys
from sslx.augment._views import make_views as make_views
