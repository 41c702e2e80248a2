"""A graph put into a skl2onnx conversion computes what it computed alone."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler

from zoo.errors import ExportError
from zoo.onnx.inline import inline_graph, tidy_graph
from zoo.onnx.session import open_session

N_FEATURES = 4
ROWS = np.random.default_rng(0).normal(size=(9, N_FEATURES)).astype(np.float32)


def value(name: str, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["n", N_FEATURES])


def model(
    nodes: list[onnx.NodeProto], *, opset: int = 20, functions: Any = (), **weights: Any
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "inner",
        [value("X")],
        [value("Y")],
        [numpy_helper.from_array(np.asarray(w), name) for name, w in weights.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    if functions:
        opsets.append(helper.make_opsetid("local", 1))
    return helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=10)


def branch(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), name, [], [value(nodes[-1].output[0])])


def branching() -> onnx.ModelProto:
    """Both branches read a value that nothing else reads, made after the condition."""
    positive = branch("then", helper.make_node("Add", ["late", "late"], ["a"], name="add"))
    negative = branch("else", helper.make_node("Sub", ["late", "one"], ["b"], name="sub"))
    return model(
        [
            helper.make_node("ReduceSum", ["X"], ["total"], name="total", keepdims=0),
            helper.make_node("Greater", ["total", "zero"], ["condition"], name="condition"),
            helper.make_node("Mul", ["X", "one"], ["early"], name="early"),
            helper.make_node("Neg", ["early"], ["negated"], name="negated"),
            helper.make_node("Identity", ["negated"], ["late"], name="late"),
            helper.make_node(
                "If", ["condition"], ["Y"], then_branch=positive, else_branch=negative, name="if"
            ),
        ],
        zero=np.float32(0),
        one=np.float32(1),
    )


def looping() -> onnx.ModelProto:
    """Adds a value from outside of the body three times."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"], name="keep"),
            helper.make_node("Add", ["state", "step"], ["next"], name="add"),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            value("state"),
        ],
        [helper.make_tensor_value_info("go_on", TensorProto.BOOL, []), value("next")],
    )
    return model(
        [
            helper.make_node("Mul", ["X", "half"], ["step"], name="step"),
            helper.make_node("Loop", ["times", "yes", "X"], ["Y"], body=body, name="loop"),
        ],
        half=np.float32(0.5),
        times=np.int64(3),
        yes=np.bool_(True),
    )


def calling() -> onnx.ModelProto:
    opset = [helper.make_opsetid("", 20)]
    body = [helper.make_node("Add", ["a", "a"], ["b"], name="add")]
    function = helper.make_function("local", "Double", ["a"], ["b"], body, opset)
    node = helper.make_node("Double", ["X"], ["Y"], name="call", domain="local")
    return model([node], functions=[function])


def clashing() -> onnx.ModelProto:
    """Names that skl2onnx uses itself: its variables, and a weight called like a value."""
    return model(
        [
            helper.make_node("Add", ["X", "variable1"], ["variable"], name="N1"),
            helper.make_node("Mul", ["variable", "classes"], ["Y"], name="N1_1"),
        ],
        variable1=np.float32(1),
        classes=np.float32(3),
    )


class Inlined(TransformerMixin, BaseEstimator):
    """A transformer whose graph is the one it is given."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        self.graph = graph

    def fit(self, X: np.ndarray, y: None = None) -> "Inlined":
        self.fitted_ = True
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        session = open_session(self.graph.SerializeToString())
        return session.run(["Y"], {"X": np.asarray(X, np.float32)})[0]


def shape(operator: Any) -> None:
    rows = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type = FloatTensorType([rows, N_FEATURES])


def convert(scope: Any, operator: Any, container: Any) -> None:
    inputs = [variable.full_name for variable in operator.inputs]
    outputs = [variable.full_name for variable in operator.outputs]
    inline_graph(scope, container, operator.raw_operator.graph, inputs, outputs)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    update_registered_converter(Inlined, "Inlined", shape, convert)
    yield
    del sklearn_operator_name_map[Inlined]


def converted(pipeline: Any, *, opset: int = 20) -> onnx.ModelProto:
    result = convert_sklearn(
        pipeline,
        initial_types=[("X", FloatTensorType([None, N_FEATURES]))],
        target_opset={"": opset, "ai.onnx.ml": 3},
        model_optim=False,
    )
    tidy_graph(result.graph)
    onnx.checker.check_model(result, full_check=True)
    return result


def run(graph: onnx.ModelProto, rows: np.ndarray) -> np.ndarray:
    return open_session(graph.SerializeToString()).run(None, {"X": rows})[0]


@pytest.mark.parametrize("make", [branching, looping, calling, clashing])
def test__inline_graph__between_two_scalers__computes_the_same(
    make: Callable[[], onnx.ModelProto],
) -> None:
    pipeline = make_pipeline(StandardScaler(), Inlined(make()), StandardScaler()).fit(ROWS)
    graph = converted(pipeline)

    # not ROWS itself: scaled, they add up to zero, where the branches part
    for rows in (ROWS[:3], ROWS + 1, ROWS[:1] - 2):
        np.testing.assert_allclose(run(graph, rows), pipeline.transform(rows), atol=2e-6)


@pytest.mark.parametrize("make", [branching, looping, calling, clashing])
def test__inline_graph__the_same_graph_twice__names_stay_apart(
    make: Callable[[], onnx.ModelProto],
) -> None:
    union = FeatureUnion([("a", Inlined(make())), ("b", Inlined(make()))])
    pipeline = make_pipeline(union, StandardScaler()).fit(ROWS)
    graph = converted(pipeline)

    np.testing.assert_allclose(run(graph, ROWS), pipeline.transform(ROWS), atol=2e-6)
    names = [node.name for node in graph.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)


def test__inline_graph__older_opset__is_lifted_to_the_containers() -> None:
    squeeze = helper.make_node("Clip", ["X", "low"], ["Y"], name="clip")
    pipeline = make_pipeline(Inlined(model([squeeze], opset=13, low=np.float32(0)))).fit(ROWS)
    graph = converted(pipeline, opset=21)

    assert {opset.domain: opset.version for opset in graph.opset_import}[""] == 21
    np.testing.assert_array_equal(run(graph, ROWS), np.maximum(ROWS, 0))


def test__inline_graph__newer_opset_than_the_containers__is_refused() -> None:
    node = helper.make_node("Neg", ["X"], ["Y"], name="neg")
    pipeline = make_pipeline(Inlined(model([node], opset=22))).fit(ROWS)
    with pytest.raises(ExportError, match=r"written in opset 22 and must be at most .* opset 20"):
        converted(pipeline)


def test__inline_graph__trailing_optional_input_left_out__is_dropped() -> None:
    node = helper.make_node("Clip", ["X", "low", ""], ["Y"], name="clip")
    pipeline = make_pipeline(Inlined(model([node], low=np.float32(0)))).fit(ROWS)
    np.testing.assert_array_equal(run(converted(pipeline), ROWS), np.maximum(ROWS, 0))


def test__inline_graph__optional_input_left_out_before_the_last__is_refused() -> None:
    node = helper.make_node("Clip", ["X", "", "high"], ["Y"], name="clip")
    pipeline = make_pipeline(Inlined(model([node], high=np.float32(0)))).fit(ROWS)
    with pytest.raises(ExportError, match=r"\(Clip\) leaves out an optional input before its last"):
        converted(pipeline)


def test__inline_graph__wrong_number_of_names__is_refused() -> None:
    graph = clashing()
    with pytest.raises(ExportError, match=r"inputs of an inlined graph must be 1. Got 2 names"):
        inline_graph(None, None, graph, ["a", "b"], ["c"])
    with pytest.raises(ExportError, match=r"outputs of an inlined graph must be 1. Got 0 names"):
        inline_graph(None, None, graph, ["a"], [])


def test__tidy_graph__nodes_in_reverse__are_sorted_and_identities_dropped() -> None:
    graph = branching().graph
    nodes = list(graph.node)[::-1]
    nodes.append(helper.make_node("Identity", ["unsorted"], ["X2"], name=""))
    del graph.node[:]
    graph.node.extend(nodes)
    graph.node.append(helper.make_node("Neg", ["X"], ["unsorted"]))
    tidy_graph(graph)
    kinds = [node.op_type for node in graph.node]

    assert "Identity" not in kinds
    assert kinds.index("If") > max(i for i, kind in enumerate(kinds) if kind in ("Neg", "Mul"))
    assert all(node.name for node in graph.node)
    body = next(node for node in graph.node if node.op_type == "If").attribute[0].g
    assert "late" not in body.node[0].input
    assert "negated" in body.node[0].input


def test__tidy_graph__cycle__is_refused() -> None:
    graph = model([helper.make_node("Add", ["X", "Y"], ["Y"], name="loop")]).graph
    with pytest.raises(ExportError, match=r"'inner' cannot be put in order. Left over: loop"):
        tidy_graph(graph)


def test__skl2onnx_helper__the_cases_above__still_need_our_own() -> None:
    """The day skl2onnx's helper inlines branches rightly, `zoo.onnx.inline` can go."""
    from skl2onnx.helpers import add_onnx_graph

    def theirs(scope: Any, operator: Any, container: Any) -> None:
        add_onnx_graph(scope, operator, container, operator.raw_operator.graph)

    update_registered_converter(Inlined, "Inlined", shape, theirs)
    pipeline = make_pipeline(StandardScaler(), Inlined(branching())).fit(ROWS)
    rows = ROWS + 1
    types = [("X", FloatTensorType([None, N_FEATURES]))]
    try:
        graph = convert_sklearn(
            pipeline, initial_types=types, target_opset={"": 20, "ai.onnx.ml": 3}
        )
        wrong = not np.allclose(run(graph, rows), pipeline.transform(rows), atol=1e-4)
    except Exception:  # whatever it ends in, it is not an answer
        wrong = True
    assert wrong
    assert "skl2onnx" in sys.modules
