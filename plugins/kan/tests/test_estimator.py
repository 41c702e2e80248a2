"""KANRegressor and KANClassifier: fitting, parameters, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score

from zoo_kan import KANClassifier, KANNetwork, KANRegressor


def toy(rows=400, seed=0):
    X = np.random.default_rng(seed).uniform(-1, 1, (rows, 2))
    return X, np.exp(np.sin(np.pi * X[:, 0]) + X[:, 1] ** 2)


def classes(rows=300, seed=0, labels=("left", "middle", "right")):
    X = np.random.default_rng(seed).normal(size=(rows, 2))
    number = np.digitize(X[:, 0] + X[:, 1] ** 2, [0.3, 1.5])
    return X, np.array(labels)[number]


# accuracy ---------------------------------------------------------------------------------------


def test__fit__toy_function_of_the_paper__reaches_1e5_by_default():
    model = KANRegressor(random_state=0).fit(*toy(1000))
    X, y = toy(1000, seed=1)
    assert np.sqrt(np.mean((model.predict(X) - y) ** 2)) <= 1e-5
    assert model.network_.widths == [2, 1, 1]
    assert model.solver_ == "lm"


def test__cross_validation__diabetes__does_not_lose_to_ridge():
    X, y = load_diabetes(return_X_y=True)
    folds = KFold(5, shuffle=True, random_state=0)
    ours = cross_val_score(KANRegressor(random_state=0), X, y, cv=folds).mean()
    ridge = cross_val_score(RidgeCV(np.logspace(-3, 3, 13)), X, y, cv=folds).mean()
    assert ours > ridge - 0.01
    assert ours > 0.47


@pytest.mark.slow
def test__cross_validation__breast_cancer__is_an_ordinary_good_classifier():
    X, y = load_breast_cancer(return_X_y=True)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    assert cross_val_score(KANClassifier(random_state=0), X, y, cv=folds).mean() >= 0.96


def test__fit__three_classes_with_names__predicts_them():
    X, y = classes()
    model = KANClassifier(random_state=0).fit(X, y)
    V, w = classes(seed=1)
    assert model.score(V, w) > 0.95
    probability = model.predict_proba(V)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)
    np.testing.assert_array_equal(model.classes_[probability.argmax(axis=1)], model.predict(V))
    assert model.classes_.tolist() == ["left", "middle", "right"]


def test__fit__two_classes__has_one_logit():
    X, y = classes()
    model = KANClassifier(random_state=0, hidden=()).fit(X, y == "right")
    assert model.network_.widths == [2, 1]
    logit = model.network_.forward(X)[:, 0]
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], 1 / (1 + np.exp(-logit)))
    np.testing.assert_array_equal(model.predict(X), logit > 0)


def test__fit__two_targets__equals_the_single_fits_closely():
    X, y = toy()
    both = np.c_[y, X[:, 0] - 2 * X[:, 1]]
    model = KANRegressor(random_state=0, hidden=(2,)).fit(X, both)
    predicted = model.predict(X)
    assert predicted.shape == (400, 2)
    assert model.n_outputs_ == 2
    assert model.score(X, both) > 0.9999


# parameters -------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["lm", "lbfgs", "adam"])
def test__solver__named__is_used_and_fits(solver):
    X, y = toy(300)
    model = KANRegressor(hidden=(2,), solver=solver, random_state=1, max_iter=60).fit(X, y)
    assert model.solver_ == solver
    assert (model.net_ is not None) == (solver == "adam")
    assert model.score(X, y) > 0.8
    assert model.predict(X).dtype == np.float64
    assert len(model.history_) >= 1
    assert set(model.history_[0]) >= {"iteration", "grid", "loss"}


@pytest.mark.parametrize(("most", "solver"), [(3e8, "lm"), (1e4, "adam")])
def test__solver__auto_with_many_parameters__depends_on_rows_times_parameters(
    monkeypatch, most, solver
):
    monkeypatch.setattr("zoo_kan._training._MOST_FULL_BATCH", most)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 30))
    y = rng.integers(0, 8, 60)
    model = KANClassifier(hidden=(8,), random_state=0, max_iter=2).fit(X, y)
    assert model.solver_ == solver


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test__hidden__auto_with_first_order_solver__chooses_more_than_the_additive_model(solver):
    X = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    model = KANRegressor(solver=solver, random_state=0, max_iter=3).fit(X, X[:, 0] * X[:, 1])
    assert model.network_.widths == [2, 2, 1]
    assert model.solver_ == solver


@pytest.mark.parametrize("early_stopping", [False, True])
def test__random_state__same_int__gives_the_same_network(early_stopping):
    X, y = classes()
    fits = [
        KANClassifier(hidden=(2,), random_state=seed, early_stopping=early_stopping).fit(X, y)
        for seed in (3, 3, 4)
    ]
    np.testing.assert_array_equal(fits[0].predict_proba(X), fits[1].predict_proba(X))
    assert np.abs(fits[0].predict_proba(X) - fits[2].predict_proba(X)).max() > 0


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0), np.random.default_rng(0)])
def test__random_state__any_kind__leaves_the_global_generator_alone(random_state):
    X, y = toy(40)
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state that must not move
    KANRegressor(hidden=(1,), random_state=random_state, max_iter=3).fit(X, y)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("solver", ["lm", "lbfgs"])
def test__sample_weight__frequencies__equals_repeated_rows(solver):
    X, y = toy(60)
    weight = np.random.default_rng(0).integers(0, 4, 60)
    model = KANRegressor(random_state=0, hidden=(), solver=solver)
    weighted = model.fit(X, y, sample_weight=weight).predict(X)
    repeated = model.fit(X.repeat(weight, axis=0), y.repeat(weight)).predict(X)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-7 if solver == "lm" else 1e-3)


def test__class_weight__balanced_and_dict__equal_sample_weights():
    X, y = classes()
    y = y == "right"
    counts = np.bincount(y)
    per_class = len(y) / (2 * counts)
    reference = KANClassifier(hidden=(), random_state=0)
    expected = reference.fit(X, y, sample_weight=per_class[y.astype(int)]).predict_proba(X)
    for class_weight in ("balanced", {False: per_class[0], True: per_class[1]}):
        model = KANClassifier(hidden=(), random_state=0, class_weight=class_weight).fit(X, y)
        np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-6)
    assert np.abs(reference.fit(X, y).predict_proba(X) - expected).max() > 0.05


def test__class_weight__balanced_with_sample_weights__equals_repeated_rows():
    X, y = classes(80)
    weight = np.random.default_rng(0).integers(0, 4, 80)
    model = KANClassifier(hidden=(), random_state=0, class_weight="balanced")
    weighted = model.fit(X, y, sample_weight=weight).predict_proba(X)
    repeated = model.fit(X.repeat(weight, axis=0), y.repeat(weight)).predict_proba(X)
    np.testing.assert_allclose(weighted, repeated, atol=1e-6)


@pytest.mark.parametrize("solver", ["lm", "lbfgs", "adam"])
def test__warm_start__second_fit__goes_on_from_the_first(solver):
    X, y = toy(200)
    model = KANRegressor(
        hidden=(1,), grid=10, solver=solver, warm_start=True, max_iter=3, random_state=0
    )
    first = model.fit(X, y).loss_
    shape = model.network_.widths
    for _ in range(4):
        model.fit(X, y)
    assert model.loss_ < first
    assert model.network_.widths == shape


def test__warm_start__other_features__raises():
    X, y = toy(50)
    model = KANRegressor(hidden=(), warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"warm_start=True of KANRegressor needs the features"):
        model.fit(X[:, :1], y)


def test__warm_start__other_classes__raises():
    X, y = classes(60)
    model = KANClassifier(hidden=(), warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"warm_start=True of KANClassifier needs the classes"):
        model.fit(X, y == "left")


@pytest.mark.parametrize("solver", ["lm", "lbfgs", "adam"])
def test__early_stopping__noise__records_the_held_out_loss(solver):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, 2)), rng.normal(size=80)
    model = KANRegressor(
        hidden=(3,), solver=solver, smoothness=0.0, grid=8, early_stopping=True,
        validation_fraction=0.3, max_iter=300, random_state=0,
    ).fit(X, y)  # fmt: skip
    assert all("validation_loss" in entry for entry in model.history_)
    assert len(model.history_) < 300


def test__early_stopping__one_row_of_each_class__raises():
    with pytest.raises(ValueError, match=r"early_stopping needs at least two rows .* Got 2 row"):
        KANClassifier(early_stopping=True).fit([[0.0], [1.0]], [0, 1])


def test__keep_rows__fewer_than_there_are__keeps_rows_of_positive_weight():
    X, y = toy(100)
    weight = np.ones(100)
    weight[:50] = 0.0
    weight[50:] = np.arange(1, 51)
    model = KANRegressor(hidden=(), keep_rows=20, random_state=0).fit(X, y, weight)
    kept = model.rows_
    assert {name: array.shape for name, array in kept.items()} == {
        "X": (20, 2),
        "y": (20,),
        "weight": (20,),
    }
    for row, target, w in zip(kept["X"], kept["y"], kept["weight"], strict=True):
        where = np.flatnonzero((row == X).all(axis=1))[0]
        assert (y[where], weight[where]) == (target, w)
        assert w > 0
    assert len(np.unique(kept["X"], axis=0)) == 20


def test__keep_rows__zero__keeps_none_and_says_so_when_they_are_needed():
    X, y = toy(50)
    model = KANRegressor(hidden=(), keep_rows=0).fit(X, y)
    assert model.rows_["X"].shape == (0, 2)
    with pytest.raises(ValueError, match=r"KANRegressor kept no training rows \(keep_rows=0\)"):
        model.to_symbolic()
    with pytest.raises(ValueError, match=r"X and y of KANRegressor must be given together"):
        model.prune(X)


def test__solver_params__progress__is_called_with_the_history():
    X, y = toy(50)
    seen = []
    params = {"progress": seen.append}
    model = KANRegressor(hidden=(1,), grid=3, solver_params=params, random_state=0).fit(X, y)
    assert seen[-len(model.history_) :] == model.history_
    assert all(np.isfinite(entry["loss"]) for entry in seen)


def test__solver_params__skorch_arguments__reach_the_net():
    X, y = toy(100)
    params = {"batch_size": 10, "lr": 0.003, "dtype": "float64"}
    model = KANRegressor(solver="adam", max_iter=2, solver_params=params).fit(X, y)
    assert (model.net_.batch_size, model.net_.lr) == (10, 0.003)
    assert {str(p.dtype) for p in model.net_.module_.parameters()} == {"torch.float64"}


def test__verbose__on__prints_every_iteration(capsys):
    X, y = toy(50)
    model = KANRegressor(hidden=(), verbose=1, random_state=0).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(model.history_)
    assert lines[0].startswith("iteration=1  grid=3  loss=")


# pruning ----------------------------------------------------------------------------------------


def test__prune__irrelevant_column__is_cut_off_without_loss():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (400, 3))
    y = np.exp(np.sin(np.pi * X[:, 0]) + X[:, 1] ** 2) + 0.05 * rng.normal(size=400)
    model = KANRegressor(hidden=(1,), random_state=0).fit(X, y)
    before = model.score(X, y)
    assert model.prune(threshold=0.05) is model
    assert model.network_.layers[0].mask.tolist() == [[True, True, False]]
    assert model.score(X, y) > before - 0.005
    moved = X.copy()
    moved[:, 2] += 1.0
    np.testing.assert_array_equal(model.predict(moved), model.predict(X))


def test__prune__classifier_with_given_rows__still_classifies():
    X, y = classes()
    model = KANClassifier(hidden=(3,), keep_rows=0, random_state=0).fit(X, y)
    model.prune(X, y, threshold=0.05)
    assert model.score(X, y) > 0.93


def test__prune__threshold_of_one__raises():
    model = KANRegressor(hidden=()).fit(*toy(30))
    with pytest.raises(ValueError, match=r"'threshold' parameter of KANRegressor.prune .* Got 1.0"):
        model.prune(threshold=1.0)


def test__prune__unknown_class__raises():
    X, y = classes(60)
    model = KANClassifier(hidden=()).fit(X, y)
    with pytest.raises(ValueError, match=r"y of KANClassifier must hold classes .* \['up'\]"):
        model.prune(X, np.where(y == "left", "up", y))


# errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"hidden": "deep"},
            r"'hidden' parameter of KANClassifier must be 'auto', an int .* 'deep'",
        ),
        ({"hidden": (2, 0)}, r"'hidden' parameter .* Got \(2, 0\)"),
        ({"hidden": True}, r"'hidden' parameter .* Got True"),
        ({"grid": 0}, r"'grid' parameter .* 'auto' or an int from 1 to 512\. Got 0"),
        ({"order": 6}, r"'order' parameter .* one of \(1, 2, 3, 4, 5\)\. Got 6"),
        ({"base": "relu"}, r"'base' parameter .* Got 'relu'"),
        ({"solver": "sgd"}, r"'solver' parameter .* Got 'sgd'"),
        ({"smoothness": -1.0}, r"'smoothness' parameter .* Got -1\.0"),
        ({"sparsity": np.nan}, r"'sparsity' parameter .* Got nan"),
        ({"max_iter": 0}, r"'max_iter' parameter .* Got 0"),
        ({"tol": np.inf}, r"'tol' parameter .* Got inf"),
        ({"early_stopping": "yes"}, r"'early_stopping' parameter .* Got 'yes'"),
        ({"validation_fraction": 1.0}, r"'validation_fraction' parameter .* Got 1\.0"),
        ({"warm_start": 1}, r"'warm_start' parameter .* Got 1"),
        ({"class_weight": "even"}, r"'class_weight' parameter .* Got 'even'"),
        ({"class_weight": {0: -1.0}}, r"'class_weight' parameter .* Got \{0: -1\.0\}"),
        ({"keep_rows": -1}, r"'keep_rows' parameter .* Got -1"),
        ({"solver_params": [1]}, r"'solver_params' parameter .* Got \[1\]"),
        ({"random_state": -1}, r"'random_state' parameter .* Got -1"),
        ({"verbose": "loud"}, r"'verbose' parameter .* Got 'loud'"),
        (
            {"solver": "lm", "solver_params": {"lr": 1}},
            r"'solver_params' parameter of KANClassifier with solver='lm' may only hold 'progress'",
        ),
    ],
)
def test__fit__parameter_out_of_range__raises_one_sentence(params, message):
    with pytest.raises(ValueError, match=message):
        KANClassifier(**params).fit(*classes(30))


def test__fit__one_class__raises():
    with pytest.raises(
        ValueError, match=r"needs rows of at least two classes\. Got one class, 'a'"
    ):
        KANClassifier().fit([[0.0], [1.0]], ["a", "a"])


def test__fit__all_weights_zero__raises():
    with pytest.raises(ValueError, match=r"at least one non-zero number"):
        KANRegressor().fit([[0.0], [1.0]], [0, 1], sample_weight=[0, 0])


def test__fit__negative_weight__raises():
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        KANRegressor().fit([[0.0], [1.0]], [0, 1], sample_weight=[1, -1])


def test__fit__missing_values__raises():
    with pytest.raises(ValueError, match="Input X contains NaN"):
        KANRegressor().fit([[np.nan], [1.0]], [0, 1])


def test__fit__one_row__raises():
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        KANRegressor().fit([[0.0]], [0.0])


def test__fit__continuous_target_for_classes__raises():
    with pytest.raises(ValueError, match="Unknown label type"):
        KANClassifier().fit([[0.0], [1.0]], [0.5, 1.5])


def test__fit__column_vector__warns_and_predicts_flat():
    X, y = toy(30)
    model = KANRegressor(hidden=())
    with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
        model.fit(X, y[:, None])
    assert model.predict(X).shape == (30,)


@pytest.mark.parametrize("method", ["predict", "plot", "prune", "to_symbolic"])
def test__any_method__before_fit__raises(method):
    with pytest.raises(NotFittedError, match="This KANRegressor instance is not fitted yet"):
        getattr(KANRegressor(), method)(*([[0.0]] if method == "predict" else []))


def test__predict__other_number_of_features__raises():
    model = KANRegressor(hidden=()).fit(*toy(30))
    with pytest.raises(ValueError, match="X has 3 features, but KANRegressor is expecting 2"):
        model.predict(np.zeros((1, 3)))


# hard data --------------------------------------------------------------------------------------

SIZES = st.sampled_from([0.0, 1e-12, 1e-3, 1.0, 1e6, 1e12])


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(2, 30),
    columns=st.lists(SIZES, min_size=1, max_size=4),
    offset=st.sampled_from([0.0, 1.0, 1e12]),
    target=SIZES,
    duplicate=st.booleans(),
    hidden=st.sampled_from(["auto", (), (2,), (2, 1)]),
    seed=st.integers(0, 2**16),
)
def test__fit__constant_duplicated_huge_or_tiny_data__never_gives_nan(
    rows, columns, offset, target, duplicate, hidden, seed
):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, len(columns))) * columns + offset
    if duplicate:
        X = np.c_[X, X]
    y = target * rng.normal(size=rows) + offset
    model = KANRegressor(hidden=hidden, random_state=0, max_iter=15).fit(X, y)
    for array in model.network_.to_arrays().values():
        assert np.isfinite(array).all()
    beyond = np.r_[X, X + 10 * np.ptp(X, axis=0) + 1]
    predicted = model.predict(beyond)
    assert np.isfinite(predicted).all()
    assert np.isfinite(model.loss_)
    inside = predicted[:rows]
    reach = 3 * np.ptp(y) + 1e-6 * np.abs(y).max() + 1e-9
    assert inside.min() >= y.min() - reach
    assert inside.max() <= y.max() + reach


@settings(max_examples=15, deadline=None)
@given(
    rows=st.integers(4, 30),
    columns=st.lists(SIZES, min_size=1, max_size=3),
    n_classes=st.integers(2, 3),
    hidden=st.sampled_from(["auto", (), (2,)]),
    seed=st.integers(0, 2**16),
)
def test__fit__hard_data_with_classes__never_gives_nan(rows, columns, n_classes, hidden, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, len(columns))) * columns
    y = np.arange(rows) % n_classes
    model = KANClassifier(hidden=hidden, random_state=0, max_iter=15).fit(X, y)
    probability = model.predict_proba(np.r_[X, 1e3 * X + 1])
    assert np.isfinite(probability).all()
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)


def test__predict__beyond_the_data__continues_along_the_tangent():
    X = np.linspace(0, 1, 200)[:, None]
    model = KANRegressor(random_state=0, base="none").fit(X, X[:, 0] ** 2)
    beyond = model.predict([[1.5], [2.0], [2.5]])
    slope = 2 * (beyond[1] - beyond[0])
    assert slope == pytest.approx(2.0, rel=0.03)
    assert beyond[2] == pytest.approx(beyond[1] + slope / 2, rel=1e-9)
    assert beyond[0] == pytest.approx(2.0, rel=0.02)
    assert model.predict([[-1.0]])[0] == pytest.approx(0.0, abs=0.03)


def test__fit__iris__keeps_the_network_in_numpy():
    X, y = load_iris(return_X_y=True)
    model = KANClassifier(random_state=0).fit(X, y)
    assert type(model.network_) is KANNetwork
    assert model.score(X, y) > 0.95
    assert model.network_.widths[-1] == 3
