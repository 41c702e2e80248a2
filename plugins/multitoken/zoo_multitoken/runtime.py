"""The runner of an exported model: onnxruntime and numpy, no torch."""

import json
from typing import Any

import onnx

from zoo.errors import FormatError
from zoo.onnx.bundle import Bundle
from zoo_multitoken.config import ModelConfig
from zoo_multitoken.decoding import Backend
from zoo_multitoken.onnx_backend import OnnxBackend
from zoo_multitoken.text_generator import TextGenerator
from zoo_multitoken.tokens import Tokenizer, tokenizer_from_json

__all__ = ["TOKENIZER_FILE", "MultiTokenRunner"]

TOKENIZER_FILE = "tokenizer.json"


class MultiTokenRunner(TextGenerator):
    """Continues texts with an exported model.

    Parameters
    ----------
    bundle : zoo.onnx.Bundle
        The exported folder.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to run.
    threads : int or None, default=None
        Threads within an operator; ``None`` leaves the choice to onnxruntime.

    Attributes
    ----------
    bundle : zoo.onnx.Bundle
        The exported folder.
    config : ModelConfig
        The model's shape.
    tokenizer : Tokenizer
        Its tokens.

    Raises
    ------
    zoo.errors.FormatError
        The bundle is not that of a multi-token model.
    zoo.errors.DeviceError
        ``device="cuda"`` cannot be had.
    """

    def __init__(self, bundle: Bundle, *, device: str = "auto", threads: int | None = None) -> None:
        self.bundle = bundle
        content, metadata = bundle.graph(), bundle.metadata
        try:
            self.config = ModelConfig.from_json(metadata.get("config"))
            self.tokenizer: Tokenizer = tokenizer_from_json(
                json.loads(bundle.read_file(TOKENIZER_FILE))
            )
        except (ValueError, RecursionError) as error:
            raise FormatError(
                f"The bundle {bundle.folder} must hold a multi-token model: {error}"
            ) from error
        positions = metadata.get("positions")
        if type(positions) is not int or positions < self.config.context:
            raise FormatError(
                f"The positions in the metadata of {bundle.folder} must be an integer of at least "
                f"the model's context, {self.config.context}. Got {positions!r}."
            )
        graph = onnx.load_model_from_string(content)
        self._backend = _open(graph, self.config, positions, device, threads, bundle)
        self.device = self._backend.device

    def __repr__(self) -> str:
        """Say what runs where."""
        shape = f"head={self.config.head!r}, n_heads={self.config.n_heads}"
        return f"{type(self).__name__}({self.bundle.model!r}, {shape}, device={self.device!r})"

    def _open_backend(self) -> tuple[Backend, Tokenizer]:
        return self._backend, self.tokenizer


def _open(
    graph: onnx.ModelProto,
    config: ModelConfig,
    positions: int,
    device: str,
    threads: int | None,
    bundle: Bundle,
) -> Any:
    try:
        return OnnxBackend(graph, config, positions=positions, device=device, threads=threads)
    except KeyError as error:
        raise FormatError(
            f"The graph of {bundle.folder} must hold the weights of its configuration. "
            f"Missing: {error}."
        ) from error
