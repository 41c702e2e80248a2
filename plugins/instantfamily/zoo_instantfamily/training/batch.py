"""What a training reads: pictures of people, where they are, and who they are."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from torch import Tensor

__all__ = ["FamilyBatch", "SceneSource", "seeded"]


@dataclass(frozen=True)
class FamilyBatch:
    """Pictures of one size.

    Attributes
    ----------
    images : Tensor of shape (batch, 3, height, width)
        In [0, 1].
    control : Tensor of shape (batch, 3, height, width)
        What the ControlNet sees, in [0, 1].
    captions : list of str
    boxes : Tensor of shape (batch, people, 4)
        Faces: left, top, right, bottom in pixels; anything where nobody is.
    present : Tensor of bool, shape (batch, people)
        Whether there is somebody; a picture with fewer people than another has empty places.
    references : Tensor of shape (batch, people, 3, size, size)
        Another picture of each face where there is one, in [0, 1].
    """

    images: Tensor
    control: Tensor
    captions: list[str]
    boxes: Tensor
    present: Tensor
    references: Tensor

    def first(self, count: int) -> "FamilyBatch":
        """The first pictures alone."""
        return FamilyBatch(
            *(getattr(self, field.name)[:count] for field in fields(self)),
        )


class SceneSource(Protocol):
    """Where batches come from; each is a function of its number alone, so training resumes."""

    def batch(self, number: int) -> FamilyBatch:
        """The batch of a number, counted from 0 over all processes."""

    def describe(self) -> Mapping[str, Any]:
        """What JSON can hold; a checkpoint is only taken up with the same."""


def seeded(*numbers: int) -> torch.Generator:
    """A generator that depends on some numbers and on nothing else.

    Parameters
    ----------
    *numbers : int
        Not negative.

    Returns
    -------
    torch.Generator
    """
    mixed = 0
    for number in numbers:
        # The multiplier of Knuth's MMIX generator.
        mixed = (mixed + number + 1) * 6364136223846793005 % 2**63
    return torch.Generator().manual_seed(mixed)
