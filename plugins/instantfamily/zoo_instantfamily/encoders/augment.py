"""What happens to a face on its way through a small picture: fewer pixels, noise, neighbours."""

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["degrade", "siblings"]


def siblings(identities: Tensor, *, share: float, generator: torch.Generator) -> Tensor:
    """People who have about ``share`` of their hidden numbers from ``identities``.

    Drawn beside the originals they are the hard negatives: only fine features tell them apart.

    Parameters
    ----------
    identities : Tensor of shape (people, traits)
    share : float
    generator : torch.Generator

    Returns
    -------
    relatives : Tensor of shape (people, traits)
    """
    kept = torch.rand(identities.shape, generator=generator) < share
    return torch.where(kept, identities, torch.rand(identities.shape, generator=generator))


def degrade(images: Tensor, *, generator: torch.Generator, smallest: int = 20) -> Tensor:
    """Take pixels away, add noise, let a neighbour in at the side.

    Parameters
    ----------
    images : Tensor of shape (n, 3, size, size)
        In [0, 1].
    generator : torch.Generator
    smallest : int, default=20
        Fewest pixels a side is reduced to before it is enlarged again.

    Returns
    -------
    images : Tensor of shape (n, 3, size, size)
        In [0, 1].
    """
    n, _, size, _ = images.shape
    images = images.clone()
    guests = torch.rand(n, generator=generator) < 0.3
    reach = torch.randint(1, max(2, size // 6), (n,), generator=generator)
    column = torch.arange(size)
    left = torch.rand(n, generator=generator) < 0.5
    edge = torch.where(left[:, None], column, size - 1 - column) < reach[:, None]
    strip = (edge & guests[:, None])[:, None, None, :]
    images = torch.where(strip, images.roll(1, 0).roll(size // 2, 3), images)
    parts = []
    for part in images.chunk(4):
        if float(torch.rand(1, generator=generator)) < 0.75:
            k = int(torch.randint(smallest, size + 1, (1,), generator=generator))
            small = functional.interpolate(part, size=(k, k), mode="area")
            enlarged = functional.interpolate(
                small, size=(size, size), mode="bilinear", align_corners=False
            )
            parts.append(enlarged)
        else:
            parts.append(part)
    images = torch.cat(parts)
    level = 0.03 * torch.rand(n, 1, 1, 1, generator=generator)
    return (images + level * torch.randn(images.shape, generator=generator)).clamp(0, 1)
