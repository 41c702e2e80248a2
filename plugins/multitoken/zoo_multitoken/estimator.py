"""The language model as an estimator: texts in, scores, embeddings and more text out."""

import os
from typing import Any, Self

import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from zoo.onnx.export import OnnxExportMixin
from zoo.persistence import FittedState, PretrainedMixin
from zoo_multitoken._fitting import (
    Progress,
    choose_device,
    make_config,
    make_settings,
    make_tokenizer,
    take_over,
)
from zoo_multitoken._scores import TextScores
from zoo_multitoken._state import restore, snapshot
from zoo_multitoken._validation import check_parameters, generator
from zoo_multitoken.decoding import Backend
from zoo_multitoken.model import MultiTokenModel
from zoo_multitoken.text_generator import TextGenerator
from zoo_multitoken.tokens import Tokenizer
from zoo_multitoken.torch_backend import TorchBackend
from zoo_multitoken.training import TokenStream, Trainer, join_processes, split_documents

__all__ = ["MultiTokenLM"]


class MultiTokenLM(TextScores, TextGenerator, OnnxExportMixin, PretrainedMixin, BaseEstimator):
    """Language model with n prediction heads (arXiv 2404.19737), trained on texts.

    Head 1 predicts the next token, head i the i-th next one. The further heads draft, so that
    `generate` reads several tokens at a time and gives what head 1 alone would have given.
    Fitting is deterministic for a given ``random_state`` and number of threads. Started by
    ``accelerate launch`` or ``torchrun``, the processes share the windows of every batch; they must
    be given an int as ``random_state`` and the same texts.

    Parameters
    ----------
    n_heads : int, default=4
        Number of prediction heads n.
    head : {"causal", "linear", "parallel", "anticausal", "sequential"}, default="causal"
        Kind of heads 2 to n, see `ModelConfig`.
    d_model, n_layers, attention_heads : int, default=256, 6, 4
        Width, depth and attention heads of the transformer.
    kv_heads, d_ff, d_head : int or None, default=None
        See `ModelConfig`. ``None`` is ``attention_heads``, 8/3 and 1/2 of ``d_model``.
    context : int, default=512
        Tokens that the model looks back on.
    tied : bool, default=False
        Whether the unembedding is the embedding.
    tokenizer : "bytes" or path-like, default="bytes"
        Bytes as tokens, or a ``tokenizer.json`` of the Hugging Face library ``tokenizers``.
    end_token : str, default="<|endoftext|>"
        The token of such a file that stands between texts.
    input : {"content", "filename", "folder"}, default="content"
        What ``X`` is: texts, paths of files, or the path of a folder.
    column : str or None, default=None
        Field that holds the text where rows are mappings, as in a Hugging Face dataset.
    pattern : str, default="*"
        Which files of a folder.
    loss_weights : float, "curriculum" or sequence of float, default=0.5
        A number r weighs the loss of head i by ``r**(i - 1)``: 1 is the paper's plain sum.
        ``"curriculum"`` adds the heads one after another. A sequence is the weights.
    freeze_trunk : bool, default=False
        With ``warm_start``: only train heads 2 to n, so that the next token is predicted exactly
        as before.
    optimizer : {"muon", "adamw"}, default="muon"
        What moves the matrices inside layers and heads; AdamW moves the rest.
    learning_rate : "auto" or float, default="auto"
        Peak for the matrices; ``"auto"`` is 0.02 with Muon and 0.003 with AdamW.
    epochs : float, default=1
        How often to go through the texts.
    max_steps : int or None, default=None
        Steps to take, instead of ``epochs``.
    batch_size : int, default=8
        Windows of ``context`` tokens in a batch.
    accumulation : int, default=1
        Batches whose gradients are added up for a step.
    memory_efficient : bool, default=True
        Backward pass head after head, as the paper does.
    mixed_precision : bool, default=False
        Matrix products of the training in bfloat16.
    validation_fraction : float, default=0.0
        Part of the texts to hold out and to evaluate during training.
    evaluate_every : int, default=200
        Steps between evaluations.
    early_stopping : bool, default=False
        Whether to stop after ``patience`` evaluations without a better next-token loss, and keep
        the best weights.
    patience : int, default=5
        That number.
    warm_start : bool, default=False
        Whether a further ``fit`` goes on from the present weights. Heads that are new, of another
        kind or number, begin anew.
    checkpoint : path-like or None, default=None
        Folder for checkpoints. A ``fit`` of the same model on the same texts goes on from the last
        one, to the same bits as if it had not been interrupted.
    checkpoint_seconds : float, default=300
        Time between them.
    device : str, default="auto"
        Such as ``"cpu"`` or ``"cuda"``; ``"auto"`` is a GPU where there is one.
    random_state : int, RandomState, Generator or None, default=None
    verbose : int, default=0
        Show a progress bar.

    Attributes
    ----------
    model_ : MultiTokenModel
        The network.
    tokenizer_ : Tokenizer
    n_parameters_ : int
    n_bytes_seen_ : int
        Bytes of text trained on, repetitions counted.
    n_steps_ : int
        Steps taken.
    history_ : list of dict
        One entry per evaluation, see `Trainer`.

    Examples
    --------
    >>> from zoo_multitoken import MultiTokenLM
    >>> lm = MultiTokenLM(d_model=32, n_layers=2, context=32, max_steps=60, random_state=0)
    >>> lm.fit(["the cat sat on the mat. " * 20]).bits_per_byte(["the cat sat"]) < 4
    True
    """

    model_: MultiTokenModel
    tokenizer_: Tokenizer
    n_bytes_seen_: int
    n_steps_: int
    history_: list[dict[str, Any]]

    def __init__(
        self,
        *,
        n_heads: int = 4,
        head: str = "causal",
        d_model: int = 256,
        n_layers: int = 6,
        attention_heads: int = 4,
        kv_heads: int | None = None,
        d_ff: int | None = None,
        d_head: int | None = None,
        context: int = 512,
        tied: bool = False,
        tokenizer: str | os.PathLike[str] = "bytes",
        end_token: str = "<|endoftext|>",
        input: str = "content",
        column: str | None = None,
        pattern: str = "*",
        loss_weights: Any = 0.5,
        freeze_trunk: bool = False,
        optimizer: str = "muon",
        learning_rate: Any = "auto",
        epochs: float = 1,
        max_steps: int | None = None,
        batch_size: int = 8,
        accumulation: int = 1,
        memory_efficient: bool = True,
        mixed_precision: bool = False,
        validation_fraction: float = 0.0,
        evaluate_every: int = 200,
        early_stopping: bool = False,
        patience: int = 5,
        warm_start: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 300.0,
        device: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_heads = n_heads
        self.head = head
        self.d_model = d_model
        self.n_layers = n_layers
        self.attention_heads = attention_heads
        self.kv_heads = kv_heads
        self.d_ff = d_ff
        self.d_head = d_head
        self.context = context
        self.tied = tied
        self.tokenizer = tokenizer
        self.end_token = end_token
        self.input = input
        self.column = column
        self.pattern = pattern
        self.loss_weights = loss_weights
        self.freeze_trunk = freeze_trunk
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.accumulation = accumulation
        self.memory_efficient = memory_efficient
        self.mixed_precision = mixed_precision
        self.validation_fraction = validation_fraction
        self.evaluate_every = evaluate_every
        self.early_stopping = early_stopping
        self.patience = patience
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.checkpoint_seconds = checkpoint_seconds
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.requires_fit = True
        return tags

    @classmethod
    def from_model(cls, model: MultiTokenModel, tokenizer: Tokenizer, **params: Any) -> Self:
        """Build a fitted estimator around a network.

        Parameters
        ----------
        model : MultiTokenModel
        tokenizer : Tokenizer
        **params
            Parameters of the estimator; those that describe the network are taken from it.

        Returns
        -------
        MultiTokenLM

        Raises
        ------
        ValueError
            If the tokenizer has more tokens than the network.
        """
        described = model.config.to_json()
        known = cls._get_param_names()
        lm = cls(**{name: described[name] for name in described if name in known} | params)
        check_parameters(cls.__name__, lm.get_params(deep=False))
        if tokenizer.vocab_size > model.config.vocab_size:
            raise ValueError(
                f"A model must have at least the tokenizer's {tokenizer.vocab_size} tokens. "
                f"Got {model.config.vocab_size}."
            )
        lm.model_, lm.tokenizer_ = model.eval(), tokenizer
        lm.n_bytes_seen_, lm.n_steps_, lm.history_ = 0, 0, []
        return lm

    def fit(self, X: Any, y: None = None) -> Self:
        """Train on texts.

        Parameters
        ----------
        X : iterable of str or bytes, or path-like
            Texts, or what ``input`` and ``column`` say. An iterator is read once.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is not what it may be, or the texts are empty.
        TypeError
            If ``X`` is something else.
        """
        check_parameters(type(self).__name__, self.get_params(deep=False))
        join_processes()
        texts = self._texts(X)
        rng = generator(self.random_state)
        seeds = rng.integers(0, 2**31, size=2)
        held_out = None
        if self.validation_fraction > 0.0:
            texts, held = split_documents(texts, self.validation_fraction, rng)
        keep = self.warm_start and "model_" in vars(self)
        self._check_freezing(trained=keep)
        tokenizer = self.tokenizer_ if keep else make_tokenizer(self)
        training = TokenStream.of(texts, tokenizer)
        if self.validation_fraction > 0.0:
            held_out = TokenStream.of(held, tokenizer)
        config = make_config(self, tokenizer)
        model = MultiTokenModel(config, generator=torch.Generator().manual_seed(int(seeds[0])))
        if keep:
            take_over(self.model_, model)
        settings = make_settings(self, training, seed=int(seeds[1]))
        model.to(choose_device(self.device))
        with Progress(settings.steps, shown=bool(self.verbose)) as progress:
            trainer = Trainer(model, settings, training, held_out, listener=progress.listen)
            trainer.run(folder=self.checkpoint, checkpoint_seconds=self.checkpoint_seconds)
        if not keep:
            self.n_bytes_seen_, self.n_steps_ = 0, 0
        self._adopt(trainer, tokenizer, training)
        self.history_ = trainer.history
        return self

    def partial_fit(self, X: Any, y: None = None) -> Self:
        """Go through texts once, from the present weights and with the peak learning rate.

        Parameters
        ----------
        X, y
            As for `fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            As `fit` does.
        """
        check_parameters(type(self).__name__, self.get_params(deep=False))
        join_processes()
        texts = self._texts(X)
        rng = generator(self.random_state)
        seeds = rng.integers(0, 2**31, size=2)
        new = "model_" not in vars(self)
        self._check_freezing(trained=not new)
        tokenizer = make_tokenizer(self) if new else self.tokenizer_
        training = TokenStream.of(texts, tokenizer)
        if new:
            config = make_config(self, tokenizer)
            model = MultiTokenModel(config, generator=torch.Generator().manual_seed(int(seeds[0])))
            self.n_bytes_seen_, self.n_steps_, self.history_ = 0, 0, []
        else:
            model = self.model_
        model.to(choose_device(self.device))
        settings = make_settings(
            self, training, seed=int(seeds[1]) + self.n_steps_, once=True, begun=self.n_steps_
        )
        trainer = Trainer(model, settings, training)
        trainer.take_over_optimizers(vars(self).get("_optimizers", []))
        trainer.run()
        self._optimizers = trainer.optimizers
        self._adopt(trainer, tokenizer, training)
        self.history_ = [*self.history_, *trainer.history]
        return self

    def _check_freezing(self, *, trained: bool) -> None:
        if self.freeze_trunk and not trained:
            raise ValueError(
                f"The 'freeze_trunk' parameter of {type(self).__name__} needs a trained trunk, as "
                f"a further fit with warm_start=True has. Got a first fit."
            )

    def _adopt(self, trainer: Trainer, tokenizer: Tokenizer, training: TokenStream) -> None:
        self.model_, self.tokenizer_ = trainer.model, tokenizer
        self.model_.requires_grad_(requires_grad=True).eval()
        self.n_steps_ += trainer.step
        tokens = trainer.step * trainer.settings.accumulation * trainer.tokens_per_batch
        self.n_bytes_seen_ += round(tokens * training.n_bytes / (len(training) - 1))

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_optimizers", None)
        return state

    @property
    def n_parameters_(self) -> int:
        """Number of parameters."""
        return self.model_.n_parameters

    def _open_backend(self) -> tuple[Backend, Tokenizer]:
        check_is_fitted(self)
        return TorchBackend(self.model_.eval()), self.tokenizer_

    def round_weights(self) -> Self:
        """Round the weights to half precision, so that a saved model takes half the space.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a weight is too large for half precision.
        """
        check_is_fitted(self)
        with torch.no_grad():
            for name, value in self.model_.named_parameters():
                rounded = value.half()
                if not torch.isfinite(rounded).all():
                    raise ValueError(
                        f"The weight {name} of the model must be at most 65504 to be rounded to "
                        f"half precision. Got {float(value.abs().max()):g}."
                    )
                value.copy_(rounded)
        return self

    def _get_fitted_state(self) -> FittedState:
        return snapshot(self)

    def _set_fitted_state(self, state: FittedState) -> None:
        restore(self, state)
        self.model_.to(choose_device(self.device))
