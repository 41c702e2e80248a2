"""The training loop, on accelerate: one state, moved on step by step, written down and taken up."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import tqdm
from torch import Tensor

from zoo.errors import FormatError
from zoo_instantfamily.encoders.features import FaceFeatures
from zoo_instantfamily.training.batch import FamilyBatch, SceneSource, seeded
from zoo_instantfamily.training.checkpoint import (
    find_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from zoo_instantfamily.training.loss import (
    diffusion_loss,
    draw_times,
    identity_loss,
    predicted_latents,
)
from zoo_instantfamily.training.network import FamilyNetwork, regions_of
from zoo_instantfamily.training.pictures import draw_curve, draw_samples, save_picture
from zoo_instantfamily.training.reader import TrainingReader
from zoo_instantfamily.training.settings import TrainingSettings

__all__ = ["FamilyTrainer"]

_FREE = ("steps", "decay")
_SAMPLES = 10**9


class FamilyTrainer:
    """A training of a pipeline.

    A step is ``accumulation`` batches, shared by the processes of accelerate (``accelerate
    launch`` or ``torchrun``). Batches, noise and dropout are functions of the seed and of the
    number of the batch, so that neither a restart nor the number of processes changes what is
    trained on.

    Parameters
    ----------
    pipe : InstantFamilyPipeline
        Trained in place.
    source : SceneSource
    settings : TrainingSettings
    accelerator : Accelerator or None
        ``None`` makes one from the settings.

    Attributes
    ----------
    step : int
        Steps that are done.
    history : list of (int, float)
        Step and mean loss since the entry before.

    Raises
    ------
    ValueError
        The pipeline or the number of processes does not fit the settings.
    """

    def __init__(
        self,
        pipe: Any,
        source: SceneSource,
        settings: TrainingSettings,
        *,
        accelerator: Accelerator | None = None,
    ) -> None:
        self.pipe, self.source, self.settings = pipe, source, settings
        self.accelerator = accelerator or Accelerator(mixed_precision=settings.mixed_precision)
        processes = self.accelerator.num_processes
        if settings.accumulation % processes:
            raise ValueError(
                f"accumulation of a training must be a multiple of its {processes} processes. "
                f"Got {settings.accumulation}."
            )
        self.accelerator.gradient_accumulation_steps = settings.accumulation // processes
        device = self.accelerator.device
        network = FamilyNetwork(pipe, settings.networks)
        for part in (network, pipe.vae):
            part.to(device)
        self.reader = TrainingReader(pipe, device=device)
        self.parameters = {
            name: value for name, value in network.named_parameters() if value.requires_grad
        }
        self.average = {name: value.detach().clone() for name, value in self.parameters.items()}
        optimizer = torch.optim.AdamW(
            self.parameters.values(),
            lr=settings.rate,
            betas=(0.9, 0.99),
            weight_decay=settings.weight_decay,
        )
        self.network, self.optimizer = self.accelerator.prepare(network, optimizer)
        self.step = 0
        self.history: list[tuple[int, float]] = []
        self._recent: list[float] = []
        self._alphas = pipe.scheduler.alphas_cumprod.to(device)
        self._factor = pipe.vae_scale_factor
        self._levels = len(pipe.unet.config.block_out_channels)

    def run(
        self,
        folder: str | os.PathLike[str],
        *,
        checkpoint_every: int = 500,
        picture_every: int = 1000,
        until: int | None = None,
        listener: Callable[[int, float], None] | None = None,
    ) -> None:
        """Train, from the last checkpoint in a folder if there is one.

        Parameters
        ----------
        folder : path-like
            Gets checkpoints, ``loss.png`` and ``samples-*.png``.
        checkpoint_every, picture_every : int, default=500 and 1000
            Steps between checkpoints, and between sheets of samples; 0 draws none.
        until : int or None
            Stop after this step, earlier than the settings say.
        listener : callable, optional
            Gets step and loss after every step, in the first process.

        Raises
        ------
        zoo.errors.FormatError
            The checkpoint belongs to another training, or is damaged.
        """
        home = Path(folder)
        found = find_checkpoint(home)
        if found is not None:
            self.restore(found)
        last = self.settings.steps if until is None else min(until, self.settings.steps)
        bar = tqdm(total=last, initial=self.step, unit="step", dynamic_ncols=True)
        with bar:
            while self.step < last:
                loss = self.advance()
                if listener is not None and self.accelerator.is_main_process:
                    listener(self.step, loss)
                bar.update()
                bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
                done = self.step == last
                if self.step % checkpoint_every == 0 or done:
                    self.save(home)
                if picture_every and (self.step % picture_every == 0 or done):
                    self._show(home)

    def advance(self) -> float:
        """One step of the optimiser.

        Returns
        -------
        float
            The mean loss of its batches.
        """
        settings, accelerator = self.settings, self.accelerator
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate_at(self.step)
        first = self.step * settings.accumulation
        mine = range(
            first + accelerator.process_index,
            first + settings.accumulation,
            accelerator.num_processes,
        )
        total = torch.zeros((), device=accelerator.device)
        for number in mine:
            with accelerator.accumulate(self.network):
                loss = self.loss(number)
                accelerator.backward(loss)
                total += loss.detach() / len(mine)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(list(self.parameters.values()), settings.clip)
                self.optimizer.step()
                self.optimizer.zero_grad()
        self.step += 1
        decay = min(settings.average, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(
            list(self.average.values()),
            [value.detach() for value in self.parameters.values()],
            1 - decay,
        )
        value = float(accelerator.reduce(total, "mean"))
        self._recent.append(value)
        if len(self._recent) >= 50:
            self.history.append((self.step, sum(self._recent) / len(self._recent)))
            self._recent = []
        return value

    def loss(self, number: int) -> Tensor:
        """Loss of the batch of a number, with everything random drawn from that number.

        Parameters
        ----------
        number : int
            Counted from 0 over all processes.

        Returns
        -------
        Tensor, scalar
        """
        settings, device = self.settings, self.accelerator.device
        generator = seeded(settings.seed, 1, number)
        batch = self.source.batch(number)
        features = self.reader.read(batch)
        with torch.no_grad():
            images = batch.images.to(device) * 2 - 1
            clean = self.pipe.vae.encode(images).latent_dist.sample(generator)
            clean = clean * self.pipe.vae.config.scaling_factor
        count, people = batch.present.shape
        noise = torch.randn(clean.shape, generator=generator).to(device)
        low = self.step >= settings.decay_start
        times = draw_times(count, total=len(self._alphas), low=low, generator=generator).to(device)
        alphas = self._alphas[times][:, None, None, None]
        noisy = alphas.sqrt() * clean + (1 - alphas).sqrt() * noise
        draw = torch.rand(count, generator=generator)
        both, text = settings.drop_both, settings.drop_both + settings.drop_text
        silent = (draw < text).tolist()
        dropped = (draw < both) | ((draw >= text) & (draw < text + settings.drop_faces))
        boxes, present = batch.boxes.to(device), batch.present.to(device)
        where = {
            "size": tuple(batch.images.shape[2:]),
            "factor": self._factor,
            "levels": self._levels,
        }
        with self.accelerator.autocast():
            prediction = self.network(
                noisy,
                times,
                control=batch.control.to(device),
                input_ids=self._tokens(
                    [
                        "" if hidden else caption
                        for hidden, caption in zip(silent, batch.captions, strict=True)
                    ]
                ),
                vector=features.vector.unflatten(0, (count, people)),
                tokens=features.tokens.unflatten(0, (count, people)),
                dropped=dropped.to(device),
                masks=regions_of(boxes, present, margin=settings.margin, **where),
            )
        kind = self.pipe.scheduler.config.prediction_type
        faces = regions_of(boxes, present, margin=0.0, **{**where, "levels": 1})[0]
        loss = diffusion_loss(
            prediction,
            clean,
            noise,
            alphas,
            kind=kind,
            faces=faces.amax(1),
            face_weight=settings.face_weight,
            largest_weight=settings.largest_weight,
        )
        if settings.identity_weight and self.reader.encoder is not None:
            latents = predicted_latents(prediction.float(), noisy, alphas, kind=kind)
            drawn = self.pipe.vae.decode(latents / self.pipe.vae.config.scaling_factor).sample
            weights = (alphas[:, 0, 0] * present) * ~dropped.to(device)[:, None]
            loss = loss + settings.identity_weight * identity_loss(
                drawn / 2 + 0.5,
                boxes,
                torch.where(weights > 0.5, weights, 0),
                features.vector.unflatten(0, (count, people)),
                self.reader.encoder,
            )
        return loss

    def _tokens(self, captions: list[str]) -> Tensor:
        tokenizer = self.pipe.tokenizer
        found = tokenizer(
            captions,
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        return found.input_ids.to(self.accelerator.device)

    @contextmanager
    def averaged(self) -> Iterator[Any]:
        """The pipeline with the running mean of the weights, for as long as the context lasts."""
        kept = {name: value.detach().clone() for name, value in self.parameters.items()}
        modules = [self.pipe.unet, self.pipe.controlnet, self.pipe.id_projector]
        modules.append(self.pipe.text_encoder)
        training = [module.training for module in modules]
        self._fill(self.average)
        for module in modules:
            module.eval()
        try:
            yield self.pipe
        finally:
            self._fill(kept)
            for module, was in zip(modules, training, strict=True):
                module.train(was)

    def _fill(self, values: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(values[name])

    def save(self, folder: Path) -> None:
        """Write a checkpoint, in the first process."""
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            tensors: dict[str, Tensor] = {
                f"weight.{name}": value for name, value in self.parameters.items()
            }
            tensors |= {f"average.{name}": value for name, value in self.average.items()}
            for name, parameter in self.parameters.items():
                for key, value in self.optimizer.state[parameter].items():
                    tensors[f"adam.{key}.{name}"] = torch.as_tensor(value)
            scaler = self.accelerator.scaler
            state = {**self._about(), "step": self.step}
            state["scaler"] = None if scaler is None else scaler.state_dict()
            save_checkpoint(folder, state, tensors)
            if self.history:
                save_picture(
                    draw_curve(*zip(*self.history, strict=True), size=(640, 400)),
                    folder / "loss.png",
                )
        self.accelerator.wait_for_everyone()

    def _about(self) -> dict[str, Any]:
        return {
            "settings": self.settings.to_json(),
            "source": dict(self.source.describe()),
            "history": [list(entry) for entry in self.history],
            "recent": self._recent,
        }

    def restore(self, checkpoint: Path) -> None:
        """Take up a training.

        Parameters
        ----------
        checkpoint : pathlib.Path
            As `save` wrote it.

        Raises
        ------
        zoo.errors.FormatError
            It belongs to another training, or is damaged.
        """
        state, tensors = load_checkpoint(checkpoint)
        own, step = self._about(), state.get("step")
        theirs = dict(state.get("settings") or {})
        if not isinstance(step, int) or state.get("source") != own["source"]:
            raise FormatError(f"The checkpoint {checkpoint} must be of the same training data.")
        late = [name for name in _FREE if theirs.get(name) != own["settings"][name]]
        if late and step > min(self.settings.decay_start, _decay_start(theirs)):
            raise FormatError(
                f"The checkpoint {checkpoint} must be from before the learning rate falls for "
                f"{' and '.join(late)} to change. Got step {step}."
            )
        for name in sorted(set(theirs) | set(own["settings"])):
            if name not in _FREE and theirs.get(name) != own["settings"].get(name):
                raise FormatError(
                    f"The checkpoint {checkpoint} must have the {name} of this training, "
                    f"{own['settings'].get(name)!r}. Got {theirs.get(name)!r}."
                )
        expected = {f"{kind}.{name}" for kind in ("weight", "average") for name in self.parameters}
        if not expected <= set(tensors):
            raise FormatError(
                f"The checkpoint {checkpoint} must hold every weight. Some are missing."
            )
        device = self.accelerator.device
        self._fill({name: tensors[f"weight.{name}"] for name in self.parameters})
        for name, parameter in self.parameters.items():
            self.average[name].copy_(tensors[f"average.{name}"])
            moments = {
                key: tensors.get(f"adam.{key}.{name}") for key in ("step", "exp_avg", "exp_avg_sq")
            }
            self.optimizer.state[parameter] = {
                key: value if key == "step" else value.to(device)
                for key, value in moments.items()
                if value is not None
            }
        if self.accelerator.scaler is not None and state.get("scaler"):
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step = step
        self.history = [(int(a), float(b)) for a, b in state["history"]]
        self._recent = [float(value) for value in state["recent"]]

    def _show(self, folder: Path) -> None:
        if self.accelerator.is_main_process:
            with self.averaged() as pipe:
                bar = dict(getattr(pipe, "_progress_bar_config", {}))
                pipe.set_progress_bar_config(disable=True)
                try:
                    picture = self.draw(pipe)
                finally:
                    pipe.set_progress_bar_config(**bar)
            save_picture(picture, folder / f"samples-{self.step:07d}.png")
        self.accelerator.wait_for_everyone()

    def draw(self, pipe: Any, *, rows: int = 8, steps: int = 20, guidance: float = 1.5) -> Any:
        """A sheet of samples, of batches that are never trained on.

        Parameters
        ----------
        pipe : InstantFamilyPipeline
        rows : int, default=8
            Pictures.
        steps : int, default=20
            Steps of the scheduler.
        guidance : float, default=1.5
            Scale of classifier-free guidance.

        Returns
        -------
        PIL.Image.Image
        """
        batches: list[FamilyBatch] = []
        features: list[FaceFeatures] = []
        number = _SAMPLES
        while sum(len(batch.captions) for batch in batches) < rows:
            batch = self.source.batch(number)
            number += 1
            if batches and batch.images.shape[2:] != batches[0].images.shape[2:]:
                continue
            batch = batch.first(2)
            batches.append(batch)
            features.append(self.reader.read(batch))
        return draw_samples(
            pipe, batches, features, num_inference_steps=steps, guidance_scale=guidance
        )


def _decay_start(settings: Mapping[str, Any]) -> int:
    steps, decay = settings.get("steps", 0), settings.get("decay", 1.0)
    return int(steps) - round(steps * decay)
