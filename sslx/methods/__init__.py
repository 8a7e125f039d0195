"""The one table of methods: a name -> the heads, the loss, the target network and the state of a method.

A row is a function of the method's hyper-parameters with the published values, where there are any, as defaults; `METHODS["vicreg"]()` is
the method.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any

from sslx.hints import near
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
from sslx.methods._method import (
    HeadSize as HeadSize,
    Method as Method,
    MethodLoss as MethodLoss,
    Online as Online,
    all_views as all_views,
    cross_views as cross_views,
    pick,
    random_views as random_views,
    two_views as two_views,
)
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


def build(name: str, /, *, target: str | None = None, **hyper: Any) -> Method:
    """The method called `name` with these hyper-parameters.

    Args:
        name: a key of `METHODS`.
        target: "ema" or "none" for methods that come with and without a moving-average target; None leaves the default.
        hyper: the row's keyword arguments.

    Raises:
        ValueError: unknown name or hyper-parameter, one out of range, or a target that the method does not have.
    """
    row = pick("method", name, METHODS)
    known = inspect.signature(row).parameters
    if target is not None:
        if "target" not in known:
            raise ValueError(f"target {target!r} was asked for, but {name} has no target network; leave the option out")
        hyper["target"] = pick("target", target, {"ema": "ema", "none": "self"})
    unknown = sorted(set(hyper) - set(known))
    if unknown:
        raise ValueError(f"{name} has no hyper-parameter {unknown[0]!r}; it has {', '.join(known) or 'none'}{near(unknown[0], known)}")
    for key, value in hyper.items():
        what = f"hyper-parameter {key} of {name}"
        check_kind(what, value, known[key].default)
        if key in ("ema", "decay") and value is not None and not 0 <= value <= 1:
            raise ValueError(f"{what} must be between 0 and 1, got {value!r}")
        if key == "temperature" and value is not None and value <= 0:
            raise ValueError(f"{what} must be above 0, got {value!r}")
    return row(**hyper)


def hyper_parameters(name: str) -> dict[str, Any]:
    """Names and defaults of a method's hyper-parameters."""
    return {key: parameter.default for key, parameter in inspect.signature(METHODS[name]).parameters.items() if key != "target"}


def check_kind(what: str, value: Any, default: Any) -> None:
    """Raise ValueError unless a hyper-parameter is a value of the kind of its default: a name, a whole number or a finite number."""
    if isinstance(default, str):
        good, wanted = isinstance(value, str), "a name"
    elif isinstance(default, int):
        good, wanted = isinstance(value, int) and not isinstance(value, bool) and value >= 1, "a whole number of at least 1"
    else:
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        good, wanted = number or (value is None and default is None), "a finite number"
    if not good:
        raise ValueError(f"{what} must be {wanted}, got {value!r}")
