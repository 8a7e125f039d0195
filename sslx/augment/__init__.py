"""Views of a batch of images, made on the device.

N batch, H x W image, C channels, V views. A view is a function `(key, images [N, H, W, C] in [0, 1], index [N]) -> images`:
`key` belongs to the batch and is the same on every device, `index` holds the global position of each example. Whatever is
drawn per example is drawn from `fold_in(key, index)`, so a batch gets the same views on one device or eight.
"""

from sslx.augment._blur import gaussian_blur as gaussian_blur
from sslx.augment._colour import (
    Jitter as Jitter,
    brightness as brightness,
    colour_jitter as colour_jitter,
    contrast as contrast,
    grayscale as grayscale,
    hue as hue,
    saturation as saturation,
    solarize as solarize,
)
from sslx.augment._crop import crop_boxes as crop_boxes, resized_crop as resized_crop
from sslx.augment._digits import digits_view as digits_view
from sslx.augment._geometry import affine as affine, warp as warp
from sslx.augment._natural import natural_view as natural_view, normalise as normalise
from sslx.augment._recipes import COLOURED as COLOURED, RECIPES as RECIPES
from sslx.augment._views import View as View, example_keys as example_keys, make_views as make_views
