"""What changes over the course of a training: learning rate and weights of the heads."""

import math
from collections.abc import Sequence

__all__ = ["decay_start", "head_weights", "learning_rate_factor"]


def learning_rate_factor(
    step: int, *, steps: int, warmup: int, final: float, schedule: str = "cosine"
) -> float:
    """Warm-up in a line, then down to a share of the peak.

    Parameters
    ----------
    step : int
        0 to ``steps - 1``.
    steps : int
        Length of the training.
    warmup : int
        Steps until the peak.
    final : float
        The share at the end; the paper takes 0.03 (table S14).
    schedule : {"cosine", "plateau", "constant"}, default="cosine"
        Down in a cosine from the peak on, in a line from `decay_start` on, or not at all.

    Returns
    -------
    float
        Factor of the peak.
    """
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    if schedule == "plateau":
        begin = max(warmup, decay_start(steps))
        return 1.0 - (1.0 - final) * max(0.0, (step + 1 - begin) / max(1, steps - begin))
    progress = (step - warmup) / max(1, steps - warmup)
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def decay_start(steps: int) -> int:
    """Step from which a "plateau" schedule goes down: 70 % of the training.

    Up to here a training does not know how long it will be, so that one that was interrupted may
    be given another length.
    """
    return steps * 7 // 10


def head_weights(
    rule: float | str | Sequence[float], *, n_heads: int, progress: float = 0.0
) -> tuple[float, ...]:
    """Weights of the heads' losses.

    Parameters
    ----------
    rule : float, "curriculum" or sequence of float
        A number r gives head i weight ``r**(i - 1)``, so that 1 is the paper's plain sum.
        ``"curriculum"`` adds one head after another in equal parts of the training (the forward
        curriculum of arXiv 2505.22757). A sequence is the weights.
    n_heads : int
        Number of heads.
    progress : float, default=0.0
        Share of the training that is done, for the curriculum.

    Returns
    -------
    tuple of float of length n_heads

    Raises
    ------
    ValueError
        If the rule is none of these, or gives the next token no weight.
    """
    if isinstance(rule, str):
        if rule != "curriculum":
            raise ValueError(
                f"loss_weights must be a number, 'curriculum' or a sequence. Got {rule!r}."
            )
        active = min(n_heads, 1 + int(progress * n_heads))
        return tuple(float(index < active) for index in range(n_heads))
    if isinstance(rule, Sequence):
        weights = tuple(float(weight) for weight in rule)
        if len(weights) != n_heads:
            raise ValueError(
                f"loss_weights must hold one weight for each of {n_heads} heads. "
                f"Got {len(weights)}."
            )
    elif isinstance(rule, (int, float)) and not isinstance(rule, bool):
        weights = tuple(float(rule) ** index for index in range(n_heads))
    else:
        raise ValueError(
            f"loss_weights must be a number, 'curriculum' or a sequence. Got {rule!r}."
        )
    if not all(math.isfinite(weight) and weight >= 0.0 for weight in weights) or not any(weights):
        raise ValueError(
            f"loss_weights must be finite and at least 0, not all of them 0. Got {rule!r}."
        )
    return weights
