"""The shape of a model: plain numbers, free of torch, that travel as JSON."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

__all__ = ["HEAD_KINDS", "ModelConfig"]

HEAD_KINDS = ("linear", "causal", "parallel", "anticausal", "sequential")

_POSITIVE = (
    "vocab_size",
    "n_heads",
    "d_model",
    "n_layers",
    "attention_heads",
    "kv_heads",
    "d_ff",
    "d_head",
    "context",
)

# So that a file cannot ask for more modules than there is memory for.
_MOST = {"n_layers": 1024, "n_heads": 1024}


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Shape of a `zoo_multitoken.model.MultiTokenModel`.

    Parameters
    ----------
    vocab_size : int, default=257
        Number of tokens.
    n_heads : int, default=4
        Number of prediction heads n; head i predicts the i-th next token.
    head : {"linear", "causal", "parallel", "anticausal", "sequential"}, default="linear"
        How heads 2 to n read the trunk. ``"linear"``: one matrix each; ``"causal"``: a thin gated
        layer that also reads the token the head before it stands for; ``"parallel"``: a transformer
        layer each (arXiv 2404.19737, section 2); ``"anticausal"``: transformer layers in a chain
        from the furthest token to the next one (the same, appendix B); ``"sequential"``: the
        modules of DeepSeek-V3 (arXiv 2412.19437, section 2.2).
    d_model : int, default=256
        Width of the residual stream.
    n_layers : int, default=8
        Transformer layers on the way to the next token, head 1 included.
    attention_heads : int, default=4
        Attention heads of a layer; ``d_model / attention_heads`` is even.
    kv_heads : int, default=4
        Keys and values shared by ``attention_heads / kv_heads`` heads each (arXiv 2305.13245).
    d_ff : int, default=704
        Width inside the SwiGLU of a transformer layer.
    d_head : int, default=256
        Width inside a thin ``"causal"`` head.
    context : int, default=512
        Tokens that the model is trained to look back on.
    rope_theta : float, default=10000.0
        Base of the rotary positions (arXiv 2104.09864).
    norm_eps : float, default=1e-5
        Added to the mean square in RMSNorm.
    tied : bool, default=False
        Whether the unembedding is the embedding; the paper's is not.

    Raises
    ------
    ValueError
        If a number is not what it may be.
    """

    vocab_size: int = 257
    n_heads: int = 4
    head: str = "linear"
    d_model: int = 256
    n_layers: int = 8
    attention_heads: int = 4
    kv_heads: int = 4
    d_ff: int = 704
    d_head: int = 256
    context: int = 512
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5
    tied: bool = False

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            value, most = getattr(self, name), _MOST.get(name, 2**24)
            if type(value) is not int or not 1 <= value <= most:
                raise ValueError(
                    f"{name} of a model must be an int from 1 to {most}. Got {value!r}."
                )
        if self.head not in HEAD_KINDS:
            raise ValueError(
                f"head of a model must be one of {', '.join(HEAD_KINDS)}. Got {self.head!r}."
            )
        if self.d_model % self.attention_heads or self.d_model // self.attention_heads % 2:
            raise ValueError(
                f"d_model of a model must be an even multiple of attention_heads "
                f"({self.attention_heads}). Got {self.d_model}."
            )
        if self.attention_heads % self.kv_heads:
            raise ValueError(
                f"kv_heads of a model must divide attention_heads ({self.attention_heads}). "
                f"Got {self.kv_heads}."
            )
        for name in ("rope_theta", "norm_eps"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0.0 < value < float("inf"):
                raise ValueError(f"{name} of a model must be a positive number. Got {value!r}.")
        if type(self.tied) is not bool:
            raise ValueError(f"tied of a model must be a bool. Got {self.tied!r}.")
        if self.trunk_layers < 1:
            raise ValueError(
                f"n_layers of a model with {self.head!r} heads must be at least "
                f"{self.n_layers - self.trunk_layers + 1}, so that a trunk is left. "
                f"Got {self.n_layers}."
            )

    @property
    def trunk_layers(self) -> int:
        """Layers that all heads share."""
        return self.n_layers - {"parallel": 1, "anticausal": self.n_heads}.get(self.head, 0)

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.d_model // self.attention_heads

    @property
    def drafts_read_tokens(self) -> bool:
        """Whether a head needs the token that the head before it stands for."""
        return self.head in ("causal", "sequential")

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read what `to_json` gave.

        Parameters
        ----------
        value : dict
            Exactly the fields of this class.

        Returns
        -------
        ModelConfig

        Raises
        ------
        ValueError
            If fields are missing, unknown, or not what they may be.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(value, dict) or set(value) != names:
            raise ValueError(
                f"The configuration of a model must be an object with exactly "
                f"{', '.join(sorted(names))}. Got {value!r}."
            )
        return cls(**value)
