"""The table of recipes: a name -> one view function per view.

All leave the images in [0, 1]: the batch norm behind the first convolution standardises them, and evaluation sees the same range.
"""

from functools import partial

from sslx.augment._digits import digits_view
from sslx.augment._natural import natural_view
from sslx.augment._views import View

RECIPES: dict[str, tuple[View, ...]] = {
    "digits": (digits_view, digits_view),
    # IsoLoss (Littwin et al., 2022), CIFAR: the pair below without blur.
    "cifar": (natural_view, partial(natural_view, solarize=0.2)),
    # BYOL (Grill et al., 2020, arXiv:2006.07733, appendix B), Barlow Twins and VICReg: an asymmetric pair.
    "byol": (partial(natural_view, blur=1.0), partial(natural_view, blur=0.1, solarize=0.2)),
    "imagenet": (partial(natural_view, size=224, blur=1.0), partial(natural_view, size=224, blur=0.1, solarize=0.2)),
    # SimCLR (Chen et al., 2020, arXiv:2002.05709, appendix B.9), CIFAR-10: colour strength 0.5, no blur.
    "simclr-cifar": (partial(natural_view, saturation=0.4, interpolation="bilinear"),) * 2,
}
