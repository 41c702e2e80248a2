"""Masked attention over the embedding stack, as diffusers attention processors.

Section 3.3 of the paper (arXiv 2404.19427), for the UNet and the ControlNet alike. Each processor
knows its resolution level from where it is installed, so no size is guessed from the number of
pixels, and the masks of a call are made once, not in every layer of every step.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor

from zoo_instantfamily.stack import FamilyStack, Gains, Groups
from zoo_instantfamily.state import FamilyState, caching

__all__ = ["KINDS", "FamilyAttention", "RegionSelfAttention", "install", "levels_of"]

KINDS = ("stack", "decoupled", "faces", "text")
"""How the cross-attention of a network sees the identities.

``stack``: text and faces in one softmax, through the layer's own keys and values (the paper).
``decoupled``: an attention of its own with keys and values of its own, added to that of the text
(IP-Adapter). ``faces``: faces in place of the text, each in its region, and the null tokens
elsewhere (InstantID's IdentityNet); a strength only switches them on or off. ``text``: not at all.
"""

_GATHER_FROM = 2**18
"""Logits of one head that must be saved for the gathering and scattering to pay."""


def _heads(attn: Attention, tensor: Tensor) -> Tensor:
    return tensor.unflatten(-1, (attn.heads, -1)).transpose(-3, -2)


def _merge(tensor: Tensor) -> Tensor:
    return tensor.transpose(-3, -2).flatten(-2)


def _finish(attn: Attention, hidden: Tensor, residual: Tensor) -> Tensor:
    hidden = attn.to_out[1](attn.to_out[0](hidden))
    if attn.residual_connection:
        hidden = hidden + residual
    return hidden / attn.rescale_output_factor


def _check_layer(attn: Attention, name: str, hidden: Tensor, attention_mask: Tensor | None) -> None:
    odd = attn.group_norm is not None or attn.spatial_norm is not None or attn.norm_cross
    if odd or hidden.ndim != 3:
        raise ValueError(
            f"The attention layer {name!r} must be that of a transformer block, without "
            "normalisations of its own; this one cannot be masked by region."
        )
    if attention_mask is not None:
        raise ValueError(
            f"The attention layer {name!r} got an attention_mask; with identities it must be None."
        )


def _parts(stack: FamilyStack, hidden: Tensor, name: str) -> int:
    parts, rest = divmod(hidden.shape[0], stack.batch)
    if rest or parts not in (1, 2):
        raise ValueError(
            f"The batch of the attention layer {name!r} must be {stack.batch} or, with guidance, "
            f"{2 * stack.batch}. Got {hidden.shape[0]}."
        )
    return parts


def _repeat(tensor: Tensor, parts: int) -> Tensor:
    """The same for both halves of guidance; a batch of one broadcasts by itself."""
    return tensor if parts == 1 or tensor.shape[0] == 1 else torch.cat([tensor] * parts)


def _check_pixels(stack: FamilyStack, level: int, hidden: Tensor, name: str) -> None:
    height, width = stack.masks[level].shape[-2:]
    if hidden.shape[1] != height * width:
        raise ValueError(
            f"The masks of level {level} must have as many pixels as the attention layer {name!r}, "
            f"{hidden.shape[1]}. Got {height} x {width}."
        )


class RegionSelfAttention:
    """Self-attention that may keep regions apart.

    Parameters
    ----------
    name : str
        The layer, for messages.
    level : int
        Its resolution level.
    state : FamilyState
        Shared by the processors of a pipeline.
    """

    def __init__(self, name: str, level: int, state: FamilyState) -> None:
        self.name = name
        self.level = level
        self.state = state
        self.plain = AttnProcessor2_0()

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Compute one layer; see `diffusers.models.attention_processor.AttnProcessor2_0`."""
        stack = self.state.stack
        if stack is None or not self.state.isolated or encoder_hidden_states is not None:
            return self.plain(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        _check_layer(attn, self.name, hidden_states, attention_mask)
        _check_pixels(stack, self.level, hidden_states, self.name)
        parts = _parts(stack, hidden_states, self.name)
        allowed = self.state.once(
            ("isolation", self.level, parts), lambda: _repeat(stack.isolation(self.level), parts)
        )
        query, key, value = (
            _heads(attn, project(hidden_states)) for project in (attn.to_q, attn.to_k, attn.to_v)
        )
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        return _finish(attn, _merge(out), hidden_states)


class FamilyAttention:
    """Cross-attention over text and identities.

    Parameters
    ----------
    name : str
        The layer, unique among all networks that share the state.
    level : int
        Its resolution level: 0 is the finest.
    kind : {"stack", "decoupled", "faces"}
        One of `KINDS`.
    state : FamilyState
        Shared by the processors of a pipeline.
    """

    def __init__(self, name: str, level: int, kind: str, state: FamilyState) -> None:
        self.name = name
        self.level = level
        self.kind = kind
        self.state = state
        self.plain = AttnProcessor2_0()

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Compute one layer; see `diffusers.models.attention_processor.AttnProcessor2_0`."""
        stack = self.state.stack
        if stack is None or encoder_hidden_states is None:
            return self.plain(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        _check_layer(attn, self.name, hidden_states, attention_mask)
        _check_pixels(stack, self.level, hidden_states, self.name)
        self.state.settle()
        query = _heads(attn, attn.to_q(hidden_states))
        compute = self._decoupled if self.kind == "decoupled" else self._stacked
        out = compute(attn, stack, query, encoder_hidden_states)
        return _finish(attn, out, hidden_states)

    def _stacked(self, attn: Attention, stack: FamilyStack, query: Tensor, text: Tensor) -> Tensor:
        parts = _parts(stack, query, self.name)
        exclusive = self.kind == "faces"
        if exclusive:
            text = self._once("null", parts, lambda: _nulls(stack, parts))
        context = self._once("context", parts, lambda: stack.context(parts=parts))
        length = text.shape[1]
        gains = _switches(self.state.gains) if exclusive else self.state.gains

        def project(arrange: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
            return self.state.project(
                f"{self.name} {arrange.__name__}",
                (attn.to_k, attn.to_v),
                (text, context),
                lambda: _project(attn, text, context, arrange),
            )

        def factors() -> tuple[Tensor, ...]:
            found = stack.factors(self.level, gains, text=length, exclusive=exclusive)
            return tuple(_repeat(part.to(query.dtype), parts) for part in found)

        def bias() -> Tensor:
            found = stack.bias(self.level, gains, text=length, exclusive=exclusive)
            return _repeat(found.to(query.dtype), parts)

        if stack.variant == "literal":
            kept = self._once(("factors", length, exclusive, gains), parts, factors)
            return _merge(_literal(query, *project(_in_a_row), *kept))
        groups = None if exclusive else self._groups(stack, parts)
        size = {"pixels": query.shape[2], "text": length, "length": stack.length}
        if groups is not None and groups.plain and groups.saving(**size) >= _GATHER_FROM:
            return _by_region(query, *project(_beside), groups, length)
        mask = self._once(("bias", length, exclusive, gains, query.dtype), parts, bias)
        return _merge(F.scaled_dot_product_attention(query, *project(_in_a_row), attn_mask=mask))

    def _decoupled(
        self, attn: Attention, stack: FamilyStack, query: Tensor, text: Tensor
    ) -> Tensor:
        parts = _parts(stack, query, self.name)
        key, value = self.state.project(
            self.name,
            (attn.to_k, attn.to_v),
            (text,),
            lambda: (_heads(attn, attn.to_k(text)), _heads(attn, attn.to_v(text))),
        )
        out = _merge(F.scaled_dot_product_attention(query, key, value))
        groups = self._groups(stack, parts)
        if groups is None:
            return out
        own_key, own_value = (
            _heads(attn, part if parts == 2 else part[-stack.batch :])
            for part in self.state.keys_values[self.name]
        )
        found = _each(_gather(query, groups.index), own_key, own_value)
        return out + _scatter(found, groups.index, groups.weight, query.shape[2])

    def _groups(self, stack: FamilyStack, parts: int) -> Groups | None:
        if not caching() and self.kind != "decoupled":
            return None
        gains = self.state.gains

        def make() -> Groups | None:
            found = stack.groups(self.level, gains)
            if found is None:
                return None
            index, weight, rest, rest_weight = (
                tensor.expand(stack.batch, *tensor.shape[1:]).repeat(
                    parts, *(1,) * (tensor.ndim - 1)
                )
                for tensor in (found.index, found.weight, found.rest, found.rest_weight)
            )
            return Groups(index, weight, rest, rest_weight, found.plain)

        return self._once(("groups", gains), parts, make)

    def _once(self, what: Any, parts: int, make: Callable[[], Any]) -> Any:
        level = None if what in ("null", "context") else self.level
        return self.state.once((what, level, parts), make)


def _switches(gains: Gains | None) -> Gains | None:
    """Strengths as on and off: where faces stand in place of the text there is no less of them."""
    return gains and tuple(tuple(float(gain > 0) for gain in row) for row in gains)


def _nulls(stack: FamilyStack, parts: int) -> Tensor:
    return torch.cat([stack.null[:, 0]] * parts)


def _project(
    attn: Attention, text: Tensor, context: Tensor, arrange: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    both = torch.cat([text, context.flatten(1, 2)], 1)
    key, value = (
        arrange(
            found[:, : text.shape[1]], found[:, text.shape[1] :].unflatten(1, context.shape[1:3])
        )
        for found in (attn.to_k(both), attn.to_v(both))
    )
    return _heads(attn, key).contiguous(), _heads(attn, value).contiguous()


def _in_a_row(text: Tensor, faces: Tensor) -> Tensor:
    """Text, then all identities: (batch, text + identities * tokens, channels)."""
    return torch.cat([text, faces.flatten(1, 2)], 1)


def _beside(text: Tensor, faces: Tensor) -> Tensor:
    """The text in front of every identity: (batch, identities, text + tokens, channels)."""
    return torch.cat([text[:, None].expand(-1, faces.shape[1], -1, -1), faces], 2)


def _literal(query: Tensor, key: Tensor, value: Tensor, factor: Tensor, bias: Tensor) -> Tensor:
    """Equation 6: softmax((M * Q K^T) / sqrt(d)) V."""
    logits = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    return (logits * factor + bias).softmax(-1) @ value


def _by_region(query: Tensor, key: Tensor, value: Tensor, groups: Groups, text: int) -> Tensor:
    """Equal to the attention with a mask where regions do not overlap, without its zeros."""
    found = _each(_gather(query, groups.index), key, value)
    out = _scatter(found, groups.index, groups.weight, query.shape[2])
    if groups.rest.shape[1] == 0:
        return out
    outside = _each(
        _gather(query, groups.rest[:, None]), key[:, :1, :, :text], value[:, :1, :, :text]
    )
    return out + _scatter(
        outside, groups.rest[:, None], groups.rest_weight[:, None], query.shape[2]
    )


def _each(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention for each identity alone, (batch, identities, tokens, channels)."""
    batch = query.shape[:2]
    query, key, value = (tensor.flatten(0, 1) for tensor in (query, key, value))
    return _merge(F.scaled_dot_product_attention(query, key, value)).unflatten(0, batch)


def _gather(query: Tensor, index: Tensor) -> Tensor:
    """(batch, heads, pixels, d) to (batch, identities, heads, longest region, d)."""
    heads, depth = query.shape[1], query.shape[3]
    places = index.flatten(1)[:, None, :, None].expand(-1, heads, -1, depth)
    return query.gather(2, places).unflatten(2, index.shape[1:]).transpose(1, 2)


def _scatter(found: Tensor, index: Tensor, weight: Tensor, pixels: int) -> Tensor:
    """Weigh (batch, identities, longest region, channels) and sum it into the pixels."""
    weight = weight[..., None].to(found.dtype)
    found = torch.where(weight > 0, found * weight, 0).flatten(1, 2)
    places = index.flatten(1)[..., None].expand(-1, -1, found.shape[-1])
    out = found.new_zeros(found.shape[0], pixels, found.shape[-1])
    return out.scatter_add(1, places, found)


def levels_of(network: Any) -> dict[str, int]:
    """Resolution level of every attention processor of a UNet or ControlNet.

    Parameters
    ----------
    network : UNet2DConditionModel or ControlNetModel
        The network.

    Returns
    -------
    dict of str to int
        By name of the processor, in the network's own order; level ``i`` is ``2 ** i`` times
        coarser than the latents.
    """
    last = len(network.config.block_out_channels) - 1
    levels = {}
    for name in network.attn_processors:
        block, _, rest = name.partition(".")
        number = rest.partition(".")[0]
        if block == "down_blocks":
            levels[name] = int(number)
        else:
            levels[name] = last if block == "mid_block" else last - int(number)
    return levels


def install(network: Any, state: FamilyState, *, kind: str, prefix: str = "") -> None:
    """Give every attention layer of a network a processor that knows regions.

    Layers that are neither the self-attention nor the cross-attention of a transformer block keep
    the processor they have. Installing again is safe.

    Parameters
    ----------
    network : UNet2DConditionModel or ControlNetModel
        The network.
    state : FamilyState
        What its processors share.
    kind : {"stack", "decoupled", "faces", "text"}
        One of `KINDS`.
    prefix : str, default=""
        Set before the layers' names, so that the layers of two networks differ.

    Raises
    ------
    ValueError
        The kind is none of these.
    """
    if kind not in KINDS:
        raise ValueError(f"The kind of attention must be one of {', '.join(KINDS)}. Got {kind!r}.")
    processors = dict(network.attn_processors)
    for name, level in levels_of(network).items():
        if name.endswith("attn1.processor"):
            processors[name] = RegionSelfAttention(prefix + name, level, state)
        elif name.endswith("attn2.processor"):
            processors[name] = (
                AttnProcessor2_0()
                if kind == "text"
                else FamilyAttention(prefix + name, level, kind, state)
            )
    network.set_attn_processor(processors)
