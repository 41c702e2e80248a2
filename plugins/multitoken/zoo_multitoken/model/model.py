"""The model: embedding, shared trunk, n heads, shared unembedding (arXiv 2404.19737, section 2)."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from zoo_multitoken.config import ModelConfig
from zoo_multitoken.model.attention import rotary_table
from zoo_multitoken.model.block import Block
from zoo_multitoken.model.cache import KVCache, Window
from zoo_multitoken.model.drafting import Draft
from zoo_multitoken.model.heads import Head, make_heads

__all__ = ["MultiTokenModel"]


class MultiTokenModel(nn.Module):
    """Decoder-only transformer with n prediction heads.

    Parameters
    ----------
    config : ModelConfig
    generator : torch.Generator, optional
        Draws the initial weights; without one they are drawn with seed 0. The global generator is
        left alone.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ModelConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self._make_modules()
        self.to_empty(device="cpu")
        self._initialise(generator or torch.Generator().manual_seed(0))
        if config.tied:
            self.unembedding.weight = self.embedding.weight
        self._set_positions(config.context)

    def _make_modules(self) -> None:
        config = self.config
        with torch.device("meta"):
            self.embedding = nn.Embedding(config.vocab_size, config.d_model)
            self.layers = nn.ModuleList(Block(config) for _ in range(config.trunk_layers))
            self.heads = make_heads(config)
            self.norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)
            self.unembedding = nn.Linear(config.d_model, config.vocab_size, bias=False)

    @classmethod
    def shapes(cls, config: ModelConfig) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters by name, a tied one once; no memory is taken for them.

        Parameters
        ----------
        config : ModelConfig

        Returns
        -------
        dict of str to tuple of int
        """
        model = cls.__new__(cls)
        nn.Module.__init__(model)
        model.config = config
        model._make_modules()
        found = {name: tuple(value.shape) for name, value in model.named_parameters()}
        if config.tied:
            del found["unembedding.weight"]
        return found

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        """Normal weights of deviation 0.02, and zero where a residual branch ends."""
        for name, parameter in self.named_parameters():
            if name.endswith(("attention.out.weight", "unit.down.weight", "change.weight")):
                parameter.zero_()
            elif parameter.ndim == 1:
                parameter.fill_(1.0)
            else:
                parameter.normal_(0.0, 0.02, generator=generator)

    def _set_positions(self, count: int) -> None:
        cos, sin = rotary_table(count, self.config.head_width, self.config.rope_theta)
        device = self.embedding.weight.device
        self.register_buffer("cos", cos.to(device), persistent=False)
        self.register_buffer("sin", sin.to(device), persistent=False)

    @property
    def n_parameters(self) -> int:
        """Number of parameters, a tied matrix counted once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def head(self, index: int) -> Head:
        """One of the heads.

        Parameters
        ----------
        index : int
            1 to n.

        Returns
        -------
        Head
        """
        return cast(Head, self.heads[index - 1])

    def head_order(self) -> tuple[int, ...]:
        """Heads 1 to n in an order in which parents come first."""
        count = self.config.n_heads
        return tuple(
            range(count, 0, -1) if self.config.head == "anticausal" else range(1, count + 1)
        )

    def rotary(self, length: int, positions: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Cosines and sines of positions.

        Parameters
        ----------
        length : int
            How many, from 0, where no positions are given.
        positions : Tensor of int64 of shape (batch, length), optional

        Returns
        -------
        cos, sin : Tensor of shape (length, head_width) or (batch, 1, length, head_width)

        Raises
        ------
        ValueError
            If there are more than ``config.context``, and no positions are given.
        """
        if positions is None:
            if length > len(self.cos):
                raise ValueError(
                    f"A text without a cache must have at most {len(self.cos)} tokens. "
                    f"Got {length}."
                )
            return self.cos[:length], self.sin[:length]
        return self.cos[positions][:, None], self.sin[positions][:, None]

    def trunk(
        self, ids: Tensor, *, cache: KVCache | None = None, window: Window | None = None
    ) -> Tensor:
        """States that all heads read.

        Parameters
        ----------
        ids : Tensor of int64 of shape (batch, length)
            Tokens.
        cache : KVCache, optional
            What came before; keys and values of ``ids`` are written to it.
        window : Window, optional
            ``cache.window(length)``, where it is there already.

        Returns
        -------
        Tensor of shape (batch, length, d_model)
        """
        length = ids.shape[1]
        if cache is not None and window is None:
            window = cache.window(length)
        rotary = self.rotary(length, None if window is None else window.positions)
        x = self.embedding(ids)
        for index, layer in enumerate(self.layers):
            x = layer(
                x, rotary, None if cache is None or window is None else cache.slot(index, window)
            )
        return x

    def unembed(self, state: Tensor) -> Tensor:
        """Logits of a head's state.

        Parameters
        ----------
        state : Tensor of shape (..., d_model)

        Returns
        -------
        Tensor of shape (..., vocab_size)
        """
        return self.unembedding(self.norm(state))

    def head_states(
        self, trunk: Tensor, ids: Tensor, *, heads: Sequence[int] | None = None
    ) -> dict[int, Tensor]:
        """States of heads at all positions of whole texts.

        Parameters
        ----------
        trunk : Tensor of shape (batch, length, d_model)
            States of the trunk at ``ids[:, :length]``.
        ids : Tensor of int64 of shape (batch, at least length + n_heads - 1)
            The tokens with those that follow, which only heads that read tokens need.
        heads : sequence of int, optional
            Which; those they build on are computed too. The default is all.

        Returns
        -------
        dict of int to Tensor of shape (batch, length, d_model)
        """
        wanted = set(range(1, self.config.n_heads + 1) if heads is None else heads)
        for index in reversed(self.head_order()):
            if index in wanted and self.head(index).parent:
                wanted.add(self.head(index).parent)
        states = {0: trunk}
        for index in self.head_order():
            if index in wanted:
                states[index] = self.head_state(index, states[self.head(index).parent], ids)
        del states[0]
        return states

    def head_state(self, index: int, parent: Tensor, ids: Tensor) -> Tensor:
        """State of one head at all positions of whole texts.

        Parameters
        ----------
        index : int
            1 to n.
        parent : Tensor of shape (batch, length, d_model)
            State of the head's parent.
        ids : Tensor of int64 of shape (batch, at least length + index - 1)
            The tokens with those that follow.

        Returns
        -------
        Tensor of shape (batch, length, d_model)
        """
        head, length = self.head(index), parent.shape[1]
        following = None
        if head.reads_tokens:
            following = self.embedding(ids[:, index - 1 : index - 1 + length])
        return head(parent, following, self.rotary(length))

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of all heads.

        Parameters
        ----------
        ids : Tensor of int64 of shape (batch, length), or (batch, length + n_heads - 1)
            Tokens; heads that read tokens need the longer form.

        Returns
        -------
        Tensor of shape (batch, length, n_heads, vocab_size)
            Entry ``[:, t, i - 1]`` is about token ``t + i``.
        """
        extra = self.config.n_heads - 1 if self.config.drafts_read_tokens else 0
        trunk = self.trunk(ids[:, : ids.shape[1] - extra])
        states = self.head_states(trunk, ids)
        return self.unembed(torch.stack([states[i + 1] for i in range(len(states))], dim=2))

    def new_cache(
        self,
        batch: int,
        capacity: int,
        *,
        dtype: torch.dtype | None = None,
        fixed: bool = False,
    ) -> KVCache:
        """An empty cache on the model's device.

        Parameters
        ----------
        batch : int
            Number of rows.
        capacity : int
            Positions per row; more than ``config.context`` is possible, beyond what was trained.
        dtype : torch.dtype, optional
            The default is that of the weights.
        fixed : bool, default=False
            See `KVCache`.

        Returns
        -------
        KVCache
        """
        if capacity > len(self.cos):
            self._set_positions(capacity)
        weight = self.embedding.weight
        return KVCache(
            self.config,
            batch=batch,
            capacity=capacity,
            dtype=dtype or weight.dtype,
            device=weight.device,
            fixed=fixed,
        )

    def step(self, ids: Tensor, cache: KVCache, *, at: Tensor | None = None) -> Tensor:
        """Read tokens behind what a cache holds.

        The cache's lengths stay: call ``cache.advance`` with how many of the tokens to keep.

        Parameters
        ----------
        ids : Tensor of int64 of shape (batch, length)
            Tokens; rows that are shorter are filled up with anything at their end.
        cache : KVCache
        at : Tensor of int64 of shape (batch, asked), optional
            Only give logits at these indices of each row.

        Returns
        -------
        Tensor of shape (batch, length or asked, vocab_size)
            Logits of the next token.
        """
        window = cache.window(ids.shape[1])
        cache.keep_tokens(ids, window)
        state = self.trunk(ids, cache=cache, window=window)
        rotary = self.rotary(ids.shape[1], window.positions)
        if self.config.head == "anticausal":
            for index in self.head_order():
                state = self.head(index)(state, None, rotary, cache.head_slot(index, window))
                cache.keep_state(index - 1, state, window)
        else:
            cache.keep_state(0, state, window)
            slot = cache.head_slot(1, window) if self.head(1).has_attention else None
            state = self.head(1)(state, None, rotary, slot)
        if at is not None:
            state = state.gather(1, at[:, :, None].expand(-1, -1, state.shape[-1]))
        return self.unembed(state)

    def draft(self, cache: KVCache) -> Draft:
        """Begin to draft behind the last position that each row of a cache holds.

        Parameters
        ----------
        cache : KVCache
            Every row holds at least one position.

        Returns
        -------
        Draft
        """
        return Draft(self, cache)
