import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
from sklearn.exceptions import NotFittedError

import zoo
from zoo.errors import (
    FolderExistsError,
    FormatError,
    IntegrityError,
    ParameterError,
    SourceError,
    UnknownModelError,
    ZooError,
)
from zoo.files import sha256
from zoo.params import from_json, to_json
from zoo.persistence import FittedState, load_pretrained
from zoo.registry import registry

TOY = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import validate_data

from zoo.persistence import FittedState, PretrainedMixin


class Toy(RegressorMixin, PretrainedMixin, BaseEstimator):
    def __init__(self, *, shape=(1, 2), weights=None, factor=1.0, random_state=None):
        self.shape = shape
        self.weights = weights
        self.factor = factor
        self.random_state = random_state

    def fit(self, X, y):
        X, y = validate_data(self, X, y)
        self.mean_ = np.float64(y.mean())
        self.slope_ = np.linalg.lstsq(X, y, rcond=None)[0] * self.factor
        self.grid_ = np.arange(12, dtype=np.float32).reshape(3, 4).T
        self.labels_ = ["a", "b"]
        return self

    def predict(self, X):
        return validate_data(self, X, reset=False) @ self.slope_

    def _get_fitted_state(self):
        return FittedState(
            {"mean": self.mean_, "labels": self.labels_, "n": self.n_features_in_},
            {"slope": self.slope_, "grid": self.grid_, "empty": np.empty((0, 3), np.int32)},
        )

    def _set_fitted_state(self, state):
        if state.arrays["slope"].shape != (state.values["n"],):
            raise ValueError("slope needs one entry for each feature")
        self.mean_, self.labels_ = state.values["mean"], state.values["labels"]
        self.n_features_in_ = state.values["n"]
        self.slope_, self.grid_ = state.arrays["slope"], state.arrays["grid"]


class ToyTwo(Toy):
    pass


class Unsaveable(BaseEstimator):
    pass
"""

PLUGIN = """
import zoo

@zoo.hookimpl
def zoo_register_models(register):
    register(zoo.ModelSpec("toy", {
        "regression": "toy_model:Toy",
        "classification": "toy_model:ToyTwo",
        "other": "toy_model:Unsaveable",
    }))
"""


@pytest.fixture
def toy(add_distribution):
    add_distribution(
        "zoo-toy",
        {"toy_plugin": PLUGIN, "toy_model": TOY},
        entry_points={"toy": "toy_plugin"},
        version="1.4.2",
    )
    import toy_model

    return toy_model


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 3))
    return X, X @ [1.0, -2.0, 0.5]


@pytest.fixture
def saved(toy, data, tmp_path):
    return toy.Toy(shape=(3, (4,)), weights={1: 0.5}).fit(*data).save_pretrained(tmp_path / "run")


def edit(folder, **changes):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config.update(changes)
    path.write_text(json.dumps(config))


def rewrite_tensors(folder, arrays):
    """Replace the tensors and record their digest, as someone who means harm would."""
    safetensors.numpy.save_file(arrays, folder / "model.safetensors")
    edit(folder, sha256={"model.safetensors": sha256(folder / "model.safetensors")})


def tensors(folder):
    return safetensors.numpy.load_file(folder / "model.safetensors")


def test__save_pretrained__round_trip__restores_params_values_and_arrays(saved, data, toy):
    for loaded in (load_pretrained(saved), toy.Toy.from_pretrained(saved), zoo.load(saved)):
        assert type(loaded) is toy.Toy
        assert loaded.get_params() == {
            "shape": (3, (4,)),
            "weights": {1: 0.5},
            "factor": 1.0,
            "random_state": None,
        }
        fresh = toy.Toy().fit(*data)
        np.testing.assert_array_equal(loaded.predict(data[0]), fresh.predict(data[0]))
        np.testing.assert_array_equal(loaded.grid_, fresh.grid_)
        assert loaded.grid_.dtype == np.float32
        assert loaded.labels_ == ["a", "b"]
        assert loaded.mean_ == fresh.mean_
        loaded.slope_ += 1.0


def test__save_pretrained__round_trip__crosses_processes(saved, data, toy, tmp_path):
    np.save(tmp_path / "X.npy", data[0])
    code = (
        "import sys, numpy, zoo; X = numpy.load(sys.argv[1] + '/X.npy');"
        "numpy.save(sys.argv[1] + '/y.npy', zoo.load(sys.argv[1] + '/run').predict(X))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, env=environment)
    np.testing.assert_array_equal(
        np.load(tmp_path / "y.npy"), toy.Toy().fit(*data).predict(data[0])
    )


def test__save_pretrained__config__records_where_it_comes_from(saved):
    config = json.loads((saved / "config.json").read_text())
    assert config["format_version"] == 1
    assert (config["model"], config["task"]) == ("toy", "regression")
    assert (config["distribution"], config["plugin_version"]) == ("zoo-toy", "1.4.2")
    assert set(config["versions"]) == {"python", "zoo-estimators", "numpy", "scikit-learn"}
    assert config["versions"]["numpy"] == np.__version__
    assert config["tensors"]["grid"] == {"dtype": "float32", "shape": [4, 3]}
    assert config["sha256"] == {"model.safetensors": sha256(saved / "model.safetensors")}
    assert sorted(path.name for path in saved.iterdir()) == ["config.json", "model.safetensors"]


def test__save_pretrained__unfitted__is_refused_and_writes_nothing(toy, tmp_path):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        toy.Toy().save_pretrained(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", [np.zeros(2), {1, 2}, len, np.random.RandomState(0), b"x", 1j])
def test__save_pretrained__parameter_json_cannot_hold__names_it(toy, data, tmp_path, value):
    model = toy.Toy(random_state=value).fit(*data)
    with pytest.raises(
        ParameterError, match="The parameter 'random_state' of Toy cannot be saved: it must be"
    ):
        model.save_pretrained(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test__save_pretrained__fitted_value_json_cannot_hold__names_it(toy, data, tmp_path):
    model = toy.Toy().fit(*data)
    model.labels_ = np.array(["a", "b"])
    with pytest.raises(ParameterError, match=r"The fitted value 'labels' of Toy.*numpy\.ndarray"):
        model.save_pretrained(tmp_path / "run")


def test__save_pretrained__array_of_strings__names_it(toy, data, tmp_path):
    model = toy.Toy().fit(*data)
    model.grid_ = np.array(["a", "b"])
    with pytest.raises(ParameterError, match="The fitted array 'grid' of Toy cannot be saved"):
        model.save_pretrained(tmp_path / "run")


def test__save_pretrained__class_of_no_plugin__is_refused(toy, data, tmp_path):
    stranger = type("Stranger", (zoo.persistence.PretrainedMixin,), {"fit": None, "x_": 1})
    with pytest.raises(UnknownModelError, match="Stranger is not the target"):
        stranger().save_pretrained(tmp_path / "run")


def test__save_pretrained__big_endian_and_strided_arrays__keep_their_values(toy, data, tmp_path):
    model = toy.Toy().fit(*data)
    model.grid_ = np.arange(12, dtype=">f8").reshape(3, 4)[:, ::2]
    loaded = load_pretrained(model.save_pretrained(tmp_path / "run"))
    np.testing.assert_array_equal(loaded.grid_, [[0, 2], [4, 6], [8, 10]])


def test__save_pretrained__existing_folder__needs_overwrite(saved, toy, data):
    model = toy.Toy(factor=2.0).fit(*data)
    with pytest.raises(FolderExistsError, match="pass overwrite=True"):
        model.save_pretrained(saved)
    assert load_pretrained(saved).factor == 1.0
    model.save_pretrained(saved, overwrite=True)
    assert load_pretrained(saved).factor == 2.0


def test__save_pretrained__overwrite_of_something_else__is_refused(toy, data, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(FolderExistsError, match=r"holds no config\.json"):
        toy.Toy().fit(*data).save_pretrained(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test__save_pretrained__writing_fails__old_model_survives(saved, toy, data, monkeypatch):
    def full(*args):
        raise OSError("no space left")

    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    with pytest.raises(OSError, match="no space left"):
        toy.Toy(factor=2.0).fit(*data).save_pretrained(saved, overwrite=True)
    assert load_pretrained(saved).factor == 1.0
    assert [path.name for path in saved.parent.iterdir() if "run" in path.name] == ["run"]


def test__from_pretrained__other_class__is_refused(saved, toy):
    with pytest.raises(FormatError, match="holds a Toy, not a ToyTwo"):
        toy.ToyTwo.from_pretrained(saved)


def test__from_pretrained__subclass_of_the_target__is_built(saved, toy):
    mine = type("Mine", (toy.Toy,), {})
    assert type(mine.from_pretrained(saved)) is mine


def test__load_pretrained__no_folder__is_refused(tmp_path):
    with pytest.raises(SourceError, match="there is no such folder"):
        load_pretrained(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test__load_pretrained__file_missing__is_refused(saved, name):
    (saved / name).unlink()
    with pytest.raises(FormatError, match=f"has no file '{name}'"):
        load_pretrained(saved)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test__load_pretrained__symlink__is_refused(saved, name):
    (saved / name).rename(saved.parent / name)
    (saved / name).symlink_to(saved.parent / name)
    with pytest.raises(FormatError, match=f"'{name}' of .* is behind a symlink"):
        load_pretrained(saved)


def test__load_pretrained__symlink_within_the_named_folder__is_read(saved):
    (saved / "config.json").rename(saved.parent / "blob")
    (saved / "config.json").symlink_to("../blob")
    assert load_pretrained(saved, links_within=saved.parent).factor == 1.0


@pytest.mark.parametrize("found", [2, 0, "1", 1.0, True, None])
def test__load_pretrained__unknown_format_version__is_refused(saved, found):
    edit(saved, format_version=found)
    with pytest.raises(FormatError, match=f"format_version in .* must be 1, .* Got {found!r}"):
        load_pretrained(saved)


def test__load_pretrained__config_is_no_object__is_refused(saved):
    (saved / "config.json").write_text("[1, 2]")
    with pytest.raises(FormatError, match=r"must hold a JSON object. Got a list"):
        load_pretrained(saved)


def test__load_pretrained__config_truncated__is_refused(saved):
    text = (saved / "config.json").read_text()
    (saved / "config.json").write_text(text[: len(text) // 2])
    with pytest.raises(FormatError, match="is not valid JSON"):
        load_pretrained(saved)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test__load_pretrained__number_is_not_finite__is_refused(saved, number):
    text = (saved / "config.json").read_text()
    (saved / "config.json").write_text(text.replace('"factor": 1.0', f'"factor": {number}'))
    with pytest.raises(FormatError, match="is not valid JSON"):
        load_pretrained(saved)


def test__load_pretrained__config_too_large__is_refused(saved, monkeypatch):
    with open(saved / "config.json", "a") as file:
        file.truncate(16 * 2**20 + 1)
    with pytest.raises(FormatError, match=r"'config\.json' .* at most 16777216 bytes"):
        load_pretrained(saved)


def test__load_pretrained__key_missing__is_refused(saved):
    path = saved / "config.json"
    config = json.loads(path.read_text())
    del config["task"]
    path.write_text(json.dumps(config))
    with pytest.raises(FormatError, match="Missing or unknown: task"):
        load_pretrained(saved)


def test__load_pretrained__key_unknown__is_refused(saved):
    edit(saved, extra=1)
    with pytest.raises(FormatError, match="Missing or unknown: extra"):
        load_pretrained(saved)


@pytest.mark.parametrize(("key", "kind"), [("params", "dict"), ("model", "str")])
def test__load_pretrained__key_of_wrong_kind__is_refused(saved, key, kind):
    edit(saved, **{key: [1]})
    with pytest.raises(FormatError, match=f"The {key} in .* must be a {kind}"):
        load_pretrained(saved)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "model.onnx"])
def test__load_pretrained__digest_of_another_file__is_refused(saved, name):
    edit(saved, sha256={name: "0" * 64, "model.safetensors": "0" * 64})
    with pytest.raises(FormatError, match=r"must be of model\.safetensors alone"):
        load_pretrained(saved)


def test__load_pretrained__dotted_path_as_model__imports_nothing(saved):
    edit(saved, model="os:system")
    with pytest.raises(UnknownModelError, match=r"'os:system'.*which is not installed"):
        load_pretrained(saved)


def test__load_pretrained__distribution_not_installed__is_named(saved):
    edit(saved, distribution="zoo-elsewhere")
    with pytest.raises(UnknownModelError, match="'zoo-elsewhere', which is not installed"):
        load_pretrained(saved)


def test__load_pretrained__unknown_task__lists_the_tasks(saved):
    edit(saved, task="clustering")
    with pytest.raises(
        FormatError, match=r"one of regression, classification, other.*'clustering'"
    ):
        load_pretrained(saved)


def test__load_pretrained__target_that_cannot_be_saved__is_refused(saved):
    edit(saved, task="other")
    with pytest.raises(FormatError, match="task 'other' of model 'toy' does not load from a"):
        load_pretrained(saved)


def test__load_pretrained__parameter_the_class_lacks__is_named(saved):
    edit(saved, params={"shape": 1, "width": 2})
    with pytest.raises(FormatError, match=r"Toy of zoo-toy 1\.4\.2 does not have: width"):
        load_pretrained(saved)


def test__load_pretrained__parameter_newer_than_the_file__takes_its_default(saved):
    edit(saved, params={"factor": 3.0})
    loaded = load_pretrained(saved)
    assert (loaded.factor, loaded.shape) == (3.0, (1, 2))


@pytest.mark.parametrize("value", [{"$tuple": 1}, {"$code": "x"}, {"$float": "1"}, {"$dict": [1]}])
def test__load_pretrained__reserved_object_malformed__is_refused(saved, value):
    edit(saved, params={"shape": value})
    with pytest.raises(FormatError, match=r"The parameters in .* starts with '\$'"):
        load_pretrained(saved)


@pytest.mark.parametrize("depth", [700, 5000])
def test__load_pretrained__parameters_nested_deeply__are_refused(saved, depth):
    edit(saved, params={"shape": "HERE"})
    text = (saved / "config.json").read_text()
    (saved / "config.json").write_text(text.replace('"HERE"', "[" * depth + "]" * depth))
    with pytest.raises(FormatError, match="nested too deeply"):
        load_pretrained(saved)


@pytest.mark.filterwarnings("ignore:The model in")  # some changes hit the plugin's version
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test__load_pretrained__random_damage__loads_or_is_refused_by_name(saved, name):
    content = (saved / name).read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        for position in rng.integers(len(content), size=2):
            damaged[position] = rng.choice([*b'0123456789abc{}[]",:.-$e', 0, 255])
        (saved / name).write_bytes(damaged[: rng.integers(1, len(content) + 200)])
        try:
            load_pretrained(saved)
        except ZooError:
            refused += 1
    assert refused > 100


def test__load_pretrained__tensors_truncated__is_refused(saved):
    content = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(content[:-1])
    with pytest.raises(IntegrityError, match="it is truncated"):
        load_pretrained(saved)


def test__load_pretrained__tensors_empty__is_refused(saved):
    (saved / "model.safetensors").write_bytes(b"")
    with pytest.raises(IntegrityError, match="Got 0: it is truncated"):
        load_pretrained(saved)


def test__load_pretrained__tensors_longer_than_declared__is_refused(saved):
    with open(saved / "model.safetensors", "ab") as file:
        file.truncate(10 * 2**30)  # sparse: refused by its size, without being read
    with pytest.raises(IntegrityError, match="it is too long"):
        load_pretrained(saved)


def test__load_pretrained__header_claims_gigabytes__is_refused(saved):
    content = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes((2**40).to_bytes(8, "little") + content[8:])
    with pytest.raises(FormatError, match="is too long for 3 tensors"):
        load_pretrained(saved)


def test__load_pretrained__one_bit_flipped__is_refused(saved):
    content = bytearray((saved / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (saved / "model.safetensors").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"sha256 of .* is not the one recorded"):
        load_pretrained(saved)


def test__load_pretrained__header_is_garbage_with_matching_digest__is_refused(saved):
    path = saved / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[8:20] = b"\x00" * 12
    path.write_bytes(content)
    edit(saved, sha256={"model.safetensors": sha256(path)})
    with pytest.raises(FormatError, match="is not a valid safetensors file"):
        load_pretrained(saved)


def test__load_pretrained__tensor_missing__is_refused(saved):
    arrays = tensors(saved)
    del arrays["empty"]
    rewrite_tensors(saved, arrays)
    with pytest.raises(FormatError, match="Missing or undeclared: empty"):
        load_pretrained(saved)


def test__load_pretrained__tensor_undeclared__is_refused(saved):
    rewrite_tensors(saved, tensors(saved) | {"more": np.empty((0,))})
    with pytest.raises(FormatError, match="Missing or undeclared: more"):
        load_pretrained(saved)


def test__load_pretrained__tensor_of_other_dtype__is_refused(saved):
    arrays = tensors(saved)
    rewrite_tensors(saved, arrays | {"slope": arrays["slope"].view(np.int64)})
    with pytest.raises(FormatError, match=r"'slope' .* must be float64 .* Got int64"):
        load_pretrained(saved)


def test__load_pretrained__tensor_of_other_shape__is_refused(saved):
    arrays = tensors(saved)
    rewrite_tensors(saved, arrays | {"grid": arrays["grid"].reshape(3, 4)})
    with pytest.raises(FormatError, match=r"'grid' .* of shape \(4, 3\).* of shape \(3, 4\)"):
        load_pretrained(saved)


@pytest.mark.parametrize(
    "declaration",
    [
        1,
        {"dtype": "float64"},
        {"dtype": "object", "shape": [3]},
        {"dtype": "float64", "shape": [-1]},
        {"dtype": "float64", "shape": [True]},
        {"dtype": "float64", "shape": [1.5]},
        {"dtype": "float64", "shape": [3], "more": 1},
    ],
)
def test__load_pretrained__declaration_malformed__is_refused(saved, declaration):
    edit(saved, tensors={"slope": declaration})
    with pytest.raises(
        FormatError, match=r"The declaration of tensor 'slope' .* must be an object"
    ):
        load_pretrained(saved)


def test__load_pretrained__state_inconsistent__is_refused_with_the_reason(saved):
    config = json.loads((saved / "config.json").read_text())
    edit(saved, fitted=config["fitted"] | {"n": 7})
    with pytest.raises(FormatError, match="to a Toy: ValueError: slope needs one entry") as caught:
        load_pretrained(saved)
    assert isinstance(caught.value.__cause__, ValueError)


def test__load_pretrained__value_missing__is_refused(saved):
    edit(saved, fitted={})
    with pytest.raises(FormatError, match="does not belong to a Toy: KeyError"):
        load_pretrained(saved)


@pytest.mark.parametrize("saved_version", ["1.5.0", "2.4.2", "0.9", "nonsense"])
def test__load_pretrained__saved_by_other_minor_version__warns(saved, saved_version):
    edit(saved, plugin_version=saved_version)
    with pytest.warns(UserWarning, match=rf"zoo-toy {saved_version}, and 1\.4\.2") as record:
        load_pretrained(saved)
    assert len(record) == 1


def test__load_pretrained__saved_by_other_patch_version__is_quiet(saved):
    edit(saved, plugin_version="1.4.9")
    assert load_pretrained(saved).factor == 1.0


def test__load_pretrained__name_claimed_twice__the_saving_distribution_counts(
    saved, add_distribution
):
    source = PLUGIN.replace("toy_model", "rival_model")
    add_distribution("zoo-rival", {"rival_plugin": source}, entry_points={"rival": "rival_plugin"})
    assert registry().clashing
    assert type(load_pretrained(saved)).__module__ == "toy_model"


def test__fitted_state__without_arguments__is_empty():
    assert FittedState() == FittedState(values={}, arrays={})


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        -1.5,
        "ü",
        [1, [2]],
        (),
        (1, (2, [3])),
        {"a": {"b": 1}},
        {0: 1.0, 1: 2.0},
        {(1, 2): "x", None: "y", True: "z"},
        {"$tuple": [1]},
        {"$dict": 1, "a": 2},
        math.inf,
        -math.inf,
        [],
        {},
    ],
)
def test__to_json__python_value__comes_back_the_same(value):
    text = json.dumps(to_json(value, "it"), allow_nan=False)
    back = from_json(json.loads(text), "it")
    assert back == value
    assert repr(back) == repr(value)


def test__to_json__nan__comes_back_as_nan():
    assert to_json(math.nan, "it") == {"$float": "nan"}
    assert math.isnan(from_json({"$float": "nan"}, "it"))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(0.5), 0.5),
        (np.int8(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.float64("inf"), {"$float": "inf"}),
    ],
)
def test__to_json__numpy_scalar__becomes_plain(value, plain):
    encoded = to_json(value, "it")
    assert encoded == plain
    assert type(encoded) is type(plain)


def test__to_json__endless_nesting__is_refused():
    value = []
    value.append(value)
    with pytest.raises(ParameterError, match="it cannot be saved: it is nested too deeply"):
        to_json(value, "it")
