"""``zoo instantfamily``: group pictures and contact sheets of drawn people, and training."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli.console import stdout
from zoo.cli.files import check_output_file
from zoo.errors import ParameterError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["app", "portrait", "sheet", "train"]

_FORMATS = (".png", ".jpg", ".jpeg", ".webp")

app = typer.Typer(no_args_is_help=True, help="Family portraits of drawn people.")


@app.command()
def portrait(
    output: Annotated[Path, typer.Argument(help="The picture to write, .png or .jpg.")],
    *,
    people: Annotated[int, typer.Option("-n", "--people", min=1, max=16)] = 5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, the same family.")] = 0,
    width: Annotated[int, typer.Option(min=32, max=4096, help="Pixels.")] = 960,
    height: Annotated[int, typer.Option(min=32, max=4096, help="Pixels.")] = 640,
    crowding: Annotated[str, typer.Option(help="apart, touching or overlapping.")] = "overlapping",
) -> None:
    """Draw a group picture."""
    from zoo_instantfamily.drawing import CROWDING, DrawnFaces

    _check_picture(output)
    if crowding not in CROWDING:
        raise ParameterError(f"--crowding must be one of {', '.join(CROWDING)}, got {crowding!r}.")
    faces = DrawnFaces(seed)
    scenes = faces.scenes(faces.identities(people)[None], size=(height, width), crowding=crowding)
    _write(scenes.images[0], output)
    stdout().print(f"{output}: {scenes.captions[0]}")


@app.command()
def sheet(
    output: Annotated[Path, typer.Argument(help="The picture to write, .png or .jpg.")],
    *,
    people: Annotated[int, typer.Option("-n", "--people", min=1, max=64, help="Rows.")] = 4,
    portraits: Annotated[int, typer.Option(min=1, max=64, help="Columns.")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="The same seed, the same people.")] = 0,
    size: Annotated[int, typer.Option(min=16, max=1024, help="Side of a portrait.")] = 160,
) -> None:
    """Draw a contact sheet: each row one person, each picture anew."""
    from zoo_instantfamily.drawing import DrawnFaces

    _check_picture(output)
    faces = DrawnFaces(seed)
    rows = faces.identities(people).repeat_interleave(portraits, 0)
    images = faces.portraits(rows, size=size).view(people, portraits, 3, size, size)
    _write(images.permute(2, 0, 3, 1, 4).reshape(3, people * size, portraits * size), output)
    stdout().print(f"{output}: {portraits} portraits each of {people} people")


@app.command()
def train(
    output: Annotated[Path, typer.Argument(help="Folder for checkpoints, pictures and pipeline.")],
    *,
    data: Annotated[
        str, typer.Option(help="'drawn', or a folder or tar shard of pictures with descriptions.")
    ] = "drawn",
    base: Annotated[
        Path | None, typer.Option(help="A saved pipeline to train; without it a small new one.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the optimiser.")] = 1000,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures in a batch.")] = 8,
    accumulation: Annotated[
        int, typer.Option(min=1, help="Batches in a step, over all processes.")
    ] = 2,
    rate: Annotated[
        float | None, typer.Option(help="Peak learning rate; 6e-4 for a new pipeline, else 1e-5.")
    ] = None,
    size: Annotated[int | None, typer.Option(min=16, help="Side of the canvas in pixels.")] = None,
    people: Annotated[int, typer.Option(min=1, max=16, help="Most faces given at once.")] = 4,
    precision: Annotated[str, typer.Option(help="no, bf16 or fp16.")] = "no",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps.")] = 200,
    picture_every: Annotated[int, typer.Option(min=0, help="Steps; 0 draws none.")] = 500,
) -> None:
    """Train a pipeline; started again with the same options it goes on from where it was.

    ``accelerate launch -m zoo instantfamily train ...`` shares the work between processes.
    """
    from zoo_instantfamily.training.command import train_pipeline

    step, loss = train_pipeline(
        output,
        data=data,
        base=base,
        steps=steps,
        batch_size=batch_size,
        accumulation=accumulation,
        rate=rate,
        size=size,
        people=people,
        precision=precision,
        seed=seed,
        checkpoint_every=checkpoint_every,
        picture_every=picture_every,
    )
    stdout().print(f"{output / 'pipeline'}: {step} steps, loss {loss:.4f}")


def _check_picture(output: Path) -> None:
    check_output_file(output)
    if output.suffix.lower() not in _FORMATS:
        raise ParameterError(
            f"The picture must end in {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}, "
            f"got {output.name}."
        )


def _write(image: "Tensor", output: Path) -> None:
    from PIL import Image

    pixels = (image * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(pixels).save(output)
