"""What plugins may hand in, and that one's oddities stay its own."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.store.helpers import container, make, rows, seen
from tocsin.core.contracts.model import AuditEntry, Event, Health, Observation, Result
from tocsin.core.ids import new_id
from tocsin.plugins.history.batch import Batch, ResultRow, halves
from tocsin.plugins.history.collector import Collector
from tocsin.testing import SettableClock


class Unspeakable:
    """A value that cannot even be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError("no")


HOSTILE: list[dict[str, Any]] = [
    {"text": "not a number"},
    {"nested": {"a": 1}},
    {"none": None},
    {"truth": True},
    {"infinite": float("inf"), "nan": float("nan")},
    {"huge": 10**400},
    {"vast": 1.7e308, "vast_too": -1.7e308},
    {"tiny": 5e-324},
    {"lone\ud800surrogate": 1.0, "nul\0": 2.0},
    {"numeral": "12.5"},
]


@pytest.mark.parametrize("metrics", HOSTILE, ids=lambda metrics: next(iter(metrics)))
async def test_no_metric_stops_the_roll_up(
    database: str, tmp_path: Path, clock: SettableClock, metrics: dict[str, Any]
) -> None:
    """Whatever a plugin calls a metric, everyone's samples are written and rolled up; what is no
    number is left out."""
    store = make(database, tmp_path, clock)
    for _ in range(2):
        store.add(seen(clock, metrics={**metrics, "sound": 4.0}))
        store.add(container(clock))
        clock.advance(1)
    await store.flush()
    clock.advance(7200)
    await store.tidy()
    assert store.present().status is Health.OK
    (row,) = await rows(
        database,
        "SELECT r.up, r.stats[array_position(names, 'sound')][3] AS sound "
        "FROM check_rollup_1h r JOIN metric_sets s ON s.id = r.metric_set "
        "JOIN checks c ON c.id = r.check_id WHERE c.target = 'web'",
    )
    assert (row["up"], row["sound"]) == (2, 4.0)
    await store.close()


async def test_attributes_of_any_shape_are_kept(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Events and audit rows are written with attributes that JSON or PostgreSQL would refuse."""
    endless: dict[str, Any] = {}
    endless["self"] = endless
    odd = {
        "backslash": "C:\\u0000",
        "nul": "a\0b",
        "surrogate\udfff": "\ud800",
        "big": 2**80,
        "infinite": [float("inf")],
        "time": datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2))),
        "set": {1},
        "endless": endless,
    }
    store = make(database, tmp_path, clock)
    store.add(Event(target="db\0", source="s", action="die", at=clock.now(), attributes=odd))
    store.add(
        AuditEntry(actor="a", role="admin", action="x", subject="y", at=clock.now(), details=odd)
    )
    await store.flush()
    since, until = clock.now() - timedelta(hours=1), clock.now() + timedelta(hours=1)
    (event,) = await store.events("db", since, until, 10)
    attributes = event.attributes
    assert attributes["backslash"] == "C:\\u0000"
    assert (attributes["nul"], attributes["surrogate?"], attributes["set"]) == ("ab", "?", [1])
    assert attributes["big"] == str(2**80)
    (entry,) = await store.audit(10)
    assert entry.details["infinite"] == [None]
    await store.close()


async def test_what_cannot_be_read_at_all_is_counted(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """A value that raises when looked at costs its own item; ``write`` does not raise."""
    store = make(database, tmp_path, clock)
    store.add(
        Event(target="db", source="s", action="a", at=clock.now(),
              attributes={"x": Unspeakable()})
    )  # fmt: skip
    store.add(seen(clock))
    await store.flush()
    assert store.present().details["rows_dropped"] == 1
    assert len(await rows(database, "SELECT * FROM check_results")) == 1
    await store.close()


async def test_only_the_refused_row_of_a_batch_is_set_aside(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """Of a hundred rows with one that the database refuses, ninety-nine are written."""
    store = make(database, tmp_path, clock)
    await store.flush()
    results = [
        ResultRow("web", "http", clock.now() + timedelta(seconds=n), 0, None, str(n),
                  "{broken" if n == 37 else None)
        for n in range(100)
    ]  # fmt: skip
    batch = Batch(new_id(), results)
    assert await store._writer._try(batch)
    assert await store._writer._try(batch)  # once more, as a replay would
    found = await rows(database, "SELECT message FROM check_results ORDER BY at")
    assert [row["message"] for row in found] == [str(n) for n in range(100) if n != 37]
    assert len(list((tmp_path / "spool" / "rejected").iterdir())) == 1
    health = store.present()
    assert health.status is Health.DEGRADED
    assert "set aside" in health.message
    await store.close()


async def test_a_moment_that_is_taken_costs_one_row(
    database: str, tmp_path: Path, clock: SettableClock
) -> None:
    """After a restart with the clock set back, a sample at a moment that is there already is set
    aside alone."""
    first = make(database, tmp_path / "a", clock)
    first.add(seen(clock, message="first"))
    await first.flush()
    second = make(database, tmp_path / "b", clock)
    second.add(seen(clock, message="second"))
    clock.advance(1)
    second.add(seen(clock, message="third"))
    await second.flush()
    found = await rows(database, "SELECT message FROM check_results ORDER BY at")
    assert [row["message"] for row in found] == ["first", "third"]
    await first.close()
    await second.close()


@pytest.mark.parametrize(
    ("state", "word"),
    [("running", "running"), ("paused", "paused"), ("restarting", "restarting"),
     ("exited", "stopped"), ("dead", "stopped"), ("created", "stopped"), ("odd", "stopped")],
)  # fmt: skip
def test_states_are_told_in_the_words_of_the_plan(
    clock: SettableClock, state: str, word: str
) -> None:
    """container_metrics knows running, stopped, restarting and paused."""
    collector = Collector()
    collector.add(container(clock, state=state))
    assert collector.take().containers[0].status == word


def test_numbers_too_big_for_their_columns_are_left_out(clock: SettableClock) -> None:
    """A counter past the range of its column becomes NULL, not an error."""
    collector = Collector()
    collector.add(
        container(clock, cpu=1e300, restart_count=2**31, network_rx_bytes=2**63, health="h" * 99)
    )
    row = collector.take().containers[0]
    assert (row.cpu_percent, row.restart_count, row.network_rx_bytes) == (None, None, None)
    assert len(row.health_status) == 20


def test_samples_of_one_moment_stay_apart(clock: SettableClock) -> None:
    """Samples of a check with the same time get times that differ, in their order."""
    collector = Collector()
    for n in range(5):
        collector.add(Observation(target="t", check="c", at=clock.now(), result=Result.up(str(n))))
    times = [row.at for row in collector.take().results]
    assert times == sorted(set(times))


def test_halves_hold_all_rows_under_lasting_ids(clock: SettableClock) -> None:
    """A batch cut in two again gives the same ids, and every row once."""
    collector = Collector()
    for _ in range(5):
        collector.add(container(clock))
        collector.add(Event(target="t", source="s", action="a", at=clock.now()))
    batch = collector.take()
    first, second = halves(batch)
    again = halves(batch)
    assert (first.id, second.id) == (again[0].id, again[1].id)
    assert first.id != second.id
    for name in ("results", "containers", "events", "audit"):
        assert getattr(first, name) + getattr(second, name) == getattr(batch, name)
