import os
from pathlib import Path

import pytest

from zoo.errors import FolderExistsError, FormatError
from zoo.files import atomic_folder, checked_member, read_json, sha256


def test__atomic_folder__body_ends__folder_is_there_and_nothing_beside_it(tmp_path):
    with atomic_folder(tmp_path / "a" / "b") as folder:
        assert folder != tmp_path / "a" / "b"
        (folder / "x.txt").write_text("x")
        (folder / "sub").mkdir()
        (folder / "sub" / "y.txt").write_text("y")
        assert not (tmp_path / "a" / "b").exists()
    assert (tmp_path / "a" / "b" / "x.txt").read_text() == "x"
    assert (tmp_path / "a" / "b" / "sub" / "y.txt").read_text() == "y"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test__atomic_folder__body_raises__nothing_is_left(tmp_path):
    with pytest.raises(RuntimeError, match="in the middle"), atomic_folder(tmp_path / "a" / "b"):
        raise RuntimeError("in the middle")
    assert list(tmp_path.iterdir()) == []


def test__atomic_folder__body_raises__parents_that_others_filled_stay(tmp_path):
    def write():
        with atomic_folder(tmp_path / "a" / "b"):
            (tmp_path / "a" / "other").write_text("kept")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write()
    assert (tmp_path / "a" / "other").read_text() == "kept"


def test__atomic_folder__interrupted__nothing_is_left(tmp_path):
    with pytest.raises(KeyboardInterrupt, match="stop"), atomic_folder(tmp_path / "b"):
        raise KeyboardInterrupt("stop")
    assert list(tmp_path.iterdir()) == []


def test__atomic_folder__overwrite__replaces_the_whole_folder(tmp_path):
    for name in ("old", "new"):
        with atomic_folder(tmp_path / "b", overwrite=True) as folder:
            (folder / name).write_text(name)
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test__atomic_folder__overwrite_fails_in_body__old_folder_survives(tmp_path):
    with atomic_folder(tmp_path / "b") as folder:
        (folder / "old").write_text("old")

    def write():
        with atomic_folder(tmp_path / "b", overwrite=True) as folder:
            (folder / "new").write_text("new")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write()
    assert (tmp_path / "b" / "old").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test__atomic_folder__rename_into_place_fails__old_folder_is_put_back(tmp_path, monkeypatch):
    with atomic_folder(tmp_path / "b") as folder:
        (folder / "old").write_text("old")
    rename = Path.rename

    def refuse_new(self, target):
        if self.suffix == ".new":
            raise OSError("disk says no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_new)
    with (
        pytest.raises(OSError, match="disk says no"),
        atomic_folder(tmp_path / "b", overwrite=True),
    ):
        pass
    assert (tmp_path / "b" / "old").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test__atomic_folder__existing_folder__is_refused_before_the_body_runs(tmp_path):
    (tmp_path / "x").write_text("x")
    with (
        pytest.raises(FolderExistsError, match="is not empty: pass overwrite=True"),
        atomic_folder(tmp_path),
    ):
        pytest.fail("the body ran")
    assert (tmp_path / "x").read_text() == "x"


def test__atomic_folder__empty_folder__is_replaced(tmp_path):
    (tmp_path / "b").mkdir()
    with atomic_folder(tmp_path / "b") as folder:
        (folder / "x").write_text("x")
    assert (tmp_path / "b" / "x").exists()


def test__atomic_folder__file_in_its_place__is_refused_even_with_overwrite(tmp_path):
    (tmp_path / "b").write_text("precious")
    with (
        pytest.raises(FolderExistsError, match="a file is in its place"),
        atomic_folder(tmp_path / "b", overwrite=True),
    ):
        pytest.fail("the body ran")
    assert (tmp_path / "b").read_text() == "precious"


def test__atomic_folder__marker_absent__folder_is_not_ours_to_replace(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with (
        pytest.raises(FolderExistsError, match=r"holds no zoo\.json"),
        atomic_folder(tmp_path, overwrite=True, marker="zoo.json"),
    ):
        pytest.fail("the body ran")
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test__atomic_folder__someone_else_is_faster__their_folder_stays(tmp_path):
    def write():
        with atomic_folder(tmp_path / "b"):
            (tmp_path / "b").mkdir()
            (tmp_path / "b" / "theirs").write_text("theirs")

    with pytest.raises(FolderExistsError, match="is not empty"):
        write()
    assert (tmp_path / "b" / "theirs").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test__atomic_folder__permissions__follow_the_umask(tmp_path):
    (tmp_path / "reference").mkdir()
    with atomic_folder(tmp_path / "b"):
        pass
    assert (tmp_path / "b").stat().st_mode == (tmp_path / "reference").stat().st_mode


def test__atomic_folder__symlink__what_it_leads_to_is_written(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with atomic_folder(tmp_path / "link") as folder:
        (folder / "x").write_text("x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "x").read_text() == "x"


def test__sha256__known_content__known_digest(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "x") == expected


def test__checked_member__file_inside__path(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x").write_text("x")
    assert checked_member(tmp_path, "sub/x") == tmp_path / "sub" / "x"


@pytest.mark.parametrize(
    "name", ["../x", "sub/../../x", "/etc/passwd", "C:\\x", "c:x", "..\\x", "."]
)
def test__checked_member__name_leaves_the_folder__is_refused(tmp_path, name):
    (tmp_path / "x").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FormatError, match="must be relative"):
        checked_member(tmp_path / "folder", name)


@pytest.mark.parametrize("name", ["", None, 3, "a\0b"])
def test__checked_member__name_is_no_name__is_refused(tmp_path, name):
    with pytest.raises(FormatError, match="must be a non-empty str"):
        checked_member(tmp_path, name)


@pytest.mark.parametrize("name", ["link", "folder/x"])
def test__checked_member__symlink_on_the_way__is_refused(tmp_path, name):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x").write_text("x")
    (tmp_path / "link").symlink_to("real/x")
    (tmp_path / "folder").symlink_to("real")
    with pytest.raises(FormatError, match="is behind a symlink"):
        checked_member(tmp_path, name)


def test__checked_member__links_within__accepts_inside_and_refuses_outside(tmp_path):
    (tmp_path / "cache" / "snapshot").mkdir(parents=True)
    (tmp_path / "cache" / "blob").write_text("blob")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "cache" / "snapshot" / "good").symlink_to("../blob")
    (tmp_path / "cache" / "snapshot" / "bad").symlink_to("../../secret")
    snapshot = tmp_path / "cache" / "snapshot"
    good = checked_member(snapshot, "good", links_within=tmp_path / "cache")
    assert good.read_text() == "blob"
    with pytest.raises(FormatError, match="a symlink to a place outside"):
        checked_member(snapshot, "bad", links_within=tmp_path / "cache")


def test__checked_member__no_such_file__is_refused(tmp_path):
    with pytest.raises(FormatError, match=r"has no file 'x\.json'"):
        checked_member(tmp_path, "x.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test__checked_member__named_pipe__is_refused_without_opening_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FormatError, match="is not a regular file"):
        checked_member(tmp_path, "pipe")


def test__checked_member__too_large__is_refused(tmp_path):
    (tmp_path / "x").write_bytes(bytes(11))
    with pytest.raises(FormatError, match=r"at most 10 bytes\. Got 11"):
        checked_member(tmp_path, "x", max_bytes=10)
    assert checked_member(tmp_path, "x", max_bytes=11).name == "x"


def test__read_json__object__value(tmp_path):
    (tmp_path / "x").write_text('{"a": [1, 2.5, null, "ü"]}', encoding="utf-8")
    assert read_json(tmp_path / "x") == {"a": [1, 2.5, None, "ü"]}


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": 1e999}', "1e999 is too large"),
        (b'{"a": 1, "a": 2}', "a key occurs twice"),
        (b"[1]", "must hold a JSON object. Got a list"),
        (b"{", "is not valid JSON"),
        (b"", "is not valid JSON"),
        (b'{"a": "\xff"}', "is not valid JSON"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "is not valid JSON"),
    ],
)
def test__read_json__not_a_strict_object__is_refused(tmp_path, content, match):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FormatError, match=match):
        read_json(tmp_path / "x")


def test__read_json__too_large__is_refused(tmp_path):
    (tmp_path / "x").write_text('{"a": 1}')
    with pytest.raises(FormatError, match="at most 7 bytes"):
        read_json(tmp_path / "x", max_bytes=7)
    assert read_json(tmp_path / "x", max_bytes=8) == {"a": 1}
