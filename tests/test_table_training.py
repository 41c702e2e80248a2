"""Fitting to a table, and the run folder: scores, splits, round trip, damage."""

import json
import pickle
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.preprocessing import FunctionTransformer

from zoo.errors import (
    DataError,
    FolderExistsError,
    FormatError,
    IntegrityError,
    ParameterError,
    SourceError,
    UnknownModelError,
)
from zoo.files import sha256
from zoo.table import Run, fit_table
from zoo.table.training import held_out_rows


def houses(n_rows=60, *, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": rng.uniform(20, 200, n_rows),
            "rooms": rng.integers(1, 6, n_rows),
            "garden": rng.random(n_rows) < 0.5,
            "town": rng.choice(["A", "B", "C"], n_rows),
        }
    )
    frame["price"] = 3 * frame["size"] + 10 * frame["garden"] + 7 * (frame["town"] == "B")
    frame["dear"] = np.where(frame["price"] > frame["price"].median(), "yes", "no")
    frame.loc[3, ["size", "town"]] = np.nan, None
    return frame


@pytest.fixture
def run(toy):
    return fit_table(houses().drop(columns="dear"), "toy", "price")


@pytest.fixture
def saved(run, tmp_path):
    return run.save(tmp_path / "run")


def test__fit_table__linear_law__is_found_and_scored_on_held_out_rows(run):
    assert (run.n_train, run.n_test) == (48, 12)
    scores = {score.name: score for score in run.scores}
    assert scores["R2"].value > 0.99
    assert scores["R2"].baseline < 0.1
    assert scores["RMSE"].value < 0.1 * scores["RMSE"].baseline


def test__fit_table__scores__are_those_of_the_saved_model(toy):
    frame = houses().drop(columns="price")
    run = fit_table(frame, "toy", "dear", test_size=0.3, seed=4)
    y = run.schema.encode_target(frame["dear"])
    test = held_out_rows(y, "classification", test_size=0.3, seed=4)
    X, _ = run.schema.conform(frame)
    scores = {score.name: score for score in run.scores}
    right = (run.pipeline.predict(X[test]) == y[test]).mean()
    assert scores["accuracy"].value == pytest.approx(right)
    picked = run.pipeline.predict_proba(X[test])[np.arange(test.sum()), (y[test] == "yes") * 1]
    assert scores["log-loss"].value == pytest.approx(-np.log(picked).mean())
    share = (y[~test] == "yes").mean()
    prior = np.where(y[test] == "yes", share, 1 - share)
    assert scores["log-loss"].baseline == pytest.approx(-np.log(prior).mean())


def test__fit_table__inputs__are_named_in_the_words_of_the_table(run):
    X, _ = run.inputs(houses())
    assert list(X.columns) == [
        *("size", "rooms", "garden", "[town = A]", "[town = B]", "[town = C]", "[town is missing]")
    ]
    assert X.loc[3, "[town is missing]"] == 1
    assert X["[town = B]"].tolist() == (houses()["town"] == "B").astype(float).tolist()
    assert X.loc[3, "size"] == pytest.approx(run.columns["numbers"].statistics_[0])


def test__schema_features__without_scikit_learn__equal_the_fitted_preparation(run):
    X, _ = run.schema.conform(houses(80, seed=9).assign(town=["A", "D", None, "C"] * 20))
    X.loc[:5, ["rooms", "garden"]] = np.nan
    features = run.schema.features(X)
    assert list(features.columns) == run.schema.feature_names
    assert (features.to_numpy() == run.columns.transform(X)).all()


def test__fit_table__seed__goes_to_the_model_unless_it_is_a_parameter(toy):
    frame = houses().drop(columns="dear")
    assert fit_table(frame, "toy", "price", seed=7).estimator.random_state == 7
    run = fit_table(frame, "toy", "price", seed=7, params={"random_state": 1, "alpha": 0.5})
    assert run.estimator.get_params() == {"random_state": 1, "alpha": 0.5}


def test__fit_table__three_rows__fits_without_a_score(toy):
    notes = []
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [2.0, 4.5, 6.0]})
    run = fit_table(frame, "toy", "y", notify=notes.append)
    assert run.scores == []
    assert (run.n_train, run.n_test) == (3, 0)
    assert "no held-out score: 3 rows are too few" in notes[-1]


def test__fit_table__column_that_is_missing_in_all_training_rows__still_fits(toy, tmp_path):
    frame = pd.DataFrame({"x": np.arange(20.0), "y": np.arange(20) + 0.5, "z": [np.nan] * 20})
    test = held_out_rows(frame["y"].to_numpy(), "regression", test_size=0.2, seed=0)
    frame.loc[np.flatnonzero(test)[:2], "z"] = [1.0, 2.0]
    run = fit_table(frame, "toy", "y")
    assert run.scores[0].value > 0.99
    X, _ = run.schema.conform(frame)
    assert (run.schema.features(X).to_numpy() == run.columns.transform(X)).all()
    assert Run.load(run.save(tmp_path / "run")).schema == run.schema


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "tob"}, UnknownModelError, "Did you mean 'toy'"),
        ({"model": "toy:small"}, UnknownModelError, "No installed model is named 'toy:small'"),
        ({"task": "ranking"}, ParameterError, "must be 'auto', .* Got 'ranking'"),
        ({"params": {"alhpa": 1}}, ParameterError, "no parameter 'alhpa'. Did you mean 'alpha'"),
        ({"params": {"task": "regression"}}, ParameterError, "no parameter 'task'"),
        ({"params": {"alpha": -1}}, DataError, "'toy' cannot be fitted: alpha must be at least 0"),
        ({"test_size": 1.0}, ParameterError, r"test size must be .* less than 1\. Got 1\.0"),
        ({"test_size": float("nan")}, ParameterError, "test size must be .* Got nan"),
    ],
)
def test__fit_table__wrong_options__are_refused(toy, options, error, message):
    with pytest.raises(error, match=message):
        fit_table(houses(), **{"model": "toy", "target": "price", **options})


def test__held_out_rows__classes__give_their_share_and_keep_one_row():
    y = np.array(["a"] * 50 + ["b"] * 20 + ["c"] * 2 + ["d"])
    test = held_out_rows(y, "classification", test_size=0.2, seed=1)
    assert test.sum() == 15
    assert [(y[test] == label).sum() for label in "abcd"] == [10, 4, 1, 0] or (
        [(y[test] == label).sum() for label in "abcd"] == [11, 4, 0, 0]
    )
    everything = held_out_rows(y, "classification", test_size=0.99, seed=1)
    assert [(~everything & (y == label)).sum() for label in "abcd"] == [1, 1, 1, 1]


def test__held_out_rows__seed__decides_the_rows():
    y = np.arange(100.0)
    first = held_out_rows(y, "regression", test_size=0.25, seed=1)
    assert first.sum() == 25
    assert (first == held_out_rows(y, "regression", test_size=0.25, seed=1)).all()
    assert (first != held_out_rows(y, "regression", test_size=0.25, seed=2)).any()
    assert not held_out_rows(y, "regression", test_size=0.0, seed=1).any()


@pytest.mark.parametrize("target", ["price", "dear"])
def test__run__loaded__predicts_the_same_bits(toy, tmp_path, target):
    frame = houses().drop(columns={"price": "dear", "dear": "price"}[target])
    run = fit_table(frame, "toy", target)
    loaded = Run.load(run.save(tmp_path / "run"))
    X, _ = loaded.schema.conform(houses(500, seed=5))
    assert (loaded.pipeline.predict(X) == run.pipeline.predict(X)).all()
    if target == "dear":
        difference = loaded.pipeline.predict_proba(X) - run.pipeline.predict_proba(X)
        assert np.abs(difference).max() == 0
    assert loaded.schema == run.schema
    assert loaded.scores == run.scores
    assert (loaded.n_train, loaded.n_test) == (run.n_train, run.n_test)


def test__run__folder__records_what_it_is(saved):
    record = json.loads((saved / "run.json").read_text())
    assert record["format_version"] == 1
    assert record["model"] == "zoo-toy:toy"
    assert set(record["sha256"]) == {
        *("preprocess.skops", "model/config.json", "model/model.safetensors"),
    }
    assert {"python", "numpy", "pandas", "scikit-learn", "skops"} < set(record["versions"])


def test__run__existing_folder__is_replaced_only_when_asked(run, saved):
    with pytest.raises(FolderExistsError, match="exists and is not empty"):
        run.save(saved)
    assert run.save(saved, overwrite=True) == saved
    foreign = saved.parent / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("x")
    with pytest.raises(FolderExistsError, match=r"holds no run.json"):
        run.save(foreign, overwrite=True)


def test__run__unsavable_model__is_refused_before_the_fit(toy):
    from sklearn.linear_model import Ridge

    from zoo.table.run import check_savable

    with pytest.raises(ParameterError, match=r"Ridge cannot be saved .* no PretrainedMixin"):
        check_savable(Ridge())


def test__run_load__other_folders__are_named(saved, tmp_path):
    with pytest.raises(SourceError, match="there is no such folder"):
        Run.load(tmp_path / "nothing")
    with pytest.raises(SourceError, match="it is a file"):
        Run.load(saved / "run.json")
    with pytest.raises(FormatError, match=r"no run: .* saved model without a table"):
        Run.load(saved / "model")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "zoo.json").write_text("{}")
    with pytest.raises(FormatError, match=r"no run: .* exported model: use zoo run"):
        Run.load(tmp_path / "bundle")


@pytest.mark.parametrize(
    "name", ["preprocess.skops", "model/config.json", "model/model.safetensors"]
)
def test__run_load__changed_file__is_refused(saved, name):
    path = saved / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(IntegrityError, match=f"sha256 of .*{name} is not the one recorded"):
        Run.load(saved)


@pytest.mark.parametrize(
    "name", ["preprocess.skops", "model/config.json", "model/model.safetensors"]
)
def test__run_load__absent_file__is_refused(saved, name):
    (saved / name).unlink()
    with pytest.raises(FormatError, match=f"no file '{name}'"):
        Run.load(saved)


def edit(saved, change):
    path = saved / "run.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(format_version=2), "format_version in .* must be 1.* Got 2"),
        (lambda r: r.update(format_version=True), "format_version in .* must be 1.* Got True"),
        (lambda r: r.pop("schema"), "schema in .* must be a dict"),
        (lambda r: r["schema"].pop("target"), "schema is malformed"),
        (lambda r: r.update(scores=[{}]), "scores in .* are malformed"),
        (lambda r: r.update(rows={}), "scores in .* are malformed"),
        (lambda r: r["sha256"].pop("preprocess.skops"), "must cover preprocess.skops"),
        (lambda r: r["sha256"].update({"../x": "0"}), "must be relative"),
        (lambda r: r["schema"]["columns"].pop(0), "does not belong to the schema"),
        (
            lambda r: r["schema"]["columns"][-1]["categories"].pop(),
            "The model in .* has 7 inputs, and the schema .* gives 6",
        ),
    ],
)
def test__run_load__edited_record__is_refused(saved, change, message):
    edit(saved, change)
    with pytest.raises(FormatError, match=message):
        Run.load(saved)


def test__run_load__saved_by_another_scikit_learn__warns(saved):
    edit(saved, lambda record: record["versions"].update({"scikit-learn": "0.1.2"}))
    with pytest.warns(UserWarning, match=r"saved with scikit-learn 0\.1\.2, and .* is installed"):
        Run.load(saved)


def replace_preprocess(saved, write):
    path = saved / "preprocess.skops"
    write(path)
    edit(saved, lambda record: record["sha256"].update({"preprocess.skops": sha256(path)}))


class Bomb:
    """What a pickle of a stranger may hold."""

    def __reduce__(self):
        return print, ("the bomb went off",)


def test__run_load__hostile_preprocess__runs_nothing(saved, capsys):
    replace_preprocess(saved, lambda path: path.write_bytes(pickle.dumps(Bomb())))
    with pytest.raises(FormatError, match="not a preparation of columns: BadZipFile"):
        Run.load(saved)
    replace_preprocess(saved, lambda path: skops.io.dump(FunctionTransformer(print), path))
    with pytest.raises(FormatError, match=r"asks for types that are refused: .*print"):
        Run.load(saved)
    replace_preprocess(saved, lambda path: skops.io.dump(FunctionTransformer(), path))
    with pytest.raises(
        FormatError, match=r"must hold a ColumnTransformer. Got a FunctionTransform"
    ):
        Run.load(saved)
    assert capsys.readouterr().out == ""


def test__run_load__preprocess_that_unpacks_huge__is_refused(saved, monkeypatch):
    monkeypatch.setattr("zoo.table.run._MAX_PREPROCESS_BYTES", 100_000)

    def write(path):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("schema.json", " " * 1_000_000)

    replace_preprocess(saved, write)
    with pytest.raises(FormatError, match=r"must unpack to at most 100000 bytes. Got 1000000"):
        Run.load(saved)


def test__run_load__symlinked_member__is_refused(saved):
    path = saved / "preprocess.skops"
    shutil.move(path, saved.parent / "elsewhere.skops")
    path.symlink_to(saved.parent / "elsewhere.skops")
    with pytest.raises(FormatError, match="behind a symlink"):
        Run.load(saved)
