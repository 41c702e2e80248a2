"""What a solver returns."""

from dataclasses import dataclass, field
from typing import Any

from zoo_kan.network import KANNetwork
from zoo_kan.solvers.penalty import Penalty

__all__ = ["TrainingResult"]


@dataclass
class TrainingResult:
    """A trained network and how it was reached.

    Attributes
    ----------
    network : KANNetwork
    n_iter : int
        Iterations, over all grids.
    loss : float
        Weighted mean loss without penalties: squared error of standardised targets (so 1 minus
        the coefficient of determination), or the log loss.
    history : list of dict
        One entry per iteration, with plain numbers: ``iteration``, ``grid``, ``loss`` and, where
        the solver has them, ``score``, ``validation_loss``, ``damping``.
    converged : bool
        Whether the tolerance was reached before ``max_iter``.
    score : float
        Estimate of the loss on new data, by which shapes are compared: generalised
        cross-validation, or the loss on held-out rows where there are such. Lower is better.
    effective_parameters : float
        Parameters that the data determine, of ``network.n_parameters``.
    smoothness : float
        Geometric mean of the edges' smoothness prices.
    penalty : Penalty or None
        Prices of every edge, for going on from here.
    """

    network: KANNetwork
    n_iter: int
    loss: float
    history: list[dict[str, Any]] = field(default_factory=list)
    converged: bool = False
    score: float = float("inf")
    effective_parameters: float = 0.0
    smoothness: float = 0.0
    penalty: Penalty | None = None
