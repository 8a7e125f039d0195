"""The one table of methods: a name -> the heads, the loss, the target network and the state of a method.

A row is a function of the method's hyper-parameters with the published values as defaults; `METHODS["vicreg"]()` is the method.
"""

import inspect
from collections.abc import Callable
from typing import Any

from sslx.methods._asymmetric import byol, directcopy, directpred, isoloss, simsiam
from sslx.methods._entropy import (
    byol_logdet,
    byol_pairdist,
    corinfomax,
    matrix_ssl,
    mec,
    total_coding_rate,
    vicreg_logdet,
    vicreg_pairdist,
)
from sslx.methods._method import HeadSize as HeadSize, Method as Method, MethodLoss as MethodLoss, Online as Online, pick
from sslx.methods._supervised import supervised
from sslx.methods._symmetric import barlow_twins, emp_ssl, lejepa, mmcr, simclr, spectral_contrastive, ssl_hsic, vicreg, w_mse

METHODS: dict[str, Callable[..., Method]] = {
    "vicreg": vicreg,
    "barlow_twins": barlow_twins,
    "simclr": simclr,
    "byol": byol,
    "simsiam": simsiam,
    "directpred": directpred,
    "directcopy": directcopy,
    "isoloss": isoloss,
    "vicreg_logdet": vicreg_logdet,
    "vicreg_pairdist": vicreg_pairdist,
    "byol_logdet": byol_logdet,
    "byol_pairdist": byol_pairdist,
    "spectral_contrastive": spectral_contrastive,
    "mec": mec,
    "matrix_ssl": matrix_ssl,
    "corinfomax": corinfomax,
    "total_coding_rate": total_coding_rate,
    "emp_ssl": emp_ssl,
    "mmcr": mmcr,
    "w_mse": w_mse,
    "ssl_hsic": ssl_hsic,
    "lejepa": lejepa,
    "supervised": supervised,
}


def build(name: str, *, target: str | None = None, **hyper: Any) -> Method:
    """The method called `name` with these hyper-parameters.

    Args:
        name: a key of `METHODS`.
        target: "ema" or "none" for methods that come with and without a moving-average target; None leaves the default.
        hyper: the row's keyword arguments.

    Raises:
        ValueError: unknown name or hyper-parameter, or a target that the method does not have.
    """
    row = pick("method", name, METHODS)
    known = inspect.signature(row).parameters
    if target is not None:
        if "target" not in known:
            raise ValueError(f"target {target!r} was asked for, but {name} has no target network; leave the option out")
        hyper["target"] = pick("target", target, {"ema": "ema", "none": "self"})
    unknown = sorted(set(hyper) - set(known))
    if unknown:
        raise ValueError(f"{name} has no hyper-parameter {unknown[0]!r}; it has {', '.join(known) or 'none'}")
    return row(**hyper)
