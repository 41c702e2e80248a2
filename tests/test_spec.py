import dataclasses

import pytest

from zoo.errors import SpecError
from zoo.spec import Checkpoint, CommandSpec, DemoSpec, ModelSpec, Paper


def spec(**changes):
    return ModelSpec(**{"name": "toy", "targets": {"regression": "pkg.mod:Toy"}, **changes})


def test__model_spec__first_task__is_the_default():
    targets = {"classification": "pkg:B", "regression": "pkg:A"}
    assert spec(targets=targets).default_task == "classification"


def test__model_spec__is_frozen_and_independent_of_its_arguments():
    targets, tags = {"regression": "pkg:A"}, ["one"]
    made = spec(targets=targets, tags=tags)
    targets["more"] = "pkg:B"
    tags.append("two")
    assert dict(made.targets) == {"regression": "pkg:A"}
    assert made.tags == ("one",)
    with pytest.raises(TypeError, match="does not support item assignment"):
        made.targets["more"] = "pkg:B"
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'name'"):
        made.name = "other"


@pytest.mark.parametrize("name", ["Toy", "1toy", "", "to y", "toy:x", "../toy", "toy\n", None, 3])
def test__model_spec__name_malformed__is_refused(name):
    with pytest.raises(SpecError, match="The name of a model must be lower-case letters"):
        spec(name=name)


@pytest.mark.parametrize("targets", [{}, None, [("regression", "pkg:A")], "pkg:A"])
def test__model_spec__targets_no_mapping__is_refused(targets):
    with pytest.raises(SpecError, match="The targets of model 'toy' must map at least one task"):
        spec(targets=targets)


@pytest.mark.parametrize("target", ["pkg.A", "pkg:", ":A", "pkg:A.b", "pkg/mod:A", "p k:A", None])
def test__model_spec__target_malformed__is_refused(target):
    with pytest.raises(SpecError, match="task 'regression' of model 'toy' must be 'package"):
        spec(targets={"regression": target})


def test__model_spec__task_malformed__is_refused():
    with pytest.raises(SpecError, match="The name of a task of model 'toy' must be lower-case"):
        spec(targets={"Regression": "pkg:A"})


@pytest.mark.parametrize("what", ["exporter", "runner"])
def test__model_spec__exporter_or_runner_malformed__is_refused(what):
    with pytest.raises(SpecError, match=f"The target of the {what} of model 'toy' must be"):
        spec(**{what: "pkg"})


@pytest.mark.parametrize("api", [0, -1, True, "1", 1.0, None])
def test__model_spec__api_malformed__is_refused(api):
    with pytest.raises(SpecError, match="The api of model 'toy' must be a positive integer"):
        spec(api=api)


def test__checkpoint__name_malformed__is_refused():
    with pytest.raises(SpecError, match="The name of a checkpoint must be lower-case"):
        Checkpoint("A B", "pkg/folder")


@pytest.mark.parametrize(("cls", "kind"), [(CommandSpec, "command"), (DemoSpec, "demo")])
def test__command_and_demo_spec__malformed__are_refused(cls, kind):
    with pytest.raises(SpecError, match=f"The name of a {kind} must be lower-case"):
        cls("A", "pkg:app")
    with pytest.raises(SpecError, match=f"The target of {kind} 'a' must be 'package.module"):
        cls("a", "pkg")


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ({"arxiv": "2404.19756"}, "https://arxiv.org/abs/2404.19756"),
        ({"doi": "10.1/x"}, "https://doi.org/10.1/x"),
        ({}, None),
    ],
)
def test__paper__url__prefers_arxiv(source, url):
    assert Paper("T", "A", 2024, **source).url == url
