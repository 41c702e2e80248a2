import sys
import types
from pathlib import Path

import pytest

import zoo
from zoo.errors import (
    BrokenPluginError,
    FormatError,
    MissingDependencyError,
    NameClashError,
    ParameterError,
    SourceError,
    UnknownModelError,
)

TOY = """
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from zoo.persistence import FittedState, PretrainedMixin


class Toy(RegressorMixin, PretrainedMixin, BaseEstimator):
    def __init__(self, *, grid="auto", order=3):
        self.grid = grid
        self.order = order

    def fit(self, X, y):
        self.mean_ = np.mean(y)
        return self

    def _get_fitted_state(self):
        return FittedState({"mean": self.mean_})

    def _set_fitted_state(self, state):
        self.mean_ = state.values["mean"]


class Classifier(Toy):
    pass


def build(**options):
    return options


def parameterless():
    return "built"
"""

PLUGIN = """
import zoo

@zoo.hookimpl
def zoo_register_models(register):
    register(zoo.ModelSpec(
        "toy",
        {
            "regression": "toy_model:Toy",
            "classification": "toy_model:Classifier",
            "anything": "toy_model:build",
            "nothing": "toy_model:parameterless",
            "absent": "toy_model:Absent",
            "crash": "toy_crash:Model",
        },
        checkpoints=(
            zoo.Checkpoint("small", "toy_weights/inner/small"),
            zoo.Checkpoint("lost", "toy_weights/inner/lost"),
            zoo.Checkpoint("nowhere", "package_of_nobody/small"),
            zoo.Checkpoint("remote", "hf:org/toy@v1"),
        ),
    ))
"""


@pytest.fixture
def toy(add_distribution):
    site = add_distribution(
        "zoo-toy",
        {
            "toy_plugin": PLUGIN,
            "toy_model": TOY,
            "toy_crash": "raise RuntimeError('no compiler')",
            "toy_weights.__init__": "",
        },
        entry_points={"toy": "toy_plugin"},
    )
    import toy_model

    toy_model.Toy(grid=7).fit([[0.0]], [4.0]).save_pretrained(site / "toy_weights/inner/small")
    return toy_model


@pytest.fixture
def saved(toy, tmp_path):
    return toy.Toy(grid=9).fit([[0.0]], [2.0]).save_pretrained(tmp_path / "run")


@pytest.fixture
def hub(toy, tmp_path, monkeypatch):
    """Stand in for huggingface_hub: a cache whose snapshot links to its blobs."""
    cache = tmp_path / "cache" / "models--org--toy"
    (cache / "snapshots").mkdir(parents=True)
    snapshot = toy.Toy(grid=11).fit([[0.0]], [6.0]).save_pretrained(cache / "snapshots" / "abc")
    (cache / "blobs").mkdir()
    for path in list(snapshot.iterdir()):
        path.rename(cache / "blobs" / path.name)
        path.symlink_to(f"../../blobs/{path.name}")
    fake = types.ModuleType("huggingface_hub")
    fake.calls = []

    def snapshot_download(repo_id, **options):
        fake.calls.append((repo_id, options))
        if repo_id != "org/toy":
            raise RuntimeError("404 not found")
        return str(snapshot)

    fake.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    return fake


def test__load__name__is_the_first_task_unfitted(toy):
    model = zoo.load("toy")
    assert type(model) is toy.Toy
    assert model.get_params() == {"grid": "auto", "order": 3}
    assert not hasattr(model, "mean_")


def test__load__qualified_name__is_the_same(toy):
    assert type(zoo.load("zoo-toy:toy")) is toy.Toy


def test__load__task_and_params__are_passed_on(toy):
    model = zoo.load("toy", task="classification", grid=8)
    assert type(model) is toy.Classifier
    assert model.grid == 8


def test__load__target_is_a_function_with_any_parameter__is_called(toy):
    assert zoo.load("toy", task="anything", whatever=1) == {"whatever": 1}


@pytest.mark.usefixtures("toy")
def test__load__unknown_name__suggests():
    with pytest.raises(UnknownModelError, match=r"named 'toyy'\. Did you mean 'toy'"):
        zoo.load("toyy")


def test__load__empty_name__is_not_the_current_folder(saved, monkeypatch):
    monkeypatch.chdir(saved)
    with pytest.raises(UnknownModelError, match="No installed model is named ''"):
        zoo.load("")


@pytest.mark.usefixtures("toy")
def test__load__unknown_task__lists_the_tasks():
    with pytest.raises(
        UnknownModelError,
        match=r"'toy' must be one of regression, classification, .*crash. Got 'clustering'",
    ):
        zoo.load("toy", task="clustering")


@pytest.mark.usefixtures("toy")
def test__load__unknown_parameter__suggests_and_lists():
    with pytest.raises(
        ParameterError,
        match=r"'toy' has no parameter 'gird'\. Did you mean 'grid'\? Valid are: grid, order\.",
    ):
        zoo.load("toy", gird=3)


@pytest.mark.usefixtures("toy")
def test__load__parameter_for_a_target_without_any__says_none():
    assert zoo.load("toy", task="nothing") == "built"
    with pytest.raises(ParameterError, match=r"no parameter 'x'\. Valid are: none\."):
        zoo.load("toy", task="nothing", x=1)


@pytest.mark.usefixtures("toy")
def test__load__target_absent__says_which():
    with pytest.raises(BrokenPluginError, match="Cannot import 'toy_model:Absent': AttributeError"):
        zoo.load("toy", task="absent")


@pytest.mark.usefixtures("toy")
def test__load__target_raises_at_import__chains_the_cause():
    with pytest.raises(BrokenPluginError, match="RuntimeError: no compiler") as caught:
        zoo.load("toy", task="crash")
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.usefixtures("toy")
def test__load__clashing_name__raises_and_qualified_works(add_distribution):
    add_distribution("zoo-rival", {"rival_plugin": PLUGIN}, entry_points={"rival": "rival_plugin"})
    with pytest.raises(NameClashError, match="'zoo-rival:toy' or 'zoo-toy:toy'"):
        zoo.load("toy")
    assert zoo.load("zoo-toy:toy", grid=2).grid == 2
    assert zoo.load("zoo-toy:toy:small").grid == 7


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("source", ["toy:small", "zoo-toy:toy:small"])
def test__load__checkpoint__is_the_trained_model(source):
    model = zoo.load(source)
    assert (model.grid, model.mean_) == (7, 4.0)


@pytest.mark.usefixtures("toy")
def test__load__unknown_checkpoint__suggests_or_lists():
    with pytest.raises(UnknownModelError, match=r"'toy' has no checkpoint 'smal'. Did you mean 's"):
        zoo.load("toy:smal")
    with pytest.raises(UnknownModelError, match="It has: small, lost, nowhere, remote"):
        zoo.load("toy:xyzzy")


def test__load__checkpoint_of_unknown_model__is_unknown():
    with pytest.raises(UnknownModelError, match="No installed model is named 'nobody:small'"):
        zoo.load("nobody:small")


@pytest.mark.usefixtures("toy")
def test__load__shipped_folder_lost__says_where():
    with pytest.raises(SourceError, match=r"toy_weights/inner/lost.*nothing is there"):
        zoo.load("toy:lost")


@pytest.mark.usefixtures("toy")
def test__load__shipped_in_unknown_package__says_which():
    with pytest.raises(SourceError, match="'nowhere' of model 'toy' is in the package 'package_of"):
        zoo.load("toy:nowhere")


def test__load__checkpoint_on_the_hub__is_fetched_at_its_revision(hub):
    assert zoo.load("toy:remote").grid == 11
    ((repo, options),) = hub.calls
    assert (repo, options["revision"]) == ("org/toy", "v1")


def test__load__folder__by_path_object_and_by_string(saved, monkeypatch):
    monkeypatch.chdir(saved.parent)
    monkeypatch.setenv("HOME", str(saved.parent))
    for source in (saved, str(saved), "./run", Path("run"), "~/run", "run"):
        model = zoo.load(source)
        assert (model.grid, model.mean_) == (9, 2.0)


def test__load__folder_named_like_a_model__the_model_wins(saved, monkeypatch):
    saved.rename(saved.parent / "toy")
    monkeypatch.chdir(saved.parent)
    assert zoo.load("toy").grid == "auto"
    assert zoo.load("./toy").grid == 9


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("runs/nothing", "it contains '/'"),
        ("./nothing", "it contains '/'"),
        (".nothing", "it starts with '.'"),
        ("~nothing", "it starts with '~'"),
        (Path("nothing"), "it is a path object"),
    ],
)
def test__load__path_that_leads_nowhere__says_why_it_is_a_path(
    tmp_path, monkeypatch, source, reason
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=f"taken for a path because {reason}, and nothing is"):
        zoo.load(source)


def test__load__path_to_a_file__is_refused(saved):
    with pytest.raises(SourceError, match="it is a file, and a folder is needed"):
        zoo.load(saved / "config.json")


def test__load__folder_of_something_else__is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"has no file 'config\.json'"):
        zoo.load(tmp_path)


def test__load__trained_model_with_its_own_task__is_loaded(saved):
    assert zoo.load(saved, task="regression").grid == 9


def test__load__trained_model_with_other_task__is_refused(saved):
    with pytest.raises(UnknownModelError, match=r"is 'regression'. Got 'classification'"):
        zoo.load(saved, task="classification")


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("source", ["{saved}", "run", "toy:small", "hf:org/toy"])
def test__load__trained_model_with_params__is_refused(saved, monkeypatch, source):
    monkeypatch.chdir(saved.parent)
    with pytest.raises(ParameterError, match=r"has its parameters already. Got grid, order"):
        zoo.load(source.format(saved=saved), grid=3, order=2)


def test__load__hub__downloads_the_two_files_and_reads_through_the_cache_links(hub):
    model = zoo.load("hf:org/toy@main")
    assert (model.grid, model.mean_) == (11, 6.0)
    assert hub.calls == [
        (
            "org/toy",
            {"revision": "main", "allow_patterns": ["config.json", "model.safetensors"]},
        )
    ]


def test__load__hub_without_revision__leaves_it_to_the_hub(hub):
    assert zoo.load("hf:org/toy").grid == 11
    assert hub.calls[0][1]["revision"] is None


def test__load__hub_link_out_of_the_cache__is_refused(hub, tmp_path):
    snapshot = tmp_path / "cache" / "models--org--toy" / "snapshots" / "abc"
    (tmp_path / "secret").write_text("{}")
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to(tmp_path / "secret")
    with pytest.raises(FormatError, match="a symlink to a place outside"):
        zoo.load("hf:org/toy")


@pytest.mark.usefixtures("hub")
def test__load__hub_says_no__chains_its_error():
    with pytest.raises(SourceError, match="from the hub: RuntimeError: 404 not found") as caught:
        zoo.load("hf:org/other")
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize("source", ["hf:", "hf:toy", "hf:a/b/c", "hf:org/toy@", "hf:org/to y"])
def test__load__hub_address_malformed__is_refused(source):
    with pytest.raises(SourceError, match="must be 'hf:org/name' or 'hf:org/name@revision'"):
        zoo.load(source)


def test__load__hub_client_missing__says_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'zoo-estimators\[hub\]'"):
        zoo.load("hf:org/toy")
