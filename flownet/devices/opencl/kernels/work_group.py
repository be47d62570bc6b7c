"""What the work-items of a work-group found, put together: sums, maxima and minima, on GPUs.

Everywhere: a tree in local memory, with a barrier for each of its levels. Where the device has sub-groups (work-items that run in step), each
sub-group first puts its own together without any barrier, and one barrier later a work-item goes through what the sub-groups found.
Between the work-items of a sub-group values go by shuffles where there are any: the order of additions is then ours. Else the device's own
`sub_group_reduce_*` is taken, whose order OpenCL leaves open, but which `sub_groups.py` tries for the same bits twice; it may
drop NaN from a maximum, hence the question whether anybody has one.

However it goes, NaN comes out of a maximum where one went in, and the order of additions depends on shape and device alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from flownet.devices.opencl.target import Target

__all__ = ["START", "SUB_GROUPS", "combined", "fold"]

START = {"sum": "0.0f", "max": "-INFINITY", "min": "INFINITY"}

#: What a source needs that asks for sub-groups: drivers from before OpenCL 3.0 want to be told.
SUB_GROUPS = "\n".join(
    f"#ifdef {name}\n#pragma OPENCL EXTENSION {name} : enable\n#endif"
    for name in ("cl_khr_subgroups", "cl_khr_subgroup_shuffle")
)
_REDUCE = {"sum": "add", "max": "max", "min": "min"}


def fold(kind: str, a: str, b: str) -> str:
    """C of the sum, maximum or minimum of two: NaN where one is."""
    if kind == "sum":
        return f"{a} + {b}"
    order = ">" if kind == "max" else "<"
    return f"((({a} {order} {b}) | ({a} != {a})) ? {a} : {b})"


def combined(terms: Sequence[tuple[str, str, str]], items: int, target: Target) -> list[str]:
    """C that stores for each term (kind, float variable, place) the variables of all work-items, put together.

    It reads `item`, the number of the work-item in a work-group of `items`, a power of 2, and stands outside of any branch.
    """
    return _by_sub_groups(terms, items, target) if target.sub_groups else _by_tree(terms, items)


def _by_tree(terms: Sequence[tuple[str, str, str]], items: int) -> list[str]:
    lines = [f"__local float tree[{items}];"]
    for kind, variable, place in terms:
        lines += [
            f"tree[item] = {variable}; barrier(CLK_LOCAL_MEM_FENCE);",
            f"for (int near = {items // 2}; near > 0; near /= 2) {{",
            f"if (item < near) tree[item] = {fold(kind, 'tree[item]', 'tree[item + near]')};",
            "barrier(CLK_LOCAL_MEM_FENCE); }",
            f"if (item == 0) {place} = tree[0];",
            "barrier(CLK_LOCAL_MEM_FENCE);",
        ]
    return lines


def _by_sub_groups(terms: Sequence[tuple[str, str, str]], items: int, target: Target) -> list[str]:
    # as many places as work-items: how large sub-groups are is the compiler's choice, kernel by kernel
    lines = [f"__local float found[{len(terms)}][{items}];"]
    for i, (kind, variable, _) in enumerate(terms):
        if target.sub_groups == "shuffle":
            lines += [
                "for (uint near = get_sub_group_size() / 2; near > 0; near /= 2) {",
                f"const float other = sub_group_shuffle_xor({variable}, near);",
                f"{variable} = {fold(kind, variable, 'other')}; }}",
            ]
        elif kind == "sum":
            lines.append(f"{variable} = sub_group_reduce_add({variable});")
        else:
            lines += [
                f"{{ const int nan = sub_group_any({variable} != {variable});",
                f"const float most = sub_group_reduce_{_REDUCE[kind]}({variable}); {variable} = nan ? NAN : most; }}",
            ]
        lines.append(f"if (get_sub_group_local_id() == 0) found[{i}][get_sub_group_id()] = {variable};")
    lines.append("barrier(CLK_LOCAL_MEM_FENCE);")
    for i, (kind, _, place) in enumerate(terms):  # a work-item a term
        lines += [
            f"if (item == {i}) {{ float whole = found[{i}][0];",
            f"for (uint u = 1; u < get_num_sub_groups(); u++) whole = {fold(kind, 'whole', f'found[{i}][u]')};",
            f"{place} = whole; }}",
        ]
    return lines
