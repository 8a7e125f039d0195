"""The losses in straightforward PyTorch, as a competent user would write them: what `losses.py` times sslx against.

a, b [N, d] are two views; losses of several views see both stacked. `constants` holds what a loss needs beside them.
"""

import torch  # pyright: ignore[reportMissingImports]
import torch.nn.functional as F  # pyright: ignore[reportMissingImports]
from torch import Tensor  # pyright: ignore[reportMissingImports]


def off_diagonal_squares(c: Tensor) -> Tensor:
    """Sum of the squared off-diagonal entries, by the usual view trick."""
    d = len(c)
    return c.flatten()[:-1].view(d - 1, d + 1)[:, 1:].flatten().pow(2).sum()


def vicreg(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """The authors' loss on one device."""
    n, d = a.shape
    loss = 25 * F.mse_loss(a, b)
    for z in (a - a.mean(0), b - b.mean(0)):
        loss = loss + 12.5 * F.relu(1 - torch.sqrt(z.var(0) + 1e-4)).mean() + off_diagonal_squares(z.T @ z / (n - 1)) / d
    return loss


def barlow_twins(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """The authors' loss on one device."""
    c = F.batch_norm(a, None, None, training=True).T @ F.batch_norm(b, None, None, training=True) / len(a)
    return (torch.diagonal(c) - 1).pow(2).sum() + 0.0051 * off_diagonal_squares(c)


def nt_xent(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """Cross entropy over the 2N x 2N cosines."""
    n, z = len(a), F.normalize(torch.cat([a, b]))
    itself = torch.eye(2 * n, dtype=torch.bool, device=a.device)
    return F.cross_entropy((z @ z.T / 0.5).masked_fill(itself, -torch.inf), torch.arange(2 * n, device=a.device).roll(n))


def spectral_contrastive(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """With both clips, mu = 1."""
    n = len(a)
    a, b = (z * z.norm(dim=1, keepdim=True).reciprocal().clamp(max=1) for z in (a, b))
    square = (a @ b.T) ** 2
    return -2 * (a * b).sum(1).mean() + (square.sum() - square.diagonal().sum()) / (n * (n - 1))


def euclidean(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """With the target detached."""
    return (a - b.detach()).pow(2).sum(1).mean()


def cosine(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """With the target detached."""
    return 2 - 2 * F.cosine_similarity(a, b.detach()).mean()


def iso_euclidean(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """The definition, detached."""
    return (a - (b + a - a @ constants["predictor"]).detach()).pow(2).sum(1).mean()


def iso_cosine(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """The definition, with |W_P^{1/2} z|^2 = p . z."""
    p = a @ constants["predictor"]
    length_p, length_b = p.detach().norm(dim=1), b.norm(dim=1)
    attraction = (a * (b / (length_p * length_b)[:, None]).detach()).sum(1)
    scale = ((p * b).sum(1) / (length_p**3 * length_b)).detach()
    return -2 * (attraction - scale * (p * a).sum(1) / 2).mean()


def half_logdet(z: Tensor, beta: float) -> Tensor:
    """1/2 log det(I + beta z^T z / N)."""
    return torch.logdet(torch.eye(z.shape[1], device=z.device) + beta * z.T @ z / len(z)) / 2


def vicreg_logdet(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """Weights 1 and 1."""
    entropy = sum(half_logdet(z - z.mean(0), 1.0) for z in (a, b))
    return (a - b).pow(2).sum(1).mean() - entropy / (2 * a.shape[1])


def pairwise_entropy(z: Tensor) -> Tensor:
    """The lower bound with the width of the median pair."""
    n, d = z.shape
    square = torch.cdist(z, z, compute_mode="use_mm_for_euclid_dist") ** 2
    width = square.detach()[torch.triu_indices(n, n, 1).unbind()].quantile(0.5) / 8 if n <= 4096 else square.detach().median() / 8
    overlap = torch.logsumexp(-square / (8 * width), 1) - torch.log(torch.tensor(float(n)))
    return d / 2 * (2.8378770664093453 + torch.log(width)) - overlap.mean()


def vicreg_pairdist(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """Weights 1 and 1."""
    return (a - b).pow(2).sum(1).mean() - (pairwise_entropy(a) + pairwise_entropy(b)) / (2 * a.shape[1])


def byol_logdet(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """a stands for the prediction and for the projection; weights 1 and 1."""
    return cosine(a, b, constants) - half_logdet(a - a.mean(0), 1.0) / a.shape[1]


def byol_pairdist(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """a stands for the prediction and for the projection; weights 1 and 1."""
    return cosine(a, b, constants) - pairwise_entropy(a) / a.shape[1]


def series_trace(c: Tensor) -> Tensor:
    """tr of the first four terms of log(I + c), by repeated products."""
    power, total = c, torch.zeros_like(c)
    for k in range(1, 5):
        total = total + (-1) ** (k + 1) / k * power
        power = power @ c
    return torch.trace(total)


def mec(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """The authors' form on the N x N matrix."""
    n, d = a.shape
    lam = d / (n * 64)
    return -series_trace(lam * F.normalize(a) @ F.normalize(b).T) / (n * lam)


def total_coding_rate(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """Mean over two views."""
    return -(half_logdet(a, a.shape[1] / 0.2) + half_logdet(b, a.shape[1] / 0.2)) / 2


def emp_ssl(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """Two patches."""
    a, b = F.normalize(a), F.normalize(b)
    centre = (a + b) / 2
    similarity = (F.cosine_similarity(a, centre).mean() + F.cosine_similarity(b, centre).mean()) / 2
    return -200 * similarity + total_coding_rate(a, b, constants)


def mmcr(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """lam = 0."""
    return -torch.linalg.svdvals((F.normalize(a) + F.normalize(b)) / 2).sum()


def whiten(z: Tensor, eps: float) -> Tensor:
    """By the Cholesky factor of the shrunken covariance."""
    z = z - z.mean(0)
    cov = (1 - eps) * z.T @ z / (len(z) - 1) + eps * torch.eye(z.shape[1], device=z.device)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(cov), z.T, upper=False).T


def w_mse(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """The whole batch at once, shrunken by 0.1."""
    return 2 - 2 * F.cosine_similarity(whiten(a, 0.1), whiten(b, 0.1)).mean()


def ssl_hsic(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """On given random features, gamma = 3."""
    n, z = len(a), torch.stack([a, b])
    phi, psi = ((2 / 512) ** 0.5 * torch.cos(z @ constants[f"frequencies_{x}"].T + constants[f"phases_{x}"]) for x in "ab")
    hsic_zy = phi.sum(0).pow(2).sum(1).mean() / 2 - phi.mean((0, 1)).pow(2).sum()
    left, right = (f.flatten(0, 1) - f.mean((0, 1)) for f in (phi, psi))
    return 3 * torch.linalg.norm(left.T @ right / (2 * n)) - hsic_zy


def lejepa(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """lam = 0.02."""
    centre = (a + b) / 2
    invariance = ((a - centre).pow(2).mean() + (b - centre).pow(2).mean()) / 2
    return 0.98 * invariance + 0.01 * (sigreg(a, b, constants) + sigreg(b, a, constants))


def sigreg(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """All knots at once."""
    t = torch.linspace(0, 3, 17, device=a.device)
    u = (a @ constants["directions"].T)[..., None] * t
    gap = (u.cos().mean(0) - torch.exp(-(t**2) / 2)) ** 2 + u.sin().mean(0) ** 2
    return 2 * len(a) * torch.trapezoid(gap * torch.exp(-(t**2) / 2), t, dim=1).mean()


def corinfomax(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """The first step from R = I."""
    loss = 250 * F.mse_loss(a, b)
    eye = torch.eye(a.shape[1], device=a.device)
    for z in (a, b):
        z = z - 0.99 * z.mean(0)
        loss = loss - torch.logdet(0.01 * eye + 0.99 * z.T @ z / len(a) + 1e-8 * eye) / a.shape[1]
    return loss


def matrix_ssl(a: Tensor, b: Tensor, constants: dict) -> Tensor:
    """Weights 1."""
    eye = torch.eye(a.shape[1], device=a.device)
    a, b = a - a.mean(0), b - b.mean(0)
    c_ab, c_aa, c_bb = a.T @ b / len(a), a.T @ a / len(a), b.T @ b / len(a)
    power, total = c_bb, torch.zeros_like(c_bb)
    for k in range(1, 5):
        total = total + (-1) ** (k + 1) / k * power
        power = power @ c_bb
    return -series_trace(c_ab) - torch.trace((c_aa + eye) @ total)


LOSSES = {
    f.__name__: f
    for f in (
        vicreg, barlow_twins, nt_xent, spectral_contrastive, euclidean, cosine, iso_euclidean, iso_cosine, vicreg_logdet,
        vicreg_pairdist, byol_logdet, byol_pairdist, mec, total_coding_rate, emp_ssl, mmcr, w_mse, ssl_hsic, sigreg, lejepa, corinfomax,
        matrix_ssl,
    )
}  # fmt: skip
