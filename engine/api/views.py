"""Looking at labs and checking them, for those who ask over the socket: one `Observer` for each lab, off the loop.

A look reads /proc for some milliseconds on a worker thread, and the reads of a hostile lab may wait until their
deadline: the threads here are for looks only, so that nothing else waits behind one. What the kernel knows of a lab
that is paused can still be read; one that is being made or has ended cannot be looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from engine import predicates
from engine.errors import Conflict
from engine.lab import Lab, Labs
from engine.observe import LabView, Observation, Observer
from engine.runtime.machine import Machine

THREADS = 4
COMMAND_S = 10.0


@dataclass(frozen=True)
class Look:
    """What one look gives.

    Attributes:
        where: where each terminal's foreground process is, by terminal id.
        plan: of the last `hako run` in the lab, see engine/observe/lastplan.py.
    """

    observation: Observation
    where: dict[str, dict[str, Any]]
    plan: dict[str, Any] | None = None


class Views:
    """Looks at labs."""

    def __init__(self, labs: Labs, machine: Machine) -> None:
        self._labs, self._machine = labs, machine
        self._observers: dict[str, Observer] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="look")

    async def look(self, lab_id: str) -> Look:
        """Look at a lab now.

        Raises:
            NotFound: it is gone. Conflict: it is not there yet, or does not answer. Failed: it did not in time.
        """
        lab = self._labs.get(lab_id)
        observer, names = self._observer(lab), {name: each.id for name, each in lab.terminals.items()}

        def work() -> Look:
            observation = observer.observe()
            wheres = observer.wheres(observation)
            found = {names[name]: where.to_dict() for name, where in wheres.items() if name in names}
            return Look(observation, found, observer.plan)

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def evaluate(
        self, lab_id: str, wanted: Sequence[Mapping[str, Any]], answers: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """One result for each predicate, in order; all are seen on the same observation.

        Raises:
            BadInput: a predicate does not exist or has wrong arguments. As `look`.
        """
        predicates.validate(wanted)
        pure = [each for each in wanted if not predicates.is_external(each)]
        results = iter(predicates.evaluate((await self.look(lab_id)).observation, pure, answers) if pure else [])
        done = [await self._command(lab_id, each) if predicates.is_external(each) else next(results) for each in wanted]
        return [result.to_dict() for result in done]

    async def _command(self, lab_id: str, predicate: Mapping[str, Any]) -> predicates.Result:
        """Run a check's script in the lab, beside the learner's processes."""
        _, args = predicates.checked(predicate)
        argv = list(args["argv"]) if "argv" in args else ["/bin/bash", "-c", str(args["script"])]
        timeout_s = min(float(args.get("timeout_s", COMMAND_S)), COMMAND_S)
        done = await self._labs.run(self._labs.get(lab_id), argv, timeout_s=timeout_s)
        return predicates.command_result(predicate, done.status, (done.stdout + done.stderr).decode(errors="replace"))

    def forget(self, lab_id: str) -> None:
        """The lab is no more."""
        self._observers.pop(lab_id, None)

    def close(self) -> None:
        """End the threads; a look under way is left to itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _observer(self, lab: Lab) -> Observer:
        """The lab's observer, told of its terminals as they are now. On the loop, where labs stand still meanwhile."""
        if lab.process is None or lab.state not in ("ready", "paused"):
            raise Conflict(f"The lab is {lab.state}.", "Wait until it is ready, or start a new one.")
        terminals = {name: each.master for name, each in lab.terminals.items() if not each.closed}
        payload = lab.group(self._machine, "payload")
        view = LabView(
            lab.id, lab.process.pid, (payload.processes_path,), terminals, payload.trees(),
            frozenset(payload.hierarchy.v1), payload.path(""),
        )  # fmt: skip
        observer = self._observers.get(lab.id)
        if observer is None:
            observer = self._observers[lab.id] = Observer(view)
        else:
            observer.update(view)
        return observer
