"""What ``zoo instantfamily train`` does."""

import os
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from zoo.errors import ParameterError
from zoo_instantfamily.drawn_model import build_drawn_faces
from zoo_instantfamily.pipeline import InstantFamilyPipeline
from zoo_instantfamily.training.batch import SceneSource
from zoo_instantfamily.training.drawn import DrawnSource
from zoo_instantfamily.training.folder import FolderSource
from zoo_instantfamily.training.settings import TRAINABLE, TrainingSettings
from zoo_instantfamily.training.trainer import FamilyTrainer

__all__ = ["train_pipeline"]


def train_pipeline(
    output: str | os.PathLike[str],
    *,
    data: str,
    base: str | os.PathLike[str] | None,
    steps: int,
    batch_size: int,
    accumulation: int,
    rate: float | None,
    size: int | None,
    people: int,
    precision: str,
    seed: int,
    checkpoint_every: int,
    picture_every: int,
) -> tuple[int, float]:
    """Train a pipeline and save it, with the averaged weights, as ``output/pipeline``.

    Parameters
    ----------
    output : path-like
        The folder of the training.
    data : str
        ``"drawn"``, or what `read_records` takes.
    base : path-like or None
        A saved `InstantFamilyPipeline`; ``None`` is an untrained one for drawn faces, of which the
        text encoder is trained too.
    steps, accumulation, precision, seed
        As in `TrainingSettings`.
    batch_size, people : int
        As in `FolderSource`; drawn scenes have their own numbers of people.
    rate : float or None
        Peak learning rate; ``None`` is 6e-4 without a base and 1e-5 with one.
    size : int or None
        Side of the canvas in pixels; ``None`` is the pipeline's own.
    checkpoint_every, picture_every : int
        As in `FamilyTrainer.run`.

    Returns
    -------
    step : int
    loss : float
        Of the last step.

    Raises
    ------
    zoo.errors.ParameterError
        The size does not fit.
    """
    pipe: Any
    if base is None:
        pipe = build_drawn_faces(seed=seed)
    else:
        pipe = InstantFamilyPipeline.from_pretrained(base)
    factor = pipe.vae_scale_factor * 2 ** (len(pipe.unet.config.block_out_channels) - 1)
    side = pipe.unet.config.sample_size * pipe.vae_scale_factor if size is None else size
    multiple = 2 * factor if data == "drawn" else factor
    if side % multiple:
        raise ParameterError(f"--size must be a multiple of {multiple}, got {side}.")
    accelerator = Accelerator(mixed_precision=precision)
    source: SceneSource
    if data == "drawn":
        device = str(accelerator.device)
        source = DrawnSource(seed=seed, batch_size=batch_size, side=side, device=device)
    else:
        source = FolderSource(
            data,
            size=(side, side),
            batch_size=batch_size,
            people=people,
            circles=pipe.config.circles,
            seed=seed,
        )
    settings = TrainingSettings(
        steps=steps,
        accumulation=accumulation,
        networks=TRAINABLE if base is None else TrainingSettings(steps=steps).networks,
        rate=rate if rate is not None else 6e-4 if base is None else 1e-5,
        identity_weight=0.02 if data == "drawn" else 0.0,
        mixed_precision=precision,
        seed=seed,
    )
    trainer = FamilyTrainer(pipe, source, settings, accelerator=accelerator)
    last = float("nan")

    def keep(step: int, loss: float) -> None:
        nonlocal last
        last = loss

    trainer.run(
        output, checkpoint_every=checkpoint_every, picture_every=picture_every, listener=keep
    )
    if trainer.accelerator.is_main_process:
        with trainer.averaged():
            pipe.save_pretrained(Path(output) / "pipeline", overwrite=True)
    trainer.accelerator.wait_for_everyone()
    return trainer.step, last
