"""What a network gives to the decoding loop: one forward over a block of tokens per row.

Axes: ``rows`` are the texts being continued, ``block`` the tokens fed at once to each of them
(the last certain token, then drafts), ``vocab`` the vocabulary. Rows are ragged: each has its own
cached length and its own number of real tokens in a block.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Backend", "Forward", "Heads", "Plan", "count_matches"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a decoding will ask of its backend, known before the first forward.

    Attributes
    ----------
    capacity : int
        Most positions of a row that will be kept.
    block : int
        Widest block. A backend may write that many positions past the kept ones.
    heads : bool
        Whether drafts of the heads will be asked for.
    strict : bool
        Whether every forward after the prompt must compute with the same shapes: the block always
        has the width `block`, rows stay in place, and attention must reduce over a length that
        does not depend on how much is cached.
    drawn : bool
        Whether logits will be read; else only the most likely tokens.
    """

    capacity: int
    block: int
    heads: bool
    strict: bool = False
    drawn: bool = False


class Heads(ABC):
    """The draft heads at one position of each row, asked one after another."""

    @abstractmethod
    def logits(self, tokens: NDArray[np.int64]) -> NDArray:
        """Compute the logits of the next head.

        Parameters
        ----------
        tokens : ndarray of int64, shape (rows,)
            The token chosen for each row at the place before: first the certain token, then the
            draft of the head before. Heads that do not depend on each other ignore it.

        Returns
        -------
        ndarray of shape (rows, vocab)
            Unnormalised log-probabilities.
        """

    def best(self, tokens: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """Draft greedily.

        Parameters
        ----------
        tokens : ndarray of int64, shape (rows,)
            The certain token of each row.
        count : int
            How many drafts.

        Returns
        -------
        ndarray of int64, shape (rows, count)
            The most likely token of each head.
        """
        drafts = np.empty((len(tokens), count), dtype=np.int64)
        for head in range(count):
            tokens = self.logits(tokens).argmax(-1)
            drafts[:, head] = tokens
        return drafts


class Forward(ABC):
    """Results of one forward, computed or fetched when they are read: before the next forward."""

    @abstractmethod
    def logits(self) -> NDArray:
        """Read the next-token logits.

        Returns
        -------
        ndarray of shape (rows, block, vocab)
            Unnormalised log-probabilities of head 1 at every position of the block. After a prompt
            the block is its last token alone.
        """

    @abstractmethod
    def heads(self, at: Sequence[int]) -> Heads:
        """Open the draft heads. Called after `Backend.keep`, before the next forward.

        Parameters
        ----------
        at : sequence of int, length rows
            The last accepted position of each row's block.

        Returns
        -------
        Heads
            Heads 2, 3, ... at these positions.
        """

    def best(self) -> NDArray[np.int64]:
        """Read the most likely next tokens.

        Returns
        -------
        ndarray of int64, shape (rows, block)
            After every position of the block.
        """
        return self.logits().argmax(-1)

    def accept(self, drafts: Sequence[Sequence[int]]) -> list[list[int]]:
        """Apply the greedy rule: keep drafts as long as they are what head 1 says.

        Parameters
        ----------
        drafts : sequence of sequences of int
            The drafts of each row, without the certain token in front.

        Returns
        -------
        list of list of int
            The new tokens of each row: its accepted drafts and the one after them, which head 1
            gives. A backend whose graph applies the rule itself overrides this.
        """
        best = self.best().tolist()
        return [
            row[: count_matches(row, draft) + 1] for row, draft in zip(best, drafts, strict=True)
        ]


class Backend(ABC):
    """A network with a cache that can be rolled back.

    Attributes
    ----------
    n_heads : int
        Heads, the next-token head among them: ``n_heads - 1`` tokens can be drafted.
    vocab_size : int
        Tokens are ``0 ... vocab_size - 1``.
    context : int
        Most positions a row can have.
    draft_cost, token_cost : float
        What it costs to draft at all, and what each draft costs in addition, in forwards of a
        single token. They steer the adaptive length of drafts and change no greedy output.
    """

    n_heads: int
    vocab_size: int
    context: int
    draft_cost: float = 0.0
    token_cost: float = 0.12

    @abstractmethod
    def prefill(self, prompts: Sequence[NDArray[np.int64]], plan: Plan) -> Forward:
        """Forget what is cached and read the prompts, all of whose tokens are kept.

        Parameters
        ----------
        prompts : sequence of ndarray of int64, shape (length,)
            One of at least one token for each row.
        plan : Plan
            What will follow.

        Returns
        -------
        Forward
            Of the last token of each prompt.
        """

    @abstractmethod
    def step(self, tokens: NDArray[np.int64], lengths: Sequence[int]) -> Forward:
        """Feed a block after the kept positions of each row.

        Parameters
        ----------
        tokens : ndarray of int64, shape (rows, block)
            Tokens of row ``r`` are ``tokens[r, :lengths[r]]``; what follows is padding, whose
            results are not read.
        lengths : sequence of int, length rows
            0 for a row that is finished and waits for the others.

        Returns
        -------
        Forward
            Of the block. Nothing of it is kept before `keep` is called.
        """

    @abstractmethod
    def keep(self, counts: Sequence[int]) -> None:
        """Keep the first positions of the last block and roll the cache back behind them.

        Parameters
        ----------
        counts : sequence of int, length rows
            How many positions of each row.
        """

    @abstractmethod
    def select(self, rows: Sequence[int]) -> None:
        """Drop all rows but these, in this order.

        Parameters
        ----------
        rows : sequence of int
            Indices of rows, ascending.
        """


def count_matches(wanted: Sequence[int], drafts: Sequence[int]) -> int:
    """Count how many drafts agree before the first that does not.

    Parameters
    ----------
    wanted, drafts : sequence of int
        Compared place by place.

    Returns
    -------
    int
        At most ``len(drafts)``.
    """
    count = 0
    for want, draft in zip(wanted, drafts, strict=False):
        if want != draft:
            break
        count += 1
    return count
