"""`flownet devices`: what graphs can run on."""

from __future__ import annotations

from typing import Any

import click

from flownet.cli.invocation import Invocation, invocation
from flownet.cli.options import as_json, plugin_dir
from flownet.cli.output import size

__all__ = ["command"]


@click.command("devices")
@click.option("--selftest", is_flag=True, help="Run every kernel family on every device against NumPy.")
@plugin_dir
@as_json
@invocation
def command(state: Invocation, selftest: bool) -> int:
    """List the devices with platform, driver, vector width and memory, and say which one `auto` takes.

    A device that fails its self-test is set aside for `auto` until it passes, and the exit status is 3.

    \b
    flownet devices
    flownet devices --selftest
    """
    from flownet.devices.choose import choose_device
    from flownet.devices.cpu.device import CPU
    from flownet.devices.opencl.platforms import found_devices

    def owner(cls: Any) -> str:
        return state.registry.owner("device", cls.name)

    found = found_devices()
    listing: list[dict[str, Any]] = [{"id": "cpu", "name": CPU().description, "platform": "NumPy", "type": "cpu"}]
    facts = ("id", "name", "platform", "type", "version", "driver", "units", "memory", "vector", "float64")
    listing += [{fact: getattr(device, fact) for fact in facts} for device in found]
    brought = [cls for name, cls in state.registry.items("device") if name not in ("cpu", "opencl")]
    listing += [
        {"id": cls.name, "name": _describe(cls), "platform": f"plugin {owner(cls)}", "type": ""} for cls in brought
    ]
    if selftest:
        from flownet.testing.device_selftest import selftest as run_selftest

        for device, entry in zip(found, listing[1:], strict=False):  # plugins' devices stand behind
            entry["selftest"] = run_selftest(device.id)
    failed = any(not result.startswith("ok") for entry in listing for result in entry.get("selftest", {}).values())
    automatic = choose_device("auto", state.registry)  # behind the self-test, whose failures count
    auto_id = getattr(getattr(automatic, "found", None), "id", "cpu")
    if state.out.json:
        state.out.document({"devices": listing, "auto": auto_id, "reason": automatic.reason})  # type: ignore[attr-defined]
        return 3 if failed else 0
    shown = ("id", "name", "platform", "type", "driver", "units", "vector")
    rows = [(*(e.get(fact, "") for fact in shown), size(e["memory"]) if "memory" in e else "") for e in listing]
    state.out.table(("id", "name", "platform", "type", "driver", "units", "floats", "memory"), rows)
    state.out.say(f"auto takes {auto_id}: {automatic.reason}")  # type: ignore[attr-defined]
    for entry in listing:
        for family, result in entry.get("selftest", {}).items():
            state.out.say(f"{entry['id']}  {family:24} {result}")
    return 3 if failed else 0


def _describe(cls: Any) -> str:
    """What a plugin's device says of itself; a broken one does not take the list with it."""
    try:
        return str(cls().description)
    except Exception as error:
        return f"does not work: {error}"
