"""What runs in the new interpreters that the checks start.

This file is executed as a script, never imported: an import of ``zoo.testing`` would load what some
checks assert not to be loaded.
"""

import importlib.abc
import json
import socket
import sys
from typing import Any


class _Blocker(importlib.abc.MetaPathFinder):
    """Makes some packages look as if they were not installed."""

    def __init__(self, names: list[str]) -> None:
        self.names = set(names)

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {fullname!r} (blocked)", name=fullname)


def _watch_network(attempts: list[str]) -> None:
    """Refuse and record every attempt to reach a network; an audit hook cannot be evaded."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
            return
        first = arguments[0]
        if isinstance(first, socket.socket) and first.family == socket.AF_UNIX:
            return
        attempts.append(
            f"{event}{arguments[1:] if isinstance(first, socket.socket) else arguments}"
        )
        raise OSError(f"the network is off: {attempts[-1]}")

    sys.addaudithook(hook)


def _save_outputs(model: Any, job: dict[str, Any]) -> None:
    import numpy as np

    from zoo.testing.subject import outputs

    found: dict[str, Any] = dict(outputs(model, np.load(job["X"]), job["task"]))
    np.savez(job["out"], **found)


def _list(job: dict[str, Any]) -> dict[str, Any]:
    import zoo

    names = zoo.available()
    return {"available": names, "loaded": sorted(sys.modules)}


def _predict(job: dict[str, Any]) -> dict[str, Any]:
    import zoo

    model = zoo.load(job["folder"])
    _save_outputs(model, job)
    return {"class": type(model).__qualname__, "params": repr(sorted(model.get_params().items()))}


def _run(job: dict[str, Any]) -> dict[str, Any]:
    # The runner and the arrays only: zoo.testing itself needs scikit-learn.
    import numpy as np

    import zoo

    runner = zoo.load_onnx(job["folder"], device="cpu")
    X = np.load(job["X"])
    found = {
        name: getattr(runner, verb)(X, **options)
        for name, (verb, options) in job["questions"].items()
    }
    np.savez(job["out"], **found)
    return {"loaded": sorted(sys.modules)}


def _fit(job: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    import zoo
    from zoo.testing.subject import outputs

    model = zoo.load(job["name"], task=job["task"], **job["params"])
    X = np.load(job["X"])
    model.fit(X, None if job["y"] is None else np.load(job["y"]))
    outputs(model, X, job["task"])
    if job["folder"]:
        outputs(zoo.load(model.save_pretrained(job["folder"])), X, job["task"])
    return {}


def main() -> None:
    """Do the job that the first argument describes in JSON and print its result in JSON."""
    job = json.loads(sys.argv[1])
    attempts: list[str] = []
    sys.meta_path.insert(0, _Blocker(job["block"]))
    if job["offline"]:
        _watch_network(attempts)
    actions = {"list": _list, "predict": _predict, "run": _run, "fit": _fit}
    try:
        result = actions[job["action"]](job)
    except Exception as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    print("\n" + json.dumps(result | {"attempts": attempts}))


if __name__ == "__main__":
    main()
