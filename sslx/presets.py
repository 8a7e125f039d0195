"""The named presets: `digits-METHOD` for a first look, `cifar10-`, `cifar100-`, `stl10-` and `imagenet-METHOD` with published recipes.

A preset is a function of no arguments; `preset("digits-isoloss", steps=200)` is that preset with a field changed.
"""

import dataclasses
import difflib
from collections.abc import Callable
from functools import partial
from typing import Any

from sslx.config import Config, ConfigError, check_fields

Changes = dict[str, Any]

LOGDET: Changes = {"entropy_coeff": 640.0}
PAIRDIST: Changes = {"entropy_coeff": 640.0, "variance": 1.0}
"""Ten for each dimension of an embedding 64 wide, since the invariance is a sum over dimensions and the entropy a mean."""

DIGITS: dict[str, Changes] = {
    "vicreg": {"projector": (256, 128), "learning_rate": 8e-3},
    "barlow_twins": {"projector": (256, 128), "hyper": {"lambd": 0.02}},
    "simclr": {"learning_rate": 8e-3},
    "byol": {"predictor_hidden": 256, "learning_rate": 8e-3, "hyper": {"ema": 0.96}},
    "simsiam": {"predictor_hidden": 64, "learning_rate": 8e-3},
    "directpred": {"hyper": {"ema": 0.96, "decay": 0.9, "eps": 0.1}},
    "directcopy": {"hyper": {"ema": 0.96, "decay": 0.9}},
    "isoloss": {"target": "none", "learning_rate": 8e-3, "steps": 600, "batch_size": 192},
    "vicreg_logdet": {"learning_rate": 8e-3, "hyper": LOGDET},
    "vicreg_pairdist": {"learning_rate": 8e-3, "hyper": PAIRDIST},
    "byol_logdet": {"predictor_hidden": 256, "learning_rate": 8e-3, "hyper": {"ema": 0.96}},
    "byol_pairdist": {"predictor_hidden": 256, "learning_rate": 8e-3, "hyper": {"ema": 0.96}},
    "spectral_contrastive": {"learning_rate": 8e-3},
    "mec": {"predictor_hidden": 256, "learning_rate": 8e-3, "hyper": {"ema": 0.96}},
    "matrix_ssl": {"predictor_hidden": 256, "learning_rate": 8e-3, "hyper": {"ema": 0.96}},
    "corinfomax": {"learning_rate": 8e-3},
    "total_coding_rate": {"learning_rate": 8e-3},
    "emp_ssl": {"learning_rate": 8e-3},
    "mmcr": {"learning_rate": 8e-3},
    "w_mse": {"learning_rate": 8e-3},
    "ssl_hsic": {"learning_rate": 8e-3, "hyper": {"gamma": 1.0}},
    "lejepa": {"projector": (256, 16), "learning_rate": 8e-3},
    "supervised": {},
}


def digits(method: str) -> Config:
    """Scikit-learn's digits with the small convnet: 800 steps of batch 256 (IsoLoss, the first run of a newcomer: 600 of 192), AdamW.

    Tuned by us on validation images for the methods of the README's first table. The others take learning rate 8e-3 and, with a target
    network, momentum 0.96, some after a look at 200 steps (VICReg with an entropy, CorInfoMax, SSL-HSIC, whose gamma was chosen so); each
    was then trained once.
    """
    settings: Changes = {"projector": (256, 64), "steps": 800, "learning_rate": 3e-3, **DIGITS[method]}
    return Config(method=method, preset=f"digits-{method}", **settings)


HALVAGAL: Changes = {"optimizer": "lars", "learning_rate": 1.0, "weight_decay": 1e-4, "views": "cifar"}
"""Halvagal et al. (2023, github.com/fmi-basel/implicit-var-reg), with a target network: LARS 1.0, decay 1e-4, batch 256, 1000 epochs;
without one SGD 0.1; decay 1e-5 for BYOL. There, as in solo-learn, the trust ratio limits the step (`clip_lr`), as "larc" does."""
SOLO_LEARN: Changes = {
    "optimizer": "lars",
    "learning_rate": 0.3,
    "weight_decay": 1e-4,
    "views": "cifar-symmetric",
    "projector": (2048, 2048),
}
"""VICReg and Barlow Twins on CIFAR in solo-learn: LARS 0.3, decay 1e-4, batch 256, 1000 epochs, projector 2048-2048-2048."""
CORINFOMAX: Changes = {"optimizer": "sgd", "learning_rate": 0.5, "weight_decay": 1e-4, "batch_size": 512, "views": "cifar"}
"""CorInfoMax on CIFAR-10 (github.com/serdarozsoy/corinfomax-ssl): SGD 0.5, decay 1e-4, batch 512, 1000 epochs."""
MEC: Changes = {"optimizer": "sgd", "learning_rate": 0.25, "weight_decay": 2e-5, "views": "cifar"}
"""Maximum entropy coding (github.com/xinliu20/MEC) and Matrix-SSL (github.com/yifanzhang-pro/Matrix-SSL), for ImageNet: SGD 0.5 batch /
256, decay 1e-5, of half our loss; lambda of the first rises in ten epochs. Crops there have at least a fifth of the image. On CIFAR the
series of the first diverges with their eps_squared, 64 (STL-10 not tried): one direction then outweighs the others, RankMe falls below 50
(small convnet)."""
SIMCLR: Changes = {
    "optimizer": "sgd",
    "learning_rate": 0.06,
    "weight_decay": 5e-4,
    "batch_size": 512,
    "warmup": 0.0,
    "projector": (1024, 128),
    "views": "cifar-simclr",
}
"""SimCLR on CIFAR-10 (github.com/dkobak/simclr-cifar10): SGD 0.03 batch / 256, decay 5e-4, batch 512, no warm-up, 1000 epochs; its
projector has no batch norm, ours has."""
EMP_SSL: Changes = {
    "optimizer": "larc",
    "learning_rate": 0.3,
    "trust_coefficient": 0.005,
    "weight_decay": 1e-4,
    "warmup": 0.0,
    "views": "cifar",
}
"""EMP-SSL on CIFAR-10 (github.com/tsb0601/EMP-SSL): LARC 0.3, decay 1e-4, no warm-up, there with 100 patches of 100 images, 30 epochs and
Nesterov's momentum."""

NATURAL: dict[str, Changes] = {
    "vicreg": {**SOLO_LEARN, "hyper": {"std_coeff": 50.0}},  # solo-learn does not halve the variance term
    "barlow_twins": {**SOLO_LEARN, "hyper": {"lambd": 5e-3}},
    "simclr": SIMCLR,
    "byol": {**HALVAGAL, "weight_decay": 1e-5},
    "simsiam": {"optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 1e-5, "views": "cifar"},
    "directpred": HALVAGAL,
    "directcopy": HALVAGAL,
    "isoloss": HALVAGAL,
    "vicreg_logdet": {**SOLO_LEARN, "projector": (2048, 64), "hyper": LOGDET},
    "vicreg_pairdist": {**SOLO_LEARN, "projector": (2048, 64), "hyper": PAIRDIST},
    "byol_logdet": {**HALVAGAL, "weight_decay": 1e-5},
    "byol_pairdist": {**HALVAGAL, "weight_decay": 1e-5},
    "spectral_contrastive": {
        "optimizer": "sgd",
        "learning_rate": 0.06,
        "weight_decay": 5e-4,
        "batch_size": 512,
        "epochs": 800,
        "views": "cifar-simclr",
    },
    "mec": {**MEC, "hyper": {"eps_squared": 512.0}},  # chosen by us
    "matrix_ssl": MEC,
    "corinfomax": CORINFOMAX,
    "total_coding_rate": EMP_SSL,
    "emp_ssl": EMP_SSL,
    "mmcr": {"learning_rate": 1e-3, "weight_decay": 0.0, "epochs": 500, "views": "cifar"},
    "w_mse": {"learning_rate": 3e-3, "weight_decay": 1e-6, "batch_size": 512, "projector": (1024, 64), "views": "cifar-simclr"},
    "ssl_hsic": {"optimizer": "lars", "learning_rate": 0.4, "weight_decay": 1e-6, "views": "cifar"},
    "lejepa": {"learning_rate": 2e-3, "weight_decay": 5e-4, "epochs": 800, "views": "cifar"},
    "supervised": {"optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 5e-4, "epochs": 200, "views": "cifar"},
}


ELSEWHERE: dict[tuple[str, str], Changes] = {
    ("cifar100", "corinfomax"): {"projector": (4096, 128), "hyper": {"sim_coeff": 1000.0}},
    ("stl10", "w_mse"): {"projector": (1024, 128), "learning_rate": 2e-3, "epochs": 2000, "hyper": {"sub_batch": 256}},
}
"""What the same sources change on another data set."""


def natural(dataset: str, method: str) -> Config:
    """ResNet-18 on CIFAR-10, CIFAR-100 or STL-10, by default 1000 epochs of batch 256 and ten epochs of warm-up.

    The sources of optimiser, learning rate, weight decay, batch, epochs and projector stand with the tables above: `HALVAGAL` (also for
    SimSiam, theirs without a target network), `SOLO_LEARN`, `SIMCLR`, `CORINFOMAX`, `MEC`, `EMP_SSL`; spectral contrastive learning
    (github.com/jhaochenz/spectral_contrastive_learning), MMCR (github.com/ThomasYerxa/mmcr, there with 40 views), W-MSE
    (github.com/htdt/self-supervised), SSL-HSIC (github.com/deepmind/ssl_hsic, for ImageNet) and LeJEPA
    (github.com/rbalestr-lab/lejepa, for Imagenette) have their own rows.
    Chosen by us, not published: VICReg's optimiser for VICReg with an entropy, BYOL's for BYOL with an entropy, EMP-SSL's for the total
    coding rate, and the supervised row. CIFAR-100 and STL-10 take the settings of CIFAR-10, but for `ELSEWHERE`.
    What differs from the sources besides: their SGD decays biases and norms too, and most normalise colours; solo-learn's
    Barlow Twins has a tenth of the loss and the views of `cifar`; SimSiam's heads are its own, not BYOL's; CorInfoMax blurs; the learning
    rate of W-MSE falls in steps, that of MMCR, there with a ResNet-50, is constant; LeJEPA has four views and a vision transformer;
    SSL-HSIC has trust coefficient 0.001, with batch 4096. Nothing here has been trained to its end by us; see the README for what has.
    """
    row = {**NATURAL[method], **ELSEWHERE.get((dataset, method), {})}
    settings = {"model": "resnet18", "epochs": 1000, "precision": "auto", "online_probe": True, **row}
    settings = {"warmup": 10 / settings["epochs"], **settings}
    if dataset == "stl10":
        settings |= {"model": "resnet18-imagenet", "views": "stl10"}
    return Config(method=method, dataset=dataset, preset=f"{dataset}-{method}", **settings)


BYOL_IMAGENET: Changes = {"optimizer": "lars", "batch_size": 4096, "learning_rate": 3.2, "weight_decay": 1.5e-6, "epochs": 1000}
"""BYOL (Grill et al., 2020, arXiv:2006.07733): LARS 0.2 batch / 256, decay 1.5e-6, momentum 0.996, 1000 epochs."""
VICREG_IMAGENET: Changes = {"optimizer": "lars", "learning_rate": 1.6, "weight_decay": 1e-6, "epochs": 1000}
"""VICReg (Bardes et al., 2022, arXiv:2105.04906): LARS 0.2 batch / 256; with an entropy it is our choice."""
MEC_IMAGENET: Changes = {"optimizer": "sgd", "batch_size": 1024, "learning_rate": 1.0, "weight_decay": 2e-5}  # `MEC`
IMAGENET: dict[str, Changes] = {
    "vicreg": {**VICREG_IMAGENET, "projector": (8192, 8192)},
    "vicreg_logdet": {**VICREG_IMAGENET, "projector": (8192, 64), "hyper": LOGDET},
    "vicreg_pairdist": {**VICREG_IMAGENET, "projector": (8192, 64), "hyper": PAIRDIST},
    # Zbontar et al., 2021, arXiv:2103.03230, and its code: LARS 0.2 batch / 256, there 0.0048 for biases and norm parameters
    "barlow_twins": {"optimizer": "lars", "learning_rate": 1.6, "weight_decay": 1e-6, "epochs": 1000, "projector": (8192, 8192)},
    # Chen et al., 2020, arXiv:2002.05709: LARS 0.3 batch / 256, temperature 0.1, its table at 100 epochs and batch 4096
    "simclr": {"optimizer": "lars", "batch_size": 4096, "learning_rate": 4.8, "weight_decay": 1e-6, "hyper": {"temperature": 0.1}},
    "byol": {**BYOL_IMAGENET, "hyper": {"ema": 0.996}},
    # Chen and He, 2021, arXiv:2011.10566: SGD 0.05 batch / 256, decay 1e-4, of a quarter of our loss, no warm-up
    "simsiam": {"optimizer": "sgd", "batch_size": 512, "learning_rate": 0.025, "weight_decay": 4e-4, "warmup": 0.0},
    "mec": {**MEC_IMAGENET, "hyper": {"rise_steps": 12510}},
    "matrix_ssl": MEC_IMAGENET,
    # Goyal et al., 2017, arXiv:1706.02677: SGD 0.1 batch / 256, decay 1e-4, 90 epochs, there with learning rates that fall in steps
    "supervised": {"optimizer": "sgd", "batch_size": 256, "learning_rate": 0.1, "weight_decay": 1e-4, "epochs": 90},
}


def imagenet(method: str) -> Config:
    """ResNet-50 on 224 pixels, for ImageNet-1k or its 100 classes as an image folder: give it with `--dataset folder:PATH`.

    Sources stand in `IMAGENET`, MEC's is `MEC`; methods without a row there take BYOL's, which is our choice, and all take BYOL's views.
    Batch 2048 and 100 epochs where a row says nothing else, ten of them warm-up; in SimSiam's code the predictor keeps its learning rate.
    MEC's `rise_steps` are ten epochs of ImageNet-1k in its batches of 1024: give others for other data, a tenth of 100 epochs.
    The network sees 256 images of a batch at a time. Nothing here has been trained by us.
    """
    row = IMAGENET.get(method, BYOL_IMAGENET)
    settings = {"model": "resnet50-imagenet", "views": "imagenet", "batch_size": 2048, "epochs": 100, "precision": "auto", **row}
    settings = {"warmup": 10 / settings["epochs"], "micro_batches": max(1, settings["batch_size"] // 256), **settings}
    settings |= {"online_probe": True, "trust_coefficient": 0.001}
    return Config(method=method, dataset="folder:imagenet", preset=f"imagenet-{method}", **settings)


PRESETS: dict[str, Callable[[], Config]] = {f"digits-{method}": partial(digits, method) for method in DIGITS}
PRESETS |= {f"{dataset}-{method}": partial(natural, dataset, method) for dataset in ("cifar10", "cifar100", "stl10") for method in NATURAL}
PRESETS |= {f"imagenet-{method}": partial(imagenet, method) for method in NATURAL}


def preset(name: str, **changes: Any) -> Config:
    """The preset of that name with some fields changed; changing `epochs` drops the preset's `steps` and the reverse.

    A preset in epochs keeps the epochs of its warm-up when their number is changed, up to a tenth of them, so that its recipe for 100 or
    200 epochs is the same name with `epochs` changed; only SimCLR's code for CIFAR-10 then doubles the learning rate.

    Raises:
        ConfigError: unknown preset or field, or a value out of range.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(str(name), PRESETS, cutoff=0.0)
        raise ConfigError(f"preset must be one of those that `sslx list presets` prints, say {', '.join(near)}, got {name!r}")
    check_fields(changes)
    chosen = PRESETS[name]()
    if chosen.epochs and isinstance(epochs := changes.get("epochs"), int) and epochs > 0:
        changes = {"warmup": min(0.1, chosen.warmup * chosen.epochs / epochs), **changes}
    if ("steps" in changes) != ("epochs" in changes):
        changes = {"steps": None, "epochs": None, **changes}
    return dataclasses.replace(chosen, **changes)
