"""The plugin manager: which names there are, who brought them, and what went wrong on the way.

A `Registry` is made, never global: tests and embedders make their own. The rules:

- A plugin comes in whole or not at all. One that is broken (it fails to import, its hook is misspelt, it is written for
  another version of the API, it brings what is no op) is reported in `plugins`, and the rest go on working.
- Two plugins that claim one name: the second is left out, and the name belongs to nobody until one of them is gone, since
  the order in which packages are found must not decide what a model computes. A built-in keeps its name.
- The same thing registered twice (an editable install beside `--plugin-dir`) is no conflict.
- A plugin that fails while it listens to training is muted for the rest of the process, with a warning; training goes on.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from flownet import hookspecs
from flownet.errors import Diagnostic, FlownetError, near_names
from flownet.initialisers import Initialiser
from flownet.op import Op

__all__ = ["BUILTIN", "KINDS", "Listeners", "Plugin", "Registry", "default_registry", "digest_of"]

# kind -> the hook that brings things of that kind
KINDS = {
    "op": "flownet_ops",
    "kernel": "flownet_kernels",
    "initialiser": "flownet_initialisers",
    "schedule": "flownet_schedules",
    "dataset": "flownet_datasets",
    "augmentation": "flownet_augmentations",
    "pass": "flownet_passes",
    "device": "flownet_devices",
    "importer": "flownet_importers",
    "exporter": "flownet_exporters",
    "command": "flownet_commands",
}

BUILTIN = "flownet"
"""The name of the plugin that flownet itself is."""

# The built-ins register like anybody's plugin; a name is imported only when a registry is made.
_BUILTIN_MODULES = ("flownet.builtin",)

_HOOKS = tuple(name for name in vars(hookspecs) if name.startswith("flownet_"))


@dataclass
class Plugin:
    """One plugin as `flownet plugins` lists it.

    version: of the package that it came in; empty for a single file
    origin:  the module or the file
    digest:  of a single file's text, in hexadecimal: its version, as it were
    text:    of a single file, as it was loaded
    brings:  kind -> names
    listens: the hooks of training that it is told of
    problem: why it is not working
    """

    name: str
    version: str = ""
    origin: str = ""
    digest: str = ""
    text: bytes = field(default=b"", repr=False)
    brings: dict[str, list[str]] = field(default_factory=dict)
    listens: list[str] = field(default_factory=list)
    problem: Diagnostic | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as plain values, for `flownet plugins --json`."""
        problem = (
            None
            if self.problem is None
            else {"code": self.problem.code, "message": self.problem.message, "help": self.problem.help}
        )
        return {
            "name": self.name, "version": self.version, "origin": self.origin,
            "brings": {kind: list(names) for kind, names in self.brings.items()}, "listens": list(self.listens), "problem": problem,
        }  # fmt: skip


class Registry:
    """The things with names: `registry.get("op", "dense")`."""

    def __init__(self, *, entry_points: bool = True) -> None:
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.plugins: dict[str, Plugin] = {}
        self.hooks = Listeners(self)
        self._things: dict[str, dict[str, tuple[Any, str]]] = {kind: {} for kind in KINDS}
        self._contested: dict[tuple[str, str], list[str]] = {}
        for module in _BUILTIN_MODULES:
            self.register(importlib.import_module(module), BUILTIN, importlib.metadata.version("flownet"))
        if entry_points:
            for point in sorted(importlib.metadata.entry_points(group=hookspecs.PROJECT), key=_distribution):
                self._register_entry_point(point)

    # -- looking things up -------------------------------------------------------------------------------------------

    def names(self, kind: str) -> list[str]:
        return sorted(self._things[kind])

    def items(self, kind: str) -> Iterator[tuple[str, Any]]:
        """(name, thing), by name."""
        return ((name, self._things[kind][name][0]) for name in self.names(kind))

    def find(self, kind: str, name: str) -> Any | None:
        """The thing of that name, or None. Raises FlownetError (`plugin-conflict`) for a name that two plugins claim."""
        if (kind, name) in self._contested:
            raise FlownetError(_conflict(kind, name, self._contested[kind, name]))
        found = self._things[kind].get(name)
        return found[0] if found else None

    def get(self, kind: str, name: str) -> Any:
        """The thing of that name. Raises FlownetError (`unknown-op`, `unknown-dataset`, …) with near names."""
        found = self.find(kind, name)
        if found is None:
            known = self.names(kind)
            notes = [f"the plugin `{broken.name}` could not be loaded: see `flownet plugins`" for broken in self.broken]
            raise FlownetError.of(
                f"unknown-{kind}", f"there is no {kind} `{name}`", *notes,
                help=near_names(name, known) or (f"known: {', '.join(known)}" if known else "no plugin brings one"),
            )  # fmt: skip
        return found

    def owner(self, kind: str, name: str) -> str:
        """The name of the plugin that brought it."""
        return self._things[kind][name][1]

    @property
    def broken(self) -> list[Plugin]:
        """The plugins that do not work, each with its `problem`."""
        return [plugin for plugin in self.plugins.values() if plugin.problem is not None]

    def remarks(self, plugin: str = "") -> list[Diagnostic]:
        """Warnings about what a plugin (all, unless named) brings and nobody can use: kernels for ops that nobody has."""
        names = [name for name in self.names("kernel") if plugin in ("", self.owner("kernel", name))]
        return [found for name in names if (found := self._of_no_use(name)) is not None]

    def _of_no_use(self, kernel: str) -> Diagnostic | None:
        owner = self.owner("kernel", kernel)
        name, _, way = kernel.partition(".")
        known = self._things["op"].get(name)
        if owner == BUILTIN or (known is not None and hasattr(known[0], way or "name")):
            return None
        if known is None:
            what, near = f"the op `{name}`, which no plugin brings", near_names(name, self.names("op"))
        else:
            ways = [each for each in dir(known[0]) if each.startswith("backward")]
            what, near = f"`{kernel}`, and the op `{name}` has no `{way}`", near_names(way, ways)
        return Diagnostic(
            "kernel-without-op", f"plugin `{owner}` brings a kernel for {what}", notes=("nothing ever runs it",),
            help=near or f"install the plugin that brings `{name}`, or leave the kernel out", severity="warning",
        )  # fmt: skip

    # -- registering -------------------------------------------------------------------------------------------------

    def register(self, module: Any, name: str, version: str = "", origin: str = "", digest: str = "") -> Plugin:
        """Take in one plugin, whole or not at all. Raises FlownetError for what makes it unusable.

        `plugin-api`, `bad-hook`, `bad-contribution`, `plugin-conflict`; and what the plugin's own hooks raise.
        """
        if (known := self.manager.get_name(module)) is not None:
            return self.plugins[known]
        plugin = Plugin(name, version, origin or getattr(module, "__name__", str(module)), digest)
        if name in self.plugins and self.plugins[name].problem is None:
            twin = self.plugins[name]
            if digest and digest == twin.digest:
                return twin
            # two files of one name in different folders; a record of it is read elsewhere, where no such folder is
            plugin.name = f"{name} ({digest or plugin.origin})"
        self._check_api(module, plugin.name)
        _check_hooks(module, plugin.name)
        try:
            self.manager.register(module, plugin.name)
        except (pluggy.PluginValidationError, ValueError) as error:
            self._forget(module)
            raise _bad_hook(plugin.name, str(error).splitlines()[-1].strip()) from None
        try:
            gathered = {kind: dict(_gather(module, plugin.name, kind, hook)) for kind, hook in KINDS.items()}
            conflicts = [
                (kind, thing_name, other)
                for kind, things in gathered.items()
                for thing_name, thing in things.items()
                if (other := self._claimed_by(kind, thing_name, thing))
            ]
            if conflicts:
                self._contest(plugin.name, conflicts)
        except BaseException:
            self._forget(module)
            raise
        for kind, things in gathered.items():
            for thing_name, thing in things.items():
                self._things[kind].setdefault(thing_name, (thing, plugin.name))
            if things:
                plugin.brings[kind] = sorted(things)
        plugin.listens = [hook for hook in _HOOKS if hook not in KINDS.values() and hasattr(module, hook)]
        self.plugins[plugin.name] = plugin
        return plugin

    def load_directory(self, folder: Path | str) -> list[Plugin]:
        """Take in every `*.py` of a folder as a plugin of its own. One that is broken is reported in `plugins`.

        Raises FlownetError (`no-plugin-dir`).
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise FlownetError.of(
                "no-plugin-dir", f"there is no folder `{folder}`", help="`--plugin-dir` names a folder of .py files"
            )
        files = [path for path in sorted(folder.glob("*.py")) if not path.name.startswith(("_", "test_", "conftest"))]
        return [self._isolated(path.stem, str(path), partial(self.load_file, path)) for path in files]

    def load_file(self, path: Path | str) -> Plugin:
        """Take in one Python file as a plugin. This runs the file: callers ask the user first where that is due."""
        path = Path(path).resolve()
        text = path.read_bytes()
        module = _module_from(path)
        plugin = self.register(module, path.stem, origin=str(path), digest=digest_of(text))
        plugin.text = plugin.text or text
        return plugin

    def _register_entry_point(self, point: importlib.metadata.EntryPoint) -> None:
        name = _distribution(point)
        version = point.dist.version if point.dist else ""
        if name in self.plugins and self.plugins[name].problem is None:
            name = f"{name}:{point.name}"  # one package with several plugins
        self._isolated(name, point.value, lambda: self.register(point.load(), name, version, point.value))

    def _isolated(self, name: str, origin: str, load: Callable[[], Plugin]) -> Plugin:
        try:
            return load()
        except FlownetError as error:
            problem = error.diagnostics[0]
        except (Exception, SystemExit) as error:  # a plugin may fail in any way; it must not take the rest down
            problem = Diagnostic(
                "broken-plugin", f"plugin `{name}` could not be loaded: {type(error).__name__}: {error}",
                notes=tuple(filter(None, [_where(error, origin)])),
                help=f"mend or uninstall `{name}`; everything else goes on working",
            )  # fmt: skip
        if name in self.plugins and self.plugins[name].problem is None:
            name = f"{name} ({origin})"
        return self.plugins.setdefault(name, Plugin(name, origin=origin, problem=problem))

    def _check_api(self, module: Any, name: str) -> None:
        wanted = getattr(module, "flownet_api", hookspecs.API_VERSION)
        if not isinstance(wanted, int) or isinstance(wanted, bool):
            raise FlownetError.of(
                "plugin-api", f"plugin `{name}` has `flownet_api = {wanted!r}`, which is no version of the plugin API",
                help=f"write `flownet_api = {hookspecs.API_VERSION}`",
            )  # fmt: skip
        if hookspecs.OLDEST_API <= wanted <= hookspecs.API_VERSION:
            return
        raise FlownetError.of(
            "plugin-api",
            f"plugin `{name}` is written for version {wanted} of the plugin API, this flownet has version {hookspecs.API_VERSION}",
            *([f"versions from {hookspecs.OLDEST_API} on are understood"] if wanted < hookspecs.OLDEST_API else []),
            help="pip install --upgrade flownet" if wanted > hookspecs.API_VERSION else f"pip install --upgrade {name}",
        )

    def _claimed_by(self, kind: str, name: str, thing: Any) -> str:
        """The plugin that has brought another thing of that name, or the empty string."""
        known = self._things[kind].get(name)
        return known[1] if known and known[0] is not thing and not _same_source(known[0], thing) else ""

    def _contest(self, plugin: str, conflicts: list[tuple[str, str, str]]) -> None:
        for kind, name, other in conflicts:
            if other != BUILTIN:
                self._contested.setdefault((kind, name), [other]).append(plugin)
        raise FlownetError(_conflict(kind, name, [other, plugin]) for kind, name, other in conflicts)

    def _forget(self, module: Any) -> None:
        if self.manager.is_registered(module):
            self.manager.unregister(module)


class Listeners:
    """The hooks of training, called so that a plugin's failure does not end a run: `registry.hooks.flownet_train_step(…)`.

    A plugin that raises a `FlownetError` means it (a full disk, say), and the run ends with it. One that raises anything
    else is muted with a warning that says which plugin it is.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __getattr__(self, hook: str) -> Callable[..., None]:
        caller = getattr(self._registry.manager.hook, hook)

        def tell(**arguments: Any) -> None:
            for listener in reversed(caller.get_hookimpls()):
                try:
                    listener.function(*(arguments[name] for name in listener.argnames))
                except FlownetError:
                    raise
                except Exception as error:
                    self._mute(listener, hook, error)

        return tell

    def _mute(self, listener: Any, hook: str, error: Exception) -> None:
        name = listener.plugin_name
        problem = Diagnostic(
            "broken-plugin", f"plugin `{name}` failed in `{hook}`: {type(error).__name__}: {error}",
            notes=tuple(filter(None, [_where(error, self._registry.plugins[name].origin)])), help="training goes on without it", severity="warning",
        )  # fmt: skip
        self._registry.plugins[name].problem = problem
        self._registry.manager.unregister(listener.plugin)
        warnings.warn(str(problem), RuntimeWarning, stacklevel=3)


# -- what a plugin brings --------------------------------------------------------------------------------------------


def _gather(module: Any, plugin: str, kind: str, hook: str) -> Iterator[tuple[str, Any]]:
    function = getattr(module, hook, None)
    if function is None:
        return
    things: Any = function()
    if kind == "kernel":
        yield from _kernels(plugin, hook, things)
        return
    if not isinstance(things, Iterable):
        raise _bad_contribution(plugin, hook, things, "a list")
    seen: dict[str, Any] = {}
    thing: Any
    for thing in things:
        if wrong := _what_is_wrong(kind, thing):
            raise _bad_contribution(plugin, hook, thing, wrong)
        if seen.setdefault(thing.name, thing) is not thing:
            raise FlownetError.of(
                "plugin-conflict", f"plugin `{plugin}` brings two of the name `{thing.name}` by `{hook}`"
            )
        yield thing.name, thing


def _kernels(plugin: str, hook: str, kernels: Any) -> Iterator[tuple[str, Any]]:
    """(op name or `op.backward…`, function); the op may be brought by a plugin that comes later."""
    if not isinstance(kernels, Mapping):
        raise _bad_contribution(plugin, hook, kernels, "a mapping from names to kernels")
    for name, kernel in kernels.items():
        if not isinstance(name, str) or not name:
            raise _bad_contribution(plugin, hook, name, "a name for each kernel")
        op, dot, way = name.partition(".")
        if dot and way != "backward" and not way.startswith("backward_"):
            raise FlownetError.of(
                "bad-contribution", f"plugin `{plugin}`: `{hook}` returns a kernel for `{name}`, which stands for nothing",
                help=f"write `{op}` for the op, `{op}.backward` or `{op}.backward_<input>` for its gradients",
            )  # fmt: skip
        if not callable(kernel):
            raise FlownetError.of(
                "bad-contribution", f"plugin `{plugin}`: `{hook}` returns functions `f(op, g, *inputs)`, got `{kernel!r}` for `{name}`",
                help="`flownet.hookspecs` says what it expects",
            )  # fmt: skip
        yield name, kernel


_CLASSES: dict[str, type] = {"op": Op, "initialiser": Initialiser}

# what the rest of flownet calls on each kind; their base classes lie above this module
_METHODS = {
    "schedule": ("rate",),
    "dataset": ("read", "open"),
    "augmentation": ("apply",),
    "pass": ("run", "after"),
    "device": ("storage", "load"),
    "importer": ("read", "suffixes"),
    "exporter": ("write", "suffixes"),
    "command": ("callback",),
}


def _what_is_wrong(kind: str, thing: Any) -> str:
    """What must be true of it and is not, or the empty string."""
    if kind in _CLASSES:
        base = _CLASSES[kind]
        if not (isinstance(thing, type) and issubclass(thing, base)):
            return f"classes derived from `{base.__name__}`"
        own: Any = vars(thing).get("__dataclass_params__")  # a base class's do not count
        if own is None or not own.frozen:
            return "frozen dataclasses: put `@dataclass(frozen=True)` above the class"
    if missing := [name for name in _METHODS.get(kind, ()) if not hasattr(thing, name)]:
        return f"{kind}s, which have `{missing[0]}`"
    if not isinstance(getattr(thing, "name", None), str) or not thing.name:
        return "things with a `name`"
    return ""


def _bad_contribution(plugin: str, hook: str, thing: Any, wanted: str) -> FlownetError:
    got = f"`{thing.__name__}`" if hasattr(thing, "__name__") else f"`{thing!r}`"
    return FlownetError.of(
        "bad-contribution",
        f"plugin `{plugin}`: `{hook}` returns {wanted}, got {got}",
        help="`flownet.hookspecs` says what it expects",
    )


def _check_hooks(module: Any, plugin: str) -> None:
    """Raises FlownetError (`bad-hook`) for a misspelt hook, or one without its mark: it would never be called."""
    for name in dir(module):
        thing = getattr(module, name, None) if name.startswith("flownet_") and name != "flownet_api" else None
        if not callable(thing):
            continue
        if name not in _HOOKS:
            raise FlownetError.of(
                "bad-hook", f"plugin `{plugin}`: there is no hook `{name}`",
                help=near_names(name, _HOOKS) or "the hooks are documented in `flownet.hookspecs`",
            )  # fmt: skip
        if not hasattr(thing, "flownet_impl"):
            raise _bad_hook(plugin, f"`{name}` is not marked as a hook", "put `@flownet.hookimpl` above it")


def _bad_hook(plugin: str, what: str, help: str = "the hooks are documented in `flownet.hookspecs`") -> FlownetError:
    return FlownetError.of("bad-hook", f"plugin `{plugin}`: {what}", help=help)


def _conflict(kind: str, name: str, plugins: list[str]) -> Diagnostic:
    first, *others = plugins
    if first == BUILTIN:
        help = f"rename it in `{others[0]}`, which was left out: built-in names stay what they are"
    else:
        help = f"uninstall one of them: `{'`, `'.join(others)}` was left out, and the name is nobody's until then"
    claimants = " and ".join(f"`{plugin}`" for plugin in plugins)
    return Diagnostic("plugin-conflict", f"the {kind} `{name}` is claimed by two plugins: {claimants}", help=help)


def _same_source(a: Any, b: Any) -> bool:
    """Whether two things are one class or function loaded twice (an editable install beside `--plugin-dir`, say).

    The whole modules are compared: two classes of one text may still call different functions.
    """
    try:
        same = a.__qualname__ == b.__qualname__
        return same and inspect.getsource(inspect.getmodule(a)) == inspect.getsource(inspect.getmodule(b))  # type: ignore[arg-type]
    except (TypeError, OSError, AttributeError):
        return False


def digest_of(text: bytes) -> str:
    """What a single file has instead of a version: 16 hexadecimal digits."""
    return hashlib.sha256(text).hexdigest()[:16]


def _module_from(path: Path) -> ModuleType:
    # the name holds the path, so that two files called `ops.py` in different folders are two modules
    name = f"flownet_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FlownetError.of("broken-plugin", f"`{path}` is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while it is being run
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _distribution(point: importlib.metadata.EntryPoint) -> str:
    return point.dist.name if point.dist else point.name


def _where(error: BaseException, origin: str) -> str:
    """The line of the plugin's own text at which it happened, not one of the libraries that it called."""
    own = (origin,) if origin.endswith(".py") else _files_of(origin)
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"in {error.filename}, line {error.lineno}"
    last = found = ""
    frame = error.__traceback__
    while frame is not None:
        file = frame.tb_frame.f_code.co_filename
        last = f"in {file}, line {frame.tb_lineno}"
        if any(Path(file).is_relative_to(Path(each).resolve()) for each in own):
            found = last
        frame = frame.tb_next
    return found or last


def _files_of(entry_point: str) -> tuple[str, ...]:
    """The files or folders of the package that an entry point (`package.module:plugin`) leads into."""
    package = entry_point.partition(":")[0].partition(".")[0]
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return ()
    if spec is None:
        return ()
    return tuple(spec.submodule_search_locations or ()) or ((spec.origin,) if spec.origin else ())


@cache
def default_registry() -> Registry:
    """The registry of this process: built-ins and installed plugins, made at first use."""
    return Registry()
