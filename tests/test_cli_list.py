"""``zoo list`` and ``zoo info``."""

import json


def test__list__shows_models_and_owners(toy, cli):
    lines = cli("list").stdout.splitlines()
    line = next(line for line in lines if line.split()[:1] == ["toy"])
    assert " ".join(line.split()) == "toy regression, classification Least squares. zoo-toy 1.0"


def test__list__json__is_complete(toy, cli):
    listing = json.loads(cli("list", "--json").stdout)
    assert listing["failures"] == []
    assert next(model for model in listing["models"] if model["name"] == "toy") == {
        "name": "toy",
        "tasks": ["regression", "classification"],
        "summary": "Least squares.",
        "tags": ["linear"],
        "distribution": "zoo-toy",
        "version": "1.0",
        "plugin": "toy",
    }


def test__list__filters__keep_what_matches(toy, cli):
    def names(*options):
        return [
            model["name"] for model in json.loads(cli("list", "--json", *options).stdout)["models"]
        ]

    assert "toy" in names("--task", "regression")
    assert names("--tag", "linear") == ["toy"]
    assert names("--tag", "linear", "--task", "generation") == []
    assert cli("list", "--tag", "none").stdout == "No model with tag 'none' is installed.\n"


def test__list__broken_plugin__is_shown_with_cause_and_mend(toy, add_distribution, cli):
    add_distribution(
        "zoo-bad",
        {"zoo_bad": "import absent_package"},
        entry_points={"bad": "zoo_bad"},
        requires=("absent-package>=2",),
    )
    result = cli("list")
    assert result.exit_code == 0
    assert "\n  toy " in result.stdout
    assert "FAILED bad (zoo-bad 1.0)" in result.stdout
    assert "cause: ModuleNotFoundError: No module named 'absent_package'" in result.stdout
    assert "mend:  pip install 'absent-package>=2'" in result.stdout
    (failure,) = json.loads(cli("list", "--json").stdout)["failures"]
    assert failure["plugin"] == "bad"
    assert failure["mend"] == "pip install 'absent-package>=2'"


def test__list__odd_plugin__is_a_warning(add_distribution, cli):
    add_distribution("zoo-odd", {"zoo_odd": ""}, entry_points={"odd": "zoo_odd"})
    stdout = cli("list").stdout
    assert "WARNING odd (zoo-odd 1.0)" in stdout
    assert "implements none of the hooks" in stdout


def test__list__clash__shows_both_owners_and_qualified_names(toy, add_distribution, cli):
    source = """
import zoo

@zoo.hookimpl
def zoo_register_models(register):
    register(zoo.ModelSpec("toy", {"regression": "zoo_other:Toy"}, summary="Another."))
"""
    add_distribution("zoo-other", {"zoo_other": source}, entry_points={"other": "zoo_other"})
    stdout = cli("list").stdout
    assert "zoo-toy:toy" in stdout
    assert "zoo-other:toy" in stdout
    assert "The model 'toy' is claimed by distribution 'zoo-other' 1.0" in stdout
    names = [model["name"] for model in json.loads(cli("list", "--json").stdout)["models"]]
    assert {"zoo-toy:toy", "zoo-other:toy"} < set(names)
    result = cli("info", "toy")
    assert result.exit_code == 2
    assert "load 'zoo-other:toy' or 'zoo-toy:toy'" in result.stderr
    assert "Least squares." in cli("info", "zoo-toy:toy").stdout


def test__info__shows_facts_and_parameters(toy, cli):
    stdout = cli("info", "toy").stdout
    for line in (
        "toy: Least squares.",
        "zoo-toy 1.0",
        "Least squares (Gauss, 1809)",
        "https://doi.org/10.1/x",
        "MIT",
        "linear",
        "zoo_toy_model:ToyRegressor (regression)",
        "alpha          0.001",
        "random_state   None",
        "toy:small    A small one.",
    ):
        assert line in stdout


def test__info__json__is_complete(toy, cli):
    info = json.loads(cli("info", "toy", "--json").stdout)
    assert info["paper"]["url"] == "https://doi.org/10.1/x"
    assert info["tasks"][0] == {
        "task": "regression",
        "target": "zoo_toy_model:ToyRegressor",
        "parameters": {"alpha": "0.001", "random_state": "None"},
    }
    assert info["checkpoints"][0]["name"] == "toy:small"
    assert info["exports"] is True


def test__info__unknown_model__suggests(toy, cli):
    result = cli("info", "tyo")
    assert result.exit_code == 2
    assert result.stderr == "Error: No installed model is named 'tyo'. Did you mean 'toy'?\n"
