"""The command line ``zoo``.

Each command is a module with a `typer.Typer`, named by a string and imported when it is used, the
core's and the plugins' alike. What a user can do wrong ends in one sentence on stderr and exit
code 2; ``ZOO_DEBUG=1`` shows the traceback instead.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line on the arguments of the process."""
    from zoo.cli.console import complain, debugging
    from zoo.errors import ZooError

    try:
        _dispatch(sys.argv[1:])
    except ZooError as error:
        if debugging():
            raise
        complain(str(error))
        sys.exit(2)
    except Exception as error:
        if debugging():
            raise
        words = " ".join(str(error).split())
        complain(
            f"Unexpected {type(error).__name__}: {words} "
            f"This is a bug; ZOO_DEBUG=1 shows where it happened."
        )
        sys.exit(1)


def _dispatch(arguments: list[str]) -> None:
    # Importing typer takes longer than listing: the plain listing does without.
    if arguments in (["list"], ["list", "--json"]):
        from zoo.cli.models import show_models

        show_models(as_json="--json" in arguments)
        return
    import warnings

    import typer.main

    from zoo.cli.app import app
    from zoo.cli.console import debugging, note

    if not debugging():
        warnings.showwarning = lambda message, *where: note(str(message))
    typer.main.get_command(app).main(prog_name="zoo")
