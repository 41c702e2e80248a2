"""Tables from files: formats, separators, and what is refused."""

import gzip
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from zoo.errors import DataError, MissingDependencyError, SourceError
from zoo.table import prediction_table, read_table, write_table


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "a,b\n1,x\n2,y\n"),
        ("t.csv", "a;b\n1;x\n2;y\n"),
        ("t.csv", "a|b\r\n1|x\r\n2|y\r\n"),
        ("t.tsv", "a\tb\n1\tx\n2\ty\n"),
        ("t.TXT", "a\tb\n1\tx\n2\ty"),
        ("t.csv", "\ufeffa,b\n1,x\n2,y\n"),
        ("t.csv", '\n "a" , b \n1, x\n2, y\n'),
    ],
)
def test__read_table__every_separator__reads_the_same_table(tmp_path, name, text):
    frame = read_table(write(tmp_path, name, text))
    assert list(frame.columns) == ["a", "b"]
    assert frame["a"].tolist() == [1, 2]
    assert frame["b"].tolist() == ["x", "y"]


def test__read_table__gzip__is_unpacked(tmp_path):
    path = write(tmp_path, "t.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0))
    assert read_table(path).to_dict("list") == {"a": [1], "b": [2]}


def test__read_table__parquet__keeps_types_and_drops_the_anonymous_index(tmp_path):
    frame = pd.DataFrame({"a": [1.5, np.nan], "b": ["x", None]}, index=[7, 9])
    frame.to_parquet(tmp_path / "t.parquet")
    read = read_table(tmp_path / "t.parquet")
    assert list(read.index) == [0, 1]
    assert list(read.columns) == ["a", "b"]
    assert read["b"].isna().tolist() == [False, True]


def test__read_table__parquet_with_a_named_index__makes_it_a_column(tmp_path):
    frame = pd.DataFrame({"a": [1, 2]}, index=pd.Index([7, 9], name="key"))
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet")["key"].tolist() == [7, 9]


def test__read_table__text_columns__keep_their_digits(tmp_path):
    path = write(tmp_path, "t.csv", "zip,y\n007,1\n,2\n")
    assert read_table(path)["zip"].iloc[0] == 7
    read = read_table(path, text=["zip", "absent"])
    assert read["zip"].iloc[0] == "007"
    assert read["zip"].isna().tolist() == [False, True]


def test__read_table__nameless_column__is_called_unnamed(tmp_path):
    assert list(read_table(write(tmp_path, "t.csv", ",a\n0,1\n")).columns) == ["Unnamed: 0", "a"]


def test__read_table__latin_1__is_read_when_said(tmp_path):
    path = write(tmp_path, "t.csv", "naïve\n1\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"not utf-8 text: byte 0xef .* --encoding latin-1"):
        read_table(path)
    assert list(read_table(path, encoding="latin-1").columns) == ["naïve"]


def test__read_table__latin_1_far_into_the_file__is_refused_too(tmp_path):
    body = b"a\n" + b"x\n" * 600_000 + "ï\n".encode("latin-1")
    with pytest.raises(DataError, match="not utf-8 text: byte 0xef"):
        read_table(write(tmp_path, "t.csv", body))


def test__read_table__utf_16__is_read_when_said(tmp_path):
    path = write(tmp_path, "t.csv", "a,b\n1,2\n".encode("utf-16"))
    with pytest.raises(DataError, match="it holds zero bytes; try --encoding utf-16"):
        read_table(path)
    assert read_table(path, encoding="utf-16").to_dict("list") == {"a": [1], "b": [2]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "is empty"),
        ("t.csv", "  \n\n", "is empty"),
        ("t.csv", "a,b\n", "has a header but no rows"),
        ("t.csv", "a,b,a\n1,2,3\n", r"distinct names\. Got 'a' more than once"),
        ("t.csv", "a,b\n1,2\n1,2,3\n", "Expected 2 fields in line 3, saw 3"),
        ("t.csv", "a,b\n1,2,3\n1,2,3\n", "more fields than its header, which names 2"),
        ("t.csv", 'a,b\n1,"2\n', "EOF inside string"),
        ("t.csv", b"a,b\n1,\x002\n", "it holds zero bytes"),
        ("t.csv", b"PK\x03\x04rest", "those of an Excel workbook"),
        ("t.csv", b"PAR1rest", "those of a Parquet file"),
        ("t.csv.gz", b"a,b\n1,2\n", "Not a gzipped file"),
        ("t.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 99, mtime=0)[:-20], "cannot be read: "),
        ("t.parquet", b"a,b\n1,2\n", "not a readable Parquet file"),
        ("t.xlsx", b"PK\x03\x04", r"must be \.csv, .* by its name\. Got \.xlsx"),
        ("t", "a\n1\n", "Got no suffix"),
    ],
)
def test__read_table__no_table__says_why(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path, name, content))


def test__read_table__unknown_encoding__is_refused(tmp_path):
    with pytest.raises(DataError, match="There is no encoding 'utf-9'"):
        read_table(write(tmp_path, "t.csv", "a\n1\n"), encoding="utf-9")


def test__read_table__folder__is_refused(tmp_path):
    with pytest.raises(DataError, match=r"must be a file. Got a folder"):
        read_table(tmp_path)


def test__read_table__missing_file__suggests_a_neighbour(tmp_path):
    write(tmp_path, "data.csv", "a\n1\n")
    with pytest.raises(SourceError, match=r"no file .*dta\.csv\. Did you mean 'data\.csv'\?"):
        read_table(tmp_path / "dta.csv")
    with pytest.raises(SourceError, match="There is no file"):
        read_table(tmp_path / "no" / "data.csv")


def test__read_table__duplicate_columns_in_parquet__are_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = pa.array([1, 2])
    pq.write_table(pa.Table.from_arrays([column, column], names=["a", "a"]), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet.*'?a'?"):
        read_table(tmp_path / "t.parquet")


def test__prediction_table__classes__get_a_column_each(tmp_path):
    table = prediction_table(
        np.array(["x", "y"]), probabilities=np.array([[0.9, 0.1], [0.3, 0.7]]), classes=["x", "y"]
    )
    write_table(table, tmp_path / "p.csv")
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines == ["prediction,probability of x,probability of y", "x,0.9,0.1", "y,0.3,0.7"]


def test__write_table__parquet_and_tsv__read_back(tmp_path):
    table = prediction_table(np.array([[1.0, 2.0], [1 / 3, 4.0]]))
    for name in ("p.parquet", "p.tsv", "p.csv.gz"):
        write_table(table, tmp_path / name)
        read = read_table(tmp_path / name)
        assert read.to_numpy().tolist() == [[1.0, 2.0], [1 / 3, 4.0]]
        assert list(read.columns) == ["prediction_0", "prediction_1"]


def test__write_table__unknown_suffix_or_place__is_refused(tmp_path):
    table = prediction_table(np.array([1.0]))
    with pytest.raises(DataError, match=r"must be a \.csv, \.tsv or \.parquet file"):
        write_table(table, tmp_path / "p.xlsx")
    with pytest.raises(DataError, match=re.escape("cannot be written")):
        write_table(table, tmp_path / "no" / "p.csv")


def test__read_table__parquet_without_pyarrow__gives_the_pip_line(tmp_path, monkeypatch):
    def absent(path):
        raise ImportError("Unable to find a usable engine")

    path = write(tmp_path, "t.parquet", b"PAR1")
    monkeypatch.setattr("pandas.read_parquet", absent)
    with pytest.raises(MissingDependencyError, match=r"need pyarrow.*pip install 'zoo-est"):
        read_table(path)


def test__table__without_pandas__gives_the_pip_line():
    code = """
import sys
sys.modules["pandas"] = None
try:
    from zoo.table import fit_table
except ImportError as error:
    print(type(error).__name__, error)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == (
        "MissingDependencyError Tables need pandas, which is not installed: "
        "pip install 'zoo-estimators[table]'.\n"
    )
