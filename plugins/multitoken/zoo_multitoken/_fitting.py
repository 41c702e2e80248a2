"""From an estimator's parameters to what training needs."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from zoo.errors import DeviceError, SourceError
from zoo_multitoken.config import ModelConfig
from zoo_multitoken.model import MultiTokenModel
from zoo_multitoken.tokens import ByteTokenizer, FileTokenizer, Tokenizer
from zoo_multitoken.training import TokenStream, TrainingSettings

if TYPE_CHECKING:
    from zoo_multitoken.estimator import MultiTokenLM

__all__ = [
    "Progress",
    "choose_device",
    "make_config",
    "make_settings",
    "make_tokenizer",
    "take_over",
]

_RATES = {"muon": 0.02, "adamw": 3e-3}
_VECTOR_RATE = 3e-3
# Kinds whose head 1 is the trunk's state: the way to the next token is the same in all of them.
_THIN = ("linear", "causal", "sequential")


def make_tokenizer(lm: "MultiTokenLM") -> Tokenizer:
    """The tokenizer that an estimator's parameters name.

    Parameters
    ----------
    lm : MultiTokenLM

    Returns
    -------
    Tokenizer

    Raises
    ------
    zoo.errors.SourceError
        If there is no such file.
    ValueError
        If it is no tokenizer, or lacks the end token.
    """
    if lm.tokenizer == "bytes":
        return ByteTokenizer()
    try:
        definition = Path(lm.tokenizer).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"The 'tokenizer' parameter of {type(lm).__name__} must be 'bytes' or the path of a "
            f"tokenizer.json. Got {str(lm.tokenizer)!r}: {error}."
        ) from error
    return FileTokenizer(definition, end=lm.end_token)


def make_config(lm: "MultiTokenLM", tokenizer: Tokenizer) -> ModelConfig:
    """The shape of the network that an estimator's parameters describe.

    Parameters
    ----------
    lm : MultiTokenLM
    tokenizer : Tokenizer

    Returns
    -------
    ModelConfig
    """
    return ModelConfig(
        vocab_size=tokenizer.vocab_size,
        n_heads=int(lm.n_heads),
        head=lm.head,
        d_model=int(lm.d_model),
        n_layers=int(lm.n_layers),
        attention_heads=int(lm.attention_heads),
        kv_heads=int(lm.attention_heads if lm.kv_heads is None else lm.kv_heads),
        d_ff=int(-(-lm.d_model * 8 // 3 // 64) * 64 if lm.d_ff is None else lm.d_ff),
        d_head=int(max(1, lm.d_model // 2) if lm.d_head is None else lm.d_head),
        context=int(lm.context),
        tied=bool(lm.tied),
    )


def make_settings(
    lm: "MultiTokenLM",
    stream: TokenStream,
    *,
    seed: int,
    once: bool = False,
    begun: int = 0,
) -> TrainingSettings:
    """How an estimator's parameters train.

    Parameters
    ----------
    lm : MultiTokenLM
    stream : TokenStream
        The texts.
    seed : int
        Of the order of the batches.
    once : bool, default=False
        For `MultiTokenLM.partial_fit`: go through the texts once with a constant rate.
    begun : int, default=0
        Steps taken before, after which there is no warm-up.

    Returns
    -------
    TrainingSettings
    """
    targets = len(stream) - 1
    length = min(int(lm.context), targets)
    per_step = length * int(lm.batch_size) * int(lm.accumulation)
    epochs = 1.0 if once else float(lm.epochs)
    steps = max(1, math.ceil(epochs * targets / per_step))
    if lm.max_steps is not None and not once:
        steps = int(lm.max_steps)
    weights = lm.loss_weights
    if once and isinstance(weights, str):
        weights = 1.0
    automatic = isinstance(lm.learning_rate, str)
    rate = _RATES[lm.optimizer] if automatic else float(lm.learning_rate)
    return TrainingSettings(
        steps=steps,
        length=int(lm.context),
        batch_size=int(lm.batch_size),
        accumulation=int(lm.accumulation),
        optimizer=lm.optimizer,
        matrix_rate=rate,
        vector_rate=_VECTOR_RATE if automatic else rate * _VECTOR_RATE / _RATES[lm.optimizer],
        schedule="constant" if once else "cosine",
        warmup=0 if begun else 40,
        loss_weights=weights if isinstance(weights, (str, float, int)) else tuple(weights),
        freeze_trunk=bool(lm.freeze_trunk),
        memory_efficient=bool(lm.memory_efficient),
        mixed=bool(lm.mixed_precision),
        evaluate_every=int(lm.evaluate_every),
        patience=int(lm.patience) if lm.early_stopping and not once else None,
        seed=seed,
    )


def choose_device(name: str) -> torch.device:
    """The device that a parameter names.

    Parameters
    ----------
    name : str
        ``"auto"`` is a GPU where there is one.

    Returns
    -------
    torch.device

    Raises
    ------
    zoo.errors.DeviceError
        If there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0].rstrip(".")
        raise DeviceError(f"The device {name!r} cannot be used: {first}.") from error
    return device


def take_over(old: MultiTokenModel, new: MultiTokenModel) -> None:
    """Copy the weights of the trunk, and of the heads where they are of one kind and shape.

    Parameters
    ----------
    old, new : MultiTokenModel

    Raises
    ------
    ValueError
        If the way to the next token is not of one shape in both.
    """
    before, after = old.config.to_json(), new.config.to_json()
    free = {"n_heads", "head", "d_head", "context"}
    same_heads = old.config.head == new.config.head
    if not same_heads and not {old.config.head, new.config.head} <= set(_THIN):
        free -= {"head"}
    if new.config.head == "anticausal":
        free -= {"n_heads"}
    changed = [name for name in before if name not in free and before[name] != after[name]]
    if changed:
        described = ", ".join(f"{name} {after[name]!r} after {before[name]!r}" for name in changed)
        raise ValueError(f"A fit with warm_start=True must keep the trunk. Got {described}.")
    source = dict(old.named_parameters())
    with torch.no_grad():
        for name, value in new.named_parameters():
            found = source.get(name)
            if name.startswith("heads.") and not same_heads:
                continue
            if found is not None and found.shape == value.shape:
                value.copy_(found)


class Progress:
    """A progress bar, or nothing.

    Parameters
    ----------
    steps : int
        Steps of the training.
    shown : bool
        Whether there is a bar.
    """

    def __init__(self, steps: int, *, shown: bool) -> None:
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
            disable=not shown,
        )
        self._task = self._bar.add_task("training", total=steps)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def listen(self, event: Mapping[str, Any]) -> None:
        """Take an event of a `Trainer`.

        Parameters
        ----------
        event : mapping
        """
        if "losses" in event:
            bits = event["losses"][0] / math.log(2)
            self._bar.update(
                self._task, completed=event["step"], description=f"{bits:.3f} bits per token"
            )
        elif "held_out" in event:
            bits = event["held_out"][0] / math.log(2)
            self._bar.console.print(f"step {event['step']}: {bits:.4f} bits per token held out")
