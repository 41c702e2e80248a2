"""What holds of every graph the zoo writes or reads.

Standard operators only, every weight inside the file, nothing about the machine it was made on.
"""

from collections.abc import Iterator
from typing import Any

import onnx
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]

import zoo
from zoo.errors import FormatError, ZooError

__all__ = ["DOMAINS", "PROPERTY_PREFIX", "check_graph", "clean_graph", "describe", "parse_graph"]

#: The operator domains that onnxruntime executes without any extension.
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
#: Model properties that `clean_graph` keeps.
PROPERTY_PREFIX = "zoo."


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for child in (value,) if isinstance(value, Message) else value:
            yield from _messages(child)


def clean_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """Take a copy without what does not compute.

    Doc strings and properties of nodes go (exporters write stack traces and local paths there), as
    do imports of unused operator domains. Model-local functions are put in place of their calls.

    Parameters
    ----------
    model : onnx.ModelProto
        The graph. It is not changed.

    Returns
    -------
    onnx.ModelProto
        The copy.
    """
    if model.functions:
        from onnx.inliner import inline_local_functions

        model = inline_local_functions(model)
    clean = onnx.ModelProto()
    clean.CopyFrom(model)
    kept = {p.key: p.value for p in model.metadata_props if p.key.startswith(PROPERTY_PREFIX)}
    for message in _messages(clean):
        for name in ("doc_string", "metadata_props"):
            if name in message.DESCRIPTOR.fields_by_name:
                message.ClearField(name)
    if kept:
        onnx.helper.set_model_props(clean, kept)
    used = {m.domain for m in _messages(clean) if isinstance(m, onnx.NodeProto)}
    imports = {o.domain: o.version for o in clean.opset_import if o.domain in used | {""}}
    del clean.opset_import[:]
    clean.opset_import.extend(onnx.helper.make_opsetid(*pair) for pair in sorted(imports.items()))
    clean.producer_name, clean.producer_version = "zoo", zoo.__version__
    clean.domain = ""
    return clean


def check_graph(model: onnx.ModelProto, what: str, error: type[ZooError]) -> None:
    """Refuse a graph that is malformed or reaches outside itself.

    Parameters
    ----------
    model : onnx.ModelProto
        The graph.
    what : str
        What it is called in the message.
    error : type of ZooError
        What to raise.

    Raises
    ------
    error
        It uses operators outside of `DOMAINS`, keeps weights in another file, or does not pass
        the checker of onnx.
    """
    for message in _messages(model):
        if isinstance(message, onnx.NodeProto | onnx.OperatorSetIdProto | onnx.FunctionProto):
            if message.domain not in DOMAINS:
                raise error(
                    f"The operators of {what} must be of the domains 'ai.onnx' and 'ai.onnx.ml'. "
                    f"Got {message.domain!r}."
                )
        elif isinstance(message, onnx.TensorProto) and (
            message.data_location == onnx.TensorProto.EXTERNAL or message.external_data
        ):
            raise error(
                f"The weights of {what} must lie inside the file. "
                f"Got external data for {message.name!r}."
            )
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as problem:  # the checker raises its own errors and bare RuntimeErrors
        first = str(problem).strip().partition("\n")[0]
        raise error(f"The checker of onnx refuses {what}: {first}.") from problem


def parse_graph(content: bytes, what: str) -> onnx.ModelProto:
    """Parse a graph from another hand.

    Parameters
    ----------
    content : bytes
        The file.
    what : str
        What it is called in the message.

    Returns
    -------
    onnx.ModelProto
        The graph, checked.

    Raises
    ------
    zoo.errors.FormatError
        It is no ONNX graph, or one that `check_graph` refuses.
    """
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as problem:
        raise FormatError(f"The content of {what} is not an ONNX graph.") from problem
    check_graph(model, what, FormatError)
    return model


def describe(value: onnx.ValueInfoProto) -> dict[str, Any]:
    """Describe an input or output as JSON.

    Parameters
    ----------
    value : onnx.ValueInfoProto
        A tensor.

    Returns
    -------
    dict
        ``name``, ``dtype`` (a numpy name, or ``"string"``) and ``shape``: an int where a dimension
        is fixed, else the axis' name, or None where it has none.
    """
    tensor = value.type.tensor_type
    shape = [
        d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in tensor.shape.dim
    ]
    if tensor.elem_type == onnx.TensorProto.STRING:
        dtype = "string"
    else:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return {"name": value.name, "dtype": dtype, "shape": shape}
