"""The judge: pure. It knows what the targets answered and what the receivers accepted, and nothing
of how tocsin works inside but for the windows below, which SPEC 7 and the code allow.

What is promised, and so what is looked for:

- A failure that a process of tocsin saw once it had looked around, and which it outlived by
  ``COMMITTED``, is told on every channel, whatever happens then; its end as well. So is what is
  still so at the end. What no living process saw for long enough nobody can tell of.
- What the journal ever held as to be told arrives; what a receiver refuses for good, and nothing
  else, is a dead letter.
- Nothing is told twice, but for what the receiver had just accepted and was not marked on disk yet
  when the process was killed; and that under the same id.
- Nobody hears of a failure of what never failed.
- Every target goes on being checked: what is not looked at has no failure that could be told.
- Each answered check is one row of history, but for what ``UNWRITTEN`` and ``UNDER_WAY`` allow, and
  for what tocsin says it has dropped: the oldest of an outage, in one stretch.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

from attrs import define, field

from tests.faults.owed import COMMITTED, FIRED, RESOLVED, Change, Owed
from tests.faults.records import NEVER, Answer, Evidence, Outage, Verdict

LATE = 1.0
"""Seconds after a SIGKILL in which a receiver may still accept what was on its way to it."""

UNWRITTEN = 2.0
"""Seconds of history that a SIGKILL may take: results are gathered in memory for
``core.history.access.BATCH_SECONDS`` (1 s) and then written or spooled, for which there is 1 s."""

UNDER_WAY = 0.5
"""Seconds before an orderly stop in which an answered check may still be under way; a stop cancels
it."""

AGAIN = 0.5
"""Seconds after which a question that is put each second is put again at once."""

BATCH = 0.5
"""Seconds by which what is gathered in one batch may be older than the end of the one before: an
answer is a result a moment later."""

MARGIN = 3.0
"""Seconds before the end of an outage: what fails later need not be told before that end."""


UNCHECKED = 20.0
"""Seconds for which a target that is due each second may go unchecked by a process that runs, on
a machine with much to do."""


def judge(evidence: Evidence) -> Verdict:
    """Judge a run. Raises CannotJudge."""
    return _Judge(evidence, Owed(evidence)).verdict()


@define
class _Judge:
    evidence: Evidence
    owed: Owed
    counts: Counter[str] = field(factory=Counter)
    notes: list[str] = field(factory=list)

    def _count(self, name: str, note: str, times: int = 1) -> None:
        if times > 0:
            self.counts[name] += times
            self.notes.append(f"{name}: {note}" + (f" ({times} times)" if times > 1 else ""))

    def verdict(self) -> Verdict:
        """Look at everything."""
        self._lost()
        self._doubled()
        self._order()
        self._wrongly_down()
        self._held_up()
        self._unchecked()
        self._history()
        for leak in self.evidence.leaks:
            self._count("leaked", leak)
        last = self.evidence.lives[-1]
        if self.owed.settled(last) + COMMITTED > last.ended:
            self._count("unrecovered", "the last process did not check every target")
        for death in self.evidence.deaths:
            self._count("unrecovered", death)
        self._count("tracebacks", "tocsin logged a traceback", self.evidence.tracebacks)
        owed = list(self.owed.all())
        recover = self._recover(owed)
        return Verdict(
            **self.counts,
            checks=sum(a.number is not None for a in self.evidence.answers),
            changes=len(owed),
            notice=self._notice(owed),
            recover=recover,
            impaired=self._impaired(),
            notes=tuple(self.notes),
        )

    # The counts

    def _lost(self) -> None:
        known = set()
        for channel, change in self.owed.all():
            if self.owed.accepted_at(channel, change) is None:
                known.add((channel, change.target, change.kind))
                self._count("lost", f"{channel} was never told that {change.target} {change.kind}")
        arrived = {(d.channel, told.id) for d in self.owed.arrived() for told in d.notices}
        for row in self.evidence.outbox:
            if row.decision not in ("queued", "sent", "dead"):
                continue
            refused = (row.channel, row.target) in self.evidence.refused
            if (row.channel, row.notice) in arrived or (refused and row.decision == "dead"):
                continue
            if (row.channel, row.target, row.kind) not in known:
                what = f"{row.kind} of {row.target} for {row.channel}"
                self._count("lost", f"the journal has {what} as {row.decision}, never accepted")

    def _doubled(self) -> None:
        copies: dict[tuple[str, str], list[str]] = defaultdict(list)
        times: dict[tuple[str, str], list[float]] = defaultdict(list)
        names: dict[str, str] = {}
        for delivery in self.owed.arrived():
            for told in delivery.notices:
                copies[delivery.channel, told.id].append(delivery.message)
                times[delivery.channel, told.id].append(delivery.at)
                names[told.id] = f"{told.kind} of {told.target}"
        allowed = Counter(
            (channel, notice)
            for channel, notice, killed in self.evidence.unmarked
            if any(killed - COMMITTED <= at for at in times[channel, notice] if at < killed + LATE)
        )
        for row in self.evidence.outbox:
            if row.decision == "queued" and (row.channel, row.notice) in copies:
                name = f"{row.kind} of {row.target} for {row.channel}"
                self._count("doubled_same", f"{name} was accepted and is still to be told")
        for (channel, notice), messages in copies.items():
            name = f"{names[notice]} for {channel}"
            others = len(set(messages)) - 1
            self._count("doubled_other", f"{name} came in another message", others)
            again = len(messages) - 1 - others
            within = min(again, allowed[channel, notice])
            self.counts["doubled_in_window"] += within
            self._count("doubled_same", f"{name} came again", again - within)
        for (channel, target), heard in self.owed.accepted.items():
            for kind in (FIRED, RESOLVED):
                ids = {(told.rule, told.id) for _, told in heard if told.kind == kind}
                more = len(ids) - len({rule for rule, _ in ids})
                self._count(
                    "doubled_other", f"{kind} of {target} came to {channel} as another", more
                )

    def _order(self) -> None:
        for (channel, target), heard in self.owed.accepted.items():
            kinds = list({told.id: told.kind for _, told in heard}.values())
            if RESOLVED in kinds and FIRED not in kinds[: kinds.index(RESOLVED)]:
                self._count("wrong_order", f"{channel} heard of the end of {target} first")
                continue
            failed, recovered = self.owed.episode(target)
            if kinds and kinds[-1] == RESOLVED and failed is not None and recovered is None:
                self._count("wrong_order", f"{channel} believes that {target} is well")

    def _wrongly_down(self) -> None:
        for (channel, target), heard in self.owed.accepted.items():
            failed, _ = self.owed.episode(target)
            for delivery, told in heard:
                if told.kind != RESOLVED and (failed is None or delivery.at < failed):
                    self._count("wrongly_down", f"{channel} heard that {target} {told.kind}")
        truth = {(a.target, a.number): a.up for a in self.evidence.answers}
        for row in self.evidence.rows:
            if not row.down or row.target not in self.owed.answers:
                continue
            failed, _ = self.owed.episode(row.target)
            polled = (row.target, None) not in truth
            if truth.get((row.target, row.number), True) if polled else failed is None:
                self._count("wrongly_down", f"history has {row.target} down, answer {row.number}")

    def _held_up(self) -> None:
        for outage in self.evidence.outages:
            if not outage.rings:
                continue
            for channel, change in self.owed.all():
                in_time = outage.begun <= change.at <= outage.ended - MARGIN
                if not in_time or channel in outage.deaf or change.target in outage.blind:
                    continue
                at = self.owed.accepted_at(channel, change)
                if at is None or at > outage.ended:
                    name = f"{change.kind} of {change.target}"
                    self._count("held_up", f"{name} reached {channel} only after the fault")

    def _unchecked(self) -> None:
        for life in self.evidence.lives:
            for target, answers in self.owed.answers.items():
                asked = [answer.at for answer in answers if answer.number is not None]
                times = [at for at in asked if life.begun <= at <= life.ended]
                if not times or life.ended == NEVER:
                    continue
                longest = max(b - a for a, b in pairwise([*times, life.ended]))
                if longest > UNCHECKED:
                    self._count("held_up", f"{target} was not checked for {longest:.0f} s")

    def _history(self) -> None:
        written = Counter((r.target, r.number) for r in self.evidence.rows)
        missing: list[Answer] = []
        for answer in self.evidence.answers:
            if answer.number is None:
                continue
            times = written[answer.target, answer.number]
            name = f"answer {answer.number} of {answer.target}"
            self._count("history_doubles", f"{name} has too many rows", times - 1)
            if times == 0 and self._may_lack(answer.at):
                self.counts["gaps_in_window"] += 1
            elif times == 0 and not self._asked_again(answer, written):
                missing.append(answer)
        kept = [a.at for a in self.evidence.answers if written[a.target, a.number]]
        for answer in missing:
            if len(missing) <= self.evidence.dropped and self._was_dropped(missing, kept):
                self.counts["gaps_in_window"] += 1
            else:
                self._count("gaps", f"answer {answer.number} of {answer.target} has no row")

    def _asked_again(self, answer: Answer, written: Mapping[tuple[str, int | None], int]) -> bool:
        """Whether tocsin put the same question at once again, and has that answer: it does where it
        stood still meanwhile, as on a machine with much to do."""
        return any(
            other.target == answer.target
            and 0 < other.at - answer.at <= AGAIN
            and written[other.target, other.number]
            for other in self.evidence.answers
        )

    def _was_dropped(self, missing: list[Answer], kept: list[float]) -> bool:
        """Whether what is missing is one stretch, with nothing kept in it, that begins when an
        outage does."""
        first, last = missing[0].at, missing[-1].at
        between = any(first + BATCH < at < last - BATCH for at in kept)
        return not between and any(abs(first - o.begun) <= UNWRITTEN for o in self.evidence.outages)

    def _may_lack(self, at: float) -> bool:
        for life in self.evidence.lives:
            before = UNWRITTEN if life.killed else UNDER_WAY
            if life.ended - before <= at <= life.ended:
                return True
        # Nobody waited for it any more: a request that a killed process had sent.
        return not any(life.begun <= at <= life.ended for life in self.evidence.lives)

    # The times

    def _notice(self, owed: Iterable[tuple[str, Change]]) -> float | None:
        """For the failures that a healthy receiver was to hear of."""
        took = [
            at - change.at
            for channel, change in owed
            if change.kind == FIRED
            and (at := self.owed.accepted_at(channel, change)) is not None
            and not any(_deaf(outage, channel, change.at, at) for outage in self.evidence.outages)
        ]
        return max(took, default=None)

    def _impaired(self) -> float | None:
        seen = []
        for outage in self.evidence.outages:
            ill = (at for at, ok in self.evidence.health if not ok and at >= outage.begun)
            if (first := next(ill, NEVER)) <= outage.ended:
                seen.append(first - outage.begun)
        return max(seen, default=None)

    def _recover(self, owed: Iterable[tuple[str, Change]]) -> float | None:
        heals, took = self.evidence.heals, []
        for channel, change in owed:
            at = self.owed.accepted_at(channel, change)
            since = [h for h in heals if at is not None and change.at < h <= at]
            if at is not None and since:
                took.append(at - max(since))
        for n, heal in enumerate(heals):
            until = heals[n + 1] if n + 1 < len(heals) else NEVER
            well = [at for at, ok in self.evidence.health if ok and heal <= at < until]
            if well:
                took.append(well[0] - heal)
            elif until == NEVER:
                self._count("unrecovered", "health did not become ok again")
        return max(took, default=None)


def _deaf(outage: Outage, channel: str, since: float, until: float) -> bool:
    """Whether a channel's receiver was broken at any time while something was to be told."""
    return channel in outage.deaf and since <= outage.ended and outage.begun <= until
