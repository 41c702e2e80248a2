"""How a pipeline is trained."""

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["TRAINABLE", "TrainingSettings"]

TRAINABLE = ("unet", "controlnet", "id_projector", "text_encoder")
"""Networks of a pipeline that can be trained."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a pipeline is trained.

    Parameters
    ----------
    steps : int
        Steps of the optimiser. A training whose learning rate has not begun to fall may be taken
        up with another number.
    accumulation : int, default=1
        Batches for one step, over all processes.
    networks : tuple of str, default=("unet", "controlnet", "id_projector")
        Which of `TRAINABLE` are trained.
    rate : float, default=1e-5
        Peak learning rate of AdamW.
    warmup : int, default=100
        Steps until the peak.
    decay : float, default=0.2
        Share of the steps, at the end, in which the rate falls to a fiftieth. In them the noise is
        drawn towards low levels, where fine features are learnt.
    weight_decay : float, default=0.01
    clip : float, default=1.0
        Largest norm of the gradient.
    average : float, default=0.999
        Decay of the running mean of the weights, which is what is saved and drawn with.
    drop_both, drop_text, drop_faces : float, default=0.08, 0.04 and 0.04
        Shares of pictures trained without caption and faces, for classifier-free guidance.
    face_weight : float, default=3.0
        Weight of the loss inside the boxes of faces.
    largest_weight : float, default=12.5
        Limit of the weight 1 / (1 - alpha) of a picture's loss, where the picture is predicted.
    identity_weight : float, default=0.0
        Weight of the identity loss on what the picture is predicted to be, at low noise.
    margin : float, default=0.25
        How much larger than its box a region is.
    mixed_precision : {"no", "bf16", "fp16"}, default="no"
        As in accelerate.
    seed : int, default=0
        Of noise and dropout.

    Raises
    ------
    ValueError
        One is not what it may be.
    """

    steps: int
    accumulation: int = 1
    networks: tuple[str, ...] = ("unet", "controlnet", "id_projector")
    rate: float = 1e-5
    warmup: int = 100
    decay: float = 0.2
    weight_decay: float = 0.01
    clip: float = 1.0
    average: float = 0.999
    drop_both: float = 0.08
    drop_text: float = 0.04
    drop_faces: float = 0.04
    face_weight: float = 3.0
    largest_weight: float = 12.5
    identity_weight: float = 0.0
    margin: float = 0.25
    mixed_precision: str = "no"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("accumulation", 1), ("warmup", 0), ("seed", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ValueError(
                    f"{name} of a training must be an int of at least {least}. Got {value!r}."
                )
        for name in ("rate", "clip", "face_weight", "largest_weight"):
            _check(name, getattr(self, name), above=True)
        for name in ("weight_decay", "identity_weight", "margin"):
            _check(name, getattr(self, name))
        for name in ("decay", "average", "drop_both", "drop_text", "drop_faces"):
            _check(name, getattr(self, name), high=1.0)
        dropped = self.drop_both + self.drop_text + self.drop_faces
        if dropped > 1:
            raise ValueError(
                f"drop_both, drop_text and drop_faces of a training must add up to 1 at most. "
                f"Got {dropped:g}."
            )
        if not self.networks or any(name not in TRAINABLE for name in self.networks):
            raise ValueError(
                f"networks of a training must be some of {', '.join(TRAINABLE)}. "
                f"Got {', '.join(map(str, self.networks)) or 'none'}."
            )
        if self.mixed_precision not in ("no", "bf16", "fp16"):
            raise ValueError(
                "mixed_precision of a training must be one of no, bf16, fp16. "
                f"Got {self.mixed_precision!r}."
            )

    @property
    def decay_start(self) -> int:
        """The step at which the learning rate begins to fall."""
        return self.steps - round(self.steps * self.decay)

    def rate_at(self, step: int) -> float:
        """Learning rate of a step.

        Parameters
        ----------
        step : int
            Counted from 0.

        Returns
        -------
        float
        """
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        left = (self.steps - step) / max(1, self.steps - self.decay_start)
        return self.rate * rise * max(0.02, min(1.0, left))

    def to_json(self) -> dict[str, Any]:
        """A JSON object of the settings."""
        return {**asdict(self), "networks": list(self.networks)}


def _check(name: str, value: Any, *, above: bool = False, high: float = float("inf")) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= high or (above and value == 0) or value == float("inf"):
        allowed = (
            "positive" if above else "at least 0" if high == float("inf") else f"0 to {high:g}"
        )
        raise ValueError(f"{name} of a training must be {allowed}. Got {value!r}.")
