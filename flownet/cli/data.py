"""`flownet data`: which datasets there are, what is in them, how to add one, and how they look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import as_json, data_dir, plugin_dir
from flownet.errors import FlownetError

__all__ = ["command"]


def _options(function: Any) -> Any:
    for option in (as_json, plugin_dir, data_dir):
        function = option(function)
    return function


_dataset = click.argument("dataset", metavar="DATASET")
_set = click.option(
    "--option",
    "-O",
    "texts",
    metavar="KEY=VALUE",
    multiple=True,
    help="An option of the dataset: -O path=iris.csv -O limit=100.",
)


@click.group("data")
def command() -> None:
    """List, describe, add and look at datasets.

    Datasets lie in the folder that FLOWNET_DATA or --data-dir names; a few small ones are part of flownet.

    \b
    flownet data list
    flownet data info mnist
    flownet data sheet digits -o digits.png
    flownet data add mnist ~/Downloads/mnist
    """


@command.command("list")
@_options
@invocation
def list_(state: Invocation) -> None:
    """List every dataset, whether it is there, and how many examples it has.

    \b
    flownet data list --data-dir ~/data
    """
    from flownet.data.catalogue import list_datasets

    found = list_datasets(dict(state.registry.items("dataset")), state.data_dir)
    if state.out.json:
        state.out.document({"datasets": [info.to_json() for info in found]})
        return
    rows = []
    for info in found:
        counts = ", ".join(f"{name} {count:,}" for name, count in info.splits.items())
        rows.append((info.name, info.state, counts or "–", info.summary))
    state.out.table(("dataset", "state", "examples", "what it is"), rows)
    if any(info.state == "missing" for info in found):
        from flownet.data.root import DataRoot

        root = DataRoot.of(state.data_dir)
        state.out.say(
            f"`missing` ones are sought in {root.folder} ({root.origin}); "
            "`flownet data info NAME` says where they come from"
        )


@command.command()
@_dataset
@_set
@click.option("--check", is_flag=True, help="Read every example.")
@_options
@invocation
def info(state: Invocation, dataset: str, texts: tuple[str, ...], check: bool) -> int:
    """Say what a dataset holds: fields, classes, splits, licence, source and options.

    \b
    flownet data info mnist --check
    flownet data info csv -O path=iris.csv -O target=species
    """
    from flownet.data.catalogue import describe_dataset

    datasets, augmentations = dict(state.registry.items("dataset")), dict(state.registry.items("augmentation"))
    try:
        found = describe_dataset(
            {"dataset": dataset, **_read(texts)}, datasets, augmentations, state.data_dir, check=check
        )
    except FlownetError as error:
        if texts or check or {d.code for d in error.diagnostics} != {"missing-option"}:
            raise
        _say_of_files(state, datasets[dataset])  # what there is to give is what the user asks for
        return 0
    if state.out.json:
        state.out.document(found.to_json())
    else:
        state.out.say(f"{found.name}: {found.summary}")
        where = f" in {found.where}" if found.where else ""
        counts = ", ".join(f"{name} {count:,}" for name, count in found.splits.items())
        state.out.say(
            f"state:    {found.state}{where}" + (", every example was read" if check and not found.problem else "")
        )
        state.out.say(f"licence:  {found.licence}")
        state.out.say(f"source:   {found.source}")
        if counts:
            state.out.say(f"examples: {counts}")
        fields = [(name, field.type(), field.kind, _classes(field.classes)) for name, field in found.fields.items()]
        if fields:
            state.out.say()
            state.out.table(("field", "type", "kind", "classes"), fields)
        state.out.say()
        _say_options(state, datasets[dataset])
    if found.problem:
        state.out.diagnostics([found.problem])
    return int(found.state in ("missing", "damaged"))


def _say_of_files(state: Invocation, dataset: Any) -> None:
    """What can be said of a dataset that reads the user's files, before it is known which."""
    from flownet.data.catalogue import example_of, options_of

    if state.out.json:
        options = [{"name": o.name, "type": o.type, "required": o.required, "default": o.default, "meaning": o.meaning}
                   for o in options_of(dataset)]  # fmt: skip
        plain = {"name": dataset.name, "summary": dataset.summary, "state": "files"}
        state.out.document({**plain, "options": options, "example": example_of(dataset)})
        return
    state.out.say(f"{dataset.name}: {dataset.summary}")
    state.out.say(f"in a graph file, below `train:`  {example_of(dataset)}")
    state.out.say()
    _say_options(state, dataset)


def _say_options(state: Invocation, dataset: Any) -> None:
    from flownet.data.catalogue import options_of

    rows = [(o.name, o.type, "required" if o.required else _written(o.default), o.meaning) for o in options_of(dataset)]
    state.out.table(("option", "type", "default", "meaning"), rows)


@command.command()
@_dataset
@click.argument("path", metavar="PATH")
@click.option("--name", help="What to call it in the data folder, for datasets that name their files by `path`.")
@click.option("--replace", is_flag=True, help="Replace what is there.")
@_set
@_options
@invocation
def add(state: Invocation, dataset: str, path: str, name: str | None, replace: bool, texts: tuple[str, ...]) -> None:
    """Copy a folder, file or tar archive into the data folder, after reading every example of it.

    DATASET says what it is: mnist, cifar10, image_folder, csv, …

    \b
    flownet data add mnist ~/Downloads/mnist
    flownet data add image_folder flowers.tar.gz --name flowers -O size=[64,64]
    """
    from flownet.data.catalogue import add_dataset

    datasets, augmentations = dict(state.registry.items("dataset")), dict(state.registry.items("augmentation"))
    options = {"dataset": dataset, **_read(texts)}
    found = add_dataset(
        Path(path).expanduser(), options, datasets, augmentations, state.data_dir, name=name, replace=replace
    )
    if state.out.json:
        state.out.document(found.to_json())
        return
    counts = ", ".join(f"{split} {count:,}" for split, count in found.splits.items())
    state.out.say(f"added {found.where}: {counts}")


@command.command()
@_dataset
@_set
@click.option("--output", "-o", metavar="FILE", help="The PNG; DATASET.png unless given.")
@click.option("--split", default="train", show_default=True, help="Which split to show.")
@click.option("--count", type=click.IntRange(1, 1000), default=40, show_default=True, help="How many examples.")
@click.option("--columns", type=click.IntRange(1), help="How many in a row.")
@_options
@invocation
def sheet(
    state: Invocation,
    dataset: str,
    texts: tuple[str, ...],
    output: str | None,
    split: str,
    count: int,
    columns: int | None,
) -> None:
    """Write a picture of samples with their labels: what to look at before training.

    \b
    flownet data sheet digits -o digits.png
    """
    from flownet.data.dataset import make_dataset
    from flownet.data.sheet import sample_sheet, save_sheet
    from flownet.errors import FlownetError, near_names

    datasets, augmentations = dict(state.registry.items("dataset")), dict(state.registry.items("augmentation"))
    splits = make_dataset({"dataset": dataset, **_read(texts)}, datasets, augmentations).open(state.data_dir)
    if split not in splits:
        help = near_names(split, splits) or f"it has {', '.join(splits)}"
        raise FlownetError.of("unknown-split", f"dataset `{dataset}` has no split `{split}`", help=help)
    path = Path(output or f"{dataset}.png").expanduser()
    save_sheet(sample_sheet(splits[split], count, columns), path)
    if state.out.json:
        state.out.document({"file": str(path)})
    else:
        state.out.say(f"wrote {path}")


def _read(texts: tuple[str, ...]) -> dict[str, Any]:
    """`KEY=VALUE`s, the values read as YAML reads them, so that `size=[64, 64]` is a list."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--option")
        try:
            found[key] = YAML(typ="safe", pure=True).load(value)
        except YAMLError:
            raise click.BadParameter(f"{value!r} is no value", param_hint="--option") from None
    return found


def _classes(classes: tuple[str, ...] | None) -> str:
    if not classes:
        return "–"
    return f"{len(classes)}: {', '.join(classes[:12])}{', …' if len(classes) > 12 else ''}"


def _written(default: Any) -> str:
    """A default as a graph file spells it."""
    if default is None or isinstance(default, bool):
        return {None: "–", True: "true", False: "false"}[default]
    return "[]" if default == () else str(default)
