"""What is installed and whether it works, as data; ``zoo doctor`` prints it.

Nothing here believes a list: an execution provider counts when a session opened with it says so.
"""

import platform
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from zoo.errors import MissingDependencyError
from zoo.registry import Registry, registry

__all__ = ["Diagnosis", "Problem", "Provider", "Version", "diagnose", "providers"]

PACKAGES = (
    *("numpy", "scikit-learn", "pluggy", "safetensors", "torch"),
    *("onnx", "onnxruntime", "onnxruntime-gpu", "skl2onnx", "pandas", "pyarrow", "skops"),
)
_REINSTALL = (
    "pip uninstall -y onnxruntime onnxruntime-gpu, then "
    "pip install 'zoo-estimators[onnx-gpu]' for CUDA or 'zoo-estimators[onnx]' without"
)


@dataclass(frozen=True, slots=True)
class Version:
    """One installed package; ``version`` is None where it is not installed."""

    name: str
    version: str | None
    cuda: str | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """One execution provider that onnxruntime lists.

    Attributes
    ----------
    name : str
        As in ``onnxruntime.get_available_providers()``.
    works : bool
        Whether a session that asked for it runs on it.
    detail : str
        Why not, where onnxruntime says so.
    """

    name: str
    works: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong, and what mends it."""

    cause: str
    mend: str


@dataclass
class Diagnosis:
    """Everything ``zoo doctor`` knows."""

    versions: list[Version] = field(default_factory=list)
    plugins: list[Version] = field(default_factory=list)
    providers: list[Provider] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def diagnose() -> Diagnosis:
    """Look at this installation.

    Returns
    -------
    Diagnosis
        Its ``problems`` are empty when all is well.
    """
    found = registry()
    diagnosis = Diagnosis(versions=_versions(), plugins=_plugins(found))
    diagnosis.problems += [
        Problem(
            f"The plugin {failure.plugin!r}"
            + (f" of {failure.distribution} {failure.version}" if failure.distribution else "")
            + f" cannot be used: {failure.cause}"
            if failure.exception is not None
            else f"The plugin {failure.plugin!r}: {failure.cause}",
            failure.mend,
        )
        for failure in found.failures
    ]
    clash = onnxruntime_clash(_installed)
    if clash is not None:
        diagnosis.problems.append(clash)
    try:
        diagnosis.providers = providers()
    except MissingDependencyError as error:
        if _installed("onnxruntime") or _installed("onnxruntime-gpu"):
            diagnosis.problems.append(Problem(str(error), _REINSTALL))
    diagnosis.problems += _gpu_problems(diagnosis)
    return diagnosis


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _versions() -> list[Version]:
    versions = [Version("python", platform.python_version())]
    for name in ("zoo-estimators", *PACKAGES):
        found = _installed(name)
        cuda = _cuda(name) if found else None
        versions.append(Version(name, found.version if found else None, cuda))
    return versions


def _plugins(found: Registry) -> list[Version]:
    owners = {
        (entry.distribution, entry.version)
        for entries in (found.entries, found.clashing, found.commands, found.demos)
        for entry in entries
    }
    return [Version(name, version) for name, version in sorted(owners)]


def _cuda(name: str) -> str | None:
    """CUDA version a wheel was built for, read from its files: importing torch takes seconds."""
    places = {
        "torch": ("torch", "version.py"),
        "onnxruntime": ("onnxruntime", "capi/build_and_package_info.py"),
        "onnxruntime-gpu": ("onnxruntime", "capi/build_and_package_info.py"),
    }
    if name not in places:
        return None
    module, relative = places[name]
    spec = PathFinder.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    try:
        text = Path(spec.submodule_search_locations[0], relative).read_text(encoding="utf-8")
    except OSError:
        return None
    match = re.search(r"^cuda(?:_version)?\b[^=\n]*=\s*['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return match.group(1) if match else None


def onnxruntime_clash(installed: Callable[[str], Distribution | None]) -> Problem | None:
    """Find out whether both distributions of onnxruntime are installed.

    They share one import name: the one installed last overwrites files of the other, and removing
    either leaves a module that holds nothing.

    Parameters
    ----------
    installed : callable
        From the name of a distribution to it, or to None.

    Returns
    -------
    Problem or None
    """
    cpu, gpu = installed("onnxruntime"), installed("onnxruntime-gpu")
    if cpu is None or gpu is None:
        return None
    return Problem(
        f"Both onnxruntime {cpu.version} and onnxruntime-gpu {gpu.version} are installed; they "
        f"overwrite each other's files, and whichever came last decides whether CUDA works.",
        _REINSTALL,
    )


def providers() -> list[Provider]:
    """Open a session with each provider that onnxruntime lists.

    Returns
    -------
    list of Provider
        In onnxruntime's order.

    Raises
    ------
    zoo.errors.MissingDependencyError
        onnxruntime is missing or hollow.
    """
    from zoo.onnx.session import import_onnxruntime, preload_libraries

    runtime = import_onnxruntime()
    preload_libraries(runtime)
    graph = _tiny_graph()
    found = []
    for name in runtime.get_available_providers():
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # fatal only: a provider that falls back says so on stderr
        try:
            session = runtime.InferenceSession(graph, options, providers=[name])
        except Exception as error:  # onnxruntime's errors share no base but Exception
            found.append(Provider(name, works=False, detail=str(error).strip().partition("\n")[0]))
            continue
        works = name in session.get_providers()
        detail = "" if works else f"falls back to {', '.join(session.get_providers())}"
        found.append(Provider(name, works=works, detail=detail))
    return found


def _tiny_graph() -> bytes:
    import onnx
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("Abs", ["x"], ["y"], name="abs")], "tiny", value[:1], value[1:]
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=onnx.IR_VERSION_2021_7_30
    )
    content: bytes = model.SerializeToString()
    return content


def _gpu_problems(diagnosis: Diagnosis) -> list[Problem]:
    """A CUDA build of onnxruntime on a machine with a GPU should run on it."""
    versions = {version.name: version for version in diagnosis.versions}
    cuda = next((p for p in diagnosis.providers if p.name == "CUDAExecutionProvider"), None)
    problems = []
    if cuda is not None and not cuda.works and has_nvidia_gpu():
        problems.append(
            Problem(
                f"onnxruntime is built for CUDA and a GPU is present, but its sessions do not run "
                f"there: {cuda.detail}.",
                "pip install 'zoo-estimators[onnx-gpu]'",
            )
        )
    torch_cuda, runtime_cuda = versions["torch"].cuda, versions["onnxruntime-gpu"].cuda
    if (
        torch_cuda
        and runtime_cuda
        and torch_cuda.partition(".")[0] != runtime_cuda.partition(".")[0]
        and cuda is not None
        and not cuda.works
    ):
        problems.append(
            Problem(
                f"torch is built for CUDA {torch_cuda} and onnxruntime-gpu for CUDA "
                f"{runtime_cuda}, so it cannot use the CUDA libraries that came with torch.",
                "pip install 'onnxruntime-gpu[cuda,cudnn]'",
            )
        )
    return problems


def has_nvidia_gpu() -> bool:
    """Whether the NVIDIA driver shows a device."""
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()
