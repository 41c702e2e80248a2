"""How to continue a text: the options of a decoding, checked once."""

import math
import numbers
from dataclasses import dataclass

import numpy as np

__all__ = ["DRAFTS", "LOSSLESS", "STRATEGIES", "Options"]

STRATEGIES = ("speculative", "autoregressive")
DRAFTS = ("heads", "lookup", "hybrid", "none")
LOSSLESS = ("standard", "strict")
#: Widest draft that ``n_draft="auto"`` takes from prompt lookup.
LOOKUP_DRAFT = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to continue a text.

    Attributes
    ----------
    max_new_tokens : int
        Most tokens added to each text.
    strategy : {"speculative", "autoregressive"}
        Draft and verify several tokens a forward, or one token a forward.
    temperature : float
        0 takes the most likely token; else logits are divided by it and tokens are drawn.
    top_k : int or None
        Draw among so many most likely tokens.
    top_p : float
        Draw among the fewest most likely tokens whose probabilities sum to at least this.
    draft : {"heads", "lookup", "hybrid", "none"}
        Where drafts come from: the model's heads, the latest earlier occurrence of the last tokens
        in the text itself, or whichever of the two promises more.
    n_draft : int or "auto"
        Most tokens drafted at once. ``"auto"`` adapts the length to what was accepted of late.
    stop : tuple of bytes
        Texts that end a continuation; they are not part of it.
    end_tokens : frozenset of int
        Tokens that end a continuation; they have no text.
    lossless : {"standard", "strict"}
        ``"standard"``: equal to plain decoding up to rounding, which differs with the shape of a
        forward. ``"strict"``: equal bit for bit, see `zoo_multitoken.decoding.strict`.
    seed : int
        Fixes every draw. Each row has its own stream, whatever the other rows do.

    Raises
    ------
    ValueError
        An option has a value that it cannot have.
    """

    max_new_tokens: int
    strategy: str = "speculative"
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0
    draft: str = "hybrid"
    n_draft: int | str = "auto"
    stop: tuple[bytes, ...] = ()
    end_tokens: frozenset[int] = frozenset()
    lossless: str = "standard"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("strategy", STRATEGIES), ("draft", DRAFTS), ("lossless", LOSSLESS)):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"The parameter {name!r} of a generation must be one of "
                    f"{', '.join(map(repr, allowed))}. Got {getattr(self, name)!r}."
                )
        _check_integer("max_new_tokens", self.max_new_tokens, least=0)
        _check_integer("seed", self.seed, least=0)
        if self.top_k is not None:
            _check_integer("top_k", self.top_k, least=1)
        if self.n_draft != "auto":
            _check_integer("n_draft", self.n_draft, least=0, also='"auto" or ')
        if not _is_number(self.temperature) or not 0 <= self.temperature < math.inf:
            raise ValueError(
                "The parameter 'temperature' of a generation must be a finite number of at least "
                f"0. Got {self.temperature!r}."
            )
        if not _is_number(self.top_p) or not 0 < self.top_p <= 1:
            raise ValueError(
                "The parameter 'top_p' of a generation must be a number above 0 and at most 1. "
                f"Got {self.top_p!r}."
            )
        if not all(isinstance(stop, bytes) and stop for stop in self.stop):
            raise ValueError(
                "The parameter 'stop' of a generation must hold texts of at least one byte. "
                f"Got {self.stop!r}."
            )

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is taken."""
        return self.temperature == 0

    @property
    def adaptive(self) -> bool:
        """Whether the length of drafts follows what was accepted."""
        return self.n_draft == "auto"

    @property
    def strict(self) -> bool:
        """Whether forwards must agree bit for bit."""
        return self.lossless == "strict"

    def longest_draft(self, n_heads: int) -> int:
        """Bound the length of a draft.

        Parameters
        ----------
        n_heads : int
            Heads of the model, the next-token head among them.

        Returns
        -------
        int
            Most tokens that are ever drafted at once.
        """
        if self.draft == "none" or self.max_new_tokens < 2:
            return 0
        most = self.max_new_tokens - 1
        if self.draft == "heads":
            most = min(most, n_heads - 1)
        elif self.adaptive:
            most = min(most, max(n_heads - 1, LOOKUP_DRAFT))
        return most if isinstance(self.n_draft, str) else min(most, self.n_draft)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _check_integer(name: str, value: object, *, least: int, also: str = "") -> None:
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least:
        return
    raise ValueError(
        f"The parameter {name!r} of a generation must be {also}an integer of at least {least}. "
        f"Got {value!r}."
    )
