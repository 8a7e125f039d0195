"""The table of recipes: a name -> one view function per view."""

from functools import partial

from sslx.augment._digits import digits_view
from sslx.augment._natural import natural_view
from sslx.augment._views import View

RECIPES: dict[str, tuple[View, ...]] = {
    "digits": (digits_view, digits_view),
    "cifar": (natural_view, partial(natural_view, solarize=0.2)),
    "cifar-symmetric": (partial(natural_view, scale=(0.2, 1.0), solarize=0.1),) * 2,
    "cifar-simclr": (partial(natural_view, scale=(0.2, 1.0), interpolation="bilinear", saturation=0.4, grayscale=0.1),) * 2,
    "stl10": (partial(natural_view, blur=1.0), partial(natural_view, blur=0.1, solarize=0.2)),
    "imagenet": (partial(natural_view, size=224, blur=1.0), partial(natural_view, size=224, blur=0.1, solarize=0.2)),
}
"""`cifar` and `stl10`: Halvagal et al. (2023, arXiv:2212.04858), the views of BYOL without blur on 32 pixels; `cifar-symmetric`: VICReg in
solo-learn (github.com/vturrisi/solo-learn); `cifar-simclr`: github.com/dkobak/simclr-cifar10; `imagenet`: BYOL (Grill et al., 2020,
arXiv:2006.07733)."""
COLOURED = frozenset(RECIPES) - {"digits"}
"""Those of ours that want three channels."""
