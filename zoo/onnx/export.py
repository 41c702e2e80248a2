"""Writing a fitted model as a bundle that has been seen to compute the same numbers."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import ExportError
from zoo.files import atomic_folder

if TYPE_CHECKING:
    import onnx

__all__ = ["Export", "OnnxExportMixin", "call_exporter", "write_export"]


def _no_outputs(inputs: dict[str, NDArray]) -> dict[str, NDArray]:
    return {}


@dataclass
class Export:
    """What a plugin's exporter returns.

    Attributes
    ----------
    graphs : dict of str to onnx.ModelProto
        The graphs by name; a tabular estimator has one, ``"model"``. Its input is ``X`` of shape
        (n_samples, n_features). A regressor's output is ``prediction`` of shape (n_samples,) or
        (n_samples, n_outputs); a classifier's are ``label`` of shape (n_samples,), text or int64,
        and ``probabilities`` of shape (n_samples, n_classes).
    metadata : dict
        What the runner needs, fit for JSON. For tabular estimators: ``classes`` and
        ``classes_dtype`` (see `zoo.onnx.labels`) and ``feature_names``, each a value or None.
    samples : dict of str to ndarray of shape (n_samples, ...)
        Example inputs of the graph ``"model"`` to verify on.
    reference : callable
        The model's own outputs for such inputs, both by name.
    files : dict of str to bytes
        Further files of the bundle by name.
    rtol, atol : float
        How much the graph's numbers may differ from the model's, see
        `zoo.onnx.verify.verify_outputs`.
    """

    graphs: "dict[str, onnx.ModelProto]"
    metadata: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, NDArray] = field(default_factory=dict)
    reference: Callable[[dict[str, NDArray]], dict[str, NDArray]] = _no_outputs
    files: dict[str, bytes] = field(default_factory=dict)
    rtol: float = 1e-5
    atol: float = 0.0


def write_export(
    export: Export,
    folder: str | os.PathLike[str],
    *,
    model: str,
    task: str,
    distribution: str,
    version: str,
    runner: str | None = None,
    verify: bool = True,
    overwrite: bool = False,
) -> Path:
    """Write an export as a bundle, whole or not at all.

    Parameters
    ----------
    export : Export
        Graphs and what belongs to them.
    folder : path-like
        Where to write.
    model, task : str
        What is exported.
    distribution, version : str
        The distribution it comes from.
    runner : str or None, default=None
        Name of the installed model whose runner executes the bundle. ``None`` stands for the
        core's runner of tabular predictors.
    verify : bool, default=True
        Run the written graph ``"model"`` on ``export.samples`` and compare.
    overwrite : bool, default=False
        Replace a bundle that is there.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    zoo.errors.VerificationError
        The graph computes other numbers than the model. Nothing is left behind.
    zoo.errors.ExportError
        A graph is malformed, uses operators of other domains, or keeps weights elsewhere.
    zoo.errors.FolderExistsError
        Something is at ``folder`` that may not be replaced.
    zoo.errors.MissingDependencyError
        onnxruntime, which verifies, is missing.
    """
    from zoo.onnx.bundle import MANIFEST, TABULAR, read_bundle, write_bundle

    with atomic_folder(folder, overwrite=overwrite, marker=MANIFEST) as new:
        write_bundle(
            new,
            export.graphs,
            model=model,
            task=task,
            distribution=distribution,
            version=version,
            runner=runner or TABULAR,
            metadata=export.metadata,
            files=export.files,
        )
        if verify:
            _verify(export, read_bundle(new).graph())
    return Path(folder)


def _verify(export: Export, graph: bytes) -> None:
    from zoo.onnx.session import open_session
    from zoo.onnx.verify import verify_outputs

    session = open_session(graph, device="cpu")
    names = [output.name for output in session.get_outputs()]

    def run(inputs: dict[str, NDArray]) -> dict[str, NDArray]:
        outputs = session.run(names, inputs)
        return dict(zip(names, (np.asarray(output) for output in outputs), strict=True))

    wanted = export.reference(export.samples)
    verify_outputs(run, export.samples, wanted, rtol=export.rtol, atol=export.atol)


class OnnxExportMixin:
    """Adds `export_onnx` to an estimator whose plugin names an exporter.

    The exporter is found through the registry, so that the estimator's module need not import it.
    It is called as ``exporter(estimator, X, **options)`` and returns an `Export`.
    """

    def export_onnx(
        self,
        folder: str | os.PathLike[str],
        X: Any = None,
        *,
        verify: bool = True,
        overwrite: bool = False,
        **options: Any,
    ) -> Path:
        """Write the fitted estimator as a folder that onnxruntime runs.

        Parameters
        ----------
        folder : path-like
            Where to write ``model.onnx`` and ``zoo.json``. It is whole or absent.
        X : array-like of shape (n_samples, n_features) or None, default=None
            Rows to verify on. ``None`` leaves the choice to the exporter.
        verify : bool, default=True
            Run the graph and the estimator on the same rows, and raise where they differ.
        overwrite : bool, default=False
            Replace an exported folder that is there.
        **options
            What the exporter takes: ``dtype`` (``"float32"`` or ``"float64"``) and ``opset``.

        Returns
        -------
        pathlib.Path
            The folder, for `zoo.load_onnx`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            The estimator is not fitted.
        zoo.errors.VerificationError
            The graph computes other numbers than the estimator. Nothing is left behind.
        zoo.errors.ExportError
            Its plugin has no exporter, or the exporter cannot write this model.
        zoo.errors.FolderExistsError
            Something is at ``folder`` that may not be replaced.
        """
        from sklearn.base import BaseEstimator
        from sklearn.utils.validation import check_is_fitted

        from zoo.registry import registry

        if isinstance(self, BaseEstimator):
            check_is_fitted(self)
        entry, task = registry().owner_of(type(self))
        export = call_exporter(self, X, options)
        return write_export(
            export,
            folder,
            model=entry.spec.name,
            task=task,
            distribution=entry.distribution,
            version=entry.version,
            runner=entry.spec.name if entry.spec.runner else None,
            verify=verify,
            overwrite=overwrite,
        )


def call_exporter(estimator: Any, X: Any, options: Mapping[str, Any]) -> Export:
    """Run the exporter that the plugin of an estimator names.

    Parameters
    ----------
    estimator : object
        A fitted model whose class, or a base of it, is the target of an installed model.
    X : array-like or None
        Rows to verify on.
    options : mapping
        Keyword arguments of the exporter.

    Returns
    -------
    Export
        What it returned.

    Raises
    ------
    zoo.errors.UnknownModelError
        The class belongs to no installed model.
    zoo.errors.ExportError
        The plugin names no exporter, or it returns something else.
    """
    from zoo.registry import registry
    from zoo.targets import import_target

    entry, _ = registry().owner_of(type(estimator))
    if entry.spec.exporter is None:
        raise ExportError(f"The model {entry.spec.name!r} has no exporter to ONNX.")
    exporter: Any = import_target(entry.spec.exporter)
    export = exporter(estimator, X, **options)
    if not isinstance(export, Export):
        raise ExportError(
            f"The exporter {entry.spec.exporter!r} must return a zoo.onnx.Export. "
            f"Got a {type(export).__qualname__}."
        )
    return export
