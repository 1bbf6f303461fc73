"""A message that is refused, or fails again and again, costs nobody else a message; and who was
told is who got one."""

from __future__ import annotations

import errno

import pytest

from tests.alerting.conftest import CONFIG, Desk, MakeDesk
from tocsin import NotifyError
from tocsin.core.alerts.model import Alert
from tocsin.core.http.alert_views import alert_view

REFUSED = NotifyError("it answered 400", permanent=True)
BUSY = NotifyError("it answered 500", answered=True)
BESIDE = (
    CONFIG
    + 'fallback = "other"\n[channels.other]\nnotifier = "recording"\nlabel = "o"\n'
    + 'min_severity = "critical"\n'
)
NAMES = [f"t{n:02}" for n in range(30)]


def fail_all(desk: Desk, names: list[str] = NAMES) -> None:
    """Targets that fail at once."""
    for name in names:
        desk.add(name)
    for name in names:
        desk.see(name, "down")


def alert_of(desk: Desk, target: str) -> Alert:
    """An alert that is there."""
    return next(a for a in desk.alerting.engine.alerts.values() if a.target == target)


@pytest.mark.parametrize("bad", ["t00", "t13", "t29"])
async def test_one_refused_notice_costs_no_other_its_delivery(desk: Desk, bad: str) -> None:
    """Of thirty alerts in a message the one that is refused becomes a dead letter, with its reason;
    the others arrive in order, each once, after few attempts."""
    desk.notifier().refused[bad] = REFUSED
    fail_all(desk)
    await desk.wait(30)
    assert desk.told() == [("fired", name) for name in NAMES if name != bad]
    assert desk.ledger(bad) == [("fired", "ops", "dead")]
    dead = [r for r in desk.alerting.monitor.recent.rows.values() if r.decision.value == "dead"]
    assert [row.reason for row in dead] == ["it answered 400"]
    assert len(desk.notifier().attempts) <= 11
    assert len({message.id for message in desk.notifier().delivered}) <= 5
    assert desk.alerting.channels["ops"].availability.trouble is None


async def test_nobody_hears_of_the_end_of_what_was_refused(make_desk: MakeDesk) -> None:
    """The channel that could not tell of the failure does not tell of its end; its fallback tells
    both."""
    desk = await make_desk(BESIDE)
    desk.notifier().refused["t03"] = REFUSED
    fail_all(desk, NAMES[:6])
    await desk.wait(30)
    desk.notifier().refused.clear()
    for name in NAMES[:6]:
        desk.see(name, "up")
    await desk.wait(30)
    assert [target for kind, target in desk.told() if kind == "resolved"] == [
        name for name in NAMES[:6] if name != "t03"
    ]
    assert desk.told("other") == [("fired", "t03"), ("resolved", "t03")]


async def test_a_failure_and_its_end_in_one_refused_message(make_desk: MakeDesk) -> None:
    """Both wait together, and the failure alone is refused: the end is not told without it, but for
    the fallback, which tells both."""
    desk = await make_desk(BESIDE.replace('"recording"', '"recording"\nbatch = "5m"', 1))
    desk.notifier().refused["t01"] = REFUSED
    fail_all(desk, NAMES[:3])
    await desk.wait(10)
    desk.see("t01", "up")
    await desk.wait(280)
    assert desk.notifier().attempts == []
    await desk.wait(40)
    assert ("resolved", "t01") not in desk.told()
    assert desk.told() == [("fired", "t00"), ("fired", "t02")]
    assert desk.told("other") == [("fired", "t01"), ("resolved", "t01")]
    assert ("resolved", "ops", "unheard") in desk.ledger("t01")


async def test_halves_are_on_disk(desk: Desk) -> None:
    """A restart in the midst of dividing goes on with the halves: nothing comes twice or never, and
    each half keeps its id."""
    desk.notifier().fail(REFUSED, "busy")
    fail_all(desk, NAMES[:8])
    await desk.wait(0.31)
    halves = [message.id for message in desk.alerting.channels["ops"].queue.pending.messages]
    assert len(halves) == 2
    await desk.restart()
    for name in NAMES[:8]:
        desk.see(name, "down")
    await desk.wait(60)
    assert [message.id for message in desk.notifier().delivered] == halves
    assert desk.told() == [("fired", name) for name in NAMES[:8]]


async def test_what_is_refused_whatever_it_is_is_not_divided(make_desk: MakeDesk) -> None:
    """A login that is refused, or a recipient that is not there: one attempt, and the fallback
    tells all at once."""
    desk = await make_desk(BESIDE)
    desk.notifier().fail(NotifyError("nobody is there", permanent=True, everything=True))
    fail_all(desk)
    await desk.wait(20)
    assert len(desk.notifier().attempts) == 1
    assert [target for _, target in desk.told("other")] == NAMES


@pytest.mark.slow
async def test_a_message_that_fails_again_and_again_blocks_nobody(desk: Desk) -> None:
    """Others pass it within seconds; what is new about its own alert waits for it; it is tried
    seldom, and the channel is in no trouble."""
    desk.notifier().refused["web"] = NotifyError("no answer")
    fail_all(desk, ["web"])
    await desk.wait(5)
    fail_all(desk, ["api"])
    await desk.wait(5)
    assert desk.told() == [("fired", "api")]
    desk.see("web", "up")
    fail_all(desk, ["db"])
    await desk.wait(10)
    assert desk.told() == [("fired", "api"), ("fired", "db")]
    assert desk.alerting.channels["ops"].availability.trouble is None
    await desk.wait(3600)
    assert len(desk.notifier().attempts) < 40
    desk.notifier().refused.clear()
    await desk.wait(400)
    about = [kind for kind, target in desk.told() if target == "web"]
    assert about == ["fired", "resolved"]


async def test_one_failing_notice_does_not_keep_its_message_back(desk: Desk) -> None:
    """The provider answers 500 for ever to any message with one alert: the others of its message
    arrive within a minute, that one when it is taken."""
    desk.notifier().refused["t07"] = BUSY
    fail_all(desk)
    await desk.wait(60)
    assert sorted(desk.told()) == [("fired", name) for name in NAMES if name != "t07"]
    assert len(desk.notifier().attempts) <= 25
    desk.notifier().refused.clear()
    await desk.wait(400)
    assert len(desk.told()) == 30
    assert desk.told()[-1] == ("fired", "t07")


async def test_the_rate_limit_holds_while_a_message_is_divided(make_desk: MakeDesk) -> None:
    """Attempts at halves count as messages."""
    desk = await make_desk(CONFIG + 'max_messages = 3\nper = "1m"\n')
    desk.notifier().refused["t13"] = REFUSED
    fail_all(desk)
    await desk.wait(10)
    assert len(desk.notifier().attempts) == 3
    await desk.wait(60)
    assert len(desk.notifier().attempts) == 6
    await desk.wait(300)
    assert len(desk.told()) == 29


@pytest.mark.slow
async def test_an_outage_does_not_end_in_many_small_messages(desk: Desk) -> None:
    """Hours of failing, and an alert every five minutes: few attempts, and few messages in the
    end."""
    names = [f"n{n}" for n in range(60)]
    for name in names:
        desk.notifier().refused[name] = NotifyError("no connection")
    for name in names:
        fail_all(desk, [name])
        await desk.wait(300)
    assert len(desk.notifier().attempts) < 120
    desk.notifier().refused.clear()
    await desk.wait(600)
    assert {n.target for n in desk.notifier().notices} >= set(names)
    assert len(desk.notifier().delivered) <= 15


async def test_who_was_told_is_who_got_a_message(desk: Desk) -> None:
    """While a notice waits the alert says that nobody was told, and that a channel was, once it has
    delivered; the end waits for that."""
    desk.notifier().refused["web"] = BUSY
    fail_all(desk, ["web"])
    await desk.wait(5)
    view = alert_view(alert_of(desk, "web"))
    assert (view.heard, view.notification_sent) == ((), False)
    desk.notifier().refused.clear()
    await desk.wait(30)
    view = alert_view(alert_of(desk, "web"))
    assert (view.heard, view.notification_sent) == (("ops",), True)
    desk.see("web", "up")
    await desk.wait(10)
    assert desk.told() == [("fired", "web"), ("resolved", "web")]


async def test_who_was_told_survives_a_restart(desk: Desk) -> None:
    """The mark is on disk together with the row: after a restart the end is told, once."""
    fail_all(desk, ["web"])
    await desk.wait(5)
    await desk.restart()
    assert alert_of(desk, "web").notified_channels == {"ops"}
    desk.see("web", "up")
    await desk.wait(5)
    assert desk.told() == [("resolved", "web")]


async def test_the_end_of_what_was_refused_is_not_told_after_a_restart(desk: Desk) -> None:
    """The failure became a dead letter while its end was waiting: also after a restart the end goes
    out on no channel."""
    desk.notifier().refused["web"] = BUSY
    fail_all(desk, ["web"])
    await desk.wait(2)
    desk.see("web", "up")
    await desk.wait(2)
    desk.notifier().refused["web"] = REFUSED
    desk.notifier().hang.clear()
    await desk.wait(400)
    await desk.restart()
    await desk.wait(30)
    assert desk.told() == []
    assert ("fired", "ops", "dead") in desk.ledger("web")
    assert ("resolved", "ops", "unheard") in desk.ledger("web")


async def test_an_alert_that_was_never_told_has_no_end_to_tell(desk: Desk) -> None:
    """Its only notice was refused: the end is a line of the ledger."""
    desk.notifier().refused["web"] = REFUSED
    fail_all(desk, ["web"])
    await desk.wait(5)
    desk.notifier().refused.clear()
    desk.see("web", "up")
    await desk.wait(5)
    assert desk.told() == []
    assert ("resolved", "-", "unheard") in desk.ledger("web")


async def test_what_was_never_told_is_told_when_it_fires_again(desk: Desk) -> None:
    """Its only notice was refused and it recovered: a minute later, within the cooldown, it is news
    all the same; then the cooldown holds."""
    desk.notifier().refused["web"] = REFUSED
    fail_all(desk, ["web"])
    await desk.wait(5)
    desk.notifier().refused.clear()
    for _ in range(2):
        desk.see("web", "up")
        await desk.wait(30)
        desk.see("web", "down")
        await desk.wait(30)
    assert desk.told() == [("fired", "web"), ("resolved", "web")]
    assert desk.ledger("web")[-1] == ("reopened", "ops", "cooldown")


async def test_a_shortage_of_our_own_is_never_final(desk: Desk) -> None:
    """A notifier that is out of descriptors calls that permanent, or lets it through: the message
    is tried again and arrives."""
    none_left = OSError(errno.EMFILE, "Too many open files")
    called_final = NotifyError("ca_file cannot be used", permanent=True)
    called_final.__context__ = none_left
    desk.notifier().fail(
        called_final, none_left, MemoryError(), RuntimeError("can't start new thread")
    )
    fail_all(desk, NAMES[:3])
    await desk.wait(60)
    assert desk.told() == [("fired", name) for name in NAMES[:3]]


async def test_a_fault_of_tocsin_itself_is_never_final(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What breaks inside tocsin on the way to a channel, whatever it is, loses nothing."""
    board = desk.alerting.board
    enrich = board.tools.enrich
    broken = [OSError(errno.EMFILE, "Too many open files"), ZeroDivisionError()]

    async def breaks(*args: object) -> object:
        if broken:
            raise broken.pop()
        return await enrich(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(board.tools, "enrich", breaks)
    fail_all(desk, NAMES[:3])
    await desk.wait(60)
    assert desk.told() == [("fired", name) for name in NAMES[:3]]
