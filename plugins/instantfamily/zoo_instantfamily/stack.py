"""The multimodal embedding stack [text | ID 1 ... ID N] of one image and who may look at it.

Section 3.2 of the paper (arXiv 2404.19427) appends the tokens of every face to those of the text;
section 3.3 masks the attention so that a pixel sees the text and the faces of its own region.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_instantfamily.samples import Gains, strengths_at

__all__ = ["VARIANTS", "FamilyStack", "Gains", "Groups"]

VARIANTS = ("masked", "literal", "none")


@dataclass(frozen=True, slots=True)
class Groups:
    """The pixels of each region, gathered: a layer then computes region by region, with no mask.

    Attributes
    ----------
    index : Tensor of shape (batch, identities, pixels)
        Positions of the pixels in the flattened level; the longest region sets the length.
    weight : Tensor of shape (batch, identities, pixels)
        Mask times strength there, 0 for the positions that only fill up.
    rest : Tensor of shape (batch, pixels)
        Positions outside all regions, filled up in the same way.
    rest_weight : Tensor of shape (batch, pixels)
        1 there, 0 for the positions that only fill up.
    plain : bool
        Whether no pixel lies in two regions and every weight is 0 or 1.
    """

    index: Tensor
    weight: Tensor
    rest: Tensor
    rest_weight: Tensor
    plain: bool

    def saving(self, *, pixels: int, text: int, length: int) -> float:
        """Logits that region by region does without.

        Parameters
        ----------
        pixels, text, length : int
            Number of pixels, of tokens of the text and of tokens of an identity.

        Returns
        -------
        float
            For one sample and head.
        """
        identities, longest = self.index.shape[1:]
        gathered = identities * longest * (text + length) + self.rest.shape[1] * text
        return pixels * (text + identities * length) - gathered


@dataclass(frozen=True, eq=False, slots=True)
class FamilyStack:
    """The identities of one call.

    Attributes
    ----------
    tokens : Tensor of shape (batch, identities, tokens, channels)
        The projected faces.
    null : Tensor of shape (batch, identities, tokens, channels)
        What the unconditional half of classifier-free guidance sees in their place.
    masks : sequence of Tensor of shape (batch or 1, identities, height, width)
        One for each resolution level of the networks, finest first, in [0, 1].
    strength : tuple of tuple of float, or None
        Factor on the attention weight of each identity, by sample; 0 switches it off and ``None``
        stands for 1 everywhere.
    window : tuple of tuple of (float, float), or None
        Fractions of the steps between which each identity acts, by sample; ``None`` is always.
    variant : {"masked", "literal", "none"}
        ``masked``: a logit outside its region is minus infinity. ``literal``: it is multiplied by
        zero, equation 6 as it is written, and keeps the weight exp(0). ``none``: no mask.
    """

    tokens: Tensor
    null: Tensor
    masks: Sequence[Tensor]
    strength: Gains | None = None
    window: tuple[tuple[tuple[float, float], ...], ...] | None = None
    variant: str = "masked"

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise ValueError(
                f"The variant of a FamilyStack must be one of {', '.join(VARIANTS)}. "
                f"Got {self.variant!r}."
            )
        if self.tokens.ndim != 4 or self.null.shape != self.tokens.shape:
            raise ValueError(
                "The tokens and null of a FamilyStack must both have the shape (batch, identities, "
                f"tokens, channels). Got {tuple(self.tokens.shape)} and {tuple(self.null.shape)}."
            )
        batch, identities = self.tokens.shape[:2]
        for mask in self.masks:
            if mask.ndim != 4 or mask.shape[0] not in (1, batch) or mask.shape[1] != identities:
                raise ValueError(
                    f"Every mask of a FamilyStack must have the shape (1 or {batch}, {identities}, "
                    f"height, width). Got {tuple(mask.shape)}."
                )

    @property
    def batch(self) -> int:
        """Number of samples, not counting guidance."""
        return self.tokens.shape[0]

    @property
    def identities(self) -> int:
        """Number of identities in each sample."""
        return self.tokens.shape[1]

    @property
    def length(self) -> int:
        """Number of tokens of one identity."""
        return self.tokens.shape[2]

    def gains(self, step: int, total: int) -> Gains | None:
        """Strength of every identity at one step.

        Parameters
        ----------
        step : int
            From 0.
        total : int
            Number of steps.

        Returns
        -------
        tuple of tuple of float, or None
            By sample and identity; ``None`` where all are 1.
        """
        return strengths_at(self.strength, self.window, step=step, total=total)

    def context(self, *, parts: int) -> Tensor:
        """Tokens in the order of the network's batch.

        Parameters
        ----------
        parts : {1, 2}
            1: the conditional half alone; 2: unconditional, then conditional.

        Returns
        -------
        Tensor of shape (parts * batch, identities, tokens, channels)
        """
        return self.tokens if parts == 1 else torch.cat([self.null, self.tokens])

    def weights(self, level: int, gains: Gains | None) -> Tensor:
        """Attention weight of every identity at every pixel.

        Parameters
        ----------
        level : int
            Resolution level, 0 is the finest.
        gains : tuple of tuple of float, or None
            As `gains` returns.

        Returns
        -------
        Tensor of shape (batch or 1, height * width, identities)
        """
        mask = self.masks[level].flatten(2).transpose(1, 2)
        if self.variant == "none":
            mask = torch.ones_like(mask)
        return mask if gains is None else mask * mask.new_tensor(gains)[:, None, :]

    def bias(self, level: int, gains: Gains | None, *, text: int, exclusive: bool) -> Tensor:
        """What is added to the logits: log of the weights, minus infinity outside a region.

        Parameters
        ----------
        level : int
            Resolution level.
        gains : tuple of tuple of float, or None
            As `gains` returns.
        text : int
            Number of tokens that come before the identities.
        exclusive : bool
            Hide those tokens where an identity is seen; otherwise every pixel sees them.

        Returns
        -------
        Tensor of shape (batch or 1, 1, height * width, text + identities * tokens)
        """
        weights = self.weights(level, gains)
        faces = weights.log().repeat_interleave(self.length, dim=2)
        rest = torch.ones_like(weights[..., :1])
        if exclusive:
            rest = (rest - weights.amax(2, keepdim=True)).clamp(min=0)
        return torch.cat([rest.log().expand(-1, -1, text), faces], 2)[:, None]

    def factors(
        self, level: int, gains: Gains | None, *, text: int, exclusive: bool
    ) -> tuple[Tensor, Tensor]:
        """Equation 6 as it is written: what the logits are multiplied by, and what is added.

        Parameters
        ----------
        level, gains, text, exclusive
            As for `bias`.

        Returns
        -------
        factor : Tensor of shape (batch or 1, 1, height * width, text + identities * tokens)
        bias : Tensor of shape (batch or 1, 1, 1, text + identities * tokens)
            Log of the strengths.
        """
        mask = self.masks[level].flatten(2).transpose(1, 2)
        rest = 1 - mask.amax(2, keepdim=True) if exclusive else torch.ones_like(mask[..., :1])
        spread = mask.repeat_interleave(self.length, dim=2)
        factor = torch.cat([rest.expand(-1, -1, text), spread], 2)[:, None]
        if gains is None:
            return factor, factor.new_zeros(1, 1, 1, factor.shape[-1])
        strength = factor.new_tensor(gains).repeat_interleave(self.length, dim=1)
        columns = torch.cat([strength.new_ones(len(strength), text), strength], 1)
        return factor, columns.log()[:, None, None]

    def groups(self, level: int, gains: Gains | None) -> Groups | None:
        """The pixels of each region.

        Parameters
        ----------
        level : int
            Resolution level.
        gains : tuple of tuple of float, or None
            As `gains` returns.

        Returns
        -------
        Groups or None
            ``None`` where no identity is seen anywhere.
        """
        weights = self.weights(level, gains).transpose(1, 2)
        seen = weights > 0
        longest = int(seen.sum(2).max())
        if longest == 0:
            return None
        index = _positions(seen, longest)
        free = ~seen.any(1)
        rest = _positions(free, int(free.sum(1).max()))
        plain = bool((seen.sum(1) <= 1).all()) and bool(((weights == 0) | (weights == 1)).all())
        return Groups(
            index=index,
            weight=weights.gather(2, index),
            rest=rest,
            rest_weight=free.gather(1, rest).to(weights.dtype),
            plain=plain,
        )

    def isolation(self, level: int) -> Tensor:
        """Which pixel may look at which in self-attention when regions are kept apart.

        The paper (section 5) names self-attention as the likely cause of what mixing remains. A
        pixel of a region sees that region and what lies outside all regions; a pixel outside all
        regions sees everything.

        Parameters
        ----------
        level : int
            Resolution level.

        Returns
        -------
        Tensor of bool and shape (batch or 1, 1, height * width, height * width)
        """
        inside = (self.masks[level].flatten(2) > 0).transpose(1, 2)
        numbers = inside.to(self.tokens.dtype)
        shared = numbers @ numbers.transpose(1, 2) > 0
        free = ~inside.any(2)
        return (shared | free[:, None, :] | free[:, :, None])[:, None]


def _positions(marked: Tensor, count: int) -> Tensor:
    """Positions of the marked pixels in order, then of others up to a count."""
    return marked.to(torch.uint8).argsort(dim=-1, descending=True, stable=True)[..., :count]
