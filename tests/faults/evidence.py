"""Gathering what a run has left: ledgers, journals, history, leaks."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import sqlite3
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import asyncpg

from tests.faults.peers import marked
from tests.faults.records import (
    Evidence,
    HistoryRow,
    OutboxRow,
    answer_of,
    delivery_of,
    read_lines,
)
from tests.faults.world import World

MORE_DESCRIPTORS, MORE_THREADS = 12, 10
"""By how many these may have grown over a run: connections to the database and threads of pools are
made when they are first needed (4 readers; core.isolation, asyncio's own pool of up to 6)."""

PATHS = (
    "/health", "/metrics", "/api/v1/status", "/api/v1/targets", "/api/v1/checks", "/api/v1/alerts",
    "/api/v1/notifications", "/api/v1/channels", "/api/v1/plugins", "/api/v1/config",
    "/api/v1/audit", "/api/v1/containers", "/api/v1/alerts/active", "/api/v1/metrics",
)  # fmt: skip
"""What is asked of the API at the end, as admin, to look for planted secrets."""


COMMANDS = (("status", "--all"), ("status", "--json"), ("alerts",), ("config", "show"))
"""Commands whose output is looked through, too."""


def so_far(world: World) -> Evidence:
    """What can be known while tocsin runs."""
    deliveries = [
        delivery_of(line, channel)
        for channel, peer in world.receivers.items()
        for line in read_lines(peer.ledger)
    ]
    extra = world.directory / "truth.jsonl"
    lines = [*read_lines(world.targets.ledger), *read_lines(extra)]
    return Evidence(
        channels=tuple(world.receivers),
        answers=tuple(sorted((answer_of(line) for line in lines), key=lambda a: a.at)),
        deliveries=tuple(sorted(deliveries, key=lambda d: d.at)),
        lives=tuple(world.lives),
        outages=tuple(world.outages),
        heals=tuple(world.heals),
        health=tuple(world.health),
        refused=world.fault.refused,
        dropped=world.dropped,
    )


def seen_in_answers(world: World) -> list[str]:
    """Planted secrets that the API shows, while tocsin still runs."""
    running, found = world.running, list[str]()
    running.reach()
    checks = [check["id"] for check in running.get("/api/v1/checks?limit=1000")["items"]]
    for path in (*PATHS, *(f"/api/v1/checks/{check}/results" for check in checks)):
        request = urllib.request.Request(  # as text: /metrics is no JSON
            running.url + path, headers={"Authorization": f"Bearer {running.token()}"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            found += _planted(world, answer.read(), f"the answer of {path}")
    for command in COMMANDS:
        done = running.run(*command)
        text = f"{done.stdout}\n{done.stderr}".encode()
        found += _planted(world, text, f"what 'tocsin {' '.join(command)}' prints")
    return found


def grown(before: tuple[int, int], after: tuple[int, int], plugin_threads: int = 0) -> list[str]:
    """Sentences about handles that became too many, beside those of so many new plugin_threads."""
    most = (MORE_DESCRIPTORS + 3 * plugin_threads, MORE_THREADS + plugin_threads)
    named = zip(("descriptors", "threads"), before, after, most, strict=True)
    return [f"{name} grew from {a} to {b}" for name, a, b, most in named if b - a > most]


def left_behind(world: World) -> list[str]:
    """Sentences about processes that outlive tocsin's stop."""
    return [f"the process {p.pid} ({p.name()}) was left behind" for p in marked(world.mark)]


def seen_on_disk(world: World) -> list[str]:
    """Planted secrets in logs, messages, the data directory and the database."""
    found: list[str] = []
    places = [(p, f"the log {p.parent.name}") for p in world.directory.glob("life-*/tocsin.log")]
    places += [(peer.ledger, f"a message to {c}") for c, peer in world.receivers.items()]
    places += [(p, f"the file {p.name}") for p in world.data.rglob("*") if p.is_file()]
    for path, name in places:
        found += _planted(world, path.read_bytes() if path.exists() else b"", name)
    for table, text in asyncio.run(_tables(world.dsn)):
        found += _planted(world, text.encode(), f"the table {table}")
    return found


def tracebacks(world: World) -> int:
    """How many tracebacks tocsin logged."""
    logs = world.directory.glob("life-*/tocsin.log")
    return sum(log.read_bytes().count(b"Traceback (most recent call last)") for log in logs)


def history(world: World) -> tuple[HistoryRow, ...]:
    """All rows of results."""
    return asyncio.run(_history(world.dsn))


def outbox(world: World) -> tuple[OutboxRow, ...]:
    """What the journal holds, and held at each kill, as told or to be told; the newest counts."""
    found: dict[str, OutboxRow] = {}
    for place in (*world.kills, world.data):
        found.update({row.id: row for row in _outbox(place)})
    return tuple(found.values())


def unmarked(world: World) -> tuple[tuple[str, str, float], ...]:
    """Channel, notice and kill of what was accepted before a kill and not marked on disk then."""
    found: list[tuple[str, str, float]] = []
    ends = [life.ended for life in world.lives if life.killed]
    begins = [*(life.begun for life in world.lives[1:]), float("inf")]
    deliveries = [d for d in so_far(world).deliveries if d.accepted]
    for place, ended, until in zip(world.kills, ends, begins, strict=False):
        there = {(d.channel, t.id) for d in deliveries if d.at < until for t in d.notices}
        found += [
            (row.channel, row.notice, ended)
            for row in _outbox(place)
            if row.decision == "queued" and (row.channel, row.notice) in there
        ]
    return tuple(found)


def _planted(world: World, data: bytes, where: str) -> Iterator[str]:
    for name, value in world.planted.items():
        if any(form in data for form in forms_of(value)):
            yield f"the {name} is in {where}"


def forms_of(secret: str) -> list[bytes]:
    """A secret as it is, and what the Base64 of any text that holds it has in common.

    It begins at one of three places in a group of four letters. Written anew, so as to judge
    tocsin's own."""
    forms = [secret.encode()]
    for before in range(3):
        coded = base64.b64encode(b"x" * before + secret.encode())
        forms.append(coded[4:-4])
    return forms


def _outbox(place: Path) -> list[OutboxRow]:
    if not (place / "journal.db").exists():
        return []
    with tempfile.TemporaryDirectory() as copy:  # reading one in WAL mode changes it
        for file in place.glob("journal.db*"):
            shutil.copy(file, copy)
        with closing(sqlite3.connect(f"{copy}/journal.db")) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'outbox'").fetchone():
                return []
            rows = [json.loads(data) for (data,) in db.execute("SELECT data FROM outbox")]
    return [
        OutboxRow(
            row["id"], row["channel"], row["notice"]["id"], row["notice"]["kind"], row["target"],
            row["decision"],
        )
        for row in rows
        if row.get("notice")
    ]  # fmt: skip


async def _history(dsn: str) -> tuple[HistoryRow, ...]:
    db = await asyncpg.connect(dsn, server_settings={"search_path": "tocsin"})
    try:
        rows = await db.fetch(
            "SELECT c.target, r.status, (r.metrics->>'body_bytes')::float8 AS number "
            "FROM check_results r JOIN checks c ON c.id = r.check_id"
        )
    finally:
        await db.close()
    return tuple(
        HistoryRow(
            row["target"], None if row["number"] is None else int(row["number"]), row["status"] == 2
        )
        for row in rows
    )


async def _tables(dsn: str) -> list[tuple[str, str]]:
    """Each table as text; partitions are seen through their parents."""
    db = await asyncpg.connect(dsn, server_settings={"search_path": "tocsin"})
    try:
        names = await db.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'tocsin'::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition"
        )
        return [
            (
                name,
                await db.fetchval(
                    f"SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM \"{name}\" t"
                ),
            )
            for (name,) in names
        ]
    finally:
        await db.close()
