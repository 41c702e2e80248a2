"""Logits of heads 2 to n at the end of what a cache holds, head by head."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo_multitoken.model.cache import KVCache

if TYPE_CHECKING:
    from zoo_multitoken.model.model import MultiTokenModel

__all__ = ["Draft"]


class Draft:
    """Drafts of one step of decoding.

    Heads are asked in turn by `step`. Heads with attention that were left out in earlier steps
    first catch up with the positions they missed.

    Parameters
    ----------
    model : MultiTokenModel
    cache : KVCache
        Every row holds at least one position.

    Raises
    ------
    ValueError
        If a row is empty.
    """

    def __init__(self, model: "MultiTokenModel", cache: KVCache) -> None:
        if cache.lengths.min() < 1:
            raise ValueError("Every row of a cache must hold a position to draft from. Got none.")
        self.model, self.cache = model, cache
        self.head = 1
        self._last = torch.from_numpy(cache.lengths - 1).to(cache.keys.device)[:, None]
        self._state = cache.read_state(0, self._last)

    def step(self, tokens: Tensor | None = None) -> Tensor:
        """Logits of the next head: 2 at the first call, then 3, up to n.

        Parameters
        ----------
        tokens : Tensor of int64 of shape (batch,), optional
            The tokens chosen for the place that the head before stands for; at the first call,
            the next tokens. Heads that read no tokens do without.

        Returns
        -------
        Tensor of shape (batch, vocab_size)

        Raises
        ------
        ValueError
            If there is no further head, or it needs tokens and got none.
        """
        config = self.model.config
        if self.head == config.n_heads:
            raise ValueError(f"A model of {config.n_heads} heads drafts no further token.")
        if config.drafts_read_tokens and tokens is None:
            raise ValueError(f"Heads of kind {config.head!r} need the tokens chosen so far.")
        self.head += 1
        return self.model.unembed(self._next_state(tokens))[:, 0]

    def all(self, count: int) -> Tensor:
        """Logits of several heads that read no tokens, unembedded at once.

        Parameters
        ----------
        count : int
            How many heads, from 2 on.

        Returns
        -------
        Tensor of shape (batch, count, vocab_size)

        Raises
        ------
        ValueError
            If the heads read tokens, or are fewer.
        """
        config = self.model.config
        if config.drafts_read_tokens:
            raise ValueError(f"Heads of kind {config.head!r} need the tokens chosen so far.")
        if not 0 <= count <= config.n_heads - self.head:
            raise ValueError(
                f"A model of {config.n_heads} heads drafts at most {config.n_heads - self.head} "
                f"tokens here. Got {count}."
            )
        states = []
        for _ in range(count):
            self.head += 1
            states.append(self._next_state(None))
        if not states:
            return self._state.new_zeros((self.cache.batch, 0, config.vocab_size))
        return self.model.unembed(torch.cat(states, dim=1))

    def _next_state(self, tokens: Tensor | None) -> Tensor:
        """State of head `head` at the last position of each row, (batch, 1, d_model)."""
        cache, head = self.cache, self.model.head(self.head)
        match self.model.config.head:
            case "linear":
                return head(self._state, None, None)
            case "anticausal":
                return cache.read_state(self.head - 1, self._last)
            case "causal":
                assert tokens is not None
                self._state = head(self._state, self.model.embedding(tokens[:, None]), None)
                return self._state
            case "parallel":
                return self._catch_up(None)
        assert tokens is not None
        return self._catch_up(tokens)

    def _catch_up(self, tokens: Tensor | None) -> Tensor:
        """Run a head with attention over the positions it has not seen, (batch, 1, d_model)."""
        cache, model, index = self.cache, self.model, self.head
        window = cache.pending(index)
        rotary = model.rotary(window.length, window.positions)
        slot = cache.head_slot(index, window)
        last = self._last - window.positions[:, :1]
        head = model.head(index)
        if tokens is None:
            state = head(cache.read_state(0, window.positions), None, rotary, slot, last=last)
        else:
            cache.tokens.scatter_(1, self._last + index - 1, tokens[:, None])
            following = model.embedding(cache.tokens.gather(1, window.positions + index - 1))
            before = cache.read_state(index - 2, window.positions)
            all_states = head(before, following, rotary, slot)
            cache.keep_state(index - 1, all_states, window)
            state = all_states.gather(1, last[:, :, None].expand(-1, -1, all_states.shape[-1]))
        cache.mark_ready(index)
        return state
