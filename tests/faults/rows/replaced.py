"""An orchestrator makes the containers of a service anew, under other names."""

from __future__ import annotations

from contextlib import ExitStack

from tests.faults import evidence as gather
from tests.faults.fault import Step
from tests.faults.owed import FIRED
from tests.faults.rows.engine import IMAGE, EngineFrozen
from tests.faults.world import World

TASKS, REPLICAS = 3, 3
EVERY = 1.0
"""Seconds between two tasks that are replaced."""

SWARM, COMPOSE = "api", "web"
"""The services; the second loses a replica."""

RULE = "replicas_down"


class Replaced(EngineFrozen):
    """The tasks of a Swarm service are replaced one after the other, and a Compose service with
    three replicas permanently loses one."""

    name = "replaced"
    blind = frozenset()

    def prepare(self, world: World, stack: ExitStack) -> None:
        super().prepare(world, stack)
        self.engine.add_idle()
        self._made = 0
        self._tasks = [self._task(slot) for slot in range(1, TASKS + 1)]
        for number in range(1, REPLICAS + 1):
            given = {"project": "shop", "service": COMPOSE, "config-hash": "0a1b"}
            given["container-number"] = str(number)
            self._start(f"shop-{COMPOSE}-{number}", "compose", given)
        self._truth(world, {SWARM: True, COMPOSE: True})

    def config(self, world: World) -> str:
        return f'{super().config(world)}[rules.{RULE}]\nfor = "0s"\n'

    def is_ready(self, world: World) -> bool:
        world.running.reach()
        seen = world.running.get("/api/v1/targets?limit=1000")["items"]
        return {SWARM, COMPOSE} <= {each["name"] for each in seen if each["status"] == "up"}

    def steps(self, world: World) -> list[Step]:
        begins, ends = world.script.begins, world.script.ends
        replaced = [
            (begins + n * EVERY, self._replace) for n in range(1, int((ends - begins) / EVERY) + 1)
        ]
        return [*super().steps(world), *replaced, ((begins + ends) / 2, lambda: self._lose(world))]

    def inject(self, world: World) -> None:
        self._replace()

    def _replace(self) -> None:
        slot = self._made % TASKS
        self.engine.docker("stop", "-t", "0", self._tasks[slot])
        self._tasks[slot] = self._task(slot + 1)

    def _lose(self, world: World) -> None:
        self._truth(world, {COMPOSE: False})
        self.engine.docker("kill", f"shop-{COMPOSE}-2")

    def heal(self, world: World) -> None:
        """The replica stays lost."""

    def stopped(self, world: World) -> None:
        for channel in world.receivers:
            told = [
                (notice.rule, notice.kind)
                for delivery in gather.so_far(world).deliveries
                for notice in delivery.notices
                if (delivery.channel, notice.target) == (channel, COMPOSE)
            ]
            if told != [(RULE, FIRED)]:
                world.deaths.append(f"{channel} heard of {COMPOSE}: {told}")

    def _task(self, slot: int) -> str:
        """A container as Swarm makes one."""
        self._made += 1
        name = f"{SWARM}.{slot}.{self._made:025d}"
        given = {"service.name": SWARM, "task.name": name, "task.id": f"{self._made:025d}"}
        self._start(name, "swarm", given)
        return name

    def _start(self, name: str, by: str, labels: dict[str, str]) -> None:
        given = [f"--label=com.docker.{by}.{key}={text}" for key, text in labels.items()]
        run = ("run", "-d", "--name", name, "--network=none", *given)
        self.engine.docker(*run, IMAGE, "sleep", "1000")
