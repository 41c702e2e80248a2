"""The estimator's and the runner's verbs: generate, stream, export."""

import pytest
from sklearn.exceptions import NotFittedError

import zoo
from zoo_multitoken.decoding import Statistics
from zoo_multitoken.estimator import MultiTokenLM

TEXT = "def area(width, height):\n    return width * height\n\n\n" * 20


@pytest.fixture(scope="module")
def fitted():
    shape = {"d_model": 32, "n_layers": 2, "attention_heads": 2, "context": 64}
    return MultiTokenLM(n_heads=4, random_state=0, **shape).fit([TEXT] * 2)


def test__generate__one_text_or_several__gives_one_or_several(fitted):
    one = fitted.generate("def ", max_new_tokens=20)
    both, statistics = fitted.generate(["def ", b"ret"], max_new_tokens=20, return_statistics=True)
    assert isinstance(one, str)
    assert both[0] == one
    assert len(both) == 2
    assert isinstance(statistics, Statistics)
    assert statistics.rows == 2
    slow = fitted.generate("def ", max_new_tokens=20, strategy="autoregressive")
    assert slow == one


def test__stream__bursts__sum_up_to_generate(fitted):
    given = {"max_new_tokens": 30, "stop": "\n", "temperature": 0.7, "random_state": 3}
    bursts = list(fitted.stream("def ", **given))
    assert "".join(burst.text for burst in bursts) == fitted.generate("def ", **given)


def test__export__loaded_by_the_core__generates_the_same(fitted, tmp_path):
    folder = fitted.export_onnx(tmp_path / "out", ["def f(x):\n    return x * x + 1\n"])
    runner = zoo.load_onnx(folder, device="cpu")
    prompts = ["def ", "    return width", ""]
    given = {"max_new_tokens": 30}
    assert runner.generate(prompts, **given) == fitted.generate(prompts, **given)
    assert runner.generate("def ", **given) == fitted.generate("def ", **given)


def test__generate__unfitted__says_so():
    with pytest.raises(NotFittedError, match="not fitted"):
        MultiTokenLM().generate("x")
