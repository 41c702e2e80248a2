"""Keys and values of their own for the identities: IP-Adapter's decoupled attention.

InstantID and IP-Adapter-FaceID bring, for every cross-attention layer of the UNet, one matrix for
the keys and one for the values of the face tokens. They are a component of the pipeline here, not
part of the UNet: so they are saved with it, move with it, and are applied once per image.
"""

from collections.abc import Sequence
from typing import Any

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

__all__ = ["IDAdapter"]


class IDAdapter(ModelMixin, ConfigMixin):
    """Key and value matrices of the face tokens, by layer.

    Parameters
    ----------
    layers : sequence of (str, int)
        Name of each attention processor (``"down_blocks.0...attn2.processor"``) and the number of
        channels of its layer, in the order of the network.
    cross_attention_dim : int, default=768
        Channels of the face tokens.
    """

    config: Any

    @register_to_config
    def __init__(
        self, *, layers: Sequence[tuple[str, int]], cross_attention_dim: int = 768
    ) -> None:
        super().__init__()
        self.to_k = nn.ModuleList(
            [nn.Linear(cross_attention_dim, width, bias=False) for _, width in layers]
        )
        self.to_v = nn.ModuleList(
            [nn.Linear(cross_attention_dim, width, bias=False) for _, width in layers]
        )

    @classmethod
    def for_unet(cls, unet: Any) -> "IDAdapter":
        """An adapter with fresh weights that fits a UNet.

        Parameters
        ----------
        unet : UNet2DConditionModel
            Its cross-attention layers are counted.

        Returns
        -------
        IDAdapter
        """
        layers = []
        for name in unet.attn_processors:
            if name.endswith("attn2.processor"):
                layer = unet.get_submodule(name.removesuffix(".processor"))
                layers.append((name, layer.to_k.out_features))
        return cls(layers=layers, cross_attention_dim=unet.config.cross_attention_dim)

    def forward(self, context: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Keys and values of all layers.

        Parameters
        ----------
        context : Tensor of shape (batch, identities, tokens, cross_attention_dim)
            Face tokens.

        Returns
        -------
        dict of str to (Tensor, Tensor)
            By layer, each of shape (batch, identities, tokens, width of the layer).
        """
        pairs = zip(self.to_k, self.to_v, strict=True)
        return {
            name: (key(context), value(context))
            for (name, _), (key, value) in zip(self.config.layers, pairs, strict=True)
        }

    def copy_matrices(self, name: str, key: Tensor, value: Tensor) -> None:
        """Set the matrices of one layer.

        Parameters
        ----------
        name : str
            The layer.
        key, value : Tensor of shape (width, cross_attention_dim)
            Its matrices.
        """
        number = [layer for layer, _ in self.config.layers].index(name)
        state = {f"to_k.{number}.weight": key, f"to_v.{number}.weight": value}
        self.load_state_dict(state, strict=False)
