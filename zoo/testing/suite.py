"""Which checks there are, and how they are run."""

import time
import unittest
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from zoo.errors import ParameterError
from zoo.registry import Entry, registry
from zoo.spec import ModelSpec
from zoo.targets import did_you_mean
from zoo.testing import deployment, estimators, packaging, saving
from zoo.testing.report import CheckResult, Report, Status
from zoo.testing.subject import Subject

__all__ = ["Check", "check_model", "check_names", "parametrize_checks"]

_OF_THE_MODEL: dict[str, Callable[[Subject], None]] = {"listing": packaging.check_listing}
_OF_EACH_TASK: dict[str, Callable[[Subject, str], None]] = {
    "constructor": estimators.check_constructor,
    "docstrings": packaging.check_docstrings,
    "seeds": estimators.check_seeds,
    "threads": estimators.check_threads,
    "one_row": estimators.check_one_row,
    "pickle": estimators.check_pickle,
    "saving": saving.check_saving,
    "hostile_files": saving.check_hostile_files,
    "onnx": deployment.check_onnx,
    "runner": deployment.check_runner,
    "offline": packaging.check_offline,
    "scikit_learn": estimators.check_scikit_learn,
}


@dataclass(frozen=True)
class Check:
    """One check of one model, to be called.

    Attributes
    ----------
    name : str
        ``"check"`` or ``"check[task]"``.
    run : callable
        The check itself.
    skip : str or None
        Why it is not to be run.
    """

    name: str
    run: Callable[[], None]
    skip: str | None = None

    def __call__(self) -> None:
        """Run the check.

        Raises
        ------
        AssertionError
            It failed.
        unittest.SkipTest
            It was skipped; pytest takes this for its own.
        """
        if self.skip is not None:
            raise unittest.SkipTest(self.skip)
        with warnings.catch_warnings(record=True):
            # The checks say what they demand; a filter of the caller must not change the result.
            warnings.simplefilter("default")
            self.run()

    def result(self) -> CheckResult:
        """Run the check and say what came out."""
        start = time.perf_counter()
        status: Status = "passed"
        reason = ""
        try:
            self()
        except unittest.SkipTest as skipped:
            status, reason = "skipped", str(skipped)
        except AssertionError as error:
            status, reason = "failed", " ".join(str(error).split()) or "AssertionError"
        except Exception as error:
            status, reason = "failed", f"{type(error).__name__}: {' '.join(str(error).split())}"
        return CheckResult(self.name, status, reason, time.perf_counter() - start)


def check_names(name: str) -> list[str]:
    """Names of the checks of a model, in the order they run.

    Parameters
    ----------
    name : str
        A registered model.

    Returns
    -------
    list of str
        ``"check"``, or ``"check[task]"`` where a check looks at one task.
    """
    return [check.name for check in _checks(registry().find(name), {}, {})]


def check_model(
    name: str,
    *,
    skip: Mapping[str, str] | None = None,
    only: Iterable[str] | None = None,
    params: Mapping[str, Any] | None = None,
    on_result: Callable[[CheckResult], None] | None = None,
) -> Report:
    """Run the conformance suite on a model.

    Parameters
    ----------
    name : str
        A registered model, ``"name"`` or ``"distribution:name"``.
    skip : mapping of str to str or None, default=None
        Checks to leave out, each with the reason: ``{"onnx": "no exporter yet"}`` for all tasks,
        ``{"onnx[regression]": "..."}`` for one.
    only : iterable of str or None, default=None
        Run these checks only, named in the same way.
    params : mapping of str to object or None, default=None
        Parameters of the model that are not to have their defaults, fit for JSON: what a small
        model passes, a large one does, and sooner.
    on_result : callable or None, default=None
        Called with every `CheckResult` as it comes.

    Returns
    -------
    Report
        One result for each check.

    Raises
    ------
    zoo.errors.UnknownModelError, zoo.errors.PluginError
        There is no such model, or its plugin cannot be used.
    zoo.errors.ParameterError
        ``skip`` or ``only`` name no check, or a reason is missing.
    """
    checks = _checks(registry().find(name), skip or {}, params or {})
    chosen = None if only is None else set(only)
    if chosen is not None:
        _require_known(chosen, checks, "only")
        checks = [check for check in checks if chosen & _addresses(check)]
    results = []
    for check in checks:
        results.append(check.result())
        if on_result is not None:
            on_result(results[-1])
    return Report(name, tuple(results))


def parametrize_checks(
    name: str,
    *,
    skip: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
) -> Any:
    """Make a pytest test of every check.

    Parameters
    ----------
    name : str
        A registered model.
    skip : mapping of str to str or None, default=None
        Checks to leave out, each with the reason.
    params : mapping of str to object or None, default=None
        Parameters of the model that are not to have their defaults, fit for JSON.

    Returns
    -------
    decorator
        For a test function with one parameter, ``check``, that calls it.

    Examples
    --------
    >>> @parametrize_checks("kan")  # doctest: +SKIP
    ... def test_conformance(check):
    ...     check()
    """
    import pytest

    checks = _checks(registry().find(name), skip or {}, params or {})
    return pytest.mark.parametrize("check", checks, ids=[check.name for check in checks])


def _checks(
    entry: Entry[ModelSpec], skip: Mapping[str, str], params: Mapping[str, Any]
) -> list[Check]:
    subject = Subject(entry, params)
    planned: list[tuple[str, Callable[[], None]]] = [
        (name, partial(run, subject)) for name, run in _OF_THE_MODEL.items()
    ]
    planned += [
        (f"{name}[{task}]", partial(run, subject, task))
        for task in entry.spec.targets
        for name, run in _OF_EACH_TASK.items()
    ]
    checks = []
    for name, run in planned:
        reasons = [skip[address] for address in (name, name.partition("[")[0]) if address in skip]
        checks.append(Check(name, run, reasons[0] if reasons else None))
    _require_known(skip, checks, "skip")
    for name, reason in skip.items():
        if not isinstance(reason, str) or not reason.strip():
            raise ParameterError(f"Skipping the check {name!r} needs a reason. Got {reason!r}.")
    return checks


def _addresses(check: Check) -> set[str]:
    return {check.name, check.name.partition("[")[0]}


def _require_known(names: Iterable[str], checks: list[Check], what: str) -> None:
    known = sorted(set().union(*(_addresses(check) for check in checks)))
    for name in names:
        if name not in known:
            raise ParameterError(
                f"The parameter {what!r} of the conformance suite must name checks: "
                f"{', '.join(known)}. Got {name!r}.{did_you_mean(name, known)}"
            )
