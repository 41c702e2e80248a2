"""Sessions run where they were asked to, or say why not."""

import subprocess
import sys
import types

import numpy as np
import pytest

from zoo.errors import DeviceError, FormatError, MissingDependencyError
from zoo.onnx.builder import GraphBuilder
from zoo.onnx.session import import_onnxruntime, open_session, session_device


@pytest.fixture(scope="module")
def graph() -> bytes:
    builder = GraphBuilder("g", dtype="float64", opset=20)
    x = builder.input("X", ["n"])
    builder.output(builder.node("Add", [x, x], "sum"), "y", ["n"])
    return builder.model().SerializeToString()


class Session:
    """Stands for a session that runs on the CPU whatever was asked."""

    def __init__(self, graph: bytes, options: object, providers: list) -> None:
        self.asked = providers

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


class CudaSession(Session):
    """Stands for a session that got what was asked."""

    def get_providers(self) -> list[str]:
        return self.asked


def pretend(monkeypatch: pytest.MonkeyPatch, session: type, preload: object = None) -> None:
    """Put an onnxruntime in place that lists CUDA, as the GPU build does on any machine."""
    fake = types.ModuleType("onnxruntime")
    fake.__version__ = "1.0"
    fake.InferenceSession = session
    fake.SessionOptions = types.SimpleNamespace
    fake.get_available_providers = lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    if preload is not None:
        fake.preload_dlls = preload
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test__open_session__cpu_build__runs_on_the_cpu(graph: bytes, device: str) -> None:
    session = open_session(graph, device=device, threads=1)

    assert session_device(session) == "cpu"
    assert session.run(["y"], {"X": np.array([1.0, 2.0])})[0].tolist() == [2.0, 4.0]


def test__open_session__cuda_with_a_cpu_build__raises_with_the_pip_line(graph: bytes) -> None:
    with pytest.raises(DeviceError, match=r"offers .*CPUExecutionProvider: pip install .*onnx-gpu"):
        open_session(graph, device="cuda")


def test__open_session__cuda_that_falls_back__raises(
    graph: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, Session)
    with pytest.raises(DeviceError, match=r"'cuda' was asked for, but onnxruntime fell back"):
        open_session(graph, device="cuda")


def test__open_session__auto_that_falls_back__is_the_cpu(
    graph: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, Session)
    session = open_session(graph, device="auto")
    assert session.asked == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert session_device(session) == "cpu"


def test__open_session__cuda_that_works__is_asked_first_and_kept(
    graph: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, CudaSession, preload=lambda: print("Failed to load libcudnn"))
    session = open_session(graph, device="cuda")
    assert session_device(session) == "cuda"
    assert session.asked[0] == "CUDAExecutionProvider"
    assert capfd.readouterr() == ("", "")


def test__open_session__cpu_asked_of_a_gpu_build__does_not_try_cuda(
    graph: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, Session)
    assert open_session(graph, device="cpu").asked == ["CPUExecutionProvider"]


def test__open_session__unknown_device__lists_the_known(graph: bytes) -> None:
    with pytest.raises(ValueError, match=r"must be one of auto, cpu, cuda. Got 'tpu'"):
        open_session(graph, device="tpu")


def test__open_session__bytes_that_are_no_graph__is_said_quietly(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(FormatError, match=r"onnxruntime cannot load the graph"):
        open_session(b"nothing")
    assert capfd.readouterr().err == ""


def test__import_onnxruntime__not_installed__says_the_pip_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "zoo-estimators\[onnx\]"'):
        import_onnxruntime()


def test__import_onnxruntime__hollow_package__says_how_to_mend_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", types.ModuleType("onnxruntime"))
    with pytest.raises(MissingDependencyError, match=r"is hollow.*pip uninstall -y onnxruntime"):
        import_onnxruntime()


def test__session_module__imported__loads_neither_onnx_nor_onnxruntime() -> None:
    code = (
        "import sys, zoo.onnx.session, zoo.runtime; "
        "print(sorted({'onnx', 'onnxruntime', 'sklearn'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
