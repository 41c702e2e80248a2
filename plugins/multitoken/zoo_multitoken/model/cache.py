"""Keys and values of what was read, allocated once, rolled back by counting down."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_multitoken.config import ModelConfig

__all__ = ["KVCache", "Slot", "Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """The positions that one forward pass writes.

    Attributes
    ----------
    start : ndarray of int64 of shape (batch,)
        First position of each row.
    length : int
        Positions per row.
    end : int
        One more than the last position of any row.
    positions : Tensor of int64 of shape (batch, length)
    mask : Tensor of bool of shape (batch or 1, 1, length, end), or None
        Which position sees which; None when all see all.
    """

    start: NDArray[np.int64]
    length: int
    end: int
    positions: Tensor
    mask: Tensor | None

    @property
    def even(self) -> bool:
        """Whether all rows start at one position."""
        return bool((self.start == self.start[0]).all())


@dataclass(frozen=True, slots=True)
class Slot:
    """The keys and values of one layer, seen through a window.

    Attributes
    ----------
    keys, values : Tensor of shape (batch, kv_heads, capacity, head_width)
    window : Window
    """

    keys: Tensor
    values: Tensor
    window: Window

    @property
    def mask(self) -> Tensor | None:
        """Mask of the window."""
        return self.window.mask

    def mask_of(self, last: Tensor) -> Tensor:
        """Mask of one index of each row.

        Parameters
        ----------
        last : Tensor of int64 of shape (batch, 1)

        Returns
        -------
        Tensor of bool of shape (batch, 1, 1, end)
        """
        limit = self.window.positions.gather(1, last)
        return (torch.arange(self.window.end, device=last.device) <= limit)[:, None, None, :]

    def write(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values, and return all up to the end of the window.

        Parameters
        ----------
        key, value : Tensor of shape (batch, kv_heads, length, head_width)

        Returns
        -------
        keys, values : Tensor of shape (batch, kv_heads, end, head_width)
        """
        _put(self.keys, key, self.window)
        _put(self.values, value, self.window)
        end = self.window.end
        return self.keys[:, :, :end].to(key.dtype), self.values[:, :, :end].to(value.dtype)


def _put(target: Tensor, new: Tensor, window: Window) -> None:
    """Write (batch, heads, length, width) into (batch, heads, capacity, width)."""
    if window.even:
        first = int(window.start[0])
        target[:, :, first : first + window.length] = new
    else:
        rows = torch.arange(target.shape[0], device=target.device)[:, None]
        target[rows, :, window.positions] = new.transpose(1, 2).to(target.dtype)


class KVCache:
    """What a model remembers of a batch of rows of different lengths.

    A forward pass writes behind each row's length and does not move it; `advance` keeps what was
    written, wholly or in part, and `rollback` forgets the end of a row. Both only count, so that
    neither costs more for longer rows.

    Parameters
    ----------
    config : ModelConfig
        The model's.
    batch : int
        Number of rows.
    capacity : int
        Positions per row.
    dtype : torch.dtype, default=torch.float32
    device : torch.device or str, default="cpu"
    fixed : bool, default=False
        Whether every window ends at the capacity, so that no shape depends on what is held.

    Attributes
    ----------
    lengths : ndarray of int64 of shape (batch,)
        Positions that each row holds; change it by `advance` and `rollback` only.
    keys, values : Tensor of shape (layers, batch, kv_heads, capacity, head_width)
        Layers of the trunk first, then those of heads 1 to n where heads have attention.
    states : Tensor of shape (kept, batch, capacity, d_model)
        What the heads draft from: outputs of the trunk, then of heads that others build on.
    tokens : Tensor of int64 of shape (batch, capacity + n_heads)
        The tokens at the positions, then those that are drafted behind them.
    ready : ndarray of int64 of shape (n_heads, batch)
        For heads with attention: positions of each row whose keys and values are final.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        batch: int,
        capacity: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        fixed: bool = False,
    ) -> None:
        extra = 0 if config.head in ("linear", "causal") else config.n_heads
        kept = config.n_heads if config.head in ("anticausal", "sequential") else 1
        self.batch, self.capacity, self.fixed = batch, capacity, fixed
        self.head_layer = config.trunk_layers
        shape = (
            config.trunk_layers + extra,
            batch,
            config.kv_heads,
            capacity,
            config.head_width,
        )
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.states = torch.zeros(
            (kept, batch, capacity, config.d_model), dtype=dtype, device=device
        )
        self.tokens = torch.zeros(
            (batch, capacity + config.n_heads), dtype=torch.int64, device=device
        )
        self.lengths = np.zeros(batch, dtype=np.int64)
        # Head i of a chain that reads tokens is final where i - 1 more tokens are.
        self._lag = np.arange(config.n_heads)[:, None] * (config.head == "sequential")
        self.ready = np.zeros((config.n_heads, batch), dtype=np.int64)

    def window(self, length: int, *, start: NDArray[np.int64] | None = None) -> Window:
        """The next positions of each row.

        Parameters
        ----------
        length : int
            How many.
        start : ndarray of int64 of shape (batch,), optional
            From where; the default is behind what each row holds.

        Returns
        -------
        Window

        Raises
        ------
        ValueError
            If a row would become longer than the capacity.
        """
        start = (self.lengths if start is None else start).copy()
        end = int(start.max()) + length
        if end > self.capacity:
            raise ValueError(
                f"A row of a cache must have at most {self.capacity} positions. Got {end}."
            )
        if self.fixed:
            end = self.capacity
        device = self.keys.device
        first = torch.from_numpy(start).to(device)
        positions = first[:, None] + torch.arange(length, device=device)
        even = bool((start == start[0]).all())
        mask = None
        if length > 1 or not even or self.fixed:
            asking = positions[:1] if even and not self.fixed else positions
            mask = (torch.arange(end, device=device) <= asking[:, :, None])[:, None]
        return Window(start=start, length=length, end=end, positions=positions, mask=mask)

    def slot(self, layer: int, window: Window) -> Slot:
        """The keys and values of one layer.

        Parameters
        ----------
        layer : int
            Index into `keys`.
        window : Window

        Returns
        -------
        Slot
        """
        return Slot(self.keys[layer], self.values[layer], window)

    def head_slot(self, head: int, window: Window) -> Slot:
        """The keys and values of a prediction head's own layer.

        Parameters
        ----------
        head : int
            1 to n.
        window : Window

        Returns
        -------
        Slot
        """
        return self.slot(self.head_layer + head - 1, window)

    def keep_state(self, index: int, state: Tensor, window: Window) -> None:
        """Store states of the positions of a window.

        Parameters
        ----------
        index : int
            Index into `states`.
        state : Tensor of shape (batch, length, d_model)
        window : Window
        """
        _put(self.states[index][:, None], state[:, None], window)

    def keep_tokens(self, ids: Tensor, window: Window) -> None:
        """Store the tokens of the positions of a window.

        Parameters
        ----------
        ids : Tensor of int64 of shape (batch, length)
        window : Window
        """
        self.tokens.scatter_(1, window.positions, ids)

    def read_state(self, index: int, positions: Tensor) -> Tensor:
        """Stored states.

        Parameters
        ----------
        index : int
            Index into `states`.
        positions : Tensor of int64 of shape (batch, length)

        Returns
        -------
        Tensor of shape (batch, length, d_model)
        """
        rows = torch.arange(self.batch, device=positions.device)[:, None]
        return self.states[index][rows, positions]

    def advance(self, counts: int | Sequence[int] | NDArray[np.int64]) -> None:
        """Keep positions that a forward pass wrote behind each row.

        Parameters
        ----------
        counts : int or array-like of int of shape (batch,)
            How many of them.

        Raises
        ------
        ValueError
            If a count is negative or leads beyond the capacity.
        """
        self._set_lengths(self.lengths + self._counts(counts))

    def rollback(self, counts: int | Sequence[int] | NDArray[np.int64]) -> None:
        """Forget the last positions of each row.

        Parameters
        ----------
        counts : int or array-like of int of shape (batch,)
            How many of them.

        Raises
        ------
        ValueError
            If a count is negative or larger than the row's length.
        """
        self._set_lengths(self.lengths - self._counts(counts))

    def _counts(self, counts: int | Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        array = np.broadcast_to(np.asarray(counts, dtype=np.int64), (self.batch,))
        if (array < 0).any():
            raise ValueError(f"A count of positions must be at least 0. Got {array.min()}.")
        return array

    def _set_lengths(self, lengths: NDArray[np.int64]) -> None:
        if (lengths < 0).any() or (lengths > self.capacity).any():
            raise ValueError(
                f"The length of a row of a cache must be 0 to {self.capacity}. "
                f"Got {lengths[(lengths < 0) | (lengths > self.capacity)][0]}."
            )
        self.lengths = lengths
        self.ready = np.minimum(self.ready, lengths - self._lag).clip(0)

    def select(self, rows: Sequence[int]) -> "KVCache":
        """A copy of some rows.

        Parameters
        ----------
        rows : sequence of int
            Which, in the order of the copy.

        Returns
        -------
        KVCache
        """
        chosen = copy(self)
        index = torch.tensor(list(rows), dtype=torch.int64, device=self.keys.device)
        chosen.batch = len(index)
        chosen.keys, chosen.values = self.keys[:, index], self.values[:, index]
        chosen.states, chosen.tokens = self.states[:, index], self.tokens[index]
        chosen.lengths, chosen.ready = self.lengths[list(rows)], self.ready[:, list(rows)]
        return chosen

    def mark_ready(self, head: int) -> None:
        """Say that a head's own layer has seen all positions of all rows.

        Parameters
        ----------
        head : int
            1 to n.
        """
        self.ready[head - 1] = (self.lengths - self._lag[head - 1]).clip(0)

    def pending(self, head: int) -> Window:
        """The last positions of each row, from the first that a head's own layer has not seen.

        Parameters
        ----------
        head : int
            1 to n.

        Returns
        -------
        Window
            It may begin before that position in some rows, and end behind short ones.
        """
        missing = max(1, int((self.lengths - self.ready[head - 1]).max()))
        return self.window(missing, start=(self.lengths - missing).clip(0))
