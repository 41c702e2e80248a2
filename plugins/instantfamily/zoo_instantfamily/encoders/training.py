"""Training of a recogniser on drawn faces: contrastive, with checkpoint and exact resume."""

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from zoo_instantfamily.drawing import DrawnFaces
from zoo_instantfamily.encoders.augment import degrade, siblings

__all__ = ["RecogniserTraining", "contrastive_loss"]


def contrastive_loss(first: Tensor, second: Tensor, *, scale: float) -> Tensor:
    """Softmax over all other pictures of the batch, two pictures of each person being right.

    The normalised-temperature cross entropy of SimCLR (arXiv 2002.05709, equation 1) with people
    in the place of images.

    Parameters
    ----------
    first, second : Tensor of shape (people, dim)
        Unit vectors of two portraits of each person.
    scale : float
        Inverse temperature.

    Returns
    -------
    loss : Tensor, scalar
    """
    vectors = torch.cat([first, second])
    logits = scale * vectors @ vectors.T
    logits = logits.masked_fill(torch.eye(len(vectors), dtype=torch.bool), -math.inf)
    target = torch.arange(len(vectors)).roll(len(first))
    return functional.cross_entropy(logits, target)


@dataclass(frozen=True)
class RecogniserTraining:
    """How a recogniser is trained: ``steps`` batches of new people, each drawn twice.

    A quarter of the people are siblings of another quarter (most hidden numbers shared), which
    turns the loss towards fine features. The averaged weights (decay 0.99) are the result.

    Parameters
    ----------
    seed : int
        Of people, pictures and augmentation. Initial weights are the caller's business.
    steps : int
    people : int, default=96
        People per batch.
    rate : float, default=2e-3
        Peak of the learning rate: 30 steps of warm-up, then a cosine.
    scale : float, default=16.0
        Inverse temperature of the loss.
    """

    seed: int
    steps: int
    people: int = 96
    rate: float = 2e-3
    scale: float = 16.0

    def run(
        self,
        model: nn.Module,
        *,
        image_size: int,
        checkpoint: Path,
        report: Callable[[str], None] = print,
        every: int = 50,
    ) -> nn.Module:
        """Train ``model`` in place, going on from ``checkpoint`` where it exists.

        Parameters
        ----------
        model : Module
            From images (n, 3, image_size, image_size) to unit vectors.
        image_size : int
        checkpoint : Path
            A safetensors file, written every ``every`` steps.
        report : callable, default=print
            Gets one line per checkpoint.
        every : int, default=50

        Returns
        -------
        model : Module
            With the averaged weights, in evaluation mode.

        Raises
        ------
        ValueError
            If ``checkpoint`` comes from another training.
        """
        faces = DrawnFaces(self.seed)
        optimiser = torch.optim.AdamW(model.parameters(), lr=self.rate, weight_decay=1e-2)
        average = {k: v.detach().clone().float() for k, v in model.state_dict().items()}
        step, seconds, loss_sum = 0, 0.0, 0.0
        if checkpoint.exists():
            step, seconds = self._restore(checkpoint, model, optimiser, average, faces.generator)
        model.train()
        started = time.process_time()
        while step < self.steps:
            for group in optimiser.param_groups:
                group["lr"] = self._rate(step)
            loss = self._loss(model, faces, image_size)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            decay = min(0.99, (1 + step) / (10 + step))
            for name, value in model.state_dict().items():
                average[name].lerp_(value.float(), 1 - decay)
            step += 1
            loss_sum += loss.item()
            if step % every == 0 or step == self.steps:
                seconds += time.process_time() - started
                started = time.process_time()
                self._save(checkpoint, model, optimiser, average, faces.generator, step, seconds)
                mean = loss_sum / ((step - 1) % every + 1)
                report(f"step {step}/{self.steps}  loss {mean:.4f}  cpu {seconds:.0f} s")
                loss_sum = 0.0
        state = model.state_dict()
        model.load_state_dict({k: v.to(state[k].dtype) for k, v in average.items()})
        return model.eval()

    def _rate(self, step: int) -> float:
        warm = min(1.0, (step + 1) / 30)
        return self.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / self.steps)))

    def _loss(self, model: nn.Module, faces: DrawnFaces, size: int) -> Tensor:
        g = faces.generator
        new = faces.identities(self.people - self.people // 4)
        share = 0.4 + 0.35 * float(torch.rand(1, generator=g))
        related = siblings(new[: self.people // 4], share=share, generator=g)
        people = torch.cat([new, related])
        with torch.no_grad():
            views = faces.portraits(people.repeat(2, 1), size=size)
            shuffled = torch.randperm(len(views), generator=g)
            views[shuffled] = degrade(views[shuffled], generator=g)
        first, second = model(views).chunk(2)
        return contrastive_loss(first, second, scale=self.scale)

    def _save(
        self,
        path: Path,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        average: dict[str, Tensor],
        generator: torch.Generator,
        step: int,
        seconds: float,
    ) -> None:
        tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in average.items()}
        for i, state in optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{i}.{k}": v for k, v in state.items()}
        tensors["generator"] = generator.get_state()
        written = path.with_name(path.name + ".part")
        about = {"training": json.dumps(asdict(self)), "step": str(step), "seconds": str(seconds)}
        save_file({k: v.contiguous() for k, v in tensors.items()}, written, metadata=about)
        os.replace(written, path)

    def _restore(
        self,
        path: Path,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        average: dict[str, Tensor],
        generator: torch.Generator,
    ) -> tuple[int, float]:
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
        if json.loads(about.get("training", "null")) != asdict(self):
            raise ValueError(
                f"checkpoint {path} belongs to another training ({about.get('training')}), "
                f"not to {json.dumps(asdict(self))}."
            )
        tensors = load_file(path)

        def part(prefix: str) -> dict[str, Tensor]:
            return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

        model.load_state_dict(part("model."))
        average.update(part("average."))
        state = optimiser.state_dict()
        for name, value in part("adam.").items():
            i, key = name.split(".")
            state["state"].setdefault(int(i), {})[key] = value
        optimiser.load_state_dict(state)
        generator.set_state(tensors["generator"])
        return int(about["step"]), float(about["seconds"])
