"""Running a job in a new interpreter, with packages or the network taken away."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from zoo.testing.subject import require

__all__ = ["run_job"]

_SCRIPT = Path(__file__).with_name("child.py")
_TIMEOUT = 600


def run_job(
    action: str,
    *,
    block: Iterable[str] = (),
    offline: bool = False,
    variables: dict[str, str] | None = None,
    **job: Any,
) -> dict[str, Any]:
    """Run a job of `zoo.testing.child` in a new interpreter.

    Parameters
    ----------
    action : str
        Which job.
    block : iterable of str, default=()
        Packages that cannot be imported there.
    offline : bool, default=False
        Refuse and record connections.
    variables : dict of str to str or None, default=None
        Environment variables to set.
    **job
        What the job takes, fit for JSON.

    Returns
    -------
    dict
        Its result, with ``attempts``, the connections it tried.

    Raises
    ------
    AssertionError
        The job raised, or its interpreter died.
    """
    job |= {"action": action, "block": list(block), "offline": offline}
    environment = os.environ | {
        # What is importable here is importable there; -P keeps this folder out of it.
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        **(variables or {}),
    }
    process = subprocess.run(
        [sys.executable, "-P", str(_SCRIPT), json.dumps(job, default=str)],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=_TIMEOUT,
    )
    last = process.stdout.rstrip().rpartition("\n")[2]
    require(
        process.returncode == 0 and last.startswith("{"),
        f"a new interpreter ended with code {process.returncode}: {process.stderr[-2000:]}",
    )
    result: dict[str, Any] = json.loads(last)
    require("error" not in result, f"in a new interpreter: {result.get('error')}")
    return result
