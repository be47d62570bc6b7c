"""Every plugin hook of flownet. This file *is* the plugin API; the built-ins come through the same hooks.

A plugin is a module or an object with functions of these names, marked with `@flownet.hookimpl`:

    from flownet import hookimpl

    @hookimpl
    def flownet_ops():
        return [Maxout]

Packages name it in the entry-point group `flownet`; single files are loaded by `--plugin-dir` or by `plugins:` in a
graph file. A plugin may state the version of this API that it was written for (`flownet_api = 1` in the module); one
that is not supported is refused with a message that says what to install.

The hooks that bring things are called once, when a registry is made, without arguments; import what is heavy inside
them. The hooks of training are told what happens: a plugin implements those that it needs, with those arguments that
it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pluggy

__all__ = ["API_VERSION", "OLDEST_API", "PROJECT", "hookimpl", "hookspec"]

PROJECT = "flownet"

API_VERSION = 1
"""Raised when a hook changes its meaning or goes; a new hook leaves it as it is."""

OLDEST_API = 1
"""The oldest version that this flownet still understands."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# -- things with a name ------------------------------------------------------------------------------------------------


@hookspec
def flownet_ops() -> Iterable[type]:  # type: ignore[empty-body]
    """Op classes (`flownet.Op`): layers, activations, losses, metrics, optimisers. A graph file writes `op.name`."""


@hookspec
def flownet_kernels() -> Mapping[str, Any]:  # type: ignore[empty-body]
    """OpenCL lowerings for ops of others: op name -> `opencl(op, g, *inputs)`; `name.backward…` for gradients."""


@hookspec
def flownet_initialisers() -> Iterable[type]:  # type: ignore[empty-body]
    """Initialiser classes (`flownet.initialisers.Initialiser`), for the key `init`."""


@hookspec
def flownet_schedules() -> Iterable[type]:  # type: ignore[empty-body]
    """Learning-rate schedule classes (`flownet.training.schedules.Schedule`), for `train: {schedule: …}`."""


@hookspec
def flownet_datasets() -> Iterable[type]:  # type: ignore[empty-body]
    """Dataset classes (`flownet.data.dataset.Dataset`), for `train: {data: {dataset: …}}`."""


@hookspec
def flownet_augmentations() -> Iterable[type]:  # type: ignore[empty-body]
    """Augmentation classes (`flownet.data.augmentation.Augmentation`), for `train: {data: {augment: […]}}`."""


@hookspec
def flownet_passes() -> Iterable[Any]:  # type: ignore[empty-body]
    """Passes (`flownet.passes.Pass`): a name, the pass that it comes after, and a function Graph, Target -> Graph."""


@hookspec
def flownet_devices() -> Iterable[type]:  # type: ignore[empty-body]
    """Device classes (`flownet.devices.device.Device`), chosen by `--device NAME`."""


@hookspec
def flownet_importers() -> Iterable[type]:  # type: ignore[empty-body]
    """Importers (`flownet.interop.formats.Importer`): from a foreign file to a graph file and weights."""


@hookspec
def flownet_exporters() -> Iterable[type]:  # type: ignore[empty-body]
    """Exporters (`flownet.interop.formats.Exporter`): from a graph and its weights to a foreign file."""


@hookspec
def flownet_commands() -> Iterable[Any]:  # type: ignore[empty-body]
    """`click.Command`s that appear below `flownet`."""


# -- things that happen ------------------------------------------------------------------------------------------------


@hookspec
def flownet_train_start(run: Any) -> None:
    """Training begins. `run` is a `flownet.training.run.Run`: its `folder`, `document`, `session`, `trainer`, `text`."""


@hookspec
def flownet_train_step(run: Any, record: Mapping[str, Any]) -> None:
    """A step of `run` was logged: `record` is the log's line (step, epoch, loss, metrics, learning rate, time)."""


@hookspec
def flownet_train_epoch(run: Any, record: Mapping[str, Any]) -> None:
    """An epoch of `run` ended: `record` holds the means over the epoch and the validation's figures."""


@hookspec
def flownet_train_end(run: Any, result: Mapping[str, Any]) -> None:
    """Training ended, also by Ctrl-C, early stopping or an error: `result` says which, with the figures of `run`."""
