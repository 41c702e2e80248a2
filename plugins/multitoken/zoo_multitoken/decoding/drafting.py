"""Choosing what to verify next: drafts of the heads, of prompt lookup, or of the better of both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo_multitoken.decoding.acceptance import Acceptance
from zoo_multitoken.decoding.backend import Forward
from zoo_multitoken.decoding.lookup import Lookup
from zoo_multitoken.decoding.options import Options
from zoo_multitoken.decoding.rows import Row
from zoo_multitoken.decoding.sampling import invert, probabilities
from zoo_multitoken.decoding.streams import Streams

__all__ = ["Draft", "Drafter", "Proposal"]

# Acceptance expected of a source before anything is known. Lookups are told apart by how many
# last tokens occurred before.
_HEADS = "heads"
_PRIORS = {_HEADS: 0.7, "lookup:3": 0.6, "lookup:5": 0.75, "lookup:8": 0.9}


@dataclass(slots=True)
class Draft:
    """Drafts of one row.

    Attributes
    ----------
    tokens : list of int
        What is to be verified behind the certain token.
    source : {"heads", "lookup", "none"}
        Where it comes from.
    kind : str
        The source as the row's estimates tell it apart.
    """

    tokens: list[int]
    source: str = "none"
    kind: str = ""


@dataclass(slots=True)
class Proposal:
    """Drafts of all rows.

    Attributes
    ----------
    drafts : list of Draft
        One for each row.
    weights : ndarray of shape (rows, longest, vocab) or None
        The distribution that each was drawn from, where heads were sampled.
    """

    drafts: list[Draft]
    weights: NDArray[np.float64] | None = None

    @property
    def longest(self) -> int:
        """Length of the longest draft."""
        return max((len(draft.tokens) for draft in self.drafts), default=0)


class _Memory:
    """What is known of one row's drafts."""

    def __init__(self, prompt: Sequence[int], options: Options, n_heads: int) -> None:
        longest = options.longest_draft(n_heads)
        lookup = options.draft in ("lookup", "hybrid") and longest > 0
        self.lookup = Lookup(prompt) if lookup else None
        self.seen = 0
        self._places = {_HEADS: min(longest, n_heads - 1)}
        self._longest = longest
        self._estimates: dict[str, Acceptance] = {}

    def fade(self) -> None:
        """Nothing was drafted."""
        for estimate in self._estimates.values():
            estimate.observe(0, 0)

    def estimate(self, kind: str) -> Acceptance:
        """What is known of one kind of draft."""
        if kind not in self._estimates:
            places = self._places.get(kind, self._longest)
            self._estimates[kind] = Acceptance(places, _PRIORS[kind])
        return self._estimates[kind]


class Drafter:
    """Proposes drafts, and learns from what becomes of them.

    Parameters
    ----------
    prompts : sequence of sequences of int
        The rows' prompts.
    options : Options
        Source and length of drafts.
    streams : Streams
        Where sampled drafts are drawn from.
    n_heads : int
        Heads of the model, the next-token head among them.
    draft_cost, token_cost : float
        See `Backend`.
    """

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        options: Options,
        streams: Streams,
        *,
        n_heads: int,
        draft_cost: float,
        token_cost: float,
    ) -> None:
        self._options = options
        self._streams = streams
        self._longest = options.longest_draft(n_heads)
        self._heads = min(self._longest, n_heads - 1) if options.draft != "lookup" else 0
        self._entry, self._cost = draft_cost, token_cost
        self._memories = [_Memory(prompt, options, n_heads) for prompt in prompts]

    def learn(self, place: int, draft: Draft, accepted: int) -> None:
        """Note what became of a row's draft.

        Parameters
        ----------
        place : int
            Which row.
        draft : Draft
            What was proposed.
        accepted : int
            How many tokens of it were accepted.
        """
        memory = self._memories[place]
        if draft.tokens:
            memory.estimate(draft.kind).observe(len(draft.tokens), accepted)
        else:
            memory.fade()

    def select(self, rows: Sequence[int]) -> None:
        """Drop all rows but these.

        Parameters
        ----------
        rows : sequence of int
            Indices of rows.
        """
        self._memories = [self._memories[row] for row in rows]

    def propose(self, forward: Forward, at: Sequence[int], rows: Sequence[Row]) -> Proposal:
        """Draft behind the last token of each row.

        Parameters
        ----------
        forward : Forward
            The last forward.
        at : sequence of int
            Each row's last accepted position in it.
        rows : sequence of Row
            The rows; those that ended get no draft.

        Returns
        -------
        Proposal
            What to verify.
        """
        planned = [
            self._plan(row, memory) for row, memory in zip(rows, self._memories, strict=True)
        ]
        drafts, wanted = [draft for draft, _ in planned], [number for _, number in planned]
        count = max(wanted, default=0)
        if not count:
            return Proposal(drafts)
        heads = forward.heads(at)
        certain = np.array([row.tokens[-1] for row in rows], dtype=np.int64)
        if self._options.greedy:
            for draft, number, tokens in zip(
                drafts, wanted, heads.best(certain, count).tolist(), strict=True
            ):
                if number:
                    draft.tokens = tokens[:number]
            return Proposal(drafts)
        uniform = self._streams.draw(wanted)
        weights: list[NDArray[np.float64]] = []
        for place in range(count):
            weights.append(probabilities(heads.logits(certain), self._options))
            certain = invert(weights[-1], uniform[:, place])
            for draft, number, token in zip(drafts, wanted, certain.tolist(), strict=True):
                if place < number:
                    draft.tokens.append(token)
        return Proposal(drafts, self._spread(drafts, weights))

    def _plan(self, row: Row, memory: _Memory) -> tuple[Draft, int]:
        """Look up a row's drafts, or say how many its heads shall give."""
        limit = min(self._longest, row.remaining - 1)
        if limit < 1:
            return Draft([]), 0
        found: list[int] = []
        kind, promise = "", 0.0
        if memory.lookup is not None:
            memory.lookup.extend(row.tokens[memory.seen :])
            memory.seen = len(row.tokens)
            found, matched = memory.lookup.find(limit)
            if found:
                kind = "lookup:8" if matched >= 8 else "lookup:5" if matched >= 5 else "lookup:3"
                length, promise = self._expect(memory, kind, len(found))
                found = found[:length]
        heads = min(self._heads, limit)
        if heads:
            length, rate = self._expect(memory, _HEADS, heads)
            if rate >= promise and length:
                return Draft([], _HEADS, _HEADS), length
        return (Draft(found, "lookup", kind), 0) if found else (Draft([]), 0)

    def _expect(self, memory: _Memory, kind: str, longest: int) -> tuple[int, float]:
        """Length and promise of a draft; a length that was given is kept to."""
        if self._options.adaptive:
            return memory.estimate(kind).expect(longest, self._cost, entry=self._entry)
        return longest, memory.estimate(kind).expect(longest, 0.0)[1]

    def _spread(
        self, drafts: Sequence[Draft], weights: Sequence[NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Stack what the drafts were drawn from; a looked-up token has all the weight."""
        longest = max(len(draft.tokens) for draft in drafts)
        rows, vocab = weights[0].shape
        spread = np.zeros((rows, longest, vocab))
        for place, distribution in enumerate(weights):
            spread[:, place] = distribution
        for row, draft in enumerate(drafts):
            if draft.source == "lookup":
                spread[row] = 0.0
                spread[row, np.arange(len(draft.tokens)), draft.tokens] = 1.0
        return spread
