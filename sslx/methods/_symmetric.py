"""Methods that treat all views alike: their loss looks at the projections only."""

from functools import partial

from jax import Array

from sslx import losses
from sslx.linalg import l2_normalise
from sslx.methods._method import HeadSize, Method, all_views, random_views, two_views
from sslx.moments import at_least_float32
from sslx.typing import AxisName, Scalar, Views


def vicreg(*, sim_coeff: float = 25.0, std_coeff: float = 25.0, cov_coeff: float = 1.0) -> Method:
    """VICReg (Bardes, Ponce, LeCun, 2022, arXiv:2105.04906)."""
    loss = partial(losses.vicreg, sim_coeff=sim_coeff, std_coeff=std_coeff, cov_coeff=cov_coeff)
    return Method(two_views(loss), HeadSize(8192, 8192, layers=3, bias=False))


def barlow_twins(*, lambd: float = 0.0051) -> Method:
    """Barlow Twins (Zbontar et al., 2021, arXiv:2103.03230)."""
    return Method(two_views(partial(losses.barlow_twins, lambd=lambd)), HeadSize(8192, 8192, layers=3, bias=False))


def simclr(*, temperature: float = 0.5) -> Method:
    """SimCLR (Chen et al., 2020, arXiv:2002.05709)."""
    return Method(two_views(partial(losses.nt_xent, temperature=temperature)), HeadSize(2048, 128))


def spectral_contrastive(*, mu: float = 1.0) -> Method:
    """Spectral contrastive learning (HaoChen et al., 2021, arXiv:2106.04156); the batch norm at the end has a scale and a bias there."""
    return Method(two_views(partial(losses.spectral_contrastive, mu=mu)), HeadSize(2048, 1000, final_norm=True))


def mmcr(*, lam: float = 0.0) -> Method:
    """Maximum manifold capacity representations (Yerxa et al., 2023, arXiv:2303.03307)."""
    return Method(all_views(partial(losses.mmcr, lam=lam)), HeadSize(512, 128, bias=False))


def w_mse(*, sub_batch: int = 128, eps: float = 0.0) -> Method:
    """Whitening MSE (Ermolov et al., 2021, arXiv:2007.06346)."""
    return Method(random_views(partial(losses.w_mse, sub_batch=sub_batch, eps=eps)), HeadSize(1024, 64))


def ssl_hsic(*, gamma: float = 3.0, features: int = 512) -> Method:
    """SSL-HSIC (Li et al., 2021, arXiv:2106.08320) on unit vectors, with a kernel of width 1.

    Its code has a predictor and a target network, and takes both predictions and both targets as views of an image; here are two views.
    """

    def loss(key: Array, z: Views, *, axis_name: AxisName = None) -> tuple[Scalar, losses.SslHsicTerms]:
        return losses.ssl_hsic_random(key, l2_normalise(at_least_float32(z)), gamma=gamma, features=features, axis_name=axis_name)

    return Method(random_views(loss), HeadSize(4096, 256))


def lejepa(*, lam: float = 0.02, slices: int = 256) -> Method:
    """LeJEPA (Balestriero and LeCun, 2025, arXiv:2511.08544)."""
    return Method(random_views(partial(losses.lejepa, lam=lam, slices=slices)), HeadSize(2048, 16, layers=3))


def emp_ssl(*, similarity_coeff: float = 200.0, eps_squared: float = 0.2) -> Method:
    """EMP-SSL (Tong et al., 2023, arXiv:2304.03977)."""
    loss = partial(losses.emp_ssl, similarity_coeff=similarity_coeff, eps_squared=eps_squared)
    return Method(all_views(loss), HeadSize(4096, 1024, layers=3))
