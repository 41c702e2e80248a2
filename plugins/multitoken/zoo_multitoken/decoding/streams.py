"""Uniform numbers for many rows at once, each row with a stream of its own."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Streams"]

# SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


class Streams:
    """One SplitMix64 stream for each row.

    What a row draws depends on the seed, on the row's number and on how much it drew before: not
    on the other rows, so that a text continues the same way alone and in a batch.

    Parameters
    ----------
    seed : int
        Fixes all streams.
    rows : sequence of int
        Numbers of the rows.
    """

    def __init__(self, seed: int, rows: Sequence[int]) -> None:
        # The words of a seed sequence do not depend on how many are asked for.
        words = np.random.SeedSequence(seed).generate_state(2 * max(rows, default=-1) + 2)
        high, low = words.astype(np.uint64).reshape(-1, 2)[list(rows)].T
        self._states: NDArray[np.uint64] = (high << np.uint64(32)) | low

    def draw(self, counts: Sequence[int] | NDArray) -> NDArray[np.float64]:
        """Draw a number of uniforms for each row.

        Parameters
        ----------
        counts : sequence of int, length rows
            How far each row's stream advances.

        Returns
        -------
        ndarray of shape (rows, max(counts))
            Uniform on [0, 1). Row ``r`` may use its first ``counts[r]`` entries; what follows will
            be drawn again.
        """
        advance = np.asarray(counts, dtype=np.uint64)
        ahead = np.arange(1, int(advance.max(initial=0)) + 1, dtype=np.uint64)
        mixed = self._states[:, None] + _GAMMA * ahead
        self._states = self._states + _GAMMA * advance
        for shift, multiplier in zip(_SHIFTS, _MULTIPLIERS, strict=False):
            mixed = (mixed ^ (mixed >> shift)) * multiplier
        mixed ^= mixed >> _SHIFTS[2]
        return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def select(self, rows: Sequence[int]) -> None:
        """Drop all rows but these.

        Parameters
        ----------
        rows : sequence of int
            Indices of rows.
        """
        self._states = self._states[list(rows)]
