"""The conformance suite passes what is right, and each of its checks can fail."""

import os
import shutil
import sys
import types
import unittest
from pathlib import Path

import numpy as np
import pytest

import zoo.testing
from zoo.errors import ParameterError, UnknownModelError
from zoo.testing import Check, CheckResult, Report
from zoo.testing.subject import compare

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "third_party_plugin" / "zoo_fourier"

PLUGIN = """
import zoo
{top}

@zoo.hookimpl
def zoo_register_models(register):
    register(zoo.ModelSpec("toy", {{{task!r}: "toy_model:Toy"}}, exporter={exporter!r},
                           runner={runner!r}))
"""

HEAD = """
import random
import socket
import sys
import time

import numpy as np
from sklearn.linear_model import LogisticRegression

import zoo_fourier.export
from zoo.persistence import FittedState, PretrainedMixin
from zoo_fourier.estimator import FourierRegressor
"""


@pytest.fixture
def run_check(add_distribution):
    """Run one check on the example's regressor with something changed.

    The returned function takes the name of the check and the body of a subclass.
    """

    def run(
        check,
        body="pass",
        *,
        base="FourierRegressor",
        extra="",
        task="regression",
        exporter=None,
        runner=None,
        top="",
    ):
        lines = "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
        plugin = PLUGIN.format(task=task, exporter=exporter, runner=runner, top=top)
        model = f"{HEAD}\n{extra}\n\nclass Toy({base}):\n{lines}"
        site = add_distribution(
            "zoo-toy",
            {"toy_plugin": plugin, "toy_model": model},
            entry_points={"toy": "toy_plugin"},
        )
        shutil.copytree(EXAMPLE, site / "zoo_fourier")
        (result,) = zoo.testing.check_model("toy", only=[check]).results
        return result

    return run


def assert_failed(result, *words):
    assert result.status == "failed", result
    for word in words:
        assert word in result.reason


DOCUMENTED = '''
"""A toy.

Parameters
----------
n_components, bandwidth : int
    One.
alpha : float
    Two.
random_state : int
    Three.

Attributes
----------
frequencies_, phases_, mean_, scale_, coef_ : ndarray of shape (n,)
    Arrays.
intercept_ : float
    Number.
n_features_in_ : int
    Number.
"""
'''


def test__constructor__assigns_only__passes(run_check):
    assert run_check("constructor").status == "passed"


def test__constructor__converts_a_parameter__fails(run_check):
    body = """
def __init__(self, *, n_components=3):
    self.n_components = [n_components]
"""
    assert_failed(run_check("constructor", body), "must assign as they are: n_components")


def test__constructor__validates__fails(run_check):
    body = """
def __init__(self, *, n_components=3):
    if n_components < 1:
        raise ValueError("too few")
    self.n_components = n_components
"""
    assert_failed(run_check("constructor", body), "TypeError: '<' not supported")


def test__constructor__sets_more__fails(run_check):
    body = """
def __init__(self, *, n_components=3):
    self.n_components = n_components
    self.cache = {}
"""
    assert_failed(run_check("constructor", body), "must set no other attributes: cache")


def test__constructor__takes_anything__fails(run_check):
    body = """
def __init__(self, **options):
    self.options = options
"""
    assert_failed(run_check("constructor", body), "must name its parameters, and takes options")


def test__docstrings__complete__passes(run_check):
    assert run_check("docstrings", DOCUMENTED).status == "passed"


def test__docstrings__none__fails(run_check):
    assert_failed(run_check("docstrings"), "Toy has no docstring")


def test__docstrings__parameter_and_attribute_missing__names_them(run_check):
    body = DOCUMENTED.replace(", bandwidth", "").replace(", coef_", "")
    result = run_check("docstrings", body)
    assert_failed(result, "'bandwidth' is not under Parameters", "'coef_' is not under Attributes")
    assert "alpha" not in result.reason


def test__docstrings__silent_method__fails(run_check):
    body = DOCUMENTED + "def explain(self):\n    return 1\n"
    assert_failed(run_check("docstrings", body), "Toy.explain has no docstring")


def test__seeds__honoured__passes(run_check):
    assert run_check("seeds").status == "passed"


def test__seeds__global_generator_moved__names_it(run_check):
    body = """
def fit(self, X, y):
    np.random.random()
    return super().fit(X, y)
"""
    result = run_check("seeds", body)
    assert_failed(result, "must leave alone: numpy.random")


def test__seeds__module_random_moved_in_predict__names_it(run_check):
    body = """
def predict(self, X):
    random.random()
    return super().predict(X)
"""
    result = run_check("seeds", body)
    assert_failed(result, "must leave alone: random")
    assert "numpy" not in result.reason


def test__seeds__torch_seeded_globally__names_it(run_check, monkeypatch):
    torch = types.ModuleType("torch")
    torch.state = 0
    torch.get_rng_state = lambda: torch.state
    torch.set_rng_state = torch.manual_seed = lambda state: setattr(torch, "state", state)
    monkeypatch.setitem(sys.modules, "torch", torch)
    body = """
def fit(self, X, y):
    sys.modules["torch"].manual_seed(99)
    return super().fit(X, y)
"""
    assert_failed(run_check("seeds", body), "must leave alone: torch")
    assert torch.state == 0


def test__seeds__global_generator_read_and_put_back__fails(run_check):
    body = """
def fit(self, X, y):
    state = np.random.get_state()
    self.shift_ = np.random.random()
    np.random.set_state(state)
    return super().fit(X, y)

def predict(self, X):
    return super().predict(X) + self.shift_
"""
    assert_failed(run_check("seeds", body), "two fits with one random_state: predict differs by")


def test__threads__no_shared_state__passes(run_check):
    assert run_check("threads").status == "passed"


def test__threads__shared_state__fails(run_check):
    extra = "running = []"
    body = """
def fit(self, X, y):
    running.append(1)
    time.sleep(0.1)
    super().fit(X, y)
    self.intercept_ += len(running) - 1
    running.pop()
    return self
"""
    result = run_check("threads", body, extra=extra)
    assert_failed(result, "a fit among other threads and one alone: predict differs by")


def test__one_row__independent__passes(run_check):
    assert run_check("one_row").status == "passed"


def test__one_row__depends_on_the_batch__fails(run_check):
    body = """
def predict(self, X):
    return super().predict(X) - np.mean(X)
"""
    assert_failed(run_check("one_row", body), "rows alone and in a batch: predict differs by")


def test__pickle__whole_state__passes(run_check):
    assert run_check("pickle").status == "passed"


def test__pickle__state_lost__fails(run_check):
    body = """
def __getstate__(self):
    return super().__getstate__() | {"intercept_": 0.0}
"""
    assert_failed(run_check("pickle", body), "before and after pickling: predict differs by")


def test__pickle__parameter_lost__fails(run_check):
    body = """
def __getstate__(self):
    return super().__getstate__() | {"alpha": 7.0}
"""
    assert_failed(run_check("pickle", body), "pickling changes parameters")


def test__saving__whole_state__passes(run_check):
    assert run_check("saving").status == "passed"


def test__saving__state_lost__fails(run_check):
    body = """
def _get_fitted_state(self):
    state = super()._get_fitted_state()
    state.values["intercept"] = 0.0
    return state
"""
    assert_failed(run_check("saving", body), "before and after saving: predict differs by")


def test__saving__parameter_that_json_cannot_hold__fails(run_check):
    body = """
def __init__(self, *, n_components=10, bandwidth=3.0, alpha=1.0, random_state=0, link=np.cos):
    super().__init__(n_components=n_components, random_state=random_state)
    self.link = link
"""
    assert_failed(run_check("saving", body), "ParameterError: The parameter 'link' of Toy cannot")


def test__saving__no_mixin__is_skipped_with_the_reason(run_check):
    result = run_check("saving", base="LogisticRegression", task="classification")
    assert (result.status, result.reason) == ("skipped", "Toy is no PretrainedMixin")


def test__hostile_files__core_loader__passes(run_check):
    assert run_check("hostile_files").status == "passed"


def test__hostile_files__careless_loader__names_what_it_accepts(run_check):
    body = """
@classmethod
def from_pretrained(cls, folder):
    content = (folder / "config.json").read_text()
    if "{" not in content:
        raise RuntimeError("what is this?")
    return cls()
"""
    result = run_check("hostile_files", body)
    assert_failed(
        result,
        "Truncated tensors",
        "A pickle in place of the tensors",
        "A symlink out of the folder",
        "A config that is no object (raises RuntimeError, no ZooError)",
        "A dotted path as model",
    )


def test__onnx__right_graph__passes(run_check):
    result = run_check("onnx", exporter="zoo_fourier.export:export")
    assert result.status == "passed", result


def test__onnx__wrong_graph__fails(run_check):
    extra = """
def export(estimator, X=None, **options):
    made = zoo_fourier.export.export(estimator, X, **options)
    graph = made.graphs["model"].graph
    (bias,) = [weight for weight in graph.initializer if weight.name == "intercept"]
    array = np.frombuffer(bias.raw_data, dtype=options["dtype"]) * 1.01
    bias.raw_data = array.astype(options["dtype"]).tobytes()
    return made
"""
    result = run_check("onnx", extra=extra, exporter="toy_model:export")
    assert_failed(result, "VerificationError: The ONNX graph computes other numbers")


def test__onnx__exporter_that_vouches_for_a_wrong_graph__fails_all_the_same(run_check):
    extra = """
import copy

def export(estimator, X=None, **options):
    wrong = copy.deepcopy(estimator)
    wrong.intercept_ += 1.0
    return zoo_fourier.export.export(wrong, X, **options)
"""
    result = run_check("onnx", extra=extra, exporter="toy_model:export")
    assert_failed(result, "float32 graph and model, 1 rows: predict differs by up to 1")


def test__onnx__no_exporter__is_skipped_with_the_reason(run_check):
    result = run_check("onnx")
    assert (result.status, result.reason) == ("skipped", "the model 'toy' has no exporter")


def test__runner__torch_free__passes(run_check):
    result = run_check("runner", exporter="zoo_fourier.export:export")
    assert result.status == "passed", result


def test__runner__imports_torch__fails(run_check):
    extra = """
class Runner:
    def __init__(self, bundle, *, device):
        import torch
"""
    result = run_check(
        "runner", extra=extra, exporter="zoo_fourier.export:export", runner="toy_model:Runner"
    )
    assert_failed(result, "No module named", "(blocked)")


def test__listing__light_plugin__passes(run_check):
    assert run_check("listing").status == "passed"


def test__listing__heavy_import__names_it(run_check):
    assert_failed(run_check("listing", top="import numpy"), "listing imports numpy")


def test__listing__plugin_imports_its_target__fails(run_check):
    # Stands for a target that is light enough not to be noticed otherwise.
    top = f"import os, sys\nif os.getpid() != {os.getpid()}: sys.modules['toy_model'] = sys"
    result = run_check("listing", top=top)
    assert_failed(result, "listing imports the target's module toy_model")


def test__listing__model_only_listed_in_this_process__fails(run_check):
    top = f"import os\nif os.getpid() != {os.getpid()}: raise RuntimeError()"
    assert_failed(run_check("listing", top=top), "without 'toy'")


def test__offline__no_connection__passes(run_check):
    result = run_check("offline")
    assert result.status == "passed", result


@pytest.mark.parametrize(
    ("attempt", "event"),
    [
        ("socket.create_connection(('127.0.0.1', 9), timeout=1)", "socket.getaddrinfo"),
        ("socket.socket().connect(('127.0.0.1', 9))", "socket.connect(('127.0.0.1', 9),)"),
    ],
)
def test__offline__connection_tried_and_hidden__fails(run_check, attempt, event):
    body = f"""
def fit(self, X, y):
    try:
        {attempt}
    except OSError:
        pass
    return super().fit(X, y)
"""
    assert_failed(run_check("offline", body), "it tries to connect", event)


def test__scikit_learn__conforming__passes(run_check):
    result = run_check("scikit_learn")
    assert result.status == "passed", result


def test__scikit_learn__not_conforming__names_the_checks(run_check):
    body = """
def predict(self, X):
    return self._features(np.asarray(X)) @ self.coef_ + self.intercept_
"""
    assert_failed(run_check("scikit_learn", body), "check_n_features_in_after_fitting", " of ")


CLASSIFIER = """
def _get_fitted_state(self):
    return FittedState({"classes": self.classes_.tolist(), "n": self.n_features_in_},
                       {"coef": self.coef_, "intercept": self.intercept_})

def _set_fitted_state(self, state):
    self.classes_ = np.array(state.values["classes"])
    self.n_features_in_ = state.values["n"]
    self.coef_, self.intercept_ = state.arrays["coef"], state.arrays["intercept"]
"""


@pytest.mark.parametrize(
    "check", ["seeds", "threads", "one_row", "pickle", "saving", "hostile_files", "offline"]
)
def test__classifier_with_text_labels__passes(run_check, check):
    result = run_check(
        check, CLASSIFIER, base="PretrainedMixin, LogisticRegression", task="classification"
    )
    assert result.status == "passed", result


def test__classifier__labels_change_in_saving__fails(run_check):
    body = CLASSIFIER.replace('["classes"])', '["classes"][::-1])')
    result = run_check(
        "saving", body, base="PretrainedMixin, LogisticRegression", task="classification"
    )
    assert_failed(result, "before and after saving", "predict: ")


def test__other_task__is_skipped_with_the_reason(run_check):
    result = run_check("seeds", task="folding")
    assert result.status == "skipped"
    assert "data for regression, classification, generation, not for 'folding'" in result.reason


def test__check__callers_warning_filters__do_not_matter(run_check):
    body = """
def fit(self, X, y):
    import warnings
    warnings.warn("look out")
    return super().fit(X, y)
"""
    assert run_check("one_row", body).status == "passed"


def test__check_model__unknown_model__is_refused():
    with pytest.raises(UnknownModelError, match="named 'kna'"):
        zoo.testing.check_model("kna")


@pytest.mark.parametrize("option", ["skip", "only"])
def test__check_model__unknown_check__suggests(option):
    with pytest.raises(
        ParameterError, match=rf"{option!r} .* Got 'listin'\. Did you mean 'listing'"
    ):
        zoo.testing.check_model("kan", **{option: {"listin": "reason"}})


@pytest.mark.parametrize("reason", ["", "  ", None, True])
def test__check_model__skip_without_reason__is_refused(reason):
    with pytest.raises(ParameterError, match=r"the check 'onnx' needs a reason\. Got"):
        zoo.testing.check_model("kan", skip={"onnx": reason})


def test__check_model__skip__is_reported_with_its_reason():
    seen = []
    report = zoo.testing.check_model(
        "kan",
        skip={"listing": "it is slow", "seeds[regression]": "it is random"},
        only=["listing", "seeds[regression]"],
        on_result=seen.append,
    )
    assert [(r.name, r.status, r.reason) for r in report.results] == [
        ("listing", "skipped", "it is slow"),
        ("seeds[regression]", "skipped", "it is random"),
    ]
    assert seen == list(report.results)
    assert report.skipped == seen
    report.raise_if_failed()


def test__check_names__model_with_two_tasks__names_both():
    names = zoo.testing.check_names("kan")
    assert names[0] == "listing"
    assert {"scikit_learn[regression]", "scikit_learn[classification]", "onnx[regression]"} < set(
        names
    )
    assert len(names) == len(set(names))


def test__parametrize_checks__every_check_is_a_parameter():
    mark = zoo.testing.parametrize_checks("kan", skip={"onnx": "not now"}).mark
    names, checks = mark.args
    assert names == "check"
    assert mark.kwargs["ids"] == zoo.testing.check_names("kan")
    (check, _) = (check for check in checks if check.name.startswith("onnx"))
    with pytest.raises(unittest.SkipTest, match="not now"):
        check()


def test__check__result__keeps_kind_of_error_and_time():
    def crash():
        raise RuntimeError("no\nluck")

    result = Check("it", crash).result()
    assert (result.status, result.reason) == ("failed", "RuntimeError: no luck")
    assert result.seconds >= 0


REPORT = Report(
    "toy",
    (
        CheckResult("good", "passed", "", 0.5),
        CheckResult("bad[regression]", "failed", "it is wrong", 1.25),
        CheckResult("off", "skipped", "no data", 0.0),
    ),
)


def test__report__raise_if_failed__names_check_and_reason():
    with pytest.raises(AssertionError, match=r"1 of 3 checks of 'toy' failed:\n- bad.*it is wrong"):
        REPORT.raise_if_failed()


def test__report__str__is_a_table_with_a_summary():
    lines = str(REPORT).splitlines()
    assert lines[1] == "failed   bad[regression]    1.25 s  it is wrong"
    assert lines[-1] == "toy: 1 passed, 1 failed, 1 skipped"


def test__compare__different_shape__fails():
    with pytest.raises(AssertionError, match=r"predict has shape \(2,\), not \(3,\)"):
        compare({"predict": np.zeros(2)}, {"predict": np.zeros(3)}, "it", tolerance=1.0)


def test__compare__different_verbs__fails():
    with pytest.raises(AssertionError, match=r"one gives \[\], the other \['predict'\]"):
        compare({}, {"predict": np.zeros(3)}, "it", tolerance=1.0)


def test__compare__nan__fails():
    with pytest.raises(AssertionError, match="predict differs by up to nan"):
        compare({"predict": np.array([np.nan])}, {"predict": np.zeros(1)}, "it", tolerance=1.0)


def test__compare__labels_at_a_tie__may_differ_and_others_not():
    chances = np.array([[0.5, 0.5], [0.9, 0.1]])
    wanted = {"predict": np.array(["a", "a"]), "predict_proba": chances}
    compare(
        {"predict": np.array(["b", "a"]), "predict_proba": chances}, wanted, "it", tolerance=1e-9
    )
    with pytest.raises(AssertionError, match="it: predict: 1 of 2 differ"):
        compare(
            {"predict": np.array(["a", "b"]), "predict_proba": chances},
            wanted,
            "it",
            tolerance=1e-9,
        )


GENERATOR = """
class Texts(PretrainedMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.letters_ = sorted(set("".join(X)))
        return self

    def generate(self, X, *, max_new_tokens, temperature=0.0, random_state=None):
        rng = np.random.default_rng(0 if temperature == 0 else random_state)
        added = "".join(rng.choice(self.letters_, size=max_new_tokens))
        return [added for _ in X]

    def score_samples(self, X):
        return np.array([float(len(text)) for text in X])

    def _get_fitted_state(self):
        return FittedState(values={"letters": self.letters_}, arrays={"none": np.zeros(1)})

    def _set_fitted_state(self, state):
        self.letters_ = state.values["letters"]
"""


@pytest.mark.parametrize("check", ["seeds", "one_row", "pickle", "saving", "offline"])
def test__generation__model_of_texts__passes(run_check, check):
    extra = "from sklearn.base import BaseEstimator\n" + GENERATOR
    result = run_check(check, extra=extra, base="Texts", task="generation")
    assert result.status == "passed", result


@pytest.mark.parametrize(
    ("check", "body", "words"),
    [
        (
            "seeds",
            "def generate(self, X, **options):\n    return [str(random.random()) for _ in X]",
            ["must leave alone: random"],
        ),
        (
            "one_row",
            "def score_samples(self, X):\n    return np.full(len(X), float(len(X)))",
            ["rows alone and in a batch: score_samples differs"],
        ),
        (
            "saving",
            "def _get_fitted_state(self):\n"
            "    return FittedState(values={'letters': ['q']}, arrays={'none': np.zeros(1)})",
            ["before and after saving: generate: 20 of 20 differ"],
        ),
        ("pickle", "generate = score_samples = None", ["has no method for the task 'generation'"]),
    ],
    ids=["seeds", "one_row", "saving", "pickle"],
)
def test__generation__model_that_errs__fails(run_check, check, body, words):
    extra = "from sklearn.base import BaseEstimator\n" + GENERATOR
    assert_failed(run_check(check, body, extra=extra, base="Texts", task="generation"), *words)
