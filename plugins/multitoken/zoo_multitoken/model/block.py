"""One layer of the transformer: attention, then SwiGLU (arXiv 2002.05202), both pre-normalised."""

from torch import Tensor, nn
from torch.nn import functional

from zoo_multitoken.config import ModelConfig
from zoo_multitoken.model.attention import Attention
from zoo_multitoken.model.cache import Slot

__all__ = ["Block", "GatedUnit"]


class GatedUnit(nn.Module):
    """SwiGLU: ``down(silu(gate x) * up x)``.

    Parameters
    ----------
    inputs, inner, outputs : int
        Widths.
    """

    def __init__(self, inputs: int, inner: int, outputs: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(inputs, 2 * inner, bias=False)
        self.down = nn.Linear(inner, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it.

        Parameters
        ----------
        x : Tensor of shape (..., inputs)

        Returns
        -------
        Tensor of shape (..., outputs)
        """
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(functional.silu(gate) * up)


class Block(nn.Module):
    """One transformer layer.

    Parameters
    ----------
    config : ModelConfig
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.attention = Attention(config)
        self.unit_norm = nn.RMSNorm(config.d_model, eps=config.norm_eps)
        self.unit = GatedUnit(config.d_model, config.d_ff, config.d_model)

    def forward(
        self,
        x: Tensor,
        rotary: tuple[Tensor, Tensor],
        slot: Slot | None = None,
        *,
        last: Tensor | None = None,
    ) -> Tensor:
        """Apply the layer.

        Parameters
        ----------
        x : Tensor of shape (batch, length, d_model)
        rotary, slot, last
            As in `Attention.forward`.

        Returns
        -------
        Tensor of shape (batch, length, d_model), or (batch, 1, d_model) with ``last``
        """
        mixed = self.attention(self.attention_norm(x), rotary, slot, last=last)
        if last is not None:
            x = x.gather(1, last[:, :, None].expand(-1, -1, x.shape[-1]))
        x = x + mixed
        return x + self.unit(self.unit_norm(x))
