"""Errors of the zoo.

::

    ZooError
    ├── PluginError                a plugin cannot be used
    │   ├── BrokenPluginError      it raised while it was discovered
    │   ├── NameClashError         two distributions claim one name
    │   └── ApiVersionError        it needs a newer core
    ├── SpecError                  a ModelSpec is malformed            (also ValueError)
    ├── UnknownModelError          no model, task or checkpoint of that name (also LookupError)
    ├── SourceError                a path or hub address leads nowhere (also FileNotFoundError)
    ├── FolderExistsError          a folder that may not be replaced   (also FileExistsError)
    ├── ParameterError             a parameter a model does not have   (also TypeError)
    ├── DataError                  a table that cannot be used         (also ValueError)
    ├── FormatError                a file is not what it claims to be  (also ValueError)
    │   └── IntegrityError         its bytes do not match its record
    ├── ExportError                a model cannot be written as ONNX   (also RuntimeError)
    │   └── VerificationError      the written graph computes other numbers
    ├── DeviceError                the asked device cannot run it      (also RuntimeError)
    └── MissingDependencyError     an optional package is missing      (also ImportError)

Each message is one sentence: what, of what, what is allowed, what came.
"""

__all__ = [
    "ApiVersionError",
    "BrokenPluginError",
    "DataError",
    "DeviceError",
    "ExportError",
    "FolderExistsError",
    "FormatError",
    "IntegrityError",
    "MissingDependencyError",
    "NameClashError",
    "ParameterError",
    "PluginError",
    "SourceError",
    "SpecError",
    "UnknownModelError",
    "VerificationError",
    "ZooError",
]


class ZooError(Exception):
    """Base of every error the zoo raises on purpose."""


class PluginError(ZooError):
    """A plugin cannot be used."""


class BrokenPluginError(PluginError):
    """A plugin raised while it was discovered; the cause is chained."""


class NameClashError(PluginError):
    """Two distributions claim one model name."""


class ApiVersionError(PluginError):
    """A plugin was written for a newer core."""


class SpecError(ZooError, ValueError):
    """A model specification is malformed."""


class UnknownModelError(ZooError, LookupError):
    """No model, task or checkpoint of that name is installed."""


class SourceError(ZooError, FileNotFoundError):
    """A path or hub address leads nowhere."""


class FolderExistsError(ZooError, FileExistsError):
    """Something is in the place of a folder to be written and may not be replaced."""


class ParameterError(ZooError, TypeError):
    """A parameter that the model does not have, or whose value cannot be saved."""


class DataError(ZooError, ValueError):
    """A table that cannot be fitted to or predicted from."""


class FormatError(ZooError, ValueError):
    """A file is not what it claims to be."""


class IntegrityError(FormatError):
    """The bytes of a file do not match what was recorded of it."""


class ExportError(ZooError, RuntimeError):
    """A model cannot be written as ONNX."""


class VerificationError(ExportError):
    """The written graph computes other numbers than the model."""


class DeviceError(ZooError, RuntimeError):
    """The requested device cannot run the graph."""


class MissingDependencyError(ZooError, ImportError):
    """An optional package is missing; the message carries the pip line."""
