"""A bundle is read only when every byte of it is what was written."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from zoo.errors import ExportError, FormatError, IntegrityError, SourceError
from zoo.files import sha256
from zoo.onnx.bundle import MANIFEST, read_bundle, write_bundle


def doubling(*, domain: str = "", external: bool = False) -> onnx.ModelProto:
    """A graph ``prediction = 2 * X`` with doc strings and paths all over it."""
    two = numpy_helper.from_array(np.array(2.0, np.float32), "two")
    two.doc_string = "/home/someone/weights"
    if external:
        set_external_data(two, "../secret", length=4)
        two.ClearField("raw_data")
    node = helper.make_node("Mul", ["X", "two"], ["prediction"], name="double", domain=domain)
    node.doc_string = "File /home/someone/model.py, line 7"
    entry = node.metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.stack_trace", "/home/someone/model.py"
    graph = helper.make_graph(
        [node],
        "doubling",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n_samples", 3])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["n_samples", 3])],
        [two],
        doc_string="made at /home/someone",
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.example", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    helper.set_model_props(model, {"author": "someone", "zoo.columns": "{}"})
    return model


def write(folder: Path, graph: onnx.ModelProto | None = None, **changes: Any) -> Path:
    folder.mkdir()
    fields = {
        "model": "toy",
        "task": "regression",
        "distribution": "zoo-toy",
        "version": "1.2",
        "metadata": {"classes": None, "feature_names": ["a", "b", "c"]},
        "files": {"table/schema.json": b"{}"},
    }
    write_bundle(folder, {"model": graph or doubling()}, **{**fields, **changes})
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write(tmp_path / "bundle")


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest."""
    path = folder / MANIFEST
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def replace_graph(folder: Path, content: bytes) -> None:
    """Put other bytes in the graph's place and record their hash, as a forger would."""
    (folder / "model.onnx").write_bytes(content)
    digest = sha256(folder / "model.onnx")
    edit(folder, lambda manifest: manifest["graphs"]["model"].update(sha256=digest))


def test__read_bundle__written_folder__fields_and_graph_come_back(bundle: Path) -> None:
    found = read_bundle(bundle)

    assert (found.model, found.task, found.runner) == ("toy", "regression", "tabular")
    assert (found.distribution, found.plugin_version) == ("zoo-toy", "1.2")
    assert found.metadata["feature_names"] == ["a", "b", "c"]
    assert found.read_file("table/schema.json") == b"{}"
    record = found.graphs["model"]
    assert record["opset"] == {"ai.onnx": 20}
    assert record["inputs"] == [{"name": "X", "dtype": "float32", "shape": ["n_samples", 3]}]
    assert record["outputs"][0]["name"] == "prediction"
    assert onnx.load_from_string(found.graph()).graph.node[0].op_type == "Mul"


def test__write_bundle__graph_with_local_paths__none_is_written(bundle: Path) -> None:
    content = (bundle / "model.onnx").read_bytes() + (bundle / MANIFEST).read_bytes()

    assert b"someone" not in content
    assert b"stack_trace" not in content
    assert str(bundle.parent).encode() not in content


def test__write_bundle__graph_with_properties__only_the_zoos_own_stay(bundle: Path) -> None:
    model = onnx.load(bundle / "model.onnx")

    assert [entry.key for entry in model.metadata_props] == ["zoo.columns"]
    assert [opset.domain for opset in model.opset_import] == [""]
    assert model.producer_name == "zoo"


def test__write_bundle__model_local_function__is_inlined(tmp_path: Path) -> None:
    opset = [helper.make_opsetid("", 20)]
    body = [helper.make_node("Add", ["a", "a"], ["b"], name="add")]
    function = helper.make_function("local", "Double", ["a"], ["b"], body, opset)
    graph = helper.make_graph(
        [helper.make_node("Double", ["X"], ["prediction"], name="call", domain="local")],
        "calling",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["n"])],
    )
    opsets = [*opset, helper.make_opsetid("local", 1)]
    model = helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=10)

    folder = write(tmp_path / "bundle", model)

    written = onnx.load(folder / "model.onnx")
    assert not written.functions
    assert [node.op_type for node in written.graph.node] == ["Add"]


def test__write_bundle__operator_of_another_domain__is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"must be of the domains .* Got 'com\.example'"):
        write(tmp_path / "bundle", doubling(domain="com.example"))


def test__write_bundle__external_data__is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"must lie inside the file. Got external data for 'two'"):
        write(tmp_path / "bundle", doubling(external=True))


def test__write_bundle__graph_that_the_checker_refuses__says_why(tmp_path: Path) -> None:
    graph = doubling()
    graph.graph.node[0].input[1] = "nowhere"
    with pytest.raises(
        ExportError, match=r"The checker of onnx refuses the graph 'model': .*nowhere"
    ):
        write(tmp_path / "bundle", graph)


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/../b", "", "model.onnx", MANIFEST])
def test__write_bundle__file_name_that_leads_elsewhere__is_refused(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(ExportError, match=r"name of a file in a bundle must be relative"):
        write(tmp_path / "bundle", files={name: b""})


def test__write_bundle__graph_name_that_is_no_file_name__is_refused(tmp_path: Path) -> None:
    fields = {"task": "t", "distribution": "d", "version": "1", "metadata": {}, "files": {}}
    with pytest.raises(ExportError, match=r"name of a graph must be letters.* Got '\.\./model'"):
        write_bundle(tmp_path, {"../model": doubling()}, model="toy", **fields)
    with pytest.raises(ExportError, match=r"'toy' must have at least one graph"):
        write_bundle(tmp_path, {}, model="toy", **fields)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}])
def test__write_bundle__metadata_that_is_no_json__is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(ExportError, match=r"metadata of an export of 'toy' must be JSON"):
        write(tmp_path / "bundle", metadata={"value": value})


def test__read_bundle__missing_folder__is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"There is no exported folder at .*nothing"):
        read_bundle(tmp_path / "nothing")


def test__read_bundle__folder_without_manifest__is_said(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"has no file 'zoo\.json'"):
        read_bundle(tmp_path)


def test__read_bundle__truncated_manifest__is_refused(bundle: Path) -> None:
    path = bundle / MANIFEST
    path.write_text(path.read_text()[:-20])
    with pytest.raises(FormatError, match=r"is not valid JSON"):
        read_bundle(bundle)


def test__read_bundle__oversize_manifest__is_refused(bundle: Path) -> None:
    with open(bundle / MANIFEST, "ab") as file:
        file.truncate(17 * 2**20)
    with pytest.raises(FormatError, match=r"'zoo\.json' .* must have at most 16777216 bytes"):
        read_bundle(bundle)


@pytest.mark.parametrize("version", [2, None, "1"])
def test__read_bundle__unknown_format_version__is_refused(bundle: Path, version: object) -> None:
    edit(bundle, lambda manifest: manifest.update(format_version=version))
    with pytest.raises(FormatError, match=rf"format_version .* must be 1.* Got {version!r}"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("field", "kind"), [("model", "string"), ("graphs", "object"), ("runner", "string")]
)
def test__read_bundle__field_of_another_type__is_refused(
    bundle: Path, field: str, kind: str
) -> None:
    edit(bundle, lambda manifest: manifest.update({field: 7}))
    with pytest.raises(FormatError, match=rf"field '{field}' .* must be a JSON {kind}. Got 7"):
        read_bundle(bundle)


def test__read_bundle__no_graphs__is_refused(bundle: Path) -> None:
    edit(bundle, lambda manifest: manifest.update(graphs={}))
    with pytest.raises(FormatError, match=r"must list at least one graph"):
        read_bundle(bundle)


def test__read_bundle__malformed_graph_record__is_refused(bundle: Path) -> None:
    edit(bundle, lambda manifest: manifest["graphs"]["model"].pop("inputs"))
    with pytest.raises(
        FormatError, match=r"graph 'model' of .* must be an object with file, sha256"
    ):
        read_bundle(bundle)


def test__read_bundle__digest_that_is_none__is_refused(bundle: Path) -> None:
    edit(bundle, lambda manifest: manifest["files"].update({"table/schema.json": "abc"}))
    with pytest.raises(
        FormatError, match=r"sha256 of 'table/schema.json' .* 64 hexadecimal digits"
    ):
        read_bundle(bundle)


def test__read_bundle__missing_graph__is_said(bundle: Path) -> None:
    (bundle / "model.onnx").unlink()
    with pytest.raises(FormatError, match=r"has no file 'model\.onnx'"):
        read_bundle(bundle)


def test__read_bundle__changed_byte__is_refused(bundle: Path) -> None:
    content = bytearray((bundle / "model.onnx").read_bytes())
    content[-1] ^= 1
    (bundle / "model.onnx").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"'model\.onnx' .* is not the one that was exported"):
        read_bundle(bundle)


def test__read_bundle__truncated_graph__is_refused(bundle: Path) -> None:
    os.truncate(bundle / "model.onnx", 20)
    with pytest.raises(IntegrityError, match=r"'model\.onnx' .* is not the one that was exported"):
        read_bundle(bundle)


@pytest.mark.parametrize("name", ["../outside.onnx", "/etc/passwd", "a\\b.onnx", "c:model.onnx"])
def test__read_bundle__graph_outside_the_folder__is_refused(bundle: Path, name: str) -> None:
    (bundle.parent / "outside.onnx").write_bytes((bundle / "model.onnx").read_bytes())
    edit(bundle, lambda manifest: manifest["graphs"]["model"].update(file=name))
    with pytest.raises(FormatError, match=r"must be relative"):
        read_bundle(bundle)


def test__read_bundle__file_outside_the_folder__is_refused(bundle: Path) -> None:
    digest = sha256(bundle / "model.onnx")
    edit(bundle, lambda manifest: manifest["files"].update({"../bundle/model.onnx": digest}))
    with pytest.raises(FormatError, match=r"must be relative"):
        read_bundle(bundle)


@pytest.mark.parametrize("name", ["model.onnx", MANIFEST, "table"])
def test__read_bundle__symlink__is_refused(bundle: Path, name: str) -> None:
    outside = bundle.parent / "outside"
    (bundle / name).rename(outside)
    (bundle / name).symlink_to(outside)
    with pytest.raises(FormatError, match=r"is behind a symlink, which is refused"):
        read_bundle(bundle)


def test__graph__replaced_after_reading__is_refused(bundle: Path) -> None:
    found = read_bundle(bundle)
    (bundle / "model.onnx").write_bytes(b"something else")
    (bundle / "table" / "schema.json").write_bytes(b"[]")
    with pytest.raises(IntegrityError, match=r"'model\.onnx' .* is not the one that was exported"):
        found.graph()
    with pytest.raises(IntegrityError, match=r"'table/schema\.json' .* is not the one"):
        found.read_file("table/schema.json")


def test__graph__unknown_name__lists_the_known(bundle: Path) -> None:
    found = read_bundle(bundle)
    with pytest.raises(FormatError, match=r"has no graph 'encoder'. It has: model"):
        found.graph("encoder")
    with pytest.raises(FormatError, match=r"has no file 'x'. It has: table/schema.json"):
        found.read_file("x")


@pytest.mark.parametrize("content", [b"\x08", b"not a graph at all", b""])
def test__graph__bytes_that_are_none__is_refused(bundle: Path, content: bytes) -> None:
    replace_graph(bundle, content)
    with pytest.raises(FormatError, match=r"is not an ONNX graph|checker of onnx refuses"):
        read_bundle(bundle).graph()


def test__graph__forged_with_other_domain__is_refused(bundle: Path) -> None:
    replace_graph(bundle, doubling(domain="com.example").SerializeToString())
    with pytest.raises(FormatError, match=r"must be of the domains .* Got 'com\.example'"):
        read_bundle(bundle).graph()


def test__graph__other_domain_inside_a_branch__is_refused(bundle: Path) -> None:
    model = onnx.load(bundle / "model.onnx")
    inner = helper.make_node("Steal", ["X"], ["y"], name="steal", domain="com.example")
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n_samples", 3])
    branch = helper.make_graph([inner], "branch", [], [output])
    model.graph.node[0].attribute.append(helper.make_attribute("then_branch", branch))
    replace_graph(bundle, model.SerializeToString())
    with pytest.raises(FormatError, match=r"must be of the domains .* Got 'com\.example'"):
        read_bundle(bundle).graph()


def test__graph__forged_with_external_data__is_refused(bundle: Path) -> None:
    model = doubling(external=True)
    del model.opset_import[1:]
    replace_graph(bundle, model.SerializeToString())
    with pytest.raises(FormatError, match=r"Got external data for 'two'"):
        read_bundle(bundle).graph()


def test__graph__other_inputs_than_the_manifest__is_refused(bundle: Path) -> None:
    edit(bundle, lambda manifest: manifest["graphs"]["model"]["inputs"][0].update(shape=[1, 9]))
    with pytest.raises(FormatError, match=r"inputs of the graph 'model' of .* are not the ones"):
        read_bundle(bundle).graph()
