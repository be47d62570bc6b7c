"""From a name in a file to where the value comes from, through blocks, repetitions and aliases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flownet.errors import near_names
from flownet.language.report import Report
from flownet.language.scopes import UNKNOWN, Entity, FlatNode, GraphInput, Link, Output, Ref, Scope, Target

__all__ = ["Lookup"]

_MISSING: Any = object()


class Lookup:
    """Follows names. `entities` is everything that has a path, by path; it may grow while this is in use."""

    def __init__(self, entities: Mapping[str, Entity | None], report: Report) -> None:
        self.entities, self.report = entities, report

    def resolve(self, target: Target | None) -> GraphInput | Output | None:
        """Where a value comes from in the end; None when that failed, which is reported here or was before."""
        steps = 0
        while target is not None:
            if isinstance(target, GraphInput | Output):
                return target
            steps += 1
            if steps > len(self.entities) + 100:
                at = target.at
                self.report.error("cycle", "this value is defined by itself", at)
                return None
            target = self._look_up(target) if isinstance(target, Ref) else self._follow(target)
        return None

    def _follow(self, link: Link) -> Target | None:
        entity, output = link.entity, link.output
        if isinstance(entity, FlatNode):
            if entity.op is None:
                return Output(entity, 0)
            outputs = entity.op.outputs
            if output is None:
                return Output(entity, 0)
            if output in outputs:
                return Output(entity, outputs.index(output))
        else:
            if entity.failed:
                return None
            if output is None:
                return next(iter(entity.outputs.values()), None)
            if output in entity.outputs:
                return entity.outputs[output]
            outputs = tuple(entity.outputs)
        help = near_names(output, outputs) or f"its outputs are {', '.join(f'`{o}`' for o in outputs)}"
        self.report.error("unknown-value", f"`{entity.name}` has no output `{output}`", link.at, help=help)
        return None

    def _look_up(self, ref: Ref) -> Target | None:
        scope, text = ref.scope, ref.text
        if text in scope.inputs:
            return scope.inputs[text]
        head, dot, output = text.partition(".")
        found: Any = _MISSING
        if head in scope.entities:
            found = scope.entities[head]
        elif scope.path(head) in self.entities:
            found = self.entities[scope.path(head)]
        if found is _MISSING and scope.around is not None and _sees(scope.around, text, head):
            return Ref(scope.around, text, ref.at)
        if found is _MISSING and scope.targets is not None and text.isidentifier():
            return scope.targets.setdefault(text, GraphInput(text, ref.at))
        if found is _MISSING and UNKNOWN in scope.inputs:
            return None
        if found is _MISSING:
            known = [*scope.inputs, *scope.entities]
            help = near_names(text, known) or _known_values(known)
            self.report.error("unknown-value", f"there is no value `{text}` here", ref.at, help=help, stack=scope.stack)
            return None
        return None if found is None else Link(found, output if dot else None, ref.at)


def _sees(scope: Scope, text: str, head: str) -> bool:
    return text in scope.inputs or head in scope.entities or "/" in text


def _known_values(known: Sequence[str]) -> str:
    if not known:
        return ""
    shown = ", ".join(f"`{name}`" for name in known[:8])
    return f"known here: {shown}{', …' if len(known) > 8 else ''}"
