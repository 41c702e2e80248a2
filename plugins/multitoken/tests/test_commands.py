"""``zoo multitoken train`` and ``zoo multitoken generate``."""

import itertools
import re

import pytest
from typer.testing import CliRunner

import zoo
from zoo.cli.app import app
from zoo_multitoken import commands

LINE = "the cat sat on the mat. "


def cli(*arguments):
    result = CliRunner().invoke(app, ["multitoken", *(str(argument) for argument in arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def one_error(result):
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    line = result.stderr.splitlines()[-1]
    assert line.startswith("Error: ")
    return line


TRAIN = ("--width", 16, "--layers", 2, "--context", 64, "--max-steps", 30, "--held-out", 0)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    (folder / "one.txt").write_text(LINE * 20)
    (folder / "two.md").write_text("0123456789" * 20)
    return folder


@pytest.fixture(scope="module")
def trained(texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "lm"
    result = cli("train", texts, "-o", folder, "--pattern", "*.txt", "--heads", 3, *TRAIN)
    assert result.exit_code == 0, result.stderr
    assert "30/30" in result.stdout
    assert re.search(r"Trained [\d,]+ parameters on [\d,]+ bytes\.", result.stdout)
    assert f"zoo multitoken generate 'some text' --model {folder}" in result.stdout
    return folder


def test__train__folder__is_a_model_of_its_files(trained):
    lm = zoo.load(trained)
    assert (lm.n_heads, lm.n_steps_, lm.input, lm.checkpoint) == (3, 30, "content", None)
    assert lm.bits_per_byte([LINE]) < lm.bits_per_byte(["0123456789"]) - 1


def test__train__held_out_texts__are_reported(texts, tmp_path):
    given = [*TRAIN[:-4], "--max-steps", 2, "--held-out", 0.3]
    result = cli("train", texts, "-o", tmp_path / "lm", *given)
    assert re.search(r"the heads get \d+%, \d+%, \d+%, \d+% of the tokens right", result.stdout)


def test__generate__plain__is_what_the_model_says(trained):
    wanted = zoo.load(trained).generate("the ", max_new_tokens=40)
    result = cli("generate", "the ", "--model", trained, "-n", 40)
    assert result.exit_code == 0, result.stderr
    text, counts, race = result.stdout.rsplit("\n", 3)[:3]
    assert text == "the " + wanted
    found = re.match(r"40 tokens, ([\d.]+) tokens per forward \((\d+) forwards\)", counts)
    assert float(found[1]) == pytest.approx(39 / int(found[2]), abs=0.005)
    ratio = r"(\d+) tokens per second against (\d+) one at a time: ([\d.]+) times as fast"
    found = re.match(ratio + ", the same text", race)
    assert float(found[3]) == pytest.approx(int(found[1]) / int(found[2]), rel=0.02)


def test__generate__show_accepted__marks_what_came_together(trained):
    result = cli("generate", "the ", "-m", trained, "-n", 40, "--show-accepted", "--no-compare")
    assert "one at a time" not in result.stdout
    text = result.stdout.rsplit("\n", 2)[0]
    bursts = list(zoo.load(trained).stream("the ", max_new_tokens=40))
    marked = [f"‹{b.text}›" if len(b.burst.tokens) > 1 else b.text for b in bursts]
    assert text == "the " + "".join(marked)
    assert "‹" in text


def test__generate__on_a_terminal__colours_bursts_by_turns(trained, monkeypatch, capsys):
    from rich.console import Console

    make = lambda: Console(force_terminal=True, color_system="standard", width=200)  # noqa: E731
    monkeypatch.setattr(commands, "stdout", make)
    commands.generate("the ", model=str(trained), show_accepted=True, max_new_tokens=60)
    colours = re.findall(r"\x1b\[30;(10[26])m", capsys.readouterr().out)
    assert len(colours) > 2
    assert all(one != other for one, other in itertools.pairwise(colours))


def test__generate__drawn__is_fixed_by_the_seed(trained):
    given = ["-m", trained, "-n", 30, "--temperature", 1, "--no-compare"]
    one, same, other = (cli("generate", "the ", *given, "--seed", s).stdout for s in (1, 1, 2))
    assert one.split("\n")[0] == same.split("\n")[0]
    assert one != other
    compared = cli("generate", "the ", *given[:-1], "--seed", 1).stdout
    assert compared.splitlines()[-1].endswith("times as fast, drawn anew.")


def test__generate__exported_folder__is_run_by_onnxruntime(trained, tmp_path):
    pytest.importorskip("onnxruntime")
    folder = zoo.load(trained).export_onnx(tmp_path / "exported")
    given = ["-n", 40, "--no-compare"]
    one, other = (cli("generate", "the ", "-m", model, *given) for model in (trained, folder))
    assert one.stdout.splitlines()[0] == other.stdout.splitlines()[0]


def test__generate__one_token__has_nothing_to_compare(trained):
    result = cli("generate", "the ", "-m", trained, "-n", 1)
    assert result.stdout.splitlines()[-1] == "1 token, not drafted."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "a"], "--model must be given"),
        (["generate", "a", "-m", "/nowhere/lm"], "/nowhere/lm"),
        (["generate", "a", "-m", "MODEL", "--draft", "tree"], "'draft' of a generation must be"),
        (["generate", "a", "-m", "MODEL", "--top-p", "2"], "'top_p' of a generation must be"),
        (["generate", "a", "-m", "MODEL", "-n", "64"], "below the model's context of 64 tokens"),
        (["generate", "a", "-m", "multitoken"], "not fitted"),
        (["train", "/nowhere", "-o", "OUT"], "/nowhere: there is no such folder"),
        (["train", "TEXTS", "-o", "OUT", "--kind", "tree"], "'head' parameter of MultiTokenLM"),
        (["train", "TEXTS", "-o", "OUT", "--pattern", "*.c"], "must hold files that match '*.c'"),
        (["train", "TEXTS", "-o", "MODEL"], "exists and is not empty; --overwrite replaces it"),
        (["train", "TEXTS", "-o", "TEXTS", "--overwrite"], "holds no config.json"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value[:4:3]).replace("/", ""),
)
def test__commands__wrong_arguments__are_refused(texts, trained, tmp_path, arguments, message):
    names = {"MODEL": trained, "TEXTS": texts, "OUT": tmp_path / "out"}
    assert message in one_error(cli(*(names.get(word, word) for word in arguments)))
    assert not (tmp_path / "out").exists()
