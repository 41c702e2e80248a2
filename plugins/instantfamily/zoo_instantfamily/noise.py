"""The noise that torch draws for a seed, without torch.

An image belongs to its seed, whichever runtime draws it. torch's generator on the CPU is a Mersenne
twister with 24 bits for each number, and its normal numbers come from pairs by the method of Box
and Muller, eight pairs at a time (``normal_fill`` in ATen's ``DistributionTemplates.h``).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["seeded_noise"]

_BLOCK = 16
_BITS = 24


def seeded_noise(seed: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """What ``torch.randn(shape, generator=torch.Generator().manual_seed(seed))`` gives.

    Parameters
    ----------
    seed : int
        From 0; as in torch, the lower 32 bits count.
    shape : tuple of int
        At least 16 numbers; torch draws fewer by another method.

    Returns
    -------
    ndarray of float32
        Equal to torch's to a few units in the last place.

    Raises
    ------
    ValueError
        The seed is negative, or there are fewer than 16 numbers.
    """
    count = math.prod(shape)
    if seed < 0 or count < _BLOCK:
        raise ValueError(
            f"The noise must have a seed of at least 0 and {_BLOCK} numbers or more. "
            f"Got seed {seed} and {count} numbers."
        )
    source = np.random.MT19937()
    source._legacy_seeding(seed & 0xFFFFFFFF)
    rest = count % _BLOCK
    raw = source.random_raw(count + (_BLOCK if rest else 0))
    uniform = (raw & ((1 << _BITS) - 1)) * 2.0**-_BITS
    found = np.empty(count)
    whole = count - rest
    found[:whole] = _normal(uniform[:whole])
    if rest:
        # torch then draws the last sixteen anew.
        found[-_BLOCK:] = _normal(uniform[count:])
    return found.astype(np.float32).reshape(shape)


def _normal(uniform: NDArray[Any]) -> NDArray[Any]:
    one, two = uniform.reshape(-1, 2, _BLOCK // 2).swapaxes(0, 1)
    radius = np.sqrt(-2 * np.log(1 - one))
    angle = 2 * np.pi * two
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)
