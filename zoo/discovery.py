"""Loading plugins one by one, so that none can take another down.

pluggy's own loader stops at the first plugin that raises and skips the second of two equal names
without a word. Here each entry point of the group ``zoo`` gets its own plugin manager and its own
``try``: what it registers counts only when all its hooks have returned.
"""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

import pluggy

from zoo import hookspecs
from zoo.errors import ApiVersionError, BrokenPluginError, PluginError, SpecError
from zoo.spec import CommandSpec, DemoSpec, ModelSpec
from zoo.targets import did_you_mean

__all__ = ["GROUP", "Failure", "Plugin", "canonical", "discover"]

GROUP = "zoo"
CORE = "zoo-estimators"
HOOKS = ("zoo_register_models", "zoo_register_commands", "zoo_register_demos")

Spec = TypeVar("Spec", ModelSpec, CommandSpec, DemoSpec)


@dataclass(frozen=True)
class Failure:
    """What is wrong with a plugin, as data.

    Attributes
    ----------
    plugin : str
        Name of its entry point.
    distribution, version : str
        Where it comes from.
    cause : str
        One sentence.
    mend : str
        What to do about it, a pip line where one helps.
    exception : BaseException or None
        What was raised. ``None`` when the rest of the plugin works.
    names : tuple of str
        The models it would have registered, as far as they are known.
    """

    plugin: str
    distribution: str
    version: str
    cause: str
    mend: str
    exception: BaseException | None = None
    names: tuple[str, ...] = ()

    def error(self) -> PluginError:
        """Build the exception that says it."""
        if isinstance(self.exception, PluginError):
            return type(self.exception)(str(self.exception))
        error = BrokenPluginError(
            f"The plugin {self.plugin!r} of distribution {self.distribution!r} {self.version} "
            f"cannot be used: {self.cause.rstrip('.')}. To mend it: {self.mend}."
        )
        error.__cause__ = self.exception
        return error


@dataclass(frozen=True)
class Plugin:
    """What one entry point registered."""

    name: str
    distribution: str
    version: str
    models: tuple[ModelSpec, ...]
    commands: tuple[CommandSpec, ...]
    demos: tuple[DemoSpec, ...]


def canonical(distribution: str) -> str:
    """Name of a distribution as indexes compare it: lower case, runs of ``-_.`` as one ``-``."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def discover() -> tuple[list[Plugin], list[Failure]]:
    """Load every installed plugin that ``ZOO_PLUGINS`` allows.

    Returns
    -------
    plugins : list of Plugin
        The usable ones, in the order of distribution and entry point.
    failures : list of Failure
        What went wrong with the others, and what is odd about the usable ones.
    """
    found = [(_identify(entry_point), entry_point) for entry_point in entry_points(group=GROUP)]
    found.sort(key=lambda item: (canonical(item[0][0]), item[1].name))
    allowed = _allowed()
    plugins: list[Plugin] = []
    failures: list[Failure] = []
    for (distribution, version), entry_point in found:
        if allowed is None or entry_point.name in allowed:
            plugin, troubles = _load(entry_point, distribution, version)
            failures.extend(troubles)
            if plugin is not None:
                plugins.append(plugin)
    for name in sorted((allowed or set()) - {entry_point.name for _, entry_point in found}):
        cause = f"ZOO_PLUGINS names {name!r}, which no installed distribution has as entry point."
        cause += did_you_mean(name, [entry_point.name for _, entry_point in found])
        failures.append(Failure(name, "", "", cause, "correct ZOO_PLUGINS or unset it"))
    return plugins, failures


def _allowed() -> set[str] | None:
    text = os.environ.get("ZOO_PLUGINS")
    if text is None:
        return None
    return {name.strip() for name in text.split(",") if name.strip()}


def _identify(entry_point: EntryPoint) -> tuple[str, str]:
    try:
        assert entry_point.dist is not None
        metadata = entry_point.dist.metadata
        return str(metadata["Name"]), str(metadata["Version"])
    except Exception:  # metadata that is absent or damaged must not stop the other plugins
        return "unknown", "unknown"


def _load(
    entry_point: EntryPoint, distribution: str, version: str
) -> tuple[Plugin | None, list[Failure]]:
    attempted: list[str] = []

    def fail(cause: str, mend: str, exception: BaseException | None) -> Failure:
        return Failure(
            entry_point.name, distribution, version, cause, mend, exception, tuple(attempted)
        )

    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(hookspecs)
    try:
        module = entry_point.load()
        manager.register(module, entry_point.name)
        models = _collect(manager.hook.zoo_register_models, ModelSpec, attempted)
        for spec in models:
            _check_api(spec, distribution)
        commands = _collect(manager.hook.zoo_register_commands, CommandSpec)
        demos = _collect(manager.hook.zoo_register_demos, DemoSpec)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may also call sys.exit
        cause = str(error) if isinstance(error, PluginError) else _describe(error)
        return None, [fail(cause, _mend(error, entry_point, distribution), error)]
    mend = f"pip install --upgrade {distribution}"
    oddities = [fail(cause, mend, None) for cause in _oddities(manager, module, entry_point)]
    return Plugin(entry_point.name, distribution, version, models, commands, demos), oddities


def _collect(
    hook: Callable[..., object], kind: type[Spec], attempted: list[str] | None = None
) -> tuple[Spec, ...]:
    collected: dict[str, Spec] = {}

    def register(spec: Spec) -> None:
        if not isinstance(spec, kind):
            raise SpecError(f"register() takes a {kind.__name__}. Got {spec!r}.")
        if spec.name in collected:
            raise SpecError(f"The {kind.__name__} {spec.name!r} is registered twice.")
        collected[spec.name] = spec
        if attempted is not None:
            attempted.append(spec.name)

    hook(register=register)
    return tuple(collected.values())


def _check_api(spec: ModelSpec, distribution: str) -> None:
    if spec.api > hookspecs.API_VERSION:
        raise ApiVersionError(
            f"The model {spec.name!r} of distribution {distribution!r} needs version {spec.api} of "
            f"the plugin API, and the installed {CORE} speaks version {hookspecs.API_VERSION}."
        )


def _oddities(
    manager: pluggy.PluginManager, module: object, entry_point: EntryPoint
) -> Iterable[str]:
    implemented = manager.get_hookcallers(module) or []
    for hook in implemented:
        if not hook.has_spec():
            known = did_you_mean(hook.name, HOOKS) or f" The hooks are {', '.join(HOOKS)}."
            yield f"Its module {entry_point.module!r} has an unknown hook {hook.name!r}.{known}"
    if not implemented:
        yield (
            f"Its module {entry_point.module!r} implements none of the hooks {', '.join(HOOKS)}, "
            f"each marked with @zoo.hookimpl."
        )


def _describe(error: BaseException) -> str:
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _mend(error: BaseException, entry_point: EntryPoint, distribution: str) -> str:
    if isinstance(error, ApiVersionError):
        return f"pip install --upgrade {CORE}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = canonical(error.name.partition(".")[0])
        for requirement in (entry_point.dist and entry_point.dist.requires) or []:
            declared = requirement.partition(";")[0].strip()
            if canonical(re.split(r"[^\w.-]", declared, maxsplit=1)[0]) == missing:
                return f"pip install '{declared}'"
    return f"pip install --upgrade {distribution}, or pip uninstall {distribution}"
