"""How a model is trained."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from zoo_multitoken.training.schedule import head_weights

__all__ = ["TrainingSettings"]

_CHOICES = {"optimizer": ("muon", "adamw"), "schedule": ("cosine", "plateau", "constant")}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSettings:
    """How a model is trained.

    Parameters
    ----------
    steps : int
        Steps of the optimiser.
    length : int, default=512
        Tokens that a window looks back on.
    batch_size : int, default=8
        Windows in a batch.
    accumulation : int, default=1
        Batches whose gradients are added up for one step.
    optimizer : {"muon", "adamw"}, default="muon"
        What moves the matrices inside layers and heads; AdamW moves the rest.
    matrix_rate, vector_rate : float, default=0.02, 3e-3
        Peak learning rates of the two.
    schedule : {"cosine", "plateau", "constant"}, default="cosine"
        How the learning rate falls, as in `zoo_multitoken.training.schedule.learning_rate_factor`.
        A "plateau" that has not begun to fall may be taken up with another number of ``steps``.
    warmup : int, default=40
        Steps until the peak.
    final_rate : float, default=0.03
        Learning rate at the end, as a share of the peak.
    weight_decay : float, default=0.01
        Of the matrices inside layers and heads.
    clip : float, default=1.0
        Largest norm of the gradient.
    loss_weights : float, "curriculum" or sequence of float, default=0.5
        As in `zoo_multitoken.training.schedule.head_weights`.
    freeze_trunk : bool, default=False
        Only train heads 2 to n, so that the next token is predicted as before.
    memory_efficient : bool, default=True
        Head after head, as the paper does, rather than all graphs alive at once.
    mixed : bool, default=False
        Matrix products in bfloat16.
    evaluate_every : int, default=200
        Steps between evaluations.
    evaluation_windows : int or None, default=256
        Windows of the held-out texts that are evaluated, None for all.
    patience : int or None, default=None
        Stop after so many evaluations in a row without a better next-token loss.
    seed : int, default=0
        Decides the order of the batches.

    Raises
    ------
    ValueError
        If one is not what it may be.
    """

    steps: int
    length: int = 512
    batch_size: int = 8
    accumulation: int = 1
    optimizer: str = "muon"
    matrix_rate: float = 0.02
    vector_rate: float = 3e-3
    schedule: str = "cosine"
    warmup: int = 40
    final_rate: float = 0.03
    weight_decay: float = 0.01
    clip: float = 1.0
    loss_weights: float | str | Sequence[float] = 0.5
    freeze_trunk: bool = False
    memory_efficient: bool = True
    mixed: bool = False
    evaluate_every: int = 200
    evaluation_windows: int | None = 256
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "length", "batch_size", "accumulation", "evaluate_every"):
            _at_least(name, getattr(self, name), 1)
        for name in ("warmup", "seed"):
            _at_least(name, getattr(self, name), 0)
        for name in ("evaluation_windows", "patience"):
            if getattr(self, name) is not None:
                _at_least(name, getattr(self, name), 1)
        for name in ("matrix_rate", "vector_rate", "clip"):
            value = getattr(self, name)
            if not _is_number(value) or not 0.0 < value < float("inf"):
                raise ValueError(f"{name} of a training must be a positive number. Got {value!r}.")
        for name, high in (("final_rate", 1.0), ("weight_decay", float("inf"))):
            value = getattr(self, name)
            if not _is_number(value) or not 0.0 <= value <= high:
                raise ValueError(f"{name} of a training must be 0 to {high:g}. Got {value!r}.")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} of a training must be one of {', '.join(allowed)}. "
                    f"Got {getattr(self, name)!r}."
                )
        if isinstance(self.loss_weights, list):
            object.__setattr__(self, "loss_weights", tuple(self.loss_weights))
        n_heads = len(self.loss_weights) if isinstance(self.loss_weights, tuple) else 1
        head_weights(self.loss_weights, n_heads=n_heads)

    def to_json(self) -> dict[str, Any]:
        """A JSON object of the settings."""
        value = asdict(self)
        if isinstance(self.loss_weights, tuple):
            value["loss_weights"] = list(self.loss_weights)
        return value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _at_least(name: str, value: object, least: int) -> None:
    if type(value) is not int or value < least:
        raise ValueError(f"{name} of a training must be an int of at least {least}. Got {value!r}.")
