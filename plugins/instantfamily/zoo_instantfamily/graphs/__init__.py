"""ONNX graphs of the networks of a pipeline, written node by node from their modules."""

__all__: list[str] = []
