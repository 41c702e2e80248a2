"""The group of all commands: resolved from strings, errors turned into one sentence."""

from typing import Annotated, Any

import typer
import typer.core
import typer.main

from zoo.cli.console import complain, debugging
from zoo.errors import BrokenPluginError, ZooError
from zoo.spec import CommandSpec
from zoo.targets import import_target

__all__ = ["COMMANDS", "LazyGroup", "app"]

COMMANDS = (
    CommandSpec("list", "zoo.cli.listing:app", "List the installed models."),
    CommandSpec("info", "zoo.cli.info:app", "Show what a model is, does and takes."),
    CommandSpec("doctor", "zoo.cli.doctor:app", "Check the installation and say what mends it."),
    CommandSpec("check", "zoo.cli.check:app", "Run the conformance suite on a model."),
    CommandSpec("demo", "zoo.cli.demo:app", "Run a demonstration and write its report."),
    CommandSpec("fit", "zoo.cli.fit:app", "Fit a model to a table and write a run folder."),
    CommandSpec("predict", "zoo.cli.predict:app", "Predict new rows with a run folder."),
    CommandSpec("export", "zoo.cli.export:app", "Export a run folder to ONNX, columns and all."),
    CommandSpec("run", "zoo.cli.run:app", "Predict new rows with an exported folder, on ONNX."),
)


class LazyGroup(typer.core.TyperGroup):
    """A group whose commands are imported when they are invoked, not when they are listed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the core's commands, then of the plugins'."""
        self.commands.update(_stubs())
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A stand-in with name and summary, enough for help and completion."""
        self.list_commands(ctx)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Import the command that is to be invoked."""
        spec = _find(args[0])
        if spec is None:
            return super().resolve_command(ctx, args)  # says that there is none, and what is close
        loaded = import_target(spec.target)
        if not isinstance(loaded, typer.Typer):
            raise BrokenPluginError(
                f"The target {spec.target!r} of command {spec.name!r} must be a typer.Typer. "
                f"Got a {type(loaded).__name__}."
            )
        command = typer.main.get_command(loaded)
        command.name = spec.name
        return spec.name, command, args[1:]

    def invoke(self, ctx: Any) -> Any:
        """Run a command; say an error of the zoo in one sentence."""
        try:
            return super().invoke(ctx)
        except ZooError as error:
            if debugging():
                raise
            complain(str(error))
            raise typer.Exit(2) from error


def _find(name: str) -> CommandSpec | None:
    own = {spec.name: spec for spec in COMMANDS}
    if name in own:
        return own[name]
    from zoo.registry import registry

    found = registry()
    for entry in found.commands:
        if entry.spec.name == name:
            return entry.spec
    for failure in found.failures:
        if name == failure.plugin:
            raise failure.error()
    return None


def _stubs() -> dict[str, Any]:
    from zoo.registry import registry

    stubs = {spec.name: _stub(spec, "Commands") for spec in COMMANDS}
    for entry in registry().commands:
        # A plugin does not replace a command of the core.
        stubs.setdefault(entry.spec.name, _stub(entry.spec, "Commands of plugins"))
    return stubs


def _stub(spec: CommandSpec, panel: str) -> Any:
    return typer.core.TyperCommand(name=spec.name, help=spec.summary, rich_help_panel=panel)


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if value:
        import zoo

        typer.echo(f"zoo {zoo.__version__}")
        raise typer.Exit


app = typer.Typer(name="zoo", cls=LazyGroup, no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Research models as scikit-learn estimators that leave as ONNX.

    Start with [bold]zoo list[/bold], then [bold]zoo fit MODEL data.csv --target y -o run/[/bold].
    """
    del version
