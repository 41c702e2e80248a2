"""The training loop: one state, moved on step by step, that can be written down and taken up."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.errors import FormatError
from zoo_multitoken.model import MultiTokenModel
from zoo_multitoken.training.checkpoint import latest, read_checkpoint, write_checkpoint
from zoo_multitoken.training.corpus import Batches, TokenStream
from zoo_multitoken.training.identity import find_difference, may_be_prolonged
from zoo_multitoken.training.loss import (
    IGNORED,
    head_losses,
    joint_losses,
    losses_with_gradients,
)
from zoo_multitoken.training.muon import make_optimizers
from zoo_multitoken.training.precision import mixed_precision
from zoo_multitoken.training.processes import Processes
from zoo_multitoken.training.schedule import head_weights, learning_rate_factor
from zoo_multitoken.training.settings import TrainingSettings

__all__ = ["Trainer"]


class Trainer:
    """A training of a model.

    The same settings, texts and number of threads give the same weights bit for bit, whether the
    training was interrupted or not. Where ``torch.distributed`` is initialised, its processes share
    the rows of each batch (data parallelism), and the first of them writes the checkpoints.

    Parameters
    ----------
    model : MultiTokenModel
        Trained in place.
    settings : TrainingSettings
    training : TokenStream
    held_out : TokenStream, optional
        Evaluated every ``settings.evaluate_every`` steps.
    listener : callable, optional
        Called after every step with ``{"step", "losses"}`` and after every evaluation with an entry
        of `history`.

    Attributes
    ----------
    step : int
        Steps that are done.
    optimizers : list of torch.optim.Optimizer
    history : list of dict
        One entry per evaluation: step, learning rate as a share of its peak, mean training loss of
        each head in nats since the entry before, and of the held-out texts the loss and the
        accuracy of each head.
    finished : bool
        Whether all steps are done, or patience ran out.
    """

    def __init__(
        self,
        model: MultiTokenModel,
        settings: TrainingSettings,
        training: TokenStream,
        held_out: TokenStream | None = None,
        *,
        listener: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        config = model.config
        if settings.freeze_trunk and config.head == "anticausal":
            raise ValueError(
                "The trunk of a model with 'anticausal' heads cannot be frozen: its next token is "
                "read through all heads."
            )
        head_weights(settings.loss_weights, n_heads=config.n_heads)
        self.model, self.settings, self.listener = model, settings, listener
        self.step, self.finished = 0, False
        self._processes = Processes()
        if settings.batch_size < self._processes.size:
            raise ValueError(
                f"batch_size of a training must be at least its {self._processes.size} processes. "
                f"Got {settings.batch_size}."
            )
        self.history: list[dict[str, Any]] = []
        self._best = float("inf")
        self._stale = 0
        self._best_weights: dict[str, Tensor] = {}
        self._recent = torch.zeros(config.n_heads, dtype=torch.float64)
        self._recent_steps = 0
        shape = {
            "length": settings.length,
            "n_heads": config.n_heads,
            "batch_size": settings.batch_size,
            "seed": settings.seed,
        }
        self._batches = Batches(training, **shape)
        self._held_out = None if held_out is None else Batches(held_out, **shape)
        self._choose_parameters()
        self.optimizers = make_optimizers(
            model,
            optimizer=settings.optimizer,
            matrix_rate=settings.matrix_rate,
            vector_rate=settings.vector_rate,
            weight_decay=settings.weight_decay,
        )
        self._peaks = [
            [group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers
        ]

    @property
    def tokens_per_batch(self) -> int:
        """Tokens that the windows of a batch read."""
        return self._batches.length * self._batches.batch_size

    def take_over_optimizers(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Go on with the momenta of an earlier training of the same model.

        Parameters
        ----------
        optimizers : sequence of torch.optim.Optimizer
            Of that training; momenta of other parameters, or of another kind, are left out.
        """
        for mine, theirs in zip(self.optimizers, optimizers, strict=False):
            if type(mine) is type(theirs):
                wanted = {id(p) for group in mine.param_groups for p in group["params"]}
                mine.state.update({p: s for p, s in theirs.state.items() if id(p) in wanted})

    def _choose_parameters(self) -> None:
        for name, parameter in self.model.named_parameters():
            inner = name.startswith("heads.") and not name.startswith("heads.0.")
            parameter.requires_grad_(inner or not self.settings.freeze_trunk)

    def run(
        self,
        *,
        folder: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 300.0,
        seconds: float | None = None,
        steps: int | None = None,
    ) -> bool:
        """Train on from where the training stands.

        Parameters
        ----------
        folder : path-like, optional
            Where checkpoints are written; where there is one of this training already, it is taken
            up first.
        checkpoint_seconds : float, default=300
            Time between checkpoints. One is also written at the end.
        seconds : float, optional
            Stop after this time.
        steps : int, optional
            Stop after so many further steps.

        Returns
        -------
        bool
            Whether the training is finished.

        Raises
        ------
        zoo.errors.FormatError
            The folder holds a checkpoint of another training, or a damaged one.
        """
        if folder is not None:
            found = latest(folder)
            if found is not None:
                self.load(found)
        begun = written = time.monotonic()
        last = self.step + steps if steps is not None else self.settings.steps
        self.model.train()
        try:
            while not self.finished and self.step < last:
                self._advance()
                now = time.monotonic()
                if folder is not None and now - written >= checkpoint_seconds:
                    self._save_once(folder)
                    written = time.monotonic()
                device = self.model.embedding.weight.device
                if seconds is not None and self._processes.agree(now - begun >= seconds, device):
                    break
        finally:
            self.model.eval()
            for parameter in self.model.parameters():
                parameter.grad = None
        if self.finished:
            self._take_best()
        if folder is not None:
            self._save_once(folder)
            self._processes.wait()
        return self.finished

    def _save_once(self, folder: str | os.PathLike[str]) -> None:
        if self._processes.rank == 0:
            self.save(folder)

    def _advance(self) -> None:
        settings, config = self.settings, self.model.config
        progress = self.step / settings.steps
        factor = learning_rate_factor(
            self.step,
            steps=settings.steps,
            warmup=min(settings.warmup, settings.steps // 2),
            final=settings.final_rate,
            schedule=settings.schedule,
        )
        for optimizer, peaks in zip(self.optimizers, self._peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * factor
        weights = head_weights(settings.loss_weights, n_heads=config.n_heads, progress=progress)
        if settings.freeze_trunk:
            weights = (0.0, *weights[1:])
        losses = self._gradients(weights)
        torch.nn.utils.clip_grad_norm_(
            (p for p in self.model.parameters() if p.grad is not None), settings.clip
        )
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        self._recent += losses.double().cpu()
        self._recent_steps += 1
        self._tell({"step": self.step, "losses": losses.tolist()})
        if self.step % settings.evaluate_every == 0 or self.step == settings.steps:
            self._evaluate(factor)
        if self.step == settings.steps:
            self.finished = True

    def _gradients(self, weights: tuple[float, ...]) -> Tensor:
        settings, config = self.settings, self.model.config
        device = self.model.embedding.weight.device
        first = self.step * settings.accumulation
        parts = [self._batches.batch(first + part) for part in range(settings.accumulation)]
        length = parts[0].shape[1] - config.n_heads
        counts = [
            sum(int((part[:, i : i + length] != IGNORED).sum()) for part in parts)
            for i in range(1, config.n_heads + 1)
        ]
        total = torch.zeros(config.n_heads, device=device)
        for part in parts:
            ids = self._processes.rows(part).to(device)
            with self._arithmetic():
                if settings.memory_efficient:
                    total += losses_with_gradients(
                        self.model,
                        ids,
                        weights,
                        counts=counts,
                        frozen_trunk=settings.freeze_trunk,
                    )
                else:
                    losses = joint_losses(self.model, ids, counts=counts)
                    torch.dot(losses, losses.new_tensor(weights)).backward()
                    total += losses.detach()
        self._processes.add_up(p.grad for p in self.model.parameters() if p.grad is not None)
        self._processes.add_up([total])
        return total

    def _arithmetic(self) -> AbstractContextManager[None]:
        device = self.model.embedding.weight.device.type
        return mixed_precision(device) if self.settings.mixed else nullcontext()

    def evaluate(self) -> tuple[list[float], list[float]]:
        """Loss and accuracy of every head on the held-out texts.

        Returns
        -------
        losses : list of float of length n_heads
            Mean nats per token.
        accuracies : list of float of length n_heads
            How often the likeliest token is the right one.
        """
        assert self._held_out is not None
        sums = torch.zeros(self.model.config.n_heads, dtype=torch.float64)
        hits, counts = torch.zeros_like(sums), torch.zeros_like(sums)
        device = self.model.embedding.weight.device
        for ids in self._held_out.in_order(self.settings.evaluation_windows):
            with self._arithmetic():
                losses, right, many = head_losses(self.model, ids.to(device))
            sums += losses
            hits += right
            counts += many
        counts = counts.clamp_min(1)
        return (sums / counts).tolist(), (hits / counts).tolist()

    def _evaluate(self, factor: float) -> None:
        entry: dict[str, Any] = {
            "step": self.step,
            "rate": factor,
            "training": (self._recent / max(1, self._recent_steps)).tolist(),
        }
        self._recent = torch.zeros_like(self._recent)
        self._recent_steps = 0
        if self._held_out is not None:
            entry["held_out"], entry["accuracy"] = self.evaluate()
            weighty = entry["held_out"][1:] if self.settings.freeze_trunk else entry["held_out"][:1]
            self._watch(sum(weighty))
        self.history.append(entry)
        self._tell(entry)

    def _watch(self, loss: float) -> None:
        if self.settings.patience is None:
            return
        if loss < self._best:
            self._best, self._stale = loss, 0
            self._best_weights = {
                name: value.detach().clone() for name, value in self._named().items()
            }
            return
        self._stale += 1
        self.finished = self._stale >= self.settings.patience

    def _named(self) -> dict[str, Tensor]:
        """Parameters by name, a tied one once."""
        return dict(self.model.named_parameters())

    @torch.no_grad()
    def _take_best(self) -> None:
        for name, value in self._named().items():
            if name in self._best_weights:
                value.copy_(self._best_weights[name])

    def _tell(self, event: Mapping[str, Any]) -> None:
        if self.listener is not None:
            self.listener(event)

    def _identity(self) -> dict[str, Any]:
        """What two trainings must share for one to go on from the other's checkpoint."""
        return {
            "model": self.model.config.to_json(),
            "settings": self.settings.to_json(),
            "tokens": self._batches.fingerprint,
        }

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write a checkpoint.

        Parameters
        ----------
        folder : path-like
            Where the checkpoints of this training lie.

        Returns
        -------
        pathlib.Path
            The checkpoint.
        """
        names = {id(value): name for name, value in self._named().items()}
        tensors = {f"model.{name}": value for name, value in self._named().items()}
        tensors |= {f"best.{name}": value for name, value in self._best_weights.items()}
        tensors["recent"] = self._recent
        for number, optimizer in enumerate(self.optimizers):
            for parameter, values in optimizer.state.items():
                for key, value in values.items():
                    tensors[f"optimizer.{number}.{names[id(parameter)]}:{key}"] = value
        state = {
            "identity": self._identity(),
            "step": self.step,
            "finished": self.finished,
            "history": self.history,
            "best": None if self._best == float("inf") else self._best,
            "stale": self._stale,
            "recent_steps": self._recent_steps,
        }
        return write_checkpoint(folder, self.step, state, tensors)

    @torch.no_grad()
    def load(self, checkpoint: str | os.PathLike[str]) -> None:
        """Take up a checkpoint.

        Parameters
        ----------
        checkpoint : path-like
            The folder of one checkpoint.

        Raises
        ------
        zoo.errors.FormatError
            It is damaged, or one of another training.
        """
        state, tensors = read_checkpoint(checkpoint)
        difference = find_difference(state.get("identity"), self._identity())
        if difference and not may_be_prolonged(state, self._identity(), self.settings):
            raise FormatError(
                f"The checkpoint {checkpoint} must be one of the same model, settings and texts. "
                f"Got one of {difference}."
            )
        parameters = self._named()
        for name, value in parameters.items():
            value.copy_(tensors[f"model.{name}"])
        self._best_weights = {
            name: tensors[f"best.{name}"].to(value.device)
            for name, value in parameters.items()
            if f"best.{name}" in tensors
        }
        for number, optimizer in enumerate(self.optimizers):
            optimizer.state.clear()
            prefix = f"optimizer.{number}."
            for key, value in tensors.items():
                if key.startswith(prefix):
                    name, slot = key.removeprefix(prefix).rsplit(":", 1)
                    moved = value if value.ndim == 0 else value.to(parameters[name].device)
                    optimizer.state[parameters[name]][slot] = moved
        self._recent = tensors["recent"]
        self._recent_steps = state["recent_steps"]
        self.step, self.finished = state["step"], state["finished"]
        self.history = state["history"]
        self._best = float("inf") if state["best"] is None else state["best"]
        self._stale = state["stale"]
