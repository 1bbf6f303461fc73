"""Containers of strangers say in their labels what they like."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import ExitStack

from tests.faults.fault import ENGINE, ROOT, Fault, Step
from tests.faults.rows.engine import CONTAINERS, IDLE, IMAGE, Engine
from tests.faults.world import World

PLACE = {
    "com.docker.compose.project": "shop", "com.docker.compose.service": "web",
    "com.docker.compose.container-number": "1", "com.docker.compose.config-hash": "0a1b",
}  # fmt: skip
"""The labels of the service ``web``, which everybody claims to be."""

POLITE = ("sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait")
STAYS, CRASHES = ("sleep", "1000"), ("sh", "-c", "exit 3")

ATTACKS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    # What cannot be read.
    "number": ({"tocsin.expected.memory_bytes": "9" * 400}, STAYS),
    "depth": ({"tocsin.check.a.b": "[" * 3000 + "]" * 3000}, STAYS),
    "digits": ({"tocsin.tcp": "x:" + "9" * 5000}, STAYS),
    # Names and places of others, held by who is well while they fail, and by who fails.
    "crash": ({"tocsin.name": "t0"}, CRASHES),
    "mask": ({"tocsin.name": "t1", "tocsin.depends_on": "crash"}, STAYS),
    "cover": ({"tocsin.name": CONTAINERS[0]}, STAYS),
    "twin": (PLACE, STAYS),
}
"""Labels, and what the container does."""


class LabelsHostile(Fault):
    """Containers have labels that cannot be read, or that claim the names, dependencies and places
    of others; some of these fail meanwhile, a container is killed and a service stopped."""

    name = "labels-hostile"
    needs = frozenset({ROOT, ENGINE})

    def prepare(self, world: World, stack: ExitStack) -> None:
        self.engine = Engine()
        stack.callback(self.engine.stop)
        self.engine.start()
        baked = [part for key, text in PLACE.items() for part in ("-c", f"LABEL {key}={text}")]
        self.engine.docker("create", "--name", "source", IMAGE, "true")
        self.engine.docker("commit", *baked, "source", "baked")
        self.engine.docker("rm", "source")
        self._start("web", PLACE, POLITE)
        self.engine.add_idle()
        state = ("inspect", "-f", "{{.State.Pid}}", CONTAINERS[0])
        self._doomed = int(self.engine.docker(*state))
        self._truth(world, dict.fromkeys((*CONTAINERS, "web"), True))

    def config(self, world: World) -> str:
        return (
            f'[sources.docker]\nhost = "unix://{self.engine.socket}"\n'
            '[rules.container_down]\nfor = "0s"\n'
        )

    def is_ready(self, world: World) -> bool:
        world.running.reach()
        seen = world.running.get("/api/v1/containers")["items"]
        return len(seen) == len(CONTAINERS) + IDLE + 1

    def steps(self, world: World) -> list[Step]:
        middle = (world.script.begins + world.script.ends) / 2
        return [*super().steps(world), (middle, lambda: self._kill(world))]

    def inject(self, world: World) -> None:
        self._start("baked", {}, STAYS, "baked")
        for name, (labels, command) in ATTACKS.items():
            if command is CRASHES:
                self._truth(world, {name: False})
            self._start(name, labels, command)

    def _kill(self, world: World) -> None:
        """It is there to see for who still sees."""
        self._truth(world, {CONTAINERS[0]: False, "web": False})
        os.kill(self._doomed, signal.SIGKILL)
        self.engine.docker("stop", "web")

    def heal(self, world: World) -> None:
        """They stay, and all is to be well beside them: an end of theirs would have to be told."""

    def _start(
        self, name: str, labels: dict[str, str], command: tuple[str, ...], image: str = IMAGE
    ) -> None:
        given = [part for key, text in labels.items() for part in ("--label", f"{key}={text}")]
        self.engine.docker("run", "-d", "--name", name, "--network=none", *given, image, *command)

    def _truth(self, world: World, up: dict[str, bool]) -> None:
        with (world.directory / "truth.jsonl").open("a") as ledger:
            for target, is_up in up.items():
                line = {"at": time.monotonic(), "target": target, "up": is_up, "number": None}
                ledger.write(json.dumps(line) + "\n")
