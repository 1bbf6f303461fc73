"""Containers: their labels, their documents and their events, through a whole source."""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.inputs import arguments, mutate, nasty, planted, said, secret, twist
from tests.fuzz.judge import Judge
from tests.fuzz.kinds import Kind
from tests.fuzz.world import World, document, event, world

LABELS = {
    "tocsin.enable": ("true", "false"),
    "tocsin.critical": ("true",),
    "tocsin.name": ("pay", "host", "innocent", "a/b"),
    "tocsin.depends_on": ("db", "innocent", "a,b,,c"),
    "tocsin.http": (":8000/health", "/x", "http://127.0.0.1:1/", "https://u:p@127.0.0.1/"),
    "tocsin.tcp": ("5432", "db:5432", "[::1]:5432", "5432/tcp"),
    "tocsin.expected.memory_bytes": ("500MB", "1"),
    "tocsin.expected.cpu_percent": ("5", "0.5"),
    "tocsin.expected.start_seconds": ("5s",),
    "tocsin.check.a.probe": ("http", "tcp", "heartbeat", "backup-script", "disk", "postgres-query"),
    "tocsin.check.a.url": ("http://127.0.0.1:1/",),
    "tocsin.check.a.port": ("1",),
    "tocsin.check.a.host": ("127.0.0.1",),
    "tocsin.check.a.timeout": ("5s", "5000000"),
    "tocsin.check.a.interval": ("1s", "30s"),
    "tocsin.check.a.expected_status": ('["200-299"]', "[200]"),
    "tocsin.check.a.json": ('{"$.a" = 1}',),
    "tocsin.check.a.key": ("nightly",),
    "tocsin.check.a.headers": ('{a = "b"}',),
    "tocsin.check.x y.z": ("1",),
    "com.docker.compose.project": ("shop", ""),
    "com.docker.compose.service": ("web", "innocent"),
    "com.docker.compose.container-number": ("1", "2"),
    "com.docker.compose.oneoff": ("True", "False"),
    "com.docker.compose.depends_on": ("db:service_healthy:false,x", ""),
    "com.docker.compose.config-hash": ("abc",),
    "com.docker.swarm.service.name": ("web",),
    "com.docker.swarm.task.name": ("web.1.abc",),
    "io.kubernetes.pod.name": ("web-0",),
    "maintainer": ("ann",),
    "note": ("x",),
}
KEYS = tuple(LABELS)
ACTIONS = (
    "die", "start", "kill", "oom", "rename", "health_status: unhealthy", "exec_die", "destroy",
)  # fmt: skip


def labels(rng: Random) -> dict[str, str]:
    """Labels as an image or a person might have written them, or not."""
    made = {}
    for _ in range(rng.randrange(1, 7)):
        key = rng.choice(KEYS)
        value = mutate(rng, rng.choice(LABELS[key]))
        made[mutate(rng, key) if rng.random() < 0.1 else key] = value
    if rng.random() < 0.15:
        made["note"] = planted(rng)
    elif rng.random() < 0.1:
        made[rng.choice(("DB_PASSWORD", "api_token", "app.secret_key"))] = secret(rng)
    elif rng.random() < 0.05:
        made["tocsin.http"] = f"http://user:{secret(rng)}@127.0.0.1:1/"
    return made


class Labels(Kind):
    """Whatever labels one container has, it is taken in or refused, and the others are seen."""

    name = "labels"

    def make(self, rng: Random) -> dict[str, str]:
        return labels(rng)

    def parts(self, case: Any) -> int:
        return len(case)

    def open(
        self, directory: Path, judge: Judge, database: str
    ) -> AbstractAsyncContextManager[Any]:
        return world(directory, judge, database)

    async def run(self, place: World, cases: list[tuple[int, Any]]) -> None:
        await place.watch([document(number, case) for number, case in cases])
        await place.look()
        place.check()


class Containers(Kind):
    """Whatever an engine says of one container, in its document or by events, the others are seen,
    and their ends are."""

    name = "containers"
    batch = 25

    def make(self, rng: Random) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        made = document(0, labels(rng) if rng.random() < 0.5 else {})
        made["State"]["Health"]["Log"][0]["Output"] = said(rng)
        if rng.random() < 0.3:
            made["State"] |= {"Status": "exited", "Running": False, "ExitCode": rng.randrange(256),
                              "Error": said(rng)}  # fmt: skip
        if rng.random() < 0.3:
            made["Config"]["Cmd"] = ["app", *arguments(rng)]
        for _ in range(rng.randrange(3)):
            made = twist(rng, made)
        events = []
        for _ in range(rng.randrange(4)):
            action = nasty(rng) if rng.random() < 0.1 else rng.choice(ACTIONS)
            one = event(0, action, 0, exitCode="1", signal="9", name="x")
            events.append(twist(rng, one) if rng.random() < 0.5 else one)
        return made if isinstance(made, dict) else {}, events

    def open(
        self, directory: Path, judge: Judge, database: str
    ) -> AbstractAsyncContextManager[Any]:
        return world(directory, judge, database)

    async def run(self, place: World, cases: list[tuple[int, Any]]) -> None:
        documents, events = [], []
        for number, (made, happened) in cases:
            identity = document(number)["Id"]
            documents.append({**made, "Id": identity, "Name": made.get("Name", "") if
                              made.get("Name") != "/c0" else f"/c{number}"})  # fmt: skip
            for one in happened:
                if not isinstance(one, dict):
                    events.append(one)
                    continue
                actor = one.get("Actor")
                whose = (
                    {**actor, "ID": identity}
                    if isinstance(actor, dict) and "ID" in actor
                    else actor
                )
                made = {**one, "Actor": whose} if "Actor" in one else one
                if made.get("timeNano") == 0:
                    made = {**made, "timeNano": time.time_ns()}
                events.append(made)
        await place.watch(documents)
        for made in documents:
            name = str(made["Name"]).lstrip("/")
            if name in place.tocsin.state.targets:
                status, text = 200, str(await _inspect(place, name))
                place.judge.out("inspect", text)
                assert status
        await place.happen(events)
        await place.look()


async def _inspect(place: World, name: str) -> Any:
    from tocsin.core.contracts.base import ActionError

    try:
        return await place.tocsin.actions.inspect(name)
    except ActionError as error:
        if "raised" in str(error):
            place.judge.traceback(f"inspect: {error}")
        return error
