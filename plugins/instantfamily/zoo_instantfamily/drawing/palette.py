"""The colours: curated ramps that hidden numbers in [0, 1] are read against."""

import torch
from torch import Tensor

from zoo_instantfamily.slots import SLOTS

__all__ = [
    "BACKGROUND_COLOURS",
    "BEARD_SHADOW",
    "CLOTHES_COLOURS",
    "FANTASY_HAIR",
    "FRAME",
    "GREY_HAIR",
    "HAIR",
    "IRIS",
    "LIP",
    "SKIN",
    "SLOT_COLOURS",
    "TRIM",
    "pick",
    "ramp",
]


def _colours(*codes: str) -> Tensor:
    return torch.tensor([[int(c[i : i + 2], 16) / 255 for i in (0, 2, 4)] for c in codes])


SKIN = _colours(
    "4a2c20", "633b27", "7d4b31", "96603f", "b0764f", "c98f66", "dca57c", "ebbd98", "f5d0b2",
    "fbe0cc",
)  # fmt: skip
HAIR = _colours(
    "1d1a22", "2b2020", "3d2a22", "523425", "6b4128", "86522c", "a5673a", "bd8448", "d6a65c",
    "e9c886", "f3e0b4", "b8552a", "cf6a34", "8c3322",
)  # fmt: skip
GREY_HAIR = _colours("8d8f96", "b9bbc1", "dcdcdc", "f2efe8")
FANTASY_HAIR = _colours(
    "e0608f", "c7478f", "8c5bb8", "5d5fc4", "3f86cf", "35a7b5", "3aa57e", "7cb650", "e8875a",
    "c53b4b", "f2a7bd", "a9b8ec",
)  # fmt: skip
IRIS = _colours("2c1d16", "4d2f1d", "74481f", "94702f", "6d8236", "3f8a5c", "3b8f9c", "3f78c2",
                "6f9fd8", "7d8a99")  # fmt: skip
LIP = _colours("a3524c", "c2605a", "d4706c", "c94a5b", "b23a55", "8c3a44")
FRAME = _colours("22222a", "5a3a26", "b0392f", "2f5fa8", "2b7a63", "8c4a94", "c99a3f", "8d9299",
                 "e2e2e2", "d9628c")  # fmt: skip
TRIM = _colours("e04f4f", "f08a3c", "f2c14b", "58a868", "38a3a5", "4b7fd1", "8a63c9", "e07fae",
                "f4ede0", "3b3f52")  # fmt: skip
BEARD_SHADOW = _colours("5b5560")

BACKGROUND_COLOURS: dict[str, Tensor] = dict(
    zip(
        ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "grey", "white"),
        _colours("d9594c", "ee9a54", "f2cb62", "7fb779", "4fa9a2", "6fa8dc", "9a80c8", "eda3b8",
                 "9aa0aa", "f3efe6"),
        strict=True,
    )
)  # fmt: skip
CLOTHES_COLOURS: dict[str, Tensor] = dict(
    zip(
        ("red", "orange", "yellow", "green", "blue", "purple", "white", "black"),
        _colours("c23b3b", "dd7a35", "e3b341", "4d8f57", "3a66ab", "7a4fa3", "ece7dc", "35343d"),
        strict=True,
    )
)
SLOT_COLOURS = torch.tensor(SLOTS)


def ramp(table: Tensor, position: Tensor) -> Tensor:
    """Colours at ``position`` in [0, 1] along ``table``, linearly between its entries.

    Parameters
    ----------
    table : Tensor of shape (n_colours, 3)
    position : Tensor of shape (people,)

    Returns
    -------
    colours : Tensor of shape (people, 3)
    """
    table = table.to(position.device)
    at = position.clamp(0.0, 1.0) * (len(table) - 1)
    low = at.floor().long().clamp(max=len(table) - 2)
    return torch.lerp(table[low], table[low + 1], (at - low)[:, None])


def pick(table: Tensor, position: Tensor) -> Tensor:
    """The entry of ``table`` (n_colours, 3) whose share of [0, 1] holds ``position``."""
    table = table.to(position.device)
    return table[(position * len(table)).long().clamp(0, len(table) - 1)]
