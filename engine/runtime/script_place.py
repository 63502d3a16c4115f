"""What a script of `hako run --script` must know of this machine: where its cgroups are, its bridge, a free folder.

Looks, and changes nothing: neither container nor cgroup is made. What is put together from it: script.py.
"""

from __future__ import annotations

from dataclasses import replace

from engine.linux import capabilities, cgroup_limits, cgroups
from engine.runtime import files, script, spec
from engine.runtime import plan as plans
from engine.runtime.machine import Machine, cgroup_mounts

#: Groups and folders of containers made by hand stand here, beside those of the engine.
BY_HAND = "by-hand"


def script_of(machine: Machine, run: spec.RunSpec, command: str, lang: str) -> str:
    """The script of the container that `run` would make.

    Raises:
        BadInput: an option is wrong. NotFound: no such image.
    """
    image = machine.images.get(run.image)
    name = spec.check_name(run.name) if run.name else "box"
    config = spec.config(replace(run, name=name), image.config.get("config") or {}, name, capabilities.held())
    config["network"] = run.network
    folder = f"{machine.data}/{BY_HAND}/{name}"
    config["linux"]["cgroupsPath"] = f"{BY_HAND}/{name}"
    storage = plans.Storage(tuple(str(path) for path in image.layers), f"{folder}/upper", f"{folder}/work")
    texts = files.texts(config["hostname"])
    own = {destination: folder + destination for destination in texts}
    plan = plans.container(config, storage, own, inside=machine.inside)
    return script.script(plan, _place(machine, config, folder, texts), command, lang)


def _place(machine: Machine, config: spec.Config, folder: str, texts: dict[str, str]) -> script.Place:
    group = cgroups.Group(machine.groups.hierarchy, machine.groups.instance, config["linux"]["cgroupsPath"])
    below = f"{group.instance}/{group.name}"
    wire = machine.network.by_hand() if config["network"] == "bridge" else {}
    devices = group.path("devices")
    return script.Place(
        folder=folder,
        trees=tuple((str(mount), below) for mount in group.hierarchy.mounts),
        limits=tuple(_limits(group, config["linux"]["resources"])),
        join=tuple(str(path) for path in group.tasks_paths()) + _join_v2(group),
        cgroups=cgroup_mounts(group.hierarchy),
        files=texts,
        overlay=("userxattr",) if machine.inside else (),
        devices_file="" if devices is None or devices == group.path("") else str(devices),
        **wire,
    )


def _limits(group: cgroups.Group, resources: dict[str, object]) -> list[tuple[str, str, bool]]:
    limits = cgroups.Limits(**{key: value for key, value in resources.items() if value is not None})  # type: ignore[arg-type]
    found = []
    for controller in cgroup_limits.controllers(limits):
        path = group.path(controller)
        if path is None:
            continue
        on_v1 = controller in group.hierarchy.v1
        writes = cgroup_limits.writes_v1 if on_v1 else cgroup_limits.writes_v2
        found += [(f"{path}/{one.file}", one.value, one.optional) for one in writes(limits, controller)]
    return found


def _join_v2(group: cgroups.Group) -> tuple[str, ...]:
    path = group.path("")
    return () if path is None else (f"{path}/cgroup.procs",)
