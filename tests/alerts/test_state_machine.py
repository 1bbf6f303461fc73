"""The life of an alert, state by state, by the table in the docstring of ``step``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tocsin.core.alerts.due import due
from tocsin.core.alerts.model import (
    Alert,
    Cause,
    Change,
    Moment,
    Phase,
    Policy,
    Suppression,
    Transition,
)
from tocsin.core.alerts.outcomes import record_acknowledgement
from tocsin.core.alerts.state_machine import step
from tocsin.core.contracts.rule import Severity, Verdict

KEY = ("container_down", "web")
FIRE = Verdict.firing("it is down", details={"exit_code": 1})
CLEAR = Verdict.clear("it runs")
RISING = Verdict.rising("it failed once")
UNKNOWN = Verdict.unknown("cannot see")
ROOT = Suppression(cause=Cause.INHIBITED, by="db", message="container_down on db explains it")
SETTLING = Suppression(cause=Cause.SETTLING, by="tocsin", message="has just started")


class Life:
    """One alert, driven through time; ``told`` are the kinds that people were told of."""

    def __init__(self, **policy: Any) -> None:
        self.policy = Policy(**{"severity": Severity.WARNING, "cooldown": 900.0, **policy})
        self.alert: Alert | None = None
        self.now = 0.0
        self.changes: list[Transition] = []
        self.verdict = CLEAR

    def see(self, verdict: Verdict, cover: Suppression | None = None) -> list[str]:
        """A verdict now; returns what changed."""
        self.verdict = verdict
        moment = Moment(self.now, datetime.fromtimestamp(self.now, UTC))
        self.alert, changes = step(KEY, self.alert, verdict, moment, self.policy, cover)
        self.changes += changes
        return [change.kind.value for change in changes]

    def at(self, now: float) -> Life:
        """Let time pass until ``now``, the timers doing their work on the way."""
        while self.alert is not None:
            when = due(self.alert, self.policy)
            if when is None or when > now:
                break
            self.now = max(when, self.now)
            before = self.alert
            self.see(self.verdict, self.alert.suppression)
            if self.alert == before:
                break
        self.now = now
        return self

    @property
    def told(self) -> list[tuple[float, str]]:
        """When people were told, and of what."""
        return [(c.at.timestamp(), c.kind.value) for c in self.changes if c.notify]

    @property
    def sure(self) -> Alert:
        assert self.alert is not None
        return self.alert


def test_it_is_pending_until_it_has_lasted() -> None:
    """With a wait, a firing verdict is pending first; it fires when the wait is over, once."""
    life = Life(for_seconds=60.0)
    assert life.see(FIRE) == ["pending"]
    assert life.at(59.9).told == []
    life.at(60)
    assert life.told == [(60.0, "fired")]
    assert life.sure.phase is Phase.FIRING
    assert (life.sure.since, life.sure.fired) == (0.0, 60.0)


def test_what_clears_in_time_was_never_an_alert() -> None:
    """A condition that ends before the wait is over is cancelled and told to nobody."""
    life = Life(for_seconds=60.0)
    life.see(FIRE)
    assert life.at(30).see(CLEAR) == ["cancelled"]
    assert life.alert is None
    assert life.at(100).told == []


def test_rising_waits_without_a_clock() -> None:
    """A rising verdict is pending for as long as it rises; the wait counts from firing on, the
    downtime from the beginning."""
    life = Life(for_seconds=10.0)
    life.see(RISING)
    life.at(1000).see(FIRE)
    life.at(1009)
    assert life.told == []
    life.at(1010)
    life.at(1020).see(CLEAR)
    assert life.told == [(1010.0, "fired"), (1020.0, "resolved")]
    assert life.sure.downtime == 1020.0


def test_the_recovery_is_told_once_with_the_downtime() -> None:
    """When it clears, the recovery goes out at once; nothing more comes, and after the cooldown
    the alert is closed."""
    life = Life()
    life.see(FIRE)
    life.at(42).see(CLEAR)
    assert life.told == [(0.0, "fired"), (42.0, "resolved")]
    assert (life.sure.downtime, life.sure.resolution) == (42.0, "it runs")
    assert life.sure.message == "it is down"
    life.at(42 + 900)
    assert life.alert is None
    assert len(life.told) == 2


def test_it_repeats_each_cooldown_and_then_escalates() -> None:
    """Three repeats, a cooldown apart; then it escalates, severity up; then it repeats again."""
    life = Life()
    life.see(FIRE)
    life.at(5000)
    assert life.told == [
        (0.0, "fired"), (900.0, "repeated"), (1800.0, "repeated"), (2700.0, "repeated"),
        (3600.0, "escalated"), (4500.0, "repeated"),
    ]  # fmt: skip
    assert life.sure.severity is Severity.CRITICAL


def test_escalation_can_be_switched_off() -> None:
    """With ``escalate_after`` 0 it repeats for ever."""
    life = Life(escalate_after=0)
    life.see(FIRE)
    life.at(9000)
    assert {kind for _, kind in life.told} == {"fired", "repeated"}


def test_an_acknowledged_alert_only_ends() -> None:
    """Acknowledged: no repeats, no escalation; the recovery still comes."""
    life = Life()
    life.see(FIRE)
    life.at(100)
    moment = Moment(100.0, datetime.fromtimestamp(100, UTC))
    life.alert, change = record_acknowledgement(life.sure, "ann", "on it", moment)
    assert (change.kind, change.actor) == (Change.ACKNOWLEDGED, "ann")
    assert life.sure.state == "acknowledged"
    life.at(20_000).see(CLEAR)
    assert life.told == [(0.0, "fired"), (20_000.0, "resolved")]


def test_an_acknowledgement_taken_back_repeats_after_a_cooldown() -> None:
    """Taken back, the repeats begin anew a cooldown later, and not all at once."""
    life = Life()
    life.see(FIRE)
    early, late = (Moment(t, datetime.fromtimestamp(t, UTC)) for t in (10.0, 5000.0))
    life.alert, _ = record_acknowledgement(life.sure, "ann", "", early)
    life.at(5000)
    life.alert, change = record_acknowledgement(life.sure, None, "", late)
    assert change.kind is Change.UNACKNOWLEDGED
    life.at(6000)
    assert life.told == [(0.0, "fired"), (5900.0, "repeated")]


def test_an_acknowledgement_ends_with_the_recovery_that_is_told() -> None:
    """Whoever took note of it heard that it was over: when it fires again they hear of it, after
    the cooldown, and of each repeat."""
    life = Life()
    life.see(FIRE)
    moment = Moment(10.0, datetime.fromtimestamp(10, UTC))
    life.alert, _ = record_acknowledgement(life.sure, "ann", "on it", moment)
    life.at(100).see(CLEAR)
    assert life.sure.acknowledged_by == "ann"
    life.at(200).see(FIRE)
    assert life.sure.state == "firing"
    life.at(2000)
    assert life.told == [
        (0.0, "fired"), (100.0, "resolved"), (1000.0, "reopened"), (1900.0, "repeated"),
    ]  # fmt: skip


def test_firing_again_within_the_cooldown_reopens_in_silence() -> None:
    """The same alert reopens and counts a flap; people hear of it when a cooldown has passed since
    the last message, if it still fires then."""
    life = Life()
    life.see(FIRE)
    first = life.sure.id
    life.at(60).see(CLEAR)
    assert life.at(120).see(FIRE) == ["reopened"]
    assert (life.sure.id, life.sure.flaps) == (first, 1)
    assert life.changes[-1].reason == "cooldown"
    life.at(2000)
    assert life.told == [
        (0.0, "fired"), (60.0, "resolved"), (960.0, "reopened"), (1860.0, "repeated"),
    ]  # fmt: skip


def test_firing_after_the_cooldown_is_another_alert() -> None:
    """Once closed, the next firing has an id of its own and is told at once."""
    life = Life()
    life.see(FIRE)
    first = life.sure.id
    life.at(10).see(CLEAR)
    life.at(10 + 900)
    life.at(1000).see(FIRE)
    assert life.sure.id != first
    assert [kind for _, kind in life.told] == ["fired", "resolved", "fired"]


def test_flapping_twice_a_minute_for_an_hour_is_at_most_four_messages() -> None:
    """Down for 15 s, up for 15 s, for an hour, and its end: four messages, the last of them the
    recovery, told when it has lasted a cooldown."""
    life = Life()
    for half in range(240):
        life.at(half * 15.0).see(FIRE if half % 2 == 0 else CLEAR)
    hour = list(life.told)
    life.at(3600 + 2000)
    assert len(hour) <= 4
    assert [kind for _, kind in hour] == ["fired", "resolved", "flapping"]
    assert [kind for _, kind in life.told] == ["fired", "resolved", "flapping", "resolved"]
    assert life.told[-1][0] == 239 * 15.0 + 900
    assert life.alert is None


def test_a_flapping_alert_that_stays_down_repeats_again() -> None:
    """Once a firing has lasted a cooldown it no longer flaps: repeats, and a prompt recovery."""
    life = Life()
    for half in range(80):
        life.at(half * 15.0).see(FIRE if half % 2 == 0 else CLEAR)
    life.at(1200).see(FIRE)
    life.at(4000).see(CLEAR)
    kinds = [kind for at, kind in life.told if at > 1200]
    assert kinds[0] == "repeated"
    assert life.told[-1] == (4000.0, "resolved")


def test_a_suppressed_alert_lives_and_is_told_when_that_ends() -> None:
    """Inhibited: it fires untold, with the reason; when the cause ends and it still fires, it is
    told then, and the repeats count from there."""
    life = Life()
    life.see(FIRE, ROOT)
    assert (life.changes[-1].reason, life.changes[-1].why) == ("inhibited", ROOT.message)
    assert life.sure.state == "suppressed"
    life.at(5000).see(FIRE, None)
    assert life.told == [(5000.0, "released")]
    life.at(5900)
    assert life.told[-1] == (5900.0, "repeated")


def test_what_ends_while_suppressed_is_told_to_nobody() -> None:
    """Neither its beginning nor its end was anybody's business."""
    life = Life()
    life.see(FIRE, ROOT)
    life.at(50).see(CLEAR, ROOT)
    assert life.told == []
    assert life.changes[-1].reason == "unheard"


def test_who_was_told_hears_the_end_though_it_is_suppressed_now() -> None:
    """Suppressed after it was told: repeats stop, the recovery comes."""
    life = Life()
    life.see(FIRE)
    life.at(10).see(FIRE, ROOT)
    life.at(5000).see(CLEAR, ROOT)
    assert life.told == [(0.0, "fired"), (5000.0, "resolved")]


def test_unknown_freezes_and_the_gap_does_not_count() -> None:
    """While nothing can be seen no time passes for the alert: neither its wait nor its repeats nor
    its downtime."""
    life = Life(for_seconds=60.0)
    life.see(FIRE)
    life.at(30).see(UNKNOWN)
    life.at(1000)
    assert life.told == []
    life.see(FIRE)
    life.at(1029)
    assert life.told == []
    life.at(1030)
    assert life.told == [(1030.0, "fired")]
    life.see(UNKNOWN)
    life.at(9000).see(CLEAR)
    assert life.sure.downtime == pytest.approx(60.0)


def test_what_is_carried_outlives_not_seeing() -> None:
    """An unknown verdict that carries nothing leaves what was carried, another replaces it."""
    life = Life()
    life.see(Verdict.firing("down", rule_state={"a": 1, "b": 2}))
    life.see(UNKNOWN)
    assert life.sure.rule_state == {"a": 1, "b": 2}
    life.see(Verdict.unknown("cannot see", rule_state={"b": 2}))
    assert life.sure.rule_state == {"b": 2}


def test_nothing_is_told_while_settling() -> None:
    """After a start nothing is told before everything was looked at; then what still fires is, and
    what has ended meanwhile is told as ended."""
    life = Life()
    life.see(FIRE, SETTLING)
    life.at(30).see(FIRE, None)
    assert life.told == [(30.0, "released")]
    life.at(40).see(FIRE, SETTLING)
    assert [c.kind for c in life.changes][-1] is Change.RELEASED, "no news of it"
    life.at(50).see(CLEAR, SETTLING)
    assert life.told == [(30.0, "released")]
    life.see(CLEAR, None)
    assert life.told == [(30.0, "released"), (50.0, "resolved")]


def test_details_follow_the_verdict() -> None:
    """While it fires, the message and the details are those of the newest verdict."""
    life = Life()
    life.see(FIRE)
    life.see(Verdict.firing("worse", details={"exit_code": 2}))
    assert (life.sure.message, life.sure.details) == ("worse", {"exit_code": 2})


@pytest.mark.parametrize("phase", ["none", "pending", "firing", "resolved", "frozen"])
@pytest.mark.parametrize("verdict", [CLEAR, RISING, FIRE, UNKNOWN], ids=lambda v: v.state.value)
def test_seeing_the_same_twice_changes_nothing_more(phase: str, verdict: Verdict) -> None:
    """In any state, a verdict that is repeated at the same moment makes no second transition."""
    life = Life(for_seconds=10.0)
    if phase != "none":
        life.see(FIRE)
    if phase in ("firing", "resolved", "frozen"):
        life.at(10)
    if phase == "resolved":
        life.see(CLEAR)
    if phase == "frozen":
        life.see(UNKNOWN)
    life.see(verdict)
    assert life.see(verdict) == []


@pytest.mark.parametrize("recovered", [True, False])
def test_an_acknowledgement_survives_an_end_that_was_no_recovery(recovered: bool) -> None:
    """A target, rule or metric that was gone for a while and is back: whoever takes note still
    does. Where all was seen to be well, what fires again is news to them."""
    life = Life()
    life.see(FIRE)
    moment = Moment(life.now, datetime.fromtimestamp(life.now, UTC))
    life.alert, _ = record_acknowledgement(life.sure, "ann", "on it", moment)
    life.at(10).see(CLEAR if recovered else Verdict.over("it was removed"))
    assert (life.sure.phase, life.sure.recovered) == (Phase.RESOLVED, recovered)
    life.at(20).see(FIRE)
    assert (life.sure.acknowledged_by, life.sure.recovered) == (None if recovered else "ann", True)
