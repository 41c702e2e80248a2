"""A network small enough to enumerate: what the loop is tested and explained on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zoo_multitoken.decoding.backend import Backend, Forward, Heads, Plan

__all__ = ["TableBackend"]


class TableBackend(Backend):
    """A Markov chain of second order with draft heads, as tables of logits.

    It keeps the tokens themselves as its cache, and refuses what a real cache would get wrong:
    more positions than promised, other widths in strict mode, keeping more than was fed.

    Parameters
    ----------
    table : ndarray of shape (vocab, vocab, vocab)
        Logits of the next token, by the last token but one (token 0 before a text begins) and the
        last.
    heads : ndarray of shape (n_heads - 1, vocab, vocab, vocab)
        Logits of each draft head, by the two tokens it sees.
    sequential : bool, default=False
        Whether a head sees the tokens chosen by the heads before it, or, like all the others, the
        two tokens at the accepted position.
    context : int, default=4096
        Most positions.

    Attributes
    ----------
    forwards : int
        Blocks fed.
    """

    def __init__(
        self,
        table: NDArray,
        heads: NDArray,
        *,
        sequential: bool = False,
        context: int = 4096,
    ) -> None:
        self.vocab_size, self.n_heads, self.context = len(table), len(heads) + 1, context
        self.forwards = 0
        self._table, self._tables, self._sequential = table, heads, sequential
        self._plan = Plan(capacity=0, block=0, heads=False)
        self._texts = np.zeros((0, 0), dtype=np.int64)
        self._kept = np.zeros(0, dtype=np.int64)
        self._fed = np.zeros(0, dtype=np.int64)

    def prefill(self, prompts: Sequence[NDArray[np.int64]], plan: Plan) -> Forward:
        """Read the prompts."""
        self._plan = plan
        # One column in front, so that every token has one before it.
        self._texts = np.zeros((len(prompts), 1 + plan.capacity + plan.block), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            self._texts[row, 1 : 1 + len(prompt)] = prompt
        self._kept = np.array([len(prompt) for prompt in prompts], dtype=np.int64)
        self._fed = np.zeros(len(prompts), dtype=np.int64)
        return self._forward(self._kept - 1, 1)

    def step(self, tokens: NDArray[np.int64], lengths: Sequence[int]) -> Forward:
        """Feed a block."""
        rows, width = tokens.shape
        if rows != len(self._kept) or width > self._plan.block:
            raise AssertionError(f"A block of {tokens.shape} for {len(self._kept)} rows.")
        if self._plan.strict and width != self._plan.block:
            raise AssertionError(f"A strict block of width {width}, not {self._plan.block}.")
        self.forwards += 1
        self._fed = np.array(lengths, dtype=np.int64)
        places = 1 + self._kept[:, None] + np.arange(width)
        np.put_along_axis(self._texts, places, tokens, 1)
        return self._forward(self._kept, width)

    def keep(self, counts: Sequence[int]) -> None:
        """Keep positions."""
        kept = np.array(counts, dtype=np.int64)
        if (kept > self._fed).any() or (self._kept + kept > self._plan.capacity).any():
            raise AssertionError(f"Keeping {kept} of {self._fed} behind {self._kept}.")
        self._kept = self._kept + kept
        self._fed = np.zeros_like(kept)

    def select(self, rows: Sequence[int]) -> None:
        """Drop rows."""
        chosen = list(rows)
        self._texts, self._kept, self._fed = (
            self._texts[chosen],
            self._kept[chosen],
            self._fed[chosen],
        )

    def _forward(self, start: NDArray[np.int64], width: int) -> Forward:
        places = 1 + start[:, None] + np.arange(width)
        before = np.take_along_axis(self._texts, places - 1, 1)
        last = np.take_along_axis(self._texts, places, 1)
        tables = self._tables if self._plan.heads else self._tables[:0]
        return _TableForward(self._table, tables, before, last, sequential=self._sequential)


class _TableForward(Forward):
    def __init__(
        self, table: NDArray, heads: NDArray, before: NDArray, last: NDArray, *, sequential: bool
    ) -> None:
        self._table, self._heads = table, heads
        self._before, self._last, self._sequential = before, last, sequential

    def logits(self) -> NDArray:
        return self._table[self._before, self._last]

    def heads(self, at: Sequence[int]) -> Heads:
        every = np.arange(len(self._last))
        before, last = self._before[every, list(at)], self._last[every, list(at)]
        return _TableHeads(self._heads, before, last, sequential=self._sequential)


class _TableHeads(Heads):
    def __init__(
        self, tables: NDArray, before: NDArray, last: NDArray, *, sequential: bool
    ) -> None:
        self._tables, self._place = tables, 0
        self._before, self._last, self._sequential = before, last, sequential

    def logits(self, tokens: NDArray[np.int64]) -> NDArray:
        if self._sequential:
            self._before, self._last = self._last, tokens
        table = self._tables[self._place]
        self._place += 1
        return table[self._before, self._last]
