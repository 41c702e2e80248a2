"""Memory that a layer writes the features of its inputs to, pass after pass.

A block of features is the largest array of a pass. Taken from the system and given back each time,
it costs more in cleared pages than in arithmetic, so a layer keeps one block and overwrites it.
"""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["Work"]


class Work:
    """One block of memory, lent to one pass at a time.

    Copies and pickles of it are empty.

    Attributes
    ----------
    nbytes : int
        Memory held.
    """

    def __init__(self) -> None:
        self._block: Tensor | None = None
        self._content = 0
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["Work"], tuple[()]]:
        return Work, ()

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return 0 if self._block is None else self._block.nbytes

    def forget(self) -> None:
        """Say that what is in the memory that is lent is overwritten with something else."""
        self._content += 1

    @contextmanager
    def lent(
        self, shape: tuple[int, ...], like: Tensor, content: int | None = None
    ) -> Iterator[tuple[Tensor, int | None]]:
        """Memory for the time of a ``with`` block.

        Parameters
        ----------
        shape : tuple of int
            Of the tensor that is lent.
        like : Tensor
            Whose dtype and device it has.
        content : int, optional
            Number under which an earlier loan of that shape was filled.

        Yields
        ------
        block : Tensor of shape ``shape``
            New memory while another thread uses the old one, and in inference mode, whose tensors
            are of no use outside of it.
        content : int or None
            Number of what is in it: the one asked for if that is still there, else a new one for
            what is written now; None for new memory, which is not kept.
        """
        if torch.is_inference_mode_enabled() or not self._lock.acquire(blocking=False):
            yield like.new_empty(shape), None
            return
        try:
            size, block = math.prod(shape), self._block
            fits = (
                block is not None
                and block.numel() >= size
                and (block.dtype, block.device) == (like.dtype, like.device)
            )
            if block is None or not fits:
                self._block = None
                block = self._block = torch.empty(size, dtype=like.dtype, device=like.device)
            if not fits or content != self._content:
                self._content += 1
            yield block[:size].view(shape), self._content
        finally:
            self._lock.release()
