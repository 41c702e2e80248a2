"""The commands, and what listing the plugin imports."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from zoo.errors import ParameterError
from zoo_instantfamily.commands import app


def _run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test__portrait__same_seed__same_picture(tmp_path):
    for name in ("one.png", "two.png"):
        done = _run("portrait", tmp_path / name, "-n", 3, "--width", 96, "--height", 64)
        assert done.exit_code == 0, done.output
        assert "three" in done.output
    one, two = (np.asarray(Image.open(tmp_path / name)) for name in ("one.png", "two.png"))
    assert one.shape == (64, 96, 3)
    assert one.std() > 20
    np.testing.assert_array_equal(one, two)


def test__sheet__rows__hold_one_person_each(tmp_path):
    done = _run("sheet", tmp_path / "s.png", "-n", 2, "--portraits", 5, "--size", 40)
    assert done.exit_code == 0, done.output
    pixels = np.asarray(Image.open(tmp_path / "s.png"), np.float64)
    assert pixels.shape == (80, 200, 3)
    face = pixels.reshape(2, 40, 5, 40, 3)[:, 14:34, :, 12:28].mean((1, 3))
    within = face.std(1).mean()
    between = np.abs(face[0].mean(0) - face[1].mean(0)).mean()
    assert between > within


def test__portrait__unknown_crowding__one_sentence(tmp_path):
    done = _run("portrait", tmp_path / "one.png", "--crowding", "far")
    assert isinstance(done.exception, ParameterError)
    with pytest.raises(ParameterError, match=r"--crowding must be one of apart, touching, over"):
        raise done.exception


@pytest.mark.parametrize("command", ["portrait", "sheet"])
def test__output__no_picture_format__one_sentence(tmp_path, command):
    done = _run(command, tmp_path / "family.txt")
    with pytest.raises(ParameterError, match=r"must end in .*, got family\.txt"):
        raise done.exception


def test__plugin__listing__imports_nothing_heavy():
    code = (
        "import sys, zoo_instantfamily, zoo_instantfamily.plugin;"
        "heavy = {'torch', 'numpy', 'PIL', 'diffusers'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(heavy)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test__package__public_names__resolve():
    import zoo_instantfamily

    assert set(zoo_instantfamily.__all__) <= set(dir(zoo_instantfamily))
    for name in zoo_instantfamily.__all__:
        assert getattr(zoo_instantfamily, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Nobody'"):
        _ = zoo_instantfamily.Nobody
