"""What ``zoo doctor`` finds, on this installation and on sick ones."""

import json
import sys
import types

import pytest

from zoo import doctor
from zoo.doctor import Provider, diagnose, onnxruntime_clash, providers


class Distribution:
    def __init__(self, version):
        self.version = version


@pytest.fixture
def offer(monkeypatch):
    """Let onnxruntime offer providers; give those that a session will really have."""

    def install(offered, real):
        import onnxruntime

        class Session:
            def __init__(self, graph, options, providers):
                if real.get(providers[0]) is None:
                    raise RuntimeError("libcublas.so.13: cannot open\nsecond line")
                self.providers = real[providers[0]]

            def get_providers(self):
                return self.providers

        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
        monkeypatch.setattr(onnxruntime, "InferenceSession", Session)

    return install


def test__providers__this_installation__runs_on_the_cpu():
    found = {provider.name: provider for provider in providers()}
    assert found["CPUExecutionProvider"] == Provider("CPUExecutionProvider", works=True)


def test__providers__that_fall_back_or_raise__do_not_work(offer):
    cpu = "CPUExecutionProvider"
    offer(
        ["TensorrtExecutionProvider", "CUDAExecutionProvider", cpu],
        {"CUDAExecutionProvider": [cpu], cpu: [cpu]},
    )
    assert providers() == [
        Provider("TensorrtExecutionProvider", works=False, detail="libcublas.so.13: cannot open"),
        Provider("CUDAExecutionProvider", works=False, detail=f"falls back to {cpu}"),
        Provider(cpu, works=True),
    ]


def test__diagnose__this_installation__knows_its_versions():
    import sklearn
    import torch

    diagnosis = diagnose()
    versions = {version.name: version for version in diagnosis.versions}
    assert versions["scikit-learn"].version == sklearn.__version__
    assert versions["torch"].version == torch.__version__
    assert versions["torch"].cuda == torch.version.cuda
    assert versions["python"].version == sys.version.split()[0]
    assert "zoo-kan" in [plugin.name for plugin in diagnosis.plugins]


def test__cuda_version__of_wheels__is_read_from_their_files(tmp_path, monkeypatch):
    for name, line in {
        "torch/version.py": "__version__ = '2.13'\ncuda: Optional[str] = '13.0'\n",
        "onnxruntime/capi/build_and_package_info.py": 'cuda_version = "12.8"\n',
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(line)
    specs = {
        name: types.SimpleNamespace(submodule_search_locations=[str(tmp_path / name)])
        for name in ("torch", "onnxruntime")
    }
    monkeypatch.setattr("importlib.machinery.PathFinder.find_spec", specs.get)
    assert doctor._cuda("torch") == "13.0"
    assert doctor._cuda("onnxruntime-gpu") == "12.8"
    assert doctor._cuda("numpy") is None
    (tmp_path / "torch/version.py").write_text("cuda: Optional[str] = None\n")
    assert doctor._cuda("torch") is None


def test__onnxruntime_clash__both_installed__is_a_problem_with_its_mend():
    both = {"onnxruntime": Distribution("1.32.0"), "onnxruntime-gpu": Distribution("1.31.1")}
    problem = onnxruntime_clash(both.get)
    assert "Both onnxruntime 1.32.0 and onnxruntime-gpu 1.31.1 are installed" in problem.cause
    assert problem.mend.startswith("pip uninstall -y onnxruntime onnxruntime-gpu, then pip install")
    for name in both:
        assert onnxruntime_clash({name: both[name]}.get) is None


def test__diagnose__hollow_onnxruntime__is_a_problem(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", types.ModuleType("onnxruntime"))
    diagnosis = diagnose()
    assert diagnosis.providers == []
    (problem,) = diagnosis.problems
    assert "onnxruntime is hollow" in problem.cause
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in problem.mend


def test__diagnose__no_onnxruntime__is_no_problem(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(
        doctor, "_installed", lambda name: None if "onnxruntime" in name else Distribution("1")
    )
    diagnosis = diagnose()
    assert diagnosis.providers == []
    assert diagnosis.problems == []


def test__diagnose__cuda_that_falls_back_beside_a_gpu__is_a_problem(offer, monkeypatch):
    cpu = "CPUExecutionProvider"
    offer(["CUDAExecutionProvider", cpu], {"CUDAExecutionProvider": [cpu], cpu: [cpu]})
    monkeypatch.setattr(doctor, "has_nvidia_gpu", lambda: False)
    assert diagnose().problems == []
    monkeypatch.setattr(doctor, "has_nvidia_gpu", lambda: True)
    (problem,) = diagnose().problems
    assert "do not run there: falls back to CPUExecutionProvider" in problem.cause


def test__diagnose__different_cuda_majors__are_named_when_cuda_fails(offer, monkeypatch):
    cpu, cuda = "CPUExecutionProvider", "CUDAExecutionProvider"
    monkeypatch.setattr(doctor, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(
        doctor, "_installed", lambda name: None if name == "onnxruntime" else Distribution("1")
    )
    builds = {"torch": "13.0", "onnxruntime-gpu": "12.8"}
    monkeypatch.setattr(doctor, "_cuda", builds.get)
    offer([cuda, cpu], {cuda: [cuda, cpu], cpu: [cpu]})
    assert diagnose().problems == []
    offer([cuda, cpu], {cuda: [cpu], cpu: [cpu]})
    (problem,) = diagnose().problems
    assert "torch is built for CUDA 13.0 and onnxruntime-gpu for CUDA 12.8" in problem.cause


def test__doctor__healthy__ends_with_zero(cli):
    result = cli("doctor")
    assert result.exit_code == 0
    assert "CPUExecutionProvider" in result.stdout
    assert "All is well." in result.stdout
    report = json.loads(cli("doctor", "--json").stdout)
    assert report["problems"] == []
    assert {"name": "CPUExecutionProvider", "works": True, "detail": ""} in report["providers"]


def test__doctor__broken_plugin__is_shown_with_the_mend_and_ends_with_one(add_distribution, cli):
    add_distribution(
        "zoo-bad",
        {"zoo_bad": "import absent_package"},
        entry_points={"bad": "zoo_bad"},
        requires=("absent-package",),
    )
    result = cli("doctor")
    assert result.exit_code == 1
    assert "WRONG The plugin 'bad' of zoo-bad 1.0 cannot be used: ModuleNotFoundError" in (
        result.stdout
    )
    assert "mend: pip install 'absent-package'" in result.stdout
    result = cli("doctor", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["problems"][0]["mend"] == "pip install 'absent-package'"


def test__doctor__both_onnxruntimes__end_with_one(cli, monkeypatch):
    monkeypatch.setattr(doctor, "_installed", lambda _: Distribution("1.30"))
    result = cli("doctor")
    assert result.exit_code == 1
    assert "WRONG Both onnxruntime 1.30 and onnxruntime-gpu 1.30 are installed" in result.stdout
