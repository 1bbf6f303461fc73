"""What alerts leave is bounded: on disk, at a start, for a channel that is out of order."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from tests.alerting.conftest import CONFIG, MakeDesk
from tests.alerting.test_lost_journal import journal
from tocsin import NotifyError
from tocsin.core.alerts.durable_clock import Anchor
from tocsin.core.alerts.outbox import Decision, Row
from tocsin.core.ids import new_id
from tocsin.core.journal.file import open_file, read
from tocsin.core.journal.journal import Entry, Journal
from tocsin.core.journal.upkeep import MOST_BYTES, MOST_FINISHED
from tocsin.core.notify.group import CROWDED
from tocsin.testing import SettableClock

MIB = 1 << 20


def rows(clock: SettableClock, number: int, second: int, words: str) -> tuple[Row, ...]:
    """So many changes of alerts, to be told."""
    return tuple(
        Row(
            alert=new_id(), channel="ops", transition="fired", at=clock.now(),
            steady=float(second), decision=Decision.QUEUED, reason=words,
        )
        for _ in range(number)
    )  # fmt: skip


async def flap(journal: Journal, clock: SettableClock, seconds: range, words: str) -> None:
    """Two hundred changes a second, each told at once."""
    for second in seconds:
        owed = rows(clock, 200, second, words)
        anchor = Anchor(boot="b", monotonic=float(second), steady=float(second))
        await journal.commit(Entry(rows=owed, anchor=anchor))
        await journal.commit(Entry(rows=tuple(evolve(r, decision=Decision.SENT) for r in owed)))


def size(directory: Path) -> int:
    """Bytes of the journal's files."""
    return sum(file.stat().st_size for file in directory.glob("journal.db*"))


@pytest.mark.slow
@pytest.mark.parametrize(("length", "full"), [(600, 27), (6000, 8)])
async def test_under_flapping_the_journal_is_level(
    tmp_path: Path, clock: SettableClock, length: int, full: int
) -> None:
    """However many changes there are, and however long, the file does not grow beyond what it
    holds after the first, and a start reads only so many and so much of them."""
    kept, words = Journal(journal(tmp_path)), "x" * length
    await kept.start()
    await flap(kept, clock, range(full), words)
    first = size(tmp_path)
    await flap(kept, clock, range(full, 3 * full), words)
    assert size(tmp_path) <= 1.5 * first <= 40 * MIB
    await kept.stop()
    with closing(open_file(journal(tmp_path))) as db:
        found = read(db).rows
        (held,) = db.execute("SELECT sum(length(data)) FROM outbox").fetchone()
    assert 500 <= len(found) <= MOST_FINISHED + 1000
    assert held <= MOST_BYTES + 1000 * length + MIB
    assert found[-1].steady == 3 * full - 1


async def test_a_file_that_was_once_far_longer_is_shortened(
    tmp_path: Path, clock: SettableClock
) -> None:
    """What an outage of a channel left owed takes no room for ever; what is still owed stays."""
    kept = Journal(journal(tmp_path))
    await kept.start()
    owed = rows(clock, 3000, 100, "x" * 8000)
    await kept.commit(Entry(rows=owed))
    for second in range(4):
        told = tuple(evolve(row, decision=Decision.SENT) for row in owed[10:])
        anchor = Anchor(boot="b", monotonic=1000.0 + 100 * second, steady=1000.0 + 100 * second)
        await kept.commit(Entry(rows=told if not second else (), anchor=anchor))
    await kept.stop()
    assert size(tmp_path) > 20 * MIB
    again = Journal(journal(tmp_path))
    saved = await again.start()
    assert size(tmp_path) < 14 * MIB
    assert [row.id for row in saved.rows if row.decision is Decision.QUEUED] == [
        row.id for row in owed[:10]
    ]
    await again.stop()


@pytest.mark.slow
async def test_what_is_owed_grows_with_the_alerts_and_not_with_the_time(
    make_desk: MakeDesk,
) -> None:
    """While a channel is out of order for hours, a newer notice of an alert takes the place of an
    older one; the first firing and the end stay, and are told in their order."""
    desk = await make_desk('[alerts]\ncooldown = "1m"\n' + CONFIG)
    desk.notifier().fail(*[NotifyError("it answered 500", answered=True)] * 10_000)
    names = [f"t{n:03}" for n in range(120)]
    for name in names:
        desk.add(name)
        desk.see(name, "down")
    await desk.wait(420)
    assert 120 <= len(desk.alerting.channels["ops"].queue.rows) <= 120 + CROWDED
    for name in names:
        desk.see(name, "up")
    await desk.wait(5)
    desk.notifier().failures.clear()
    await desk.wait(310)
    for name in names:
        kinds = [kind for kind, target in desk.told() if target == name]
        assert kinds[0] == "fired"
        assert kinds[-1] == "resolved"
        assert kinds.count("fired") == kinds.count("resolved") == 1
