"""The judge, with ledgers that somebody has doctored: each lie is caught, and nothing else is."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from attrs import evolve

from tests.faults.evidence import forms_of
from tests.faults.judge import judge
from tests.faults.owed import CannotJudge, missing
from tests.faults.records import (
    Answer,
    Delivery,
    Evidence,
    HistoryRow,
    Life,
    Outage,
    OutboxRow,
    Told,
    Verdict,
)

CHANNELS = ("ops", "pager")


def answers(target: str, *down: tuple[float, float]) -> list[Answer]:
    """An answer each second from 1 to 40, failing within the given stretches."""
    return [
        Answer(float(at), target, not any(a <= at < b for a, b in down), at) for at in range(1, 41)
    ]


def told(at: float, channel: str, kind: str, target: str, **other: Any) -> Delivery:
    """A message with one notice; its ids follow from what it says, unless they are given."""
    name = f"{channel} {kind} {target}"
    notice = Told(other.get("notice", name), kind, "health_check_failed", target)
    return Delivery(at, channel, other.get("message", name), other.get("status", 200), (notice,))


def history(*made: list[Answer]) -> tuple[HistoryRow, ...]:
    return tuple(HistoryRow(a.target, a.number, not a.up) for each in made for a in each)


WELL, SICK, BACK = answers("well"), answers("sick", (10, 99)), answers("back", (10, 20))
DELIVERIES = tuple(
    told(at, channel, kind, target)
    for at, kind, target in ((10.5, "fired", "sick"), (10.5, "fired", "back"),
                             (20.5, "resolved", "back"))
    for channel in CHANNELS
)  # fmt: skip
HONEST = Evidence(
    channels=CHANNELS,
    answers=(*WELL, *SICK, *BACK),
    deliveries=DELIVERIES,
    lives=(Life(0.5, 50),),
    outages=(Outage(9, 25),),
    heals=(25.5,),
    rows=history(WELL, SICK, BACK),
    health=((9.0, True), (24.0, False), (26.5, True)),
)
"""A run in which all is right."""


def without(channel: str, kind: str, target: str) -> tuple[Delivery, ...]:
    gone = told(0, channel, kind, target).message
    return tuple(d for d in DELIVERIES if d.message != gone)


def wrong(**changed: Any) -> dict[str, int]:
    """What the judge finds wrong in the honest run once it was changed."""
    return judge(evolve(HONEST, **changed)).wrong


def row(decision: str, notice: str = "other") -> OutboxRow:
    return OutboxRow("r1", "ops", notice, "fired", "sick", decision)


def test_an_honest_run_has_nothing_wrong() -> None:
    """Six changes are owed and told; the times are those between the ledgers."""
    assert judge(HONEST) == Verdict(checks=120, changes=6, notice=0.5, recover=1.0, impaired=15.0)
    assert missing(HONEST) == []


def test_a_failure_that_was_not_told_on_a_channel_is_lost() -> None:
    """Each channel counts for itself; a message that was refused is none."""
    assert wrong(deliveries=without("ops", "fired", "sick")) == {"lost": 1, "held_up": 1}
    refused = (*without("ops", "fired", "sick"), told(10.5, "ops", "fired", "sick", status=500))
    assert wrong(deliveries=refused) == {"lost": 1, "held_up": 1}
    assert [c for c, _ in missing(evolve(HONEST, deliveries=refused))] == ["ops"]


def test_a_target_that_is_not_checked_any_more_is_held_up() -> None:
    """Where a target is not looked at nothing is owed, but the gap itself is counted: in the middle
    and at the end of a life, not between two lives."""
    early = [a for a in WELL if a.at < 15]
    gap = early + [a for a in WELL if a.at > 36]
    for left in (early, gap):
        found = {"answers": (*left, *SICK, *BACK), "rows": history(left, SICK, BACK)}
        assert wrong(**found) == {"held_up": 1}
    assert wrong(**found, lives=(Life(0.5, 16), Life(35, 50))) == {}


def test_a_recovery_that_was_not_told_is_lost() -> None:
    """Whoever heard of a failure hears of its end."""
    deliveries = without("pager", "resolved", "back")
    assert wrong(deliveries=deliveries) == {"lost": 1, "held_up": 1}


def test_what_no_process_could_tell_of_is_not_lost() -> None:
    """A failure that ended before a process had looked around, or that was first seen within a
    second of a kill and was over before the next process, is owed to nobody."""
    deliveries = tuple(d for d in DELIVERIES if "back" not in d.message)
    killed = (Life(0.5, 10.9, killed=True), Life(20.6, 50))
    kept = tuple(a for a in HONEST.answers if a.at < 10.9 or a.at > 20.6)
    changed = {"lives": killed, "answers": kept, "outages": (), "deliveries": deliveries,
               "rows": history(list(kept))}  # fmt: skip
    assert wrong(**changed) == {}
    longer = (Life(0.5, 12.0, killed=True), Life(20.6, 50))
    assert wrong(**{**changed, "lives": longer}) == {"lost": 4}


def test_what_is_still_so_is_told_after_a_kill() -> None:
    """A failure seen within a second of a kill is owed when the next process sees it, too."""
    lives = (Life(0.5, 10.9, killed=True), Life(15.6, 50))
    deliveries = tuple(d for d in DELIVERIES if "sick" not in d.message)
    assert wrong(lives=lives, deliveries=deliveries, outages=()) == {"lost": 2}


@pytest.mark.parametrize("decision", ["queued", "sent", "dead"])
def test_what_the_journal_held_and_nobody_accepted_is_lost(decision: str) -> None:
    """Whatever became of the row in the journal; what it decided not to tell is none."""
    assert wrong(outbox=(row(decision),)) == {"lost": 1}
    assert wrong(outbox=(row("superseded"),)) == {}


def test_a_notice_accepted_twice_is_a_double_unless_it_was_unmarked_at_a_kill() -> None:
    """Each kill at which it was accepted and unmarked allows one more, under the same id."""
    again = (*DELIVERIES, told(12, "ops", "fired", "sick"))
    assert wrong(deliveries=again) == {"doubled_same": 1}
    window = (("ops", "ops fired sick", 11.0),)
    allowed = judge(evolve(HONEST, deliveries=again, unmarked=window))
    assert (allowed.wrong, allowed.doubled_in_window) == ({}, 1)
    thrice = (*again, told(13, "ops", "fired", "sick"))
    twice_killed = (*window, ("ops", "ops fired sick", 12.5))
    assert wrong(deliveries=thrice, unmarked=window) == {"doubled_same": 1}
    assert wrong(deliveries=thrice, unmarked=twice_killed) == {}
    elsewhere = (("pager", "ops fired sick", 11.0),)
    assert wrong(deliveries=again, unmarked=elsewhere) == {"doubled_same": 1}


def test_what_was_accepted_long_ago_is_marked() -> None:
    """A mark that was not on disk a second after the acceptance is no window, and one that never
    came is a double to be."""
    again = (*DELIVERIES, told(13, "ops", "fired", "sick"))
    late = (("ops", "ops fired sick", 12.0),)
    assert wrong(deliveries=again, unmarked=late) == {"doubled_same": 1}
    assert wrong(outbox=(row("queued", "ops fired sick"),)) == {"doubled_same": 1}
    assert wrong(outbox=(row("sent", "ops fired sick"),)) == {}


def test_a_notice_under_another_id_is_never_allowed() -> None:
    """Another message with the same notice, or another notice that says the same."""
    window = (("ops", "ops fired sick", 11.0),)
    message = (*DELIVERIES, told(12, "ops", "fired", "sick", message="other"))
    assert wrong(deliveries=message, unmarked=window) == {"doubled_other": 1}
    notice = (*DELIVERIES, told(12, "ops", "fired", "sick", message="m", notice="other"))
    assert wrong(deliveries=notice) == {"doubled_other": 1}


def test_an_end_before_its_beginning_is_a_wrong_order() -> None:
    """The receiver's order counts."""
    swapped = (*without("ops", "resolved", "back"), told(10.1, "ops", "resolved", "back"))
    assert wrong(deliveries=swapped) == {"wrong_order": 1}


def test_a_last_word_that_is_not_true_is_a_wrong_order() -> None:
    """Somebody believes that all is well."""
    assert wrong(deliveries=(*DELIVERIES, told(30, "ops", "resolved", "sick"))) == {
        "wrong_order": 1
    }


def test_a_failure_of_what_never_failed_is_wrongly_down() -> None:
    """Told, or told before it was so; tocsin's alerts about itself are none."""
    false = told(12, "ops", "fired", "well")
    assert wrong(deliveries=(*DELIVERIES, false)) == {"wrongly_down": 1}
    early = (*without("ops", "fired", "sick"), told(8, "ops", "fired", "sick"))
    assert wrong(deliveries=early) == {"wrongly_down": 1}
    itself = evolve(false, notices=(Told("n", "fired", "monitor_impaired", "tocsin"),))
    assert wrong(deliveries=(*DELIVERIES, itself)) == {}


def test_history_that_says_down_of_what_answered_is_wrongly_down() -> None:
    """As the result of an answer, or of none, since the target answers always."""
    lied = tuple(evolve(r, down=True) if (r.target, r.number) == ("well", 5) else r
                 for r in HONEST.rows)  # fmt: skip
    assert wrong(rows=lied) == {"wrongly_down": 1}
    assert wrong(rows=(*HONEST.rows, HistoryRow("well", None, True))) == {"wrongly_down": 1}
    assert wrong(rows=(*HONEST.rows, HistoryRow("well", None, False))) == {}


def test_a_container_is_judged_by_what_became_of_it() -> None:
    """What is no answer has no number: down is right in history once it has failed, and told."""
    states = (Answer(1, "c0", True), Answer(26, "c0", False), Answer(1, "c1", True))
    deliveries = (*DELIVERIES, *(told(27, channel, "fired", "c0") for channel in CHANNELS))
    changed = {"answers": (*HONEST.answers, *states), "deliveries": deliveries}
    assert wrong(**changed, rows=(*HONEST.rows, HistoryRow("c0", None, True))) == {}
    assert wrong(**changed, rows=(*HONEST.rows, HistoryRow("c1", None, True))) == {
        "wrongly_down": 1
    }


def test_what_waits_for_the_end_of_a_fault_is_held_up() -> None:
    """Unless it failed just before that end, or the channel or target was the fault's own, or the
    fault promises nothing."""
    late = (*without("ops", "fired", "sick"), told(25.2, "ops", "fired", "sick"))
    assert wrong(deliveries=late) == {"held_up": 1}
    for excuse in (
        Outage(9, 12), Outage(9, 25, deaf=frozenset({"ops"})), Outage(9, 25, rings=False),
        Outage(9, 25, blind=frozenset({"sick"})),
    ):  # fmt: skip
        assert wrong(deliveries=late, outages=(excuse,)) == {}
    other = Outage(9, 25, deaf=frozenset({"pager"}))
    assert wrong(deliveries=late, outages=(other,)) == {"held_up": 1}


def test_an_answer_without_a_row_is_a_gap() -> None:
    """Wherever it is missing, unless a kill or the stop may have taken it."""
    rows = tuple(r for r in HONEST.rows if r.number != 15)
    assert wrong(rows=rows) == {"gaps": 3}
    killed = (Life(0.5, 16.5, killed=True), Life(17.5, 50))
    verdict = judge(evolve(HONEST, rows=rows, lives=killed, outages=()))
    assert (verdict.wrong, verdict.gaps_in_window) == ({}, 3)
    in_order = (Life(0.5, 16.5), Life(17.5, 50))
    assert wrong(rows=rows, lives=in_order, outages=()) == {"gaps": 3}


def test_what_tocsin_says_it_dropped_may_lack_its_row() -> None:
    """As far as it says so, and only the oldest of an outage, in one stretch."""
    rows = tuple(r for r in HONEST.rows if r.number not in (9, 10, 11))
    verdict = judge(evolve(HONEST, rows=rows, dropped=9))
    assert (verdict.wrong, verdict.gaps_in_window) == ({}, 9)
    assert wrong(rows=rows, dropped=8) == {"gaps": 9}
    newest = tuple(r for r in HONEST.rows if r.number not in (22, 23))
    assert wrong(rows=newest, dropped=6) == {"gaps": 6}
    torn = tuple(r for r in HONEST.rows if r.number not in (9, 11))
    assert wrong(rows=torn, dropped=6) == {"gaps": 6}


def test_a_question_that_was_put_again_at_once_is_no_gap() -> None:
    """tocsin stood still while it waited for an answer, dropped that one and asked once more: the
    second answer is in history. Without that one, or where it came later, there is a gap."""
    first = next(answer for answer in WELL if answer.number == 12)
    for after, number, count in ((0.3, 99, 0), (0.9, 99, 1), (0.3, 98, 1)):
        again = evolve(first, at=first.at + after, number=99)
        seen = (*HONEST.answers, again)
        kept = [row for row in HONEST.rows if (row.target, row.number) != ("well", 12)]
        rows = (*kept, HistoryRow("well", number, down=False))
        found = judge(evolve(HONEST, answers=seen, rows=rows)).wrong.get("gaps", 0)
        assert found == count + (number != 99)


def test_the_check_under_way_at_the_stop_may_lack_its_row() -> None:
    """Within half a second."""
    rows = tuple(r for r in HONEST.rows if r.number != 40)
    assert wrong(rows=rows, lives=(Life(0.5, 40.4),)) == {}
    assert wrong(rows=rows, lives=(Life(0.5, 40.6),)) == {"gaps": 3}


def test_an_answer_with_two_rows_is_a_double() -> None:
    """Each row too many counts."""
    assert wrong(rows=(*HONEST.rows, *HONEST.rows[4:6])) == {"history_doubles": 2}


def test_a_secret_is_found_as_it_is_and_in_base64() -> None:
    """Together with any user's name before it, as in a header of HTTP; what is similar is none."""
    secret = "0123456789abcdef01234567"
    for user in ("", "a", "ab", "abc"):
        pair = base64.b64encode(f"{user}:{secret}".encode())
        assert any(form in pair for form in forms_of(secret))
    assert any(form in f"x{secret}y".encode() for form in forms_of(secret))
    assert not any(form in base64.b64encode(secret[::-1].encode()) for form in forms_of(secret))


def test_leaks_tracebacks_and_deaths_count() -> None:
    """Each is a sentence of the notes."""
    verdict = judge(evolve(HONEST, leaks=("a", "b"), tracebacks=3, deaths=("c",)))
    assert verdict.wrong == {"leaked": 2, "tracebacks": 3, "unrecovered": 1}
    assert len(verdict.notes) == 4


def test_health_that_does_not_come_back_counts() -> None:
    """After the last heal it has to."""
    assert wrong(health=((9.0, True), (26.5, False))) == {"unrecovered": 1}


def test_a_last_process_that_does_not_check_everything_counts() -> None:
    """What it would have had to tell cannot be known, so it is not passed over."""
    lives = (Life(0.5, 30.0, killed=True), Life(39.9, 41.0))
    assert wrong(lives=lives, outages=())["unrecovered"] == 1


def test_times_are_maxima() -> None:
    """To notice: over the receivers that were healthy. To recover: from the heal to the last of
    what was owed before."""
    late = (*without("ops", "fired", "sick"), told(29.5, "ops", "fired", "sick"))
    verdict = judge(evolve(HONEST, deliveries=late, outages=()))
    assert (verdict.notice, verdict.recover) == (19.5, 4.0)
    deaf = (Outage(9, 25, deaf=frozenset({"ops"})),)
    assert judge(evolve(HONEST, deliveries=late, outages=deaf)).notice == 0.5
    just_before = (Outage(10.2, 25, deaf=frozenset({"ops"})),)
    assert judge(evolve(HONEST, deliveries=late, outages=just_before)).notice == 0.5
    over = (Outage(5, 9, deaf=frozenset({"ops"})),)
    assert judge(evolve(HONEST, deliveries=late, outages=over)).notice == 19.5


def test_an_outage_that_health_did_not_show_is_none() -> None:
    """What is not ok only after it is no sign that it was seen."""
    assert judge(evolve(HONEST, outages=(Outage(9, 23),))).impaired is None


def test_evidence_that_says_nothing_is_no_pass() -> None:
    """No process, no answer, or a target that failed twice."""
    for nothing in (evolve(HONEST, lives=()), evolve(HONEST, answers=())):
        with pytest.raises(CannotJudge):
            judge(nothing)
    with pytest.raises(CannotJudge, match="twice"):
        judge(evolve(HONEST, answers=tuple(answers("back", (10, 20), (30, 31)))))
