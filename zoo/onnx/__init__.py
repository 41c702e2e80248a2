"""Models out as ONNX: bundles, verification, whole scikit-learn pipelines.

Public names are resolved on first use: an estimator imports `OnnxExportMixin` from here without
loading onnx, onnxruntime or skl2onnx.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.onnx.bundle import Bundle, read_bundle
    from zoo.onnx.export import Export, OnnxExportMixin, write_export
    from zoo.onnx.inline import inline_graph
    from zoo.onnx.pipeline import export_pipeline, to_onnx
    from zoo.onnx.session import open_session

__all__ = [
    "Bundle",
    "Export",
    "OnnxExportMixin",
    "export_pipeline",
    "inline_graph",
    "open_session",
    "read_bundle",
    "to_onnx",
    "write_export",
]

_HOME = {
    "Bundle": "zoo.onnx.bundle",
    "Export": "zoo.onnx.export",
    "OnnxExportMixin": "zoo.onnx.export",
    "export_pipeline": "zoo.onnx.pipeline",
    "inline_graph": "zoo.onnx.inline",
    "open_session": "zoo.onnx.session",
    "read_bundle": "zoo.onnx.bundle",
    "to_onnx": "zoo.onnx.pipeline",
    "write_export": "zoo.onnx.export",
}


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'zoo.onnx' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
