"""onnxruntime sessions on the device that was asked for, or a clear refusal."""

import contextlib
import io
from types import ModuleType
from typing import Any

from zoo.errors import DeviceError, FormatError, MissingDependencyError

__all__ = ["DEVICES", "import_onnxruntime", "open_session", "preload_libraries", "session_device"]

DEVICES = ("auto", "cpu", "cuda")
_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
_ERRORS_ONLY, _FATAL_ONLY = 3, 4


def import_onnxruntime() -> ModuleType:
    """Import onnxruntime, or say which pip line helps.

    Returns
    -------
    module
        onnxruntime.

    Raises
    ------
    zoo.errors.MissingDependencyError
        It is not installed, or hollow: uninstalling one of ``onnxruntime`` and ``onnxruntime-gpu``
        while the other is there too removes files of both.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "Running an ONNX graph needs onnxruntime, which cannot be imported: "
            'pip install "zoo-estimators[onnx]", or "zoo-estimators[onnx-gpu]" for CUDA.'
        ) from error
    if getattr(onnxruntime, "__version__", None) is None:
        raise MissingDependencyError(
            "The installed onnxruntime is hollow, as happens when one of onnxruntime and "
            "onnxruntime-gpu is uninstalled beside the other: "
            "pip uninstall -y onnxruntime onnxruntime-gpu, then pip install the one you need."
        )
    return onnxruntime


def open_session(graph: bytes, *, device: str = "auto", threads: int | None = None) -> Any:
    """Open a graph for execution.

    Parameters
    ----------
    graph : bytes
        A serialised ONNX model.
    device : {"auto", "cpu", "cuda"}, default="auto"
        ``"cuda"`` runs on the GPU or raises. ``"auto"`` takes the GPU where onnxruntime can use
        it. What onnxruntime lists as available is not believed, only what the open session says.
    threads : int or None, default=None
        Threads within one operator. ``None`` leaves the choice to onnxruntime.

    Returns
    -------
    onnxruntime.InferenceSession
        The session.

    Raises
    ------
    ValueError
        ``device`` is something else.
    zoo.errors.DeviceError
        ``device="cuda"``, and the session would run on the CPU.
    zoo.errors.FormatError
        onnxruntime cannot load the graph.
    zoo.errors.MissingDependencyError
        onnxruntime is missing or hollow.
    """
    if device not in DEVICES:
        raise ValueError(f"The device must be one of {', '.join(DEVICES)}. Got {device!r}.")
    runtime = import_onnxruntime()
    providers: list[Any] = [_CPU]
    offered = runtime.get_available_providers()
    if device != "cpu" and _CUDA in offered:
        preload_libraries(runtime)
        providers.insert(0, _CUDA)
    elif device == "cuda":
        raise DeviceError(
            f"The device 'cuda' needs an onnxruntime built for CUDA, this one offers "
            f'{", ".join(offered)}: pip install "zoo-estimators[onnx-gpu]".'
        )
    options = runtime.SessionOptions()
    # A provider that falls back says so on stderr; here it is either refused below or wanted.
    options.log_severity_level = _ERRORS_ONLY if providers == [_CPU] else _FATAL_ONLY
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = runtime.InferenceSession(graph, options, providers=providers)
    except Exception as error:  # onnxruntime's errors share no base but Exception
        first = str(error).strip().partition("\n")[0]
        raise FormatError(f"onnxruntime cannot load the graph: {first}.") from error
    if device == "cuda" and session_device(session) != "cuda":
        raise DeviceError(
            "The device 'cuda' was asked for, but onnxruntime fell back to the CPU: check that "
            "the CUDA and cuDNN libraries it was built for are installed (zoo doctor)."
        )
    return session


def session_device(session: Any) -> str:
    """Name the device a session runs on: ``"cuda"`` or ``"cpu"``.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        An open session.

    Returns
    -------
    str
        What its providers say.
    """
    return "cuda" if _CUDA in session.get_providers() else "cpu"


def preload_libraries(runtime: ModuleType) -> None:
    """Let onnxruntime find the CUDA libraries that pip installed; what it prints is swallowed.

    Parameters
    ----------
    runtime : module
        onnxruntime.
    """
    preload = getattr(runtime, "preload_dlls", None)
    if preload is not None:  # onnxruntime 1.21 and later
        with contextlib.redirect_stdout(io.StringIO()):
            preload()
