"""The conformance suite: what every model of the zoo passes, callable on yours.

>>> import zoo.testing
>>> print(zoo.testing.check_model("kan"))  # doctest: +SKIP

In a plugin's own tests, one line makes a test of every check::

    @zoo.testing.parametrize_checks("my-model")
    def test_conformance(check):
        check()

Nothing in the zoo imports this package but the command ``zoo check``.
"""

from zoo.testing.report import CheckResult, Report
from zoo.testing.suite import Check, check_model, check_names, parametrize_checks

__all__ = ["Check", "CheckResult", "Report", "check_model", "check_names", "parametrize_checks"]
