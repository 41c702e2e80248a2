"""What stands between the trunk and the shared unembedding, one module per kind of heads.

Head i turns the state of its parent (the trunk, or another head) into a state from which the
unembedding reads the i-th next token. Head 1 of the kinds without a layer of their own is the
trunk's state itself.
"""

from torch import Tensor, cat, nn

from zoo_multitoken.config import ModelConfig
from zoo_multitoken.model.block import Block, GatedUnit
from zoo_multitoken.model.cache import Slot

__all__ = ["Head", "IdentityHead", "make_heads"]


class Head(nn.Module):
    """One prediction head.

    Parameters
    ----------
    parent : int
        The head whose state it reads; 0 is the trunk.
    """

    reads_tokens = False
    has_attention = False

    def __init__(self, parent: int) -> None:
        super().__init__()
        self.parent = parent

    def forward(
        self,
        state: Tensor,
        following: Tensor | None,
        rotary: tuple[Tensor, Tensor] | None,
        slot: Slot | None = None,
        *,
        last: Tensor | None = None,
    ) -> Tensor:
        """State from which the head's token is read.

        Parameters
        ----------
        state : Tensor of shape (batch, length, d_model)
            The parent's.
        following : Tensor of shape (batch, length, d_model) or None
            For a head that reads tokens: embedding of the token that the head before it stands for.
        rotary, slot, last
            For a head with attention: as in `Attention.forward`.

        Returns
        -------
        Tensor of shape (batch, length, d_model), or (batch, 1, d_model) with ``last``
        """
        raise NotImplementedError


class IdentityHead(Head):
    """The trunk's state as it is."""

    def forward(
        self,
        state: Tensor,
        following: Tensor | None = None,
        rotary: tuple[Tensor, Tensor] | None = None,
        slot: Slot | None = None,
        *,
        last: Tensor | None = None,
    ) -> Tensor:
        """The parent's state."""
        return state


class LinearHead(Head):
    """One matrix beside the trunk's state (arXiv 2404.19737, appendix B)."""

    def __init__(self, config: ModelConfig, parent: int) -> None:
        super().__init__(parent)
        self.change = nn.Linear(config.d_model, config.d_model, bias=False)

    def forward(
        self,
        state: Tensor,
        following: Tensor | None = None,
        rotary: tuple[Tensor, Tensor] | None = None,
        slot: Slot | None = None,
        *,
        last: Tensor | None = None,
    ) -> Tensor:
        """``state + change state``."""
        return state + self.change(state)


class CausalHead(Head):
    """A gated layer that reads the state before it and the token it stands for.

    The idea of sequentially dependent draft heads is that of Hydra (arXiv 2402.05109).
    """

    reads_tokens = True

    def __init__(self, config: ModelConfig, parent: int) -> None:
        super().__init__(parent)
        self.state_norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.token_norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.unit = GatedUnit(2 * config.d_model, config.d_head, config.d_model)

    def forward(
        self,
        state: Tensor,
        following: Tensor | None,
        rotary: tuple[Tensor, Tensor] | None = None,
        slot: Slot | None = None,
        *,
        last: Tensor | None = None,
    ) -> Tensor:
        """``state + unit [norm state; norm following]``."""
        assert following is not None
        joint = cat([self.state_norm(state), self.token_norm(following)], dim=-1)
        return state + self.unit(joint)


class LayerHead(Head):
    """A transformer layer of its own (arXiv 2404.19737, section 2)."""

    has_attention = True

    def __init__(self, config: ModelConfig, parent: int) -> None:
        super().__init__(parent)
        self.block = Block(config)

    def forward(
        self,
        state: Tensor,
        following: Tensor | None,
        rotary: tuple[Tensor, Tensor] | None,
        slot: Slot | None = None,
        *,
        last: Tensor | None = None,
    ) -> Tensor:
        """The layer's output."""
        assert rotary is not None
        return self.block(state, rotary, slot, last=last)


class SequentialHead(Head):
    """A module of DeepSeek-V3 (arXiv 2412.19437, equations 21 to 23).

    ``block(join [norm state; norm following])``.
    """

    reads_tokens = True
    has_attention = True

    def __init__(self, config: ModelConfig, parent: int) -> None:
        super().__init__(parent)
        self.state_norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.token_norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.join = nn.Linear(2 * config.d_model, config.d_model, bias=False)
        self.block = Block(config)

    def forward(
        self,
        state: Tensor,
        following: Tensor | None,
        rotary: tuple[Tensor, Tensor] | None,
        slot: Slot | None = None,
        *,
        last: Tensor | None = None,
    ) -> Tensor:
        """The module's output."""
        assert following is not None
        assert rotary is not None
        joint = cat([self.state_norm(state), self.token_norm(following)], dim=-1)
        return self.block(self.join(joint), rotary, slot, last=last)


def make_heads(config: ModelConfig) -> nn.ModuleList:
    """The heads of a model.

    Parameters
    ----------
    config : ModelConfig

    Returns
    -------
    ModuleList of Head
        Heads 1 to n.
    """
    count = config.n_heads
    match config.head:
        case "parallel":
            return nn.ModuleList(LayerHead(config, 0) for _ in range(count))
        case "anticausal":
            return nn.ModuleList(
                LayerHead(config, (i + 1) % (count + 1)) for i in range(1, count + 1)
            )
        case "linear":
            thin: list[Head] = [LinearHead(config, 0) for _ in range(count - 1)]
        case "causal":
            thin = [CausalHead(config, i) for i in range(1, count)]
        case _:
            thin = [SequentialHead(config, i) for i in range(1, count)]
    return nn.ModuleList([IdentityHead(0), *thin])
