"""Whether a checkpoint is one of a training, and what is different if it is not."""

from collections.abc import Mapping
from typing import Any

from zoo_multitoken.training.schedule import decay_start
from zoo_multitoken.training.settings import TrainingSettings

__all__ = ["find_difference", "may_be_prolonged"]


def may_be_prolonged(
    state: Mapping[str, Any], identity: Mapping[str, Any], settings: TrainingSettings
) -> bool:
    """Whether a checkpoint differs in ``steps`` alone and has not felt them yet.

    Parameters
    ----------
    state : mapping
        Of the checkpoint.
    identity : mapping
        Of the training that is to go on from it: its model, settings and texts.
    settings : TrainingSettings
        Of that training.

    Returns
    -------
    bool
    """
    try:
        theirs = dict(state["identity"]["settings"])
        steps, done = int(theirs["steps"]), int(state["step"])
    except (KeyError, TypeError, ValueError):
        return False
    asked = {**state["identity"], "settings": theirs | {"steps": settings.steps}}
    return (
        settings.schedule == "plateau"
        and settings.loss_weights != "curriculum"
        and asked == identity
        and settings.warmup <= min(steps, settings.steps) // 2
        and done <= decay_start(min(steps, settings.steps))
    )


def find_difference(found: Any, wanted: Mapping[str, Any]) -> str:
    """Name what a checkpoint has otherwise.

    Parameters
    ----------
    found : object
        The identity in the checkpoint, as JSON gave it.
    wanted : mapping
        That of the training.

    Returns
    -------
    str
        Empty if they are equal.
    """
    if not isinstance(found, dict):
        return "none"
    parts = []
    for part, expected in wanted.items():
        other = found.get(part)
        if isinstance(expected, dict) and isinstance(other, dict):
            parts += [
                f"{name} {other.get(name)!r} rather than {value!r}"
                for name, value in expected.items()
                if other.get(name) != value
            ]
        elif other != expected:
            parts.append(f"{part} {other!r} rather than {expected!r}")
    return ", ".join(parts)
