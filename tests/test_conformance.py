"""Every model that is installed from this repository passes the suite that plugin authors run."""

import zoo.testing


# scikit-learn's checks of the KAN run with the array API on, in an interpreter of their own, in
# plugins/kan/tests/test_estimator_ecosystem.py
@zoo.testing.parametrize_checks("kan", skip={"scikit_learn": "the plugin's own tests run it"})
def test__kan__conformance_check__passes(check):
    check()


@zoo.testing.parametrize_checks(
    "multitoken",
    params={
        "n_heads": 3,
        "d_model": 32,
        "n_layers": 2,
        "attention_heads": 2,
        "context": 64,
        "max_steps": 10,
    },
)
def test__multitoken__conformance_check__passes(check):
    check()
