"""Muon (Jordan et al. 2024): momentum whose matrices are made orthogonal before the step.

The momentum of a matrix is replaced by an approximation of the nearest orthogonal matrix, found by
five Newton-Schulz iterations of a fifth-degree polynomial
(https://kellerjordan.github.io/posts/muon). Embeddings, unembeddings and vectors are no such
matrices and belong to AdamW.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from zoo_multitoken.model import MultiTokenModel

__all__ = ["Muon", "make_optimizers", "orthogonalise"]

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor, *, steps: int = 5) -> Tensor:
    """Push all singular values of matrices towards 1.

    Parameters
    ----------
    matrices : Tensor of shape (count, rows, columns)
    steps : int, default=5
        Newton-Schulz iterations; five leave the singular values between 0.7 and 1.2.

    Returns
    -------
    Tensor of shape (count, rows, columns)
        bfloat16.
    """
    a, b, c = _COEFFICIENTS
    x = matrices.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """The optimiser.

    Parameters
    ----------
    params : iterable of Tensor
        Matrices.
    lr : float
        Step in units of the spectral norm, times ``sqrt(max(1, rows / columns))``.
    momentum : float, default=0.95
        Nesterov's.
    weight_decay : float, default=0.0
        Share, times ``lr``, by which weights shrink at each step.

    Raises
    ------
    ValueError
        If a parameter is not a matrix.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    raise ValueError(
                        f"A parameter of Muon must be a matrix. Got shape {tuple(parameter.shape)}."
                    )

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step.

        Parameters
        ----------
        closure : None
            Only for the interface.
        """
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in alike.items():
                update = orthogonalise(
                    torch.stack([self._direction(p, group["momentum"]) for p in parameters])
                )
                scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for parameter, direction in zip(parameters, update, strict=True):
                    parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                    parameter.add_(direction.to(parameter.dtype), alpha=-scale)

    def _direction(self, parameter: Tensor, momentum: float) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        assert parameter.grad is not None
        state["momentum"].lerp_(parameter.grad, 1.0 - momentum)
        return parameter.grad.lerp(state["momentum"], momentum)


def make_optimizers(
    model: MultiTokenModel,
    *,
    optimizer: str,
    matrix_rate: float,
    vector_rate: float,
    weight_decay: float,
) -> list[torch.optim.Optimizer]:
    """Optimisers of the parameters of a model that want a gradient.

    Parameters
    ----------
    model : MultiTokenModel
    optimizer : {"muon", "adamw"}
        What moves the matrices inside layers and heads; AdamW moves the rest.
    matrix_rate, vector_rate : float
        Their learning rates.
    weight_decay : float
        Of the matrices inside layers and heads.

    Returns
    -------
    list of torch.optim.Optimizer
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    inner = [p for name, p in named if p.ndim == 2 and name.startswith(("layers.", "heads."))]
    chosen = {id(p) for p in inner}
    outer = [p for _, p in named if id(p) not in chosen]
    made: list[torch.optim.Optimizer] = []
    if inner and optimizer == "muon":
        made.append(Muon(inner, lr=matrix_rate, weight_decay=weight_decay))
    elif inner:
        made.append(
            torch.optim.AdamW(inner, lr=matrix_rate, betas=(0.9, 0.95), weight_decay=weight_decay)
        )
    if outer:
        made.append(torch.optim.AdamW(outer, lr=vector_rate, betas=(0.9, 0.95), weight_decay=0.0))
    return made
