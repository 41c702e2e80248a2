import pytest

import zoo
from zoo.discovery import Failure, Plugin
from zoo.errors import (
    ApiVersionError,
    BrokenPluginError,
    NameClashError,
    UnknownModelError,
)
from zoo.registry import Registry, registry
from zoo.spec import CommandSpec, DemoSpec, ModelSpec

MODEL = """
import zoo

@zoo.hookimpl
def zoo_register_models(register):
    register(zoo.ModelSpec(name={name!r}, targets={{"regression": "{module}:Model"}}, {more}))
"""


def model_module(name, module="toy_model", more=""):
    return MODEL.format(name=name, module=module, more=more)


def plugin(distribution, *models, commands=(), demos=(), name=None):
    return Plugin(
        name or distribution, distribution, "1.0", tuple(models), tuple(commands), tuple(demos)
    )


def model(name, **options):
    return ModelSpec(name=name, targets={"regression": "pkg:Model"}, **options)


def failure_of(name):
    (failure,) = (failure for failure in registry().failures if failure.plugin == name)
    return failure


def test__registry__good_plugin__lists_model_command_and_demo_with_owner(add_distribution):
    source = model_module("toy") + (
        "@zoo.hookimpl\n"
        "def zoo_register_commands(register):\n"
        "    register(zoo.CommandSpec('toy', 'toy_model:app'))\n"
        "@zoo.hookimpl\n"
        "def zoo_register_demos(register):\n"
        "    register(zoo.DemoSpec('toy', 'toy_model:run'))\n"
    )
    add_distribution("zoo-toy", {"toy_plugin": source}, entry_points={"toy": "toy_plugin"})
    entry = registry().find("toy")
    assert (entry.plugin, entry.distribution, entry.version) == ("toy", "zoo-toy", "1.0")
    assert entry.qualified_name == "zoo-toy:toy"
    assert registry().find("zoo-toy:toy") is entry
    assert registry().find("Zoo_Toy:toy") is entry
    assert "toy_model:app" in [command.spec.target for command in registry().commands]
    assert "toy_model:run" in [demo.spec.target for demo in registry().demos]
    assert [failure for failure in registry().failures if failure.distribution == "zoo-toy"] == []


def test__registry__second_call__is_the_same_object_until_cleared():
    first = registry()
    assert registry() is first
    registry.cache_clear()
    assert registry() is not first


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("raise RuntimeError('no  luck\\ntoday')", "RuntimeError: no luck today"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import module_of_nobody", "No module named 'module_of_nobody'"),
        ("def broken(:", "SyntaxError"),
        (
            "import zoo\n@zoo.hookimpl\ndef zoo_register_models(register):\n    1 / 0",
            "ZeroDivisionError: division by zero",
        ),
        (
            "import zoo\n@zoo.hookimpl\ndef zoo_register_models(registrar):\n    pass",
            "PluginValidationError",
        ),
        (
            "import zoo\n@zoo.hookimpl\ndef zoo_register_models(register):\n    register('toy')",
            "register.. takes a ModelSpec. Got 'toy'",
        ),
        (
            "import zoo\n@zoo.hookimpl\ndef zoo_register_models(register):\n"
            "    register(zoo.ModelSpec('Toy', {'regression': 'a:B'}))",
            "The name of a model must be lower-case",
        ),
    ],
)
def test__registry__broken_plugin__is_a_failure_and_the_others_are_listed(
    add_distribution, source, cause
):
    add_distribution("zoo-bad", {"bad_plugin": source}, entry_points={"bad": "bad_plugin"})
    add_distribution(
        "zoo-toy", {"toy_plugin": model_module("toy")}, entry_points={"toy": "toy_plugin"}
    )
    assert "toy" in zoo.available()
    failure = failure_of("bad")
    assert (failure.distribution, failure.version) == ("zoo-bad", "1.0")
    assert isinstance(failure.exception, BaseException)
    with pytest.raises(BrokenPluginError, match=rf"'bad' of distribution 'zoo-bad' 1\.0.*{cause}"):
        registry().find("bad")


def test__registry__plugin_stopped_by_ctrl_c__is_not_swallowed(add_distribution):
    add_distribution(
        "zoo-bad",
        {"bad_plugin": "raise KeyboardInterrupt('now')"},
        entry_points={"b": "bad_plugin"},
    )
    with pytest.raises(KeyboardInterrupt, match="now"):
        registry()


def test__registry__hook_raises_after_registering__nothing_half_registers(add_distribution):
    source = model_module("half") + "    1 / 0\n"
    add_distribution("zoo-half", {"half_plugin": source}, entry_points={"h": "half_plugin"})
    assert "half" not in zoo.available()
    assert failure_of("h").names == ("half",)
    with pytest.raises(BrokenPluginError, match="ZeroDivisionError") as caught:
        registry().find("half")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test__registry__later_hook_raises__models_of_the_plugin_are_not_listed(add_distribution):
    source = model_module("half") + (
        "@zoo.hookimpl\ndef zoo_register_demos(register):\n    raise RuntimeError('demo')\n"
    )
    add_distribution("zoo-half", {"half_plugin": source}, entry_points={"h": "half_plugin"})
    assert "half" not in zoo.available()
    assert failure_of("h").cause == "RuntimeError: demo"


def test__registry__same_name_twice_in_one_plugin__is_a_failure(add_distribution):
    source = model_module("twin") + model_module("twin").partition("def ")[2].partition("\n")[2]
    add_distribution("zoo-twin", {"twin_plugin": source}, entry_points={"t": "twin_plugin"})
    assert "The ModelSpec 'twin' is registered twice" in failure_of("t").cause
    assert "twin" not in zoo.available()


def test__registry__misspelt_hook__is_reported_with_a_suggestion(add_distribution):
    source = "import zoo\n@zoo.hookimpl\ndef zoo_register_model(register):\n    pass\n"
    add_distribution("zoo-typo", {"typo_plugin": source}, entry_points={"typo": "typo_plugin"})
    failure = failure_of("typo")
    assert failure.exception is None
    assert "unknown hook 'zoo_register_model'. Did you mean 'zoo_register_models'" in failure.cause
    with pytest.raises(BrokenPluginError, match="Did you mean 'zoo_register_models'"):
        registry().find("typo")


def test__registry__one_hook_misspelt__the_others_of_the_plugin_work(add_distribution):
    source = model_module("toy") + "@zoo.hookimpl\ndef zoo_register_demo(register):\n    pass\n"
    add_distribution("zoo-toy", {"toy_plugin": source}, entry_points={"toy": "toy_plugin"})
    assert registry().find("toy").distribution == "zoo-toy"
    assert "unknown hook 'zoo_register_demo'" in failure_of("toy").cause


def test__registry__no_hook_at_all__is_reported(add_distribution):
    source = "def zoo_register_models(register):\n    pass\n"
    add_distribution("zoo-bare", {"bare_plugin": source}, entry_points={"bare": "bare_plugin"})
    assert "implements none of the hooks" in failure_of("bare").cause
    assert "each marked with @zoo.hookimpl" in failure_of("bare").cause


def test__registry__newer_api__is_refused_in_one_sentence(add_distribution):
    add_distribution(
        "zoo-future",
        {"future_plugin": model_module("future", more="api=99")},
        entry_points={"future": "future_plugin"},
    )
    failure = failure_of("future")
    assert failure.mend == "pip install --upgrade zoo-estimators"
    assert "future" not in zoo.available()
    with pytest.raises(
        ApiVersionError,
        match="'future' of distribution 'zoo-future' needs version 99 of the plugin API, and the "
        "installed zoo-estimators speaks version 1",
    ):
        registry().find("future")


def test__registry__missing_requirement__mend_names_the_declared_one(add_distribution):
    add_distribution(
        "zoo-needy",
        {"needy_plugin": "import package_of_nobody.sub"},
        entry_points={"needy": "needy_plugin"},
        requires=("numpy>=1", "Package.of_nobody[fast]>=2,<3; python_version > '3'"),
    )
    assert failure_of("needy").mend == "pip install 'Package.of_nobody[fast]>=2,<3'"


def test__registry__undeclared_import__mend_is_to_upgrade_or_remove_the_plugin(add_distribution):
    add_distribution(
        "zoo-needy", {"needy_plugin": "import nobody"}, entry_points={"needy": "needy_plugin"}
    )
    assert failure_of("needy").mend == "pip install --upgrade zoo-needy, or pip uninstall zoo-needy"


def test__registry__two_distributions_claim_a_name__neither_wins(add_distribution):
    for letter in "ba":
        add_distribution(
            f"zoo-{letter}",
            {f"{letter}_plugin": model_module("toy", module=f"{letter}_model")},
            entry_points={letter: f"{letter}_plugin"},
        )
    with pytest.raises(
        NameClashError,
        match=r"'toy' is claimed by distribution 'zoo-a' 1.0 \(plugin 'a'\) and distribution "
        r"'zoo-b' 1.0 \(plugin 'b'\): load 'zoo-a:toy' or 'zoo-b:toy', or uninstall one",
    ):
        registry().find("toy")
    for letter in "ab":
        entry = registry().find(f"zoo-{letter}:toy")
        assert entry.spec.targets == {"regression": f"{letter}_model:Model"}
        assert "zoo-a:toy" in failure_of(letter).cause
        assert "zoo-b:toy" in failure_of(letter).cause
        assert failure_of(letter).mend == f"pip uninstall zoo-{letter}"
    assert {"zoo-a:toy", "zoo-b:toy"} <= set(zoo.available())
    assert "toy" not in zoo.available()


def test__registry__two_plugins_of_one_distribution_claim_a_name__cannot_be_told_apart():
    found = Registry([plugin("zoo-a", model("toy"), name=name) for name in ("one", "two")])
    for name in ("toy", "zoo-a:toy"):
        with pytest.raises(NameClashError, match=r"plugin 'one'.*plugin 'two'.*: uninstall one"):
            found.find(name)


def test__registry__command_and_demo_clash__neither_wins_and_models_stay():
    found = Registry(
        [
            plugin(
                name,
                model(name),
                commands=[CommandSpec("same", "pkg:app")],
                demos=[DemoSpec("same", "pkg:run")],
            )
            for name in ("a", "b")
        ]
    )
    assert [entry.spec.name for entry in found.entries] == ["a", "b"]
    assert found.commands == []
    assert found.demos == []
    causes = {failure.cause for failure in found.failures}
    assert len(causes) == 2
    assert any("The command 'same' is claimed by" in cause for cause in causes)
    assert any("The demo 'same' is claimed by" in cause for cause in causes)


def test__registry__same_entry_point_name_in_two_distributions__both_are_loaded(add_distribution):
    for letter in "ab":
        add_distribution(
            f"zoo-{letter}",
            {f"{letter}_plugin": model_module(f"toy-{letter}")},
            entry_points={"toy": f"{letter}_plugin"},
        )
    assert {"toy-a", "toy-b"} <= set(zoo.available())


@pytest.fixture
def two_plugins(add_distribution):
    for letter in "ab":
        add_distribution(
            f"zoo-{letter}",
            {f"{letter}_plugin": model_module(f"toy-{letter}")},
            entry_points={letter: f"{letter}_plugin"},
        )


@pytest.mark.usefixtures("two_plugins")
@pytest.mark.parametrize(
    ("allowed", "expected"),
    [("", []), ("a", ["toy-a"]), (" b , a,", ["toy-a", "toy-b"])],
)
def test__registry__allow_list__loads_only_what_it_names(monkeypatch, allowed, expected):
    monkeypatch.setenv("ZOO_PLUGINS", allowed)
    assert zoo.available() == expected
    assert registry().failures == []


@pytest.mark.usefixtures("two_plugins")
def test__registry__allow_list_names_nothing__is_a_failure(monkeypatch):
    monkeypatch.setenv("ZOO_PLUGINS", "a,nobody")
    assert zoo.available() == ["toy-a"]
    assert "ZOO_PLUGINS names 'nobody'" in failure_of("nobody").cause


def test__registry__allow_list__does_not_import_the_others(add_distribution, monkeypatch):
    add_distribution("zoo-bad", {"bad_plugin": "1 / 0"}, entry_points={"bad": "bad_plugin"})
    monkeypatch.setenv("ZOO_PLUGINS", "")
    assert registry().failures == []


def test__registry__strict__raises_at_discovery_with_the_cause(add_distribution, monkeypatch):
    add_distribution("zoo-bad", {"bad_plugin": "1 / 0"}, entry_points={"bad": "bad_plugin"})
    monkeypatch.setenv("ZOO_STRICT", "1")
    with pytest.raises(BrokenPluginError, match="'bad' of distribution 'zoo-bad'") as caught:
        registry()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test__registry__strict_without_failure__is_quiet(monkeypatch):
    monkeypatch.setenv("ZOO_STRICT", "1")
    monkeypatch.setenv("ZOO_PLUGINS", "kan")
    registry.cache_clear()
    assert registry().find("kan").distribution == "zoo-kan"
    registry.cache_clear()


def test__registry__metadata_without_name__does_not_stop_the_others(add_distribution):
    site = add_distribution(
        "zoo-toy", {"toy_plugin": model_module("toy")}, entry_points={"toy": "toy_plugin"}
    )
    (site / "zoo_toy-1.0.dist-info" / "METADATA").unlink()
    registry.cache_clear()
    assert {"kan", "toy"} <= set(zoo.available())


def test__find__unknown__suggests_close_names():
    found = Registry([plugin("zoo-toy", model("instantfamily"), model("toy"))])
    with pytest.raises(UnknownModelError, match=r"named 'instantfamly'\. Did you mean 'instantf"):
        found.find("instantfamly")


def test__find__nothing_close__lists_what_is_installed_and_what_failed():
    failure = Failure("bad", "zoo-bad", "1.0", "cause", "mend")
    found = Registry([plugin("zoo-toy", model("one"), model("two"))], [failure])
    with pytest.raises(
        UnknownModelError, match=r"Installed are: one, two\. Plugins with failures: bad\."
    ):
        found.find("xyzzy")


def test__find__right_name_of_other_distribution__is_unknown():
    found = Registry([plugin("zoo-toy", model("toy"))])
    with pytest.raises(UnknownModelError, match="No installed model is named 'other:toy'"):
        found.find("other:toy")


def test__registry__entries__are_sorted_by_name():
    found = Registry([plugin("zoo-z", model("a")), plugin("zoo-a", model("c"), model("b"))])
    assert [entry.spec.name for entry in found.entries] == ["a", "b", "c"]


@pytest.fixture
def owned(add_distribution):
    source = "class Model:\n    pass\nclass Other:\n    pass\n"
    plugin_source = """
import zoo

@zoo.hookimpl
def zoo_register_models(register):
    register(zoo.ModelSpec("toy", {"regression": "toy_package.inner:Model",
                                   "classification": "toy_package:Other"}))
"""
    add_distribution(
        "zoo-toy",
        {
            "toy_package.__init__": "from toy_package.inner import Other",
            "toy_package.inner": source,
            "toy_plugin": plugin_source,
        },
        entry_points={"toy": "toy_plugin"},
    )
    import toy_package.inner

    return toy_package.inner


def test__owner_of__target__entry_and_task(owned):
    entry, task = registry().owner_of(owned.Model)
    assert (entry.spec.name, task) == ("toy", "regression")


def test__owner_of__target_named_by_its_reexport__entry_and_task(owned):
    entry, task = registry().owner_of(owned.Other)
    assert (entry.spec.name, task) == ("toy", "classification")


def test__owner_of__subclass__is_its_base(owned):
    class Mine(owned.Model):
        pass

    assert registry().owner_of(Mine)[1] == "regression"


def test__owner_of__stranger__is_unknown():
    with pytest.raises(UnknownModelError, match=r"The class builtins.dict is not the target"):
        registry().owner_of(dict)


def test__available__filters__by_pattern_task_and_tag(monkeypatch):
    found = Registry(
        [
            plugin(
                "zoo-toy",
                model("kan", tags=("symbolic",)),
                model("kan-fast"),
                ModelSpec("text", {"generation": "pkg:Model"}, tags=("symbolic",)),
            )
        ]
    )
    monkeypatch.setattr("zoo.registry.registry", lambda: found)
    assert zoo.available() == ["kan", "kan-fast", "text"]
    assert zoo.available("kan*") == ["kan", "kan-fast"]
    assert zoo.available(task="generation") == ["text"]
    assert zoo.available(tag="symbolic") == ["kan", "text"]
    assert zoo.available("kan*", tag="symbolic") == ["kan"]
    assert zoo.available("KAN*") == []
