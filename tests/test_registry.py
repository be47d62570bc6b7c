"""Which plugins come in, which are refused and why, and what is said of them."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType, SimpleNamespace
from typing import Any

import pytest

import flownet
from flownet.errors import FlownetError
from flownet.initialisers import Initialiser
from flownet.passes.pipeline import Pass
from flownet.registry import KINDS, Registry


def op_class(name: str, text: str = "2 * x") -> type:
    namespace = {
        "name": name,
        "expression": text,
        "derivative": {"x": "2 * dy"},
        "__doc__": "y = …",
        "__qualname__": f"{name}{text}",
    }
    return dataclass(frozen=True)(type(name.title(), (flownet.ElementwiseOp,), namespace))


def plugin(**hooks: Callable[..., Any]) -> ModuleType:
    module = ModuleType("a_plugin")
    for name, function in hooks.items():
        setattr(module, name, flownet.hookimpl(function))
    return module


def refusal(module: Any, name: str = "bad", registry: Registry | None = None) -> Any:
    with pytest.raises(FlownetError) as caught:
        (registry or Registry(entry_points=False)).register(module, name)
    return caught.value.diagnostics[0]


@pytest.fixture
def registry() -> Registry:
    return Registry(entry_points=False)


# -- looking up ------------------------------------------------------------------------------------------------------


def test_the_built_ins_are_a_plugin(registry: Registry) -> None:
    assert registry.owner("op", "softmax") == "flownet"
    assert registry.plugins["flownet"].version == flownet.__version__
    assert {"op", "initialiser", "dataset", "augmentation", "command"} <= set(registry.plugins["flownet"].brings)


def test_an_unknown_name_gets_its_neighbour(registry: Registry) -> None:
    with pytest.raises(FlownetError) as caught:
        registry.get("op", "sofmax")
    assert caught.value.diagnostics[0].code == "unknown-op"
    assert "`softmax`" in caught.value.diagnostics[0].help


def test_an_unknown_name_of_a_kind_that_nobody_brings(registry: Registry) -> None:
    registry._things["exporter"].clear()
    with pytest.raises(FlownetError) as caught:
        registry.get("exporter", "caffe")
    assert caught.value.diagnostics[0].help == "no plugin brings one"


# -- taking in -------------------------------------------------------------------------------------------------------


def test_a_plugin_is_listed_with_what_it_brings(registry: Registry) -> None:
    made = registry.register(plugin(flownet_ops=lambda: [op_class("first"), op_class("second")]), "two", "1.5")
    assert made.brings == {"op": ["first", "second"]}
    assert registry.plugins["two"] is made
    assert registry.owner("op", "second") == "two"
    assert made.to_json() == {
        "name": "two", "version": "1.5", "origin": "a_plugin", "brings": {"op": ["first", "second"]}, "listens": [], "problem": None,
    }  # fmt: skip


def test_an_object_can_be_a_plugin(registry: Registry) -> None:
    class Made:
        @flownet.hookimpl
        def flownet_ops(self) -> list[type]:
            return [op_class("object_op")]

    registry.register(Made(), "object")
    assert registry.owner("op", "object_op") == "object"


def test_listeners_are_listed(registry: Registry) -> None:
    assert registry.register(plugin(flownet_train_start=lambda run: None), "ear").listens == ["flownet_train_start"]


def test_the_same_module_twice_is_one_plugin(registry: Registry) -> None:
    module = plugin(flownet_ops=lambda: [op_class("once")])
    assert registry.register(module, "one") is registry.register(module, "other")
    assert "other" not in registry.plugins


def test_the_same_class_by_two_plugins_is_no_conflict(registry: Registry) -> None:
    shared = op_class("shared")
    registry.register(plugin(flownet_ops=lambda: [shared]), "one")
    registry.register(plugin(flownet_ops=lambda: [shared]), "two")
    assert registry.owner("op", "shared") == "one"


def test_a_copy_of_a_file_is_no_conflict_and_a_changed_copy_is(registry: Registry, tmp_path: Path) -> None:
    text = (
        "from dataclasses import dataclass\nimport flownet\n@dataclass(frozen=True)\nclass Half(flownet.ElementwiseOp):\n"
        "    '''y = x/2'''\n    name = 'half'\n    expression = 'FACTOR * x'\n    derivative = {'x': 'FACTOR * dy'}\n"
        "@flownet.hookimpl\ndef flownet_ops():\n    return [Half]\n"
    )
    for folder, factor in (("a", "0.5"), ("b", "0.5"), ("c", "0.25")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "half.py").write_text(text.replace("FACTOR", factor))
    first = registry.load_directory(tmp_path / "a")[0]
    assert registry.load_directory(tmp_path / "b")[0] is first
    (third,) = registry.load_directory(tmp_path / "c")
    assert third.problem is not None
    assert third.problem.code == "plugin-conflict"


# -- conflicts -------------------------------------------------------------------------------------------------------


def test_a_name_that_two_plugins_claim_is_nobodys(registry: Registry) -> None:
    registry.register(plugin(flownet_ops=lambda: [op_class("gate", "2 * x")]), "one")
    problem = refusal(plugin(flownet_ops=lambda: [op_class("gate", "3 * x"), op_class("other")]), "two", registry)
    assert problem.code == "plugin-conflict"
    assert problem.message == "the op `gate` is claimed by two plugins: `one` and `two`"
    assert registry.find("op", "other") is None, "a plugin comes in whole or not at all"
    for look in (registry.find, registry.get):
        with pytest.raises(FlownetError) as caught:
            look("op", "gate")
        assert caught.value.diagnostics[0].message == problem.message


def test_a_built_in_keeps_its_name(registry: Registry) -> None:
    before = registry.get("op", "relu")
    problem = refusal(plugin(flownet_ops=lambda: [op_class("relu")]), "thief", registry)
    assert "`flownet` and `thief`" in problem.message
    assert registry.get("op", "relu") is before


def test_one_name_of_two_kinds_is_no_conflict(registry: Registry) -> None:
    @dataclass(frozen=True)
    class Gate(Initialiser):
        name = "gate"

    registry.register(plugin(flownet_ops=lambda: [op_class("gate")]), "one")
    registry.register(plugin(flownet_initialisers=lambda: [Gate]), "two")
    assert registry.owner("initialiser", "gate") == "two"


def test_two_of_one_name_in_one_plugin() -> None:
    problem = refusal(plugin(flownet_ops=lambda: [op_class("gate", "2 * x"), op_class("gate", "3 * x")]))
    assert problem.code == "plugin-conflict"


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "help"),
    [
        (2, "pip install --upgrade flownet"),
        (0, "pip install --upgrade old"),
        ("1", "write `flownet_api = 1`"),
        (True, "write `flownet_api = 1`"),
    ],
)
def test_an_api_version_that_is_not_supported(version: Any, help: str) -> None:
    module = ModuleType("versioned")
    module.flownet_api = version  # type: ignore[attr-defined]
    problem = refusal(module, "old")
    assert problem.code == "plugin-api"
    assert problem.help == help


def test_a_misspelt_hook_gets_its_neighbour() -> None:
    problem = refusal(plugin(flownet_op=lambda: []))
    assert problem.code == "bad-hook"
    assert "`flownet_op`" in problem.message
    assert "`flownet_ops`" in problem.help


def test_a_hook_with_an_argument_that_it_does_not_have() -> None:
    problem = refusal(plugin(flownet_train_step=lambda run, recrod: None))
    assert problem.code == "bad-hook"
    assert "recrod" in problem.message


def test_a_hook_without_its_mark_is_not_silently_ignored() -> None:
    module = ModuleType("unmarked")
    module.flownet_ops = lambda: []  # type: ignore[attr-defined]
    assert "put `@flownet.hookimpl` above it" in refusal(module).help


class NoOp:
    name = "no_op"


class Unfrozen(flownet.Op):
    name = "unfrozen"


@dataclass(frozen=True)
class Nameless(flownet.Op):
    pass


@pytest.mark.parametrize(
    ("hook", "thing", "says"),
    [
        ("flownet_ops", NoOp, "classes derived from `Op`, got `NoOp`"),
        ("flownet_ops", Unfrozen, "frozen dataclasses"),
        ("flownet_ops", Nameless, "things with a `name`"),
        ("flownet_ops", Unfrozen(), "classes derived from `Op`"),
        ("flownet_initialisers", NoOp, "classes derived from `Initialiser`"),
        ("flownet_datasets", NoOp, "which have `read`"),
        ("flownet_augmentations", NoOp, "which have `apply`"),
        ("flownet_schedules", NoOp, "which have `rate`"),
        ("flownet_passes", lambda graph, target: graph, "which have `run`"),
        ("flownet_devices", NoOp, "which have `storage`"),
        ("flownet_importers", NoOp, "which have `read`"),
        ("flownet_exporters", NoOp, "which have `write`"),
        ("flownet_commands", print, "which have `callback`"),
    ],
)
def test_what_is_not_of_the_kind_is_refused(hook: str, thing: Any, says: str) -> None:
    problem = refusal(plugin(**{hook: lambda: [thing]}))
    assert problem.code == "bad-contribution"
    assert hook in problem.message
    assert says in problem.message


@pytest.mark.parametrize(
    ("kernels", "says"),
    [
        ([("relu", print)], "returns a mapping from names to kernels"),
        ({"their_op": 3}, "returns functions `f(op, g, *inputs)`, got `3` for `their_op`"),
        ({"their_op.backwards_x": print}, "returns a kernel for `their_op.backwards_x`, which stands for nothing"),
        ({"": print}, "returns a name for each kernel"),
    ],
)
def test_what_is_no_kernel_is_refused(kernels: Any, says: str) -> None:
    problem = refusal(plugin(flownet_kernels=lambda: kernels))
    assert problem.code == "bad-contribution"
    assert says in problem.message


@pytest.mark.parametrize(
    ("kernel", "says", "help"),
    [
        ("sofmax", "the op `sofmax`, which no plugin brings", "did you mean `softmax`"),
        ("xyzzy", "the op `xyzzy`, which no plugin brings", "install the plugin that brings `xyzzy`"),
        ("conv2d.backward_xs", "`conv2d.backward_xs`, and the op `conv2d` has no `backward_xs`", "`backward_x`"),
    ],
)
def test_a_kernel_that_nobody_can_use_is_remarked(registry: Registry, kernel: str, says: str, help: str) -> None:
    registry.register(plugin(flownet_kernels=lambda: {kernel: print, "conv2d.backward_x2": print}), "faster")
    registry.register(plugin(flownet_kernels=lambda: {kernel.split(".")[0] + "_": print}), "other")
    found = next(each for each in registry.remarks() if says in each.message)
    assert found.code == "kernel-without-op" and found.severity == "warning"
    assert "plugin `faster`" in found.message and help in found.help


def test_a_kernel_for_an_op_that_comes_later_is_no_remark(registry: Registry) -> None:
    registry.register(plugin(flownet_kernels=lambda: {"twice": print}), "faster")
    assert len(registry.remarks("faster")) == 1
    registry.register(plugin(flownet_ops=lambda: [op_class("twice")]), "brings_twice")
    assert registry.remarks() == []


def test_kernels_for_gradients_are_taken() -> None:
    kernels = {"their_op": print, "their_op.backward": print, "their_op.backward_x": print}
    registry = Registry(entry_points=False)
    brought = registry.register(plugin(flownet_kernels=lambda: MappingProxyType(kernels)), "theirs").brings
    assert brought == {"kernel": sorted(kernels)}


def test_a_hook_that_returns_nothing_is_refused() -> None:
    assert refusal(plugin(flownet_ops=lambda: None)).code == "bad-contribution"


def test_a_hook_that_fails_leaves_nothing_behind(registry: Registry) -> None:
    def broken() -> list[type]:
        raise RuntimeError("no luck")

    module = plugin(flownet_ops=lambda: [op_class("half_in")], flownet_schedules=broken)
    with pytest.raises(RuntimeError):
        registry.register(module, "broken")
    assert registry.find("op", "half_in") is None
    assert "broken" not in registry.plugins
    assert not registry.manager.is_registered(module)


# -- folders and files -----------------------------------------------------------------------------------------------


def test_a_folder_with_good_and_broken_files(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("import flownet\n@flownet.hookimpl\ndef flownet_ops():\n    return []\n")
    (tmp_path / "syntax.py").write_text("def (")
    (tmp_path / "leaves.py").write_text("raise SystemExit(3)")
    (tmp_path / "_private.py").write_text("raise RuntimeError('never run')")
    (tmp_path / "test_good.py").write_text("raise RuntimeError('never run')")
    states = {found.name: found.problem and found.problem.code for found in registry.load_directory(tmp_path)}
    assert states == {"good": None, "leaves": "broken-plugin", "syntax": "broken-plugin"}
    assert [found.name for found in registry.broken] == ["leaves", "syntax"]


def test_the_place_of_a_failure_is_told(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text("x = 1\ny = x / 0\n")
    (found,) = registry.load_directory(tmp_path)
    assert found.problem is not None
    assert "ZeroDivisionError" in found.problem.message
    assert found.problem.notes == (f"in {tmp_path / 'fails.py'}, line 2",)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('import json\n\njson.loads("{")\n', 3),
        ("x = 1\n\ny = 3 4\n", 3),
        ("def f():\n    return int('three')\n\n\nf()\n", 2),
        ("from dataclasses import dataclass\n\n\n@dataclass\nclass A:\n    x: list = []\n", 4),
        ("import a_module_that_nobody_has\n", 1),
    ],
)
def test_the_place_of_a_failure_is_in_the_plugin_whoever_raises(
    registry: Registry, tmp_path: Path, text: str, line: int
) -> None:
    (tmp_path / "fails.py").write_text(text)
    (found,) = registry.load_directory(tmp_path)
    assert found.problem is not None
    assert found.problem.notes == (f"in {tmp_path / 'fails.py'}, line {line}",)


def test_two_files_of_one_name(registry: Registry, tmp_path: Path) -> None:
    for folder, name in (("a", "left"), ("b", "right")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "ops.py").write_text(
            "from dataclasses import dataclass\nimport flownet\n@dataclass(frozen=True)\nclass Same(flownet.ElementwiseOp):\n"
            f"    name = '{name}'\n    expression = 'x'\n    derivative = {{'x': 'dy'}}\n"
            "@flownet.hookimpl\ndef flownet_ops():\n    return [Same]\n"
        )
        assert registry.load_directory(tmp_path / folder)[0].problem is None
    assert registry.owner("op", "left") == "ops"
    digest = hashlib.sha256((tmp_path / "b" / "ops.py").read_bytes()).hexdigest()[:16]
    assert registry.owner("op", "right") == f"ops ({digest})"  # records are read where there is no such folder


def test_no_such_folder(registry: Registry) -> None:
    with pytest.raises(FlownetError) as caught:
        registry.load_directory("nowhere")
    assert caught.value.diagnostics[0].code == "no-plugin-dir"


def test_a_file_has_a_digest_for_a_version(registry: Registry, tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "empty_plugin.py"
    path.write_text("flownet_api = 1\n")
    assert registry.load_file(path).digest == hashlib.sha256(b"flownet_api = 1\n").hexdigest()[:16]


# -- listeners -------------------------------------------------------------------------------------------------------


def test_listeners_are_told_in_the_order_of_pluggy_the_latest_first(registry: Registry) -> None:
    told: list[Any] = []
    for name in ("one", "two"):
        registry.register(
            plugin(flownet_train_step=lambda record, name=name: told.append((name, record["step"]))), name
        )
    registry.hooks.flownet_train_step(run=None, record={"step": 7})
    assert told == [("two", 7), ("one", 7)]


def test_a_listener_that_fails_is_muted_and_the_others_go_on(registry: Registry) -> None:
    told: list[int] = []

    def fails(record: Any) -> None:
        raise KeyError("lost")

    registry.register(plugin(flownet_train_step=fails), "bad")
    registry.register(plugin(flownet_train_step=lambda record: told.append(record["step"])), "good")
    with pytest.warns(RuntimeWarning, match="plugin `bad` failed in `flownet_train_step`: KeyError"):
        registry.hooks.flownet_train_step(run=None, record={"step": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.hooks.flownet_train_step(run=None, record={"step": 2})
    assert told == [1, 2]
    assert [broken.name for broken in registry.broken] == ["bad"]


def test_a_listener_that_means_it_ends_the_run(registry: Registry) -> None:
    def full(run: Any) -> None:
        raise FlownetError.of("cannot-write", "the disk is full")

    registry.register(plugin(flownet_train_start=full), "log")
    with pytest.raises(FlownetError):
        registry.hooks.flownet_train_start(run=SimpleNamespace())


def test_every_kind_has_its_own_hook() -> None:
    assert len(set(KINDS.values())) == len(KINDS)


def test_a_pass_is_checked_by_what_it_has(registry: Registry) -> None:
    registry.register(plugin(flownet_passes=lambda: [Pass("nothing", lambda graph, target: graph)]), "passes")
    assert registry.get("pass", "nothing").after == ""
