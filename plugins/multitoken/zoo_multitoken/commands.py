"""``zoo multitoken generate`` and ``zoo multitoken train``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import zoo
from zoo.cli.console import Phases, stdout, system_errors
from zoo.cli.files import check_output_folder
from zoo.errors import ParameterError
from zoo_multitoken.plugin import MULTITOKEN

if TYPE_CHECKING:
    from rich.console import Console

    from zoo_multitoken.decoding import Statistics
    from zoo_multitoken.text_generator import TextGenerator

__all__ = ["app", "generate", "train"]

app = typer.Typer(no_args_is_help=True, help="Train language models, complete texts with them.")
#: Neighbouring bursts are told apart by turns; a single token has no colour.
_COLOURS = ("black on bright_green", "black on bright_cyan")
_WARM_UP = 16


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="The text to continue.")],
    *,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A saved or exported folder, or name:checkpoint."),
    ] = None,
    show_accepted: Annotated[
        bool, typer.Option("--show-accepted", help="Colour the tokens accepted at once.")
    ] = False,
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", "-n", min=1, help="Most tokens to add.")
    ] = 200,
    temperature: Annotated[
        float, typer.Option(min=0.0, help="0 takes the likeliest token, above it they are drawn.")
    ] = 0.0,
    top_p: Annotated[float, typer.Option(help="Draw among the likeliest, up to this mass.")] = 1.0,
    draft: Annotated[
        str, typer.Option(help="Where drafts come from: heads, lookup, hybrid or none.")
    ] = "hybrid",
    stop: Annotated[list[str] | None, typer.Option(help="A text to end at; repeatable.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Fixes what is drawn.")] = None,
    compare: Annotated[
        bool, typer.Option(help="Also decode one token at a time, and compare the speed.")
    ] = True,
) -> None:
    """Continue a text, several tokens a forward.

    What is certain is printed as it comes. With --show-accepted, tokens that one forward added
    together have one colour; where there are no colours, they stand between ‹ and ›. The last lines
    say how many tokens a forward added, and how much faster that was than one at a time.
    """
    speaker = _open(model)
    options: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "stop": stop or None,
    }
    with _one_sentence():
        speaker.generate(prompt, **options | {"max_new_tokens": min(_WARM_UP, max_new_tokens)})
        console = stdout()
        counted, text = _print_stream(
            console,
            speaker,
            prompt,
            options | {"draft": draft, "random_state": seed},
            coloured=show_accepted,
        )
    for line in _count(counted):
        console.print(line, markup=False)
    if compare and counted.forwards:
        plain, slow = speaker.generate(
            prompt,
            strategy="autoregressive",
            return_statistics=True,
            random_state=seed,
            **options,
        )
        same = None if temperature else plain == text
        console.print(_race(counted, slow, same=same), markup=False)


@app.command()
def train(
    folder: Annotated[Path, typer.Argument(help="The folder with the texts.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to save it to.")],
    pattern: Annotated[str, typer.Option(help="Which files, such as '*.py'.")] = "*",
    heads: Annotated[int, typer.Option(min=1, help="Prediction heads.")] = 4,
    kind: Annotated[
        str, typer.Option(help="Of heads: causal, linear, parallel, anticausal or sequential.")
    ] = "causal",
    width: Annotated[int, typer.Option(min=1, help="Of the transformer.")] = 256,
    layers: Annotated[int, typer.Option(min=1, help="Of the transformer.")] = 6,
    context: Annotated[int, typer.Option(min=1, help="Tokens to look back on.")] = 512,
    epochs: Annotated[float, typer.Option(help="How often to go through the texts.")] = 1.0,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps to take, instead of epochs.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows in a step.")] = 8,
    held_out: Annotated[
        float, typer.Option(help="Part of the texts to hold out and to report on.")
    ] = 0.02,
    tokenizer: Annotated[
        str, typer.Option(help="bytes, or a tokenizer.json of Hugging Face.")
    ] = "bytes",
    device: Annotated[str, typer.Option(help="Such as cpu or cuda.")] = "auto",
    mixed_precision: Annotated[
        bool, typer.Option("--mixed-precision", help="Multiply matrices in bfloat16.")
    ] = False,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints; the training goes on from there.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the result.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output folder if it exists.")
    ] = False,
) -> None:
    """Train a language model on the files of a folder."""
    from zoo_multitoken.training import Processes

    check_output_folder(output, overwrite=overwrite, marker="config.json")
    with _one_sentence(), system_errors(f"Cannot write {output}"):
        lm = zoo.load(
            MULTITOKEN.name,
            n_heads=heads,
            head=kind,
            d_model=width,
            n_layers=layers,
            context=context,
            epochs=epochs,
            max_steps=max_steps,
            batch_size=batch_size,
            validation_fraction=held_out,
            tokenizer=tokenizer,
            device=device,
            mixed_precision=mixed_precision,
            checkpoint=checkpoint,
            random_state=seed,
            input="folder",
            pattern=pattern,
            verbose=1,
        ).fit(folder)
        # The folder was an option of this training, the saved model takes texts.
        lm.set_params(input="content", checkpoint=None, verbose=0)
        if Processes().rank:  # another process writes it
            return
        lm.save_pretrained(output, overwrite=overwrite)
    typer.echo(f"Trained {lm.n_parameters_:,} parameters on {lm.n_bytes_seen_:,} bytes.")
    if lm.history_ and "accuracy" in lm.history_[-1]:
        shares = ", ".join(f"{share:.0%}" for share in lm.history_[-1]["accuracy"])
        typer.echo(f"Of the texts held out, the heads get {shares} of the tokens right.")
    typer.echo(f"Wrote {output}. Next: zoo multitoken generate 'some text' --model {output}")


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Say what an estimator or a generation refuses as the user's error."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if isinstance(error, zoo.errors.ZooError):
            raise
        raise ParameterError(str(error)) from error


def _open(model: str | None) -> "TextGenerator":
    from zoo_multitoken.text_generator import TextGenerator

    if model is None:
        if not MULTITOKEN.checkpoints:
            raise ParameterError(
                "--model must be given: a folder that zoo multitoken train wrote. "
                "This version comes without a trained model."
            )
        model = f"{MULTITOKEN.name}:{MULTITOKEN.checkpoints[0].name}"
    with Phases() as phases:
        phases.phase("reading")
        exported = Path(model, "zoo.json").is_file()
        speaker = zoo.load_onnx(model) if exported else zoo.load(model)
    if not isinstance(speaker, TextGenerator):
        raise ParameterError(
            f"--model must be a model that generates texts. Got a {type(speaker).__name__}."
        )
    return speaker


def _print_stream(
    console: "Console",
    speaker: "TextGenerator",
    prompt: str,
    options: dict[str, Any],
    *,
    coloured: bool,
) -> tuple["Statistics", str]:
    from rich.text import Text

    from zoo_multitoken.generation import stream

    decoding, bursts = stream(*speaker._open_backend(), [prompt], **options)
    console.print(Text(prompt, style="bold"), end="", soft_wrap=True)
    several, parts = 0, []
    for part in bursts:
        parts.append(part.text)
        text, style = part.text, ""
        if coloured and len(part.burst.tokens) > 1 and text:
            if console.color_system is None:
                text = f"‹{text}›"
            style = _COLOURS[several % len(_COLOURS)]
            several += 1
        console.print(Text(text, style=style), end="", soft_wrap=True)
    console.print()
    return decoding.statistics, "".join(parts)


def _count(counted: "Statistics") -> Iterator[str]:
    if not counted.forwards:
        yield f"{counted.tokens} token{'s' * (counted.tokens != 1)}, not drafted."
        return
    shares = [
        f"{source} {rates[0]:.0%}"
        for source in ("heads", "lookup")
        if (rates := counted.acceptance(source))
    ]
    accepted = f"; first drafts accepted: {', '.join(shares)}" if shares else ""
    yield (
        f"{counted.tokens} tokens, {counted.tokens_per_forward:.2f} tokens per forward"
        f" ({counted.forwards} forwards){accepted}."
    )


def _race(fast: "Statistics", slow: "Statistics", *, same: bool | None) -> str:
    ratio = fast.tokens_per_second / slow.tokens_per_second
    texts = {None: "drawn anew", True: "the same text", False: "another text, by rounding"}[same]
    return (
        f"{fast.tokens_per_second:.0f} tokens per second against {slow.tokens_per_second:.0f} "
        f"one at a time: {ratio:.2f} times as fast, {texts}."
    )
