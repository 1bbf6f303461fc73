"""A journal and a database of the version before are taken over, though fields had other names."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from attrs import fields

from tests.alerting.conftest import CONFIG, Desk
from tocsin.core.alerts.model import Alert, Phase
from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.alerts.stored import decode
from tocsin.core.encoding import encode
from tocsin.core.journal.file import Saved, open_file, read
from tocsin.core.journal.salvage import salvage
from tocsin.testing import SettableClock

ALERT: dict[str, Any] = {
    "id": "0192f0c1-2b7e-7c3a-9b1e-5d6f7a8b9c0d", "rule": "container_down", "target": "web",
    "phase": "firing", "severity": "critical", "message": "web is down",
    "details": {"told": 1, "carry": ["x"]}, "carry": {"c": [3, 0.5]},
    "since": 900.0, "since_at": "2026-01-01T12:00:00Z", "armed": 905.0, "fired": 910.0,
    "fired_at": "2026-01-01T12:00:10Z", "resolved": None, "resolved_at": None, "downtime": None,
    "resolution": "", "recovered": True, "flaps": 2, "flaps_told": 1, "repeats": 3,
    "escalated": False, "acknowledged_by": None, "acknowledged_at": None, "comment": "",
    "suppression": None, "told": True, "ever_told": True, "unheard": True, "last_told": 950.0,
    "heard": ["ops"], "owed": ["mail"], "hold_until": None, "frozen": None, "thawed": None,
    "revision": 7,
}  # fmt: skip
ROW: dict[str, Any] = {
    "id": "0192f0c1-2b7e-7c3a-9b1e-5d6f7a8b9c0e", "alert": ALERT["id"], "rule": "container_down",
    "target": "web", "channel": "ops", "transition": "fired", "at": "2026-01-01T12:00:10Z",
    "steady": 990.0, "decision": "queued", "reason": "", "notice": None, "message": None,
    "digest": False, "attempts": 1, "faults": 0, "news": False, "beside": ["mail", "ops"],
    "delivered_at": None, "answer": "", "reference": None, "revision": 2,
}  # fmt: skip
KEY = ("container_down", "api")


def written(path: Path) -> Path:
    """A journal as the version before wrote it."""
    with closing(open_file(path)) as db:
        put = "INSERT INTO alerts (rule, target, data) VALUES (?, ?, ?)"
        db.execute(put, (ALERT["rule"], ALERT["target"], json.dumps(ALERT).encode()))
        put = "INSERT INTO outbox (id, open, steady, data) VALUES (?, 1, ?, ?)"
        db.execute(put, (ROW["id"], ROW["steady"], json.dumps(ROW).encode()))
        db.execute("INSERT INTO gates (channel, until) VALUES ('ops', 1234.5)")
        for name, value in (
            ("anchor", '{"boot":"b","monotonic":1000.0,"steady":1000.0}'),
            (f'carried ["{KEY[0]}","{KEY[1]}"]', '{"count":4}'),
        ):
            db.execute("INSERT INTO meta (name, value) VALUES (?, ?)", (name, value))
    return path


def check(saved: Saved) -> None:
    """Everything of it is known under the names of today."""
    (alert,), (row,) = saved.alerts, saved.rows
    assert (alert.id, alert.phase, alert.revision) == (UUID(ALERT["id"]), Phase.FIRING, 7)
    assert (alert.notified, alert.ever_notified, alert.undelivered) == (True, True, True)
    assert (alert.notified_channels, alert.deferred_channels) == (
        frozenset({"ops"}),
        frozenset({"mail"}),
    )
    assert (alert.firing_since, alert.last_notified, alert.flaps_notified) == (905.0, 950.0, 1)
    assert alert.rule_state == {"c": [3, 0.5]}
    assert alert.details == {"told": 1, "carry": ["x"]}, "what a plugin calls so keeps its name"
    assert (row.first_notification, row.sibling_channels) == (False, ("mail", "ops"))
    assert (row.decision, row.steady, row.revision) == (Decision.QUEUED, 990.0, 2)
    assert saved.retry_after_until == {"ops": 1234.5}


def test_a_journal_of_the_version_before_is_read(tmp_path: Path) -> None:
    """Alerts, rows, channels at rest and what rules kept."""
    with closing(sqlite3.connect(written(tmp_path / "journal.db"))) as db:
        saved = read(db)
    check(saved)
    assert saved.rule_states == {KEY: {"count": 4}}


def test_a_damaged_journal_of_the_version_before_is_salvaged(tmp_path: Path) -> None:
    """What can be read of it is read under its old names, too."""
    check(salvage(written(tmp_path / "journal.db")))


@pytest.mark.parametrize(("kind", "old"), [(Alert, ALERT), (Row, ROW)])
def test_what_the_database_kept_whole_is_read(kind: type[Any], old: dict[str, Any]) -> None:
    """A text as the database has it; today's names are read as well, and nothing gets lost."""
    found = decode(json.dumps(old), kind)
    assert len(old) == len(fields(kind)), "every field is here, under its old name"
    assert decode(encode(found), kind) == found


async def test_an_alert_of_the_version_before_goes_on(tmp_path: Path, clock: SettableClock) -> None:
    """Its channel is not told again that it fires, and is told of its end."""
    old = {
        "notified": "told", "ever_notified": "ever_told", "undelivered": "unheard",
        "notified_channels": "heard", "deferred_channels": "owed", "firing_since": "armed",
        "flaps_notified": "flaps_told", "last_notified": "last_told", "rule_state": "carry",
        "first_notification": "news", "sibling_channels": "beside",
    }  # fmt: skip
    desk = Desk(tmp_path, clock, CONFIG)
    await desk.start()
    desk.add("web")
    desk.see("web")
    await desk.wait(100)
    assert desk.told() == [("fired", "web")]
    await desk.stop()
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as db:
        for table in ("alerts", "outbox"):
            for number, data in db.execute(f"SELECT rowid, data FROM {table}").fetchall():
                named = {old.get(name, name): value for name, value in json.loads(data).items()}
                assert len(set(named) & set(old.values())) in (2, 9)
                text = json.dumps(named).encode()
                db.execute(f"UPDATE {table} SET data = ? WHERE rowid = ?", (text, number))
    await desk.restart()
    desk.see("web")
    await desk.wait(100)
    assert desk.told() == []
    desk.see("web", "up")
    await desk.wait(10)
    assert desk.told() == [("resolved", "web")]
    await desk.stop()


def test_one_row_that_is_no_text_costs_no_other(tmp_path: Path) -> None:
    """A byte that is no UTF-8 within one row of a damaged journal: the others are read."""
    path = written(tmp_path / "journal.db")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "INSERT INTO outbox (rowid, id, open, steady, data) VALUES (?, 'x', 1, 0, ?)",
            (0, b'{"channel": "\xff"}'),
        )
        db.execute(
            "INSERT INTO alerts (rule, target, data) VALUES ('x', 'x', ?)", (b'{"rule": "\xff"}',)
        )
    check(salvage(path))


def test_a_damaged_journal_on_a_full_disk_is_salvaged_elsewhere(small_disk: Path) -> None:
    """Where its own directory has no room for a copy, the system's has."""
    path = written(small_disk / "journal.db")
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(b"x" * 512)
    check(salvage(path))
