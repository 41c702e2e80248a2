"""Grouped-query attention with rotary positions (arXiv 2305.13245, 2104.09864)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_multitoken.config import ModelConfig
from zoo_multitoken.model.cache import Slot

__all__ = ["Attention", "rotary_table", "rotate"]


def rotary_table(length: int, width: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary positions.

    Parameters
    ----------
    length : int
        Number of positions.
    width : int
        Width of an attention head.
    theta : float
        Base of the wave lengths.

    Returns
    -------
    cos, sin : Tensor of shape (length, width)
        The second half of the columns repeats the first, as `rotate` wants them.
    """
    exponents = torch.arange(0, width, 2, dtype=torch.float64) / width
    angles = torch.outer(torch.arange(length, dtype=torch.float64), theta**-exponents)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos().float(), angles.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn pairs of coordinates by their position's angles.

    Parameters
    ----------
    x : Tensor of shape (batch, heads, length, width)
        Queries or keys; coordinate j is paired with j + width / 2.
    cos, sin : Tensor that broadcasts with (batch, heads, length, width)
        Of `rotary_table`.

    Returns
    -------
    Tensor of shape (batch, heads, length, width)
    """
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], dim=-1) * sin


class Attention(nn.Module):
    """Causal self-attention of one layer.

    Parameters
    ----------
    config : ModelConfig
        Its ``d_model``, ``attention_heads`` and ``kv_heads``.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads = config.attention_heads, config.kv_heads
        self.width = config.head_width
        self.qkv = nn.Linear(
            config.d_model, (self.heads + 2 * self.kv_heads) * self.width, bias=False
        )
        self.out = nn.Linear(config.d_model, config.d_model, bias=False)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        slot: Slot | None = None,
        *,
        last: Tensor | None = None,
    ) -> Tensor:
        """Mix what earlier positions hold into each position.

        Parameters
        ----------
        x : Tensor of shape (batch, length, d_model)
            Normalised states.
        rotary : pair of Tensor of shape (length, width) or (batch, 1, length, width)
            Cosines and sines at the positions.
        slot : Slot, optional
            Where to write keys and values and to read those of earlier positions.
        last : Tensor of int64 of shape (batch, 1), optional
            With a slot: the one index of each row that asks; all of them still write.

        Returns
        -------
        Tensor of shape (batch, length, d_model), or (batch, 1, d_model) with ``last``
        """
        batch, length, _ = x.shape
        qkv = self.qkv(x).view(batch, length, self.heads + 2 * self.kv_heads, self.width)
        query, key, value = qkv.transpose(1, 2).split(
            [self.heads, self.kv_heads, self.kv_heads], dim=1
        )
        cos, sin = rotary[0].to(query.dtype), rotary[1].to(query.dtype)
        query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        mask = None
        if slot is not None:
            key, value = slot.write(key, value)
            mask = slot.mask
            if last is not None:
                index = last[:, None, :, None]
                query = query.gather(2, index.expand(-1, self.heads, -1, self.width))
                mask = slot.mask_of(last)
        mixed = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            is_causal=slot is None and length > 1,
            enable_gqa=self.heads != self.kv_heads,
        )
        return self.out(mixed.transpose(1, 2).flatten(2))
