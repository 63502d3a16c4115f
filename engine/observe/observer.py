"""One look at a lab, from outside: `Observer.observe` puts together what the other files of this package read.

Each look runs in a thread of its own that ends with it, because it enters namespaces (visit.py), and because a hostile
process can make a read of its /proc files wait: the caller then gets an error after the deadline and the thread is left
to itself, one for each lab at most. Costs about 5 ms for 50 processes.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

from engine.errors import Conflict, Failed, NotFound
from engine.linux import procfs
from engine.linux.idmap import IdMap
from engine.observe import cgroups
from engine.observe.lastplan import PlanReader
from engine.observe.layer_reader import LayerReader
from engine.observe.model import LabView, Observation
from engine.observe.mounts import MountTables
from engine.observe.namespaces import NamespaceReader
from engine.observe.processes import ProcessReader, groups_of, sessions_of
from engine.observe.where import Where, where_is

# Usual is 5 ms; a class of 100 labs on two cores may have to queue.
DEADLINE_S = 2.0


class Observer:
    """Watches one lab. Threads may share it; they look one after the other."""

    def __init__(self, view: LabView, proc: str = "/proc") -> None:
        self._view = view
        self._proc = proc
        self._lock = threading.Lock()
        self._stuck: threading.Thread | None = None
        self._processes = ProcessReader(proc)
        self._groups = cgroups.GroupReader()
        self._mounts = MountTables(proc)
        self._namespaces = NamespaceReader(proc)
        self._layers = LayerReader(proc)
        self._plans = PlanReader(proc)
        self._last: Observation | None = None

    def update(self, view: LabView) -> None:
        """Take another view of the same lab: a terminal came or went, or its init is a new one after a reset."""
        self._view = view

    @property
    def plan(self) -> dict[str, Any] | None:
        """The plan of the last `hako run` in the lab, as far as was looked; for JSON."""
        return self._plans.last

    def observe(self, deadline_s: float = DEADLINE_S) -> Observation:
        """Look now. Blocks for some milliseconds: not for the event loop's own thread.

        Raises:
            NotFound: the lab's init is no more.
            Conflict: an earlier look still hangs on a process of the lab.
            Failed: this look did not end within the deadline.
        """
        if not self._lock.acquire(timeout=deadline_s):
            raise Conflict(
                f"Lab {self._view.lab} is being looked at and does not answer.", "Try again, or reset the lab."
            )
        try:
            return self._in_a_thread(deadline_s)
        finally:
            self._lock.release()

    def where(self, terminal: str) -> Where:
        """Where the foreground process of a terminal is, now. Raises as `observe`, and NotFound for the terminal."""
        if terminal not in self._view.terminals:
            raise NotFound(f"Lab {self._view.lab} has no terminal {terminal}.")
        master = self._view.terminals[terminal]
        found = where_is(self.observe(), terminal, master)
        # One program may just have followed another, so that the group named now is not among those seen before.
        return found if found.readable else where_is(self.observe(), terminal, master)

    def wheres(self, observation: Observation) -> dict[str, Where]:
        """The same for all terminals, from an observation just made, nearly for nothing."""
        return {name: where_is(observation, name, master) for name, master in self._view.terminals.items()}

    def _in_a_thread(self, deadline_s: float) -> Observation:
        if self._stuck is not None and self._stuck.is_alive():
            raise Conflict(f"Lab {self._view.lab} does not answer: a process of it blocks /proc.", "Reset the lab.")
        results: list[Observation] = []
        errors: list[BaseException] = []

        def look() -> None:
            try:
                results.append(self._look())
            except BaseException as error:  # carried to the caller's thread, where it is raised
                errors.append(error)

        thread = threading.Thread(target=look, name=f"observe-{self._view.lab}", daemon=True)
        thread.start()
        thread.join(deadline_s)
        if thread.is_alive():
            self._stuck = thread
            raise Failed(f"Looking at lab {self._view.lab} took more than {deadline_s} s.", "Reset the lab.")
        if errors:
            raise errors[0]
        return results[0]

    def _look(self) -> Observation:
        view, proc = self._view, self._proc
        lab_map, init_ns = self._init(view, proc)
        groups, more_groups = groups_of(view)
        sessions = sessions_of(view.terminals)
        trees = cgroups.find(view, groups)
        processes, more_processes = self._processes.read_all(groups, sessions, lab_map, view.init_pid, trees.places)
        mounts, kept, more_mounts = self._mounts.read(processes)
        namespaces, links, more_links = self._namespaces.read(processes, init_ns, kept, lab_map)
        self._plans.read(view.init_pid)
        layers, more_layers = self._layers.read(mounts, processes, view.init_pid, init_ns["mnt"])
        cut = {
            "cgroups": more_groups or trees.truncated,
            "processes": more_processes,
            "mounts": more_mounts,
            "links": more_links,
            "layers": more_layers,
        }
        fresh = Observation(
            lab=view.lab,
            revision=1,
            at=time.time(),
            init_pid=view.init_pid,
            init_ns=init_ns,
            processes=tuple(processes),
            namespaces=namespaces,
            mounts=mounts,
            links=links,
            cgroups=self._groups.entries(view, trees, groups, processes),
            controllers={name: "v1" if name in view.v1 else "v2" for name in view.trees},
            layers=layers,
            truncated=tuple(name for name, true in cut.items() if true),
        )
        return self._numbered(fresh)

    def _init(self, view: LabView, proc: str) -> tuple[tuple[IdMap, ...], dict[str, int]]:
        try:
            ns = procfs.namespaces(view.init_pid, proc)
            lab_map = procfs.uid_map(view.init_pid, proc)
        except procfs.Gone as error:
            raise NotFound(f"Lab {view.lab} has ended: its init {view.init_pid} is gone.", "Reset the lab.") from error
        if "mnt" not in ns:  # a zombie
            raise NotFound(f"Lab {view.lab} has ended: its init {view.init_pid} is a zombie.", "Reset the lab.")
        return lab_map, ns

    def _numbered(self, fresh: Observation) -> Observation:
        last = self._last
        revision = 1 if last is None else last.revision if fresh.same_as(last) else last.revision + 1
        fresh = replace(fresh, revision=revision)
        self._last = fresh
        return fresh
