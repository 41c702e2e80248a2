"""What is installed, by name: every name is owned by one distribution.

A plugin that raises, misspells a hook or needs a newer core takes no other plugin down, never
half-registers, and is kept as a `Failure` with its cause and what mends it. A name that two
distributions claim belongs to neither: it raises, and ``"distribution:name"`` reaches each.

Two environment variables rule discovery. ``ZOO_PLUGINS`` lists the entry points to load, separated
by commas (empty for none). ``ZOO_STRICT=1`` raises at the first failure.
"""

import fnmatch
import functools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from zoo.discovery import Failure, Plugin, canonical, discover
from zoo.errors import NameClashError, UnknownModelError, ZooError
from zoo.spec import CommandSpec, DemoSpec, ModelSpec
from zoo.targets import did_you_mean, import_target

__all__ = ["Entry", "Failure", "Registry", "available", "registry"]

Spec = TypeVar("Spec", ModelSpec, CommandSpec, DemoSpec)


@dataclass(frozen=True)
class Entry(Generic[Spec]):
    """One registered model, group of commands or demonstration, and who owns it.

    Attributes
    ----------
    spec : ModelSpec, CommandSpec or DemoSpec
        What was registered.
    plugin : str
        Name of the entry point.
    distribution, version : str
        The distribution it belongs to.
    """

    spec: Spec
    plugin: str
    distribution: str
    version: str

    @property
    def qualified_name(self) -> str:
        """``"distribution:name"``, which also works where two distributions claim the name."""
        return f"{self.distribution}:{self.spec.name}"


class Registry:
    """Everything the installed plugins registered.

    Parameters
    ----------
    plugins : iterable of Plugin
        The usable plugins.
    failures : iterable of Failure
        What is wrong with the others.

    Attributes
    ----------
    entries : list of Entry
        The models that their plain name reaches, sorted by name.
    clashing : list of Entry
        The models whose name another distribution claims too, reached by ``"distribution:name"``.
    commands, demos : list of Entry
        What plugins add to the command line and to ``zoo demo``, sorted by name.
    failures : list of Failure
        Plugins that cannot be used, clashes, and oddities of usable plugins.
    """

    def __init__(self, plugins: Iterable[Plugin], failures: Iterable[Failure] = ()) -> None:
        plugins = list(plugins)
        self.failures = list(failures)
        self.entries, self.clashing = self._own(plugins, "model", lambda plugin: plugin.models)
        self.commands, _ = self._own(plugins, "command", lambda plugin: plugin.commands)
        self.demos, _ = self._own(plugins, "demo", lambda plugin: plugin.demos)

    def _own(
        self, plugins: list[Plugin], kind: str, specs: Callable[[Plugin], tuple[Spec, ...]]
    ) -> tuple[list[Entry[Spec]], list[Entry[Spec]]]:
        claims: dict[str, list[Entry[Spec]]] = {}
        for plugin in plugins:
            for spec in specs(plugin):
                entry = Entry(spec, plugin.name, plugin.distribution, plugin.version)
                claims.setdefault(spec.name, []).append(entry)
        owned: list[Entry[Spec]] = []
        clashing: list[Entry[Spec]] = []
        for name, claimants in sorted(claims.items()):
            if len(claimants) == 1:
                owned.extend(claimants)
                continue
            clashing.extend(claimants)
            error = _clash(kind, name, claimants)
            self.failures.extend(
                Failure(
                    entry.plugin,
                    entry.distribution,
                    entry.version,
                    str(error),
                    f"pip uninstall {entry.distribution}",
                    error,
                    (name,) if kind == "model" else (),
                )
                for entry in claimants
            )
        return owned, clashing

    def find(self, name: str) -> Entry[ModelSpec]:
        """Find a model.

        Parameters
        ----------
        name : str
            ``"name"`` or ``"distribution:name"``.

        Returns
        -------
        Entry
            The model and its owner.

        Raises
        ------
        zoo.errors.UnknownModelError
            No plugin registers it; the message suggests close names.
        zoo.errors.NameClashError
            Two distributions claim it.
        zoo.errors.BrokenPluginError, zoo.errors.ApiVersionError
            The plugin of that name cannot be used.
        """
        owner, _, plain = name.rpartition(":")
        claimants = [
            entry
            for entry in self.entries + self.clashing
            if entry.spec.name == plain
            and (not owner or canonical(entry.distribution) == canonical(owner))
        ]
        if len(claimants) == 1:
            return claimants[0]
        if claimants:
            raise _clash("model", plain, claimants)
        raise self._missing(name)

    def _missing(self, name: str) -> ZooError:
        owner, _, plain = name.rpartition(":")
        for failure in self.failures:
            if (not owner or canonical(failure.distribution) == canonical(owner)) and (
                plain in failure.names or plain == failure.plugin
            ):
                return failure.error()
        names = self.names()
        known = did_you_mean(name, names) or f" Installed are: {', '.join(names) or 'none'}."
        broken = sorted({failure.plugin for failure in self.failures})
        hint = f" Plugins with failures: {', '.join(broken)}." if broken else ""
        return UnknownModelError(f"No installed model is named {name!r}.{known}{hint}")

    def names(self) -> list[str]:
        """Every name that `find` accepts, a clashing one in its qualified form."""
        names = [entry.spec.name for entry in self.entries]
        return sorted(names + [entry.qualified_name for entry in self.clashing])

    def owner_of(self, cls: type) -> tuple[Entry[ModelSpec], str]:
        """Find the model and task that a class is the target of.

        Parameters
        ----------
        cls : type
            A target, or a subclass of one.

        Returns
        -------
        entry : Entry
            The model.
        task : str
            The task of it whose target the class is.

        Raises
        ------
        zoo.errors.UnknownModelError
            Neither the class nor a base of it is the target of an installed model.
        """
        targets = [
            (entry, task, target)
            for entry in self.entries + self.clashing
            for task, target in entry.spec.targets.items()
        ]
        for base in cls.__mro__:
            own = f"{base.__module__}:{base.__qualname__}"
            for entry, task, target in targets:
                if target == own:
                    return entry, task
        for base in cls.__mro__:
            package = base.__module__.partition(".")[0]
            for entry, task, target in targets:
                # A target may name a re-export; only the class's own package is worth importing.
                if target.partition(":")[0].partition(".")[0] == package and (
                    import_target(target) is base
                ):
                    return entry, task
        raise UnknownModelError(
            f"The class {cls.__module__}.{cls.__qualname__} is not the target of an installed "
            f"model: register it in a plugin."
        )


def _clash(kind: str, name: str, claimants: list[Entry[Spec]]) -> NameClashError:
    owners = " and ".join(
        f"distribution {entry.distribution!r} {entry.version} (plugin {entry.plugin!r})"
        for entry in claimants
    )
    qualified = sorted({entry.qualified_name for entry in claimants})
    if kind != "model" or len(qualified) < len(claimants):
        return NameClashError(f"The {kind} {name!r} is claimed by {owners}: uninstall one.")
    return NameClashError(
        f"The {kind} {name!r} is claimed by {owners}: load {' or '.join(map(repr, qualified))}, "
        f"or uninstall one."
    )


@functools.cache
def registry() -> Registry:
    """Discover the installed plugins, once per process.

    Returns
    -------
    Registry
        What they registered. ``registry.cache_clear()`` discovers again.

    Raises
    ------
    zoo.errors.PluginError
        ``ZOO_STRICT`` is ``1`` and there is a failure.
    """
    found = Registry(*discover())
    if os.environ.get("ZOO_STRICT") == "1" and found.failures:
        raise found.failures[0].error()
    return found


def available(pattern: str = "*", *, task: str | None = None, tag: str | None = None) -> list[str]:
    """Names that `zoo.load` accepts.

    Parameters
    ----------
    pattern : str, default="*"
        A shell pattern that the name must match, such as ``"kan*"``.
    task : str or None, default=None
        Only models that can do this task.
    tag : str or None, default=None
        Only models with this tag.

    Returns
    -------
    list of str
        Sorted. A name that two distributions claim stands in its qualified form.
    """
    found = registry()
    entries = {entry.spec.name: entry for entry in found.entries}
    entries |= {entry.qualified_name: entry for entry in found.clashing}
    return sorted(
        name
        for name, entry in entries.items()
        if fnmatch.fnmatchcase(name, pattern)
        and (task is None or task in entry.spec.targets)
        and (tag is None or tag in entry.spec.tags)
    )
