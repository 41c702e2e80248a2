"""What columns are taken for, and how new tables are brought into the same form."""

import datetime
import decimal
import json
import re

import numpy as np
import pandas as pd
import pytest

from zoo.errors import DataError, FormatError
from zoo.table import Column, Schema, infer_schema
from zoo.table.inference import rows_with_target

ROWS = 12


@pytest.fixture
def notes():
    return []


def frame_with(**columns):
    return pd.DataFrame({"y": np.arange(ROWS) + 0.5, "x": np.arange(ROWS) * 2.0, **columns})


def infer(frame, notes, **options):
    return infer_schema(frame, "y", notify=notes.append, **options)


@pytest.mark.parametrize(
    ("values", "column"),
    [
        (np.arange(ROWS), Column("c", "number", low=0, high=11)),
        ([1.5, None] * 5 + [-3, 9], Column("c", "number", low=-3, high=9)),
        ([True, False] * 6, Column("c", "boolean", low=0, high=1)),
        ([True, None, False] * 4, Column("c", "boolean", low=0, high=1)),
        (["a", "b", "c"] * 4, Column("c", "category", ("a", "b", "c"))),
        (["a", "b", None] * 4, Column("c", "category", ("a", "b", "nan"))),
        (["a", "b", "b"] * 4, Column("c", "category", ("a",), reference="b")),
        (["a", None, None] * 4, Column("c", "category", ("a",), reference="nan")),
        (pd.Categorical([1, 2, 3] * 4), Column("c", "number", low=1, high=3)),
        (pd.Categorical(["u", "v", "w"] * 4), Column("c", "category", ("u", "v", "w"))),
        (
            pd.array([1, None, 3] * 4, dtype="Int64"),
            Column("c", "number", low=1, high=3),
        ),
        ([decimal.Decimal("0.5"), decimal.Decimal(2)] * 6, Column("c", "number", low=0.5, high=2)),
        ([1, "b", "c"] * 4, Column("c", "category", ("1", "b", "c"))),
        ([" a", "a ", "b"] * 4, Column("c", "category", ("b",), reference="a")),
    ],
)
def test__infer_schema__usable_column__is_described(values, column, notes):
    schema = infer(frame_with(c=values), notes)
    assert next(found for found in schema.columns if found.name == "c") == column


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([1] * ROWS, r"constant \(1\)"),
        ([1.0, None] * 6, r"constant \(1\.0\)"),
        ([True] * ROWS, r"constant \(True\)"),
        (["a"] * ROWS, r"one category only \('a'\)"),
        ([None] * ROWS, "all its values are missing"),
        ([f"id{i}" for i in range(ROWS)], "texts all differ"),
        (pd.date_range("2020", periods=ROWS), "holds dates"),
        ([datetime.date(2020, 1, 1 + i // 2) for i in range(ROWS)], "holds dates"),
        (["2020-01-01", "2020-01-02"] * 6, "holds dates"),
        (["3.4.2021", "13/4/21"] * 6, "holds dates"),
        (["2020-01-01 10:00", "2020-01-02T10:00:00Z"] * 6, "holds dates"),
        (pd.to_timedelta(range(ROWS), unit="s"), "holds dates"),
        ([[1], [2]] * 6, "type list, neither numbers nor text"),
        (np.arange(ROWS) * 1j, "type complex"),
        (pd.period_range("2020", periods=ROWS, freq="M"), "holds dates"),
        (pd.interval_range(0, ROWS), "type Interval"),
    ],
)
def test__infer_schema__useless_column__is_left_out_with_a_notice(values, why, notes):
    schema = infer(frame_with(c=values), notes)
    assert [column.name for column in schema.columns] == ["x"]
    assert re.search(why, schema.dropped["c"])
    assert any(note.startswith("The column 'c' is left out: ") for note in notes)


def test__infer_schema__nameless_column__is_left_out(notes):
    frame = frame_with().assign(**{"Unnamed: 0": np.arange(ROWS)})
    assert "no name" in infer(frame, notes).dropped["Unnamed: 0"]


def test__infer_schema__few_rows__keep_texts_that_all_differ(notes):
    frame = pd.DataFrame({"y": [1.5, 2.5, 3.5], "c": ["a", "b", "c"]})
    assert infer(frame, notes).columns == (Column("c", "category", ("a", "b", "c")),)


def test__infer_schema__many_categories__keep_the_frequent_ones(notes):
    values = [f"c{i:02d}" for i in range(60)] + [f"c{i:02d}" for i in range(10, 60)]
    frame = pd.DataFrame({"y": np.arange(110) + 0.5, "c": values})
    column = infer(frame, notes).columns[0]
    assert column.categories == tuple(f"c{i:02d}" for i in range(10, 60))
    assert "60 categories: the 50 most frequent" in notes[-1]


def test__infer_schema__numbers_with_stray_text__are_categories_and_said_so(notes):
    frame = frame_with(c=["1", "2", "3", "?"] * 3)
    assert infer(frame, notes).columns[1].categories == ("1", "2", "3", "?")
    assert "3 of its 12 values are no numbers (first: '?')" in notes[-1]


def test__infer_schema__infinite_value__is_refused(notes):
    frame = frame_with(c=[1.0] * (ROWS - 1) + [np.inf])
    with pytest.raises(DataError, match=r"'c' must hold finite numbers. Got inf in row 12"):
        infer(frame, notes)


def test__infer_schema__no_column_left__says_why(notes):
    with pytest.raises(DataError, match=r"No column is left .*: it is the only one"):
        infer(frame_with()[["y"]], notes)
    with pytest.raises(DataError, match=r"No column is left .* \('x': as asked; 'c': it is const"):
        infer(frame_with(c=1), notes, drop=["x"])


def test__infer_schema__wrong_drop__is_refused(notes):
    with pytest.raises(DataError, match=r"no column 'xx' to drop. Did you mean 'x'"):
        infer(frame_with(), notes, drop=["xx"])
    with pytest.raises(DataError, match="'y' cannot be dropped: it is the target"):
        infer(frame_with(), notes, drop=["y"])


@pytest.mark.parametrize(
    ("target", "task", "labels"),
    [
        (["a", "b"] * 6, "classification", ("a", "b")),
        ([True, False] * 6, "classification", ("False", "True")),
        ([0, 1] * 6, "classification", (0, 1)),
        ([0.0, 1.0] * 6, "classification", (0, 1)),
        ([3, 1] * 6, "classification", (1, 3)),
        ([3, 1, 2] * 4, "regression", ()),
        (np.arange(ROWS), "regression", ()),
        (np.arange(ROWS) / 2, "regression", ()),
        ([0.5, 1.5] * 6, "regression", ()),
    ],
)
def test__infer_schema__target__decides_the_task(target, task, labels, notes):
    schema = infer(frame_with().assign(y=target), notes)
    assert (schema.task, schema.labels) == (task, labels)
    assert any(note.startswith(f"The task is {task}, because ") for note in notes)


@pytest.mark.parametrize(
    ("target", "task", "message"),
    [
        (["a"] * ROWS, "auto", "at least two classes. Got 'a' in every row"),
        ([f"t{i}" for i in range(ROWS)], "auto", "another value in each of its 12 rows"),
        ([2.5] * ROWS, "auto", r"same value in every row \(2\.5\)"),
        (["1", "b"] * 6, "regression", "'y' must hold numbers. Got 'b' in row 2"),
        ([1.0, np.inf] * 6, "auto", "'y' must hold finite numbers"),
        (pd.date_range("2020", periods=ROWS), "auto", "must hold numbers or classes. Got '2020"),
    ],
)
def test__infer_schema__useless_target__is_refused(target, task, message, notes):
    with pytest.raises(DataError, match=message):
        infer(frame_with().assign(y=target), notes, task=task)


def test__rows_with_target__missing_targets__go_with_a_notice(notes):
    frame = pd.DataFrame({"y": [1.0, None, 3.0, None], "x": [1, 2, 3, 4]})
    kept = rows_with_target(frame, "y", notify=notes.append)
    assert kept["x"].tolist() == [1, 3]
    assert list(kept.index) == [0, 1]
    assert notes == ["2 of 4 rows are left out: their target 'y' is missing."]


def test__rows_with_target__no_target__is_refused(notes):
    frame = pd.DataFrame({"price": [None, None], "x": [1, 2]})
    with pytest.raises(DataError, match="missing in every row"):
        rows_with_target(frame, "price", notify=notes.append)
    with pytest.raises(DataError, match=r"no column 'prize' .* Did you mean 'price'"):
        rows_with_target(frame, "prize", notify=notes.append)
    with pytest.raises(DataError, match=r"no column 'q' to predict. It has 'price', 'x'."):
        rows_with_target(frame, "q", notify=notes.append)


@pytest.fixture
def schema():
    return Schema(
        columns=(
            Column("n", "number", low=0, high=10),
            Column("b", "boolean"),
            Column("c", "category", ("blue", "nan", "red")),
            Column("d", "category", ("yes",), reference="no"),
        ),
        target="y",
        task="classification",
        labels=("high", "low"),
        dropped={"e": "it is constant (1)"},
    )


def test__schema__feature_names__use_words_of_the_table(schema):
    assert schema.feature_names == [
        *("n", "b", "[c = blue]", "[c is missing]", "[c = red]", "[d = yes]"),
    ]


def test__conform__other_order_and_types__gives_the_training_form(schema):
    frame = pd.DataFrame(
        {
            "extra": [1, 2, 3],
            "d": ["yes", "no", "no"],
            "c": ["red ", None, "blue"],
            "b": ["True", None, "false"],
            "n": ["1.5", "2", None],
        }
    )
    X, notices = schema.conform(frame)
    assert list(X.columns) == ["n", "b", "c", "d"]
    np.testing.assert_array_equal(X["n"], [1.5, 2, np.nan])
    np.testing.assert_array_equal(X["b"], [1, np.nan, 0])
    assert X["c"].tolist() == ["red", "nan", "blue"]
    assert notices == []


def test__conform__strange_values__are_told(schema):
    frame = pd.DataFrame({"n": [-1.0, 2], "b": [0, 1], "c": ["red", "pink"], "d": ["no", "?"]})
    _, notices = schema.conform(frame)
    assert len(notices) == 3
    assert (
        "1 of 2 rows hold a value of 'n' outside the 0 to 10 of training (first: -1)"
        in (notices[0])
    )
    assert "'c' that has no indicator in the model (first: 'pink')" in notices[1]
    assert notices[2].endswith("(first: '?'); all its indicators are zero there, like 'no'.")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": ["1", "two"]}, "'n' must hold numbers. Got 'two' in row 2 of the data"),
        ({"n": pd.date_range("2020", periods=2)}, "'n' must hold numbers. Got '2020-01-01"),
        ({"n": [1, -np.inf]}, "'n' must hold finite numbers. Got -inf in row 2"),
        ({"n": ["1", "inf"]}, "'n' must hold finite numbers. Got inf in row 2"),
        ({"b": [1, 2]}, "'b' must hold true or false. Got '2' in row 2"),
    ],
)
def test__conform__unusable_values__are_refused(schema, change, message):
    frame = pd.DataFrame({"n": [1.0, 2], "b": [0, 1], "c": ["red", "red"], "d": ["no", "no"]})
    with pytest.raises(DataError, match=message):
        schema.conform(frame.assign(**change))


def test__conform__lacking_columns__are_named(schema):
    frame = pd.DataFrame({"n": [1.0], "b": [0], "c": ["red"], "D": ["no"]})
    with pytest.raises(DataError, match=r"lacks the column 'd' .* fitted to"):
        schema.conform(frame)
    with pytest.raises(DataError, match="lacks the columns 'b', 'd'"):
        schema.conform(frame.drop(columns="b"))
    renamed = frame.rename(columns={"D": "d", "n": "num", "c": "cc"}).assign(n=1.0)
    with pytest.raises(DataError, match=r"lacks the column 'c' .* Did you mean 'cc'"):
        schema.conform(renamed)


def test__encode_target__labels__keep_their_type(schema):
    assert schema.encode_target(pd.Series(["low", "high "])).tolist() == ["low", "high"]
    whole = Schema((), target="y", task="classification", labels=(1, 3))
    encoded = whole.encode_target(pd.Series([1.0, 3.0]))
    assert encoded.dtype == np.int64
    assert encoded.tolist() == [1, 3]
    truth = Schema((), target="y", task="classification", labels=("False", "True"))
    assert truth.encode_target(pd.Series([True, False])).tolist() == ["True", "False"]


def test__sample__rows__conform_to_their_own_schema(schema):
    rows = schema.sample(40, seed=3)
    X, notices = schema.conform(rows)
    pd.testing.assert_frame_equal(X, rows)
    assert rows["n"].isna().tolist() == [False] * 39 + [True]
    assert set(rows["c"]) == {"blue", "nan", "red"}
    assert set(rows["b"].dropna()) == {0.0, 1.0}
    assert all("'d'" in notice for notice in notices)  # missing was never seen there


def test__schema__json__comes_back_equal(schema):
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


@pytest.mark.parametrize(
    "damage",
    [
        lambda value: value.pop("target"),
        lambda value: value.update(task="ranking"),
        lambda value: value.update(labels=[True]),
        lambda value: value.update(columns=[{"name": "a"}]),
        lambda value: value["columns"][0].update(kind="code"),
        lambda value: value["columns"][0].update(name=3),
        lambda value: value.update(dropped=[]),
    ],
)
def test__schema__damaged_json__is_refused(schema, damage):
    value = schema.to_json()
    damage(value)
    with pytest.raises(FormatError, match="The table schema is malformed"):
        Schema.from_json(value)


@pytest.mark.parametrize(
    ("content", "message"), [(b"{", "not valid JSON"), (b"[" * 99999, "not valid JSON|malformed")]
)
def test__schema__bytes_that_are_no_json__are_refused(content, message):
    with pytest.raises(FormatError, match=message):
        Schema.from_bytes(content)
