"""What had to be told, by what the targets answered and the processes lived to see; and when it was
accepted. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from attrs import define, field, frozen

from tests.faults.records import NEVER, Answer, Delivery, Evidence, Life, Told

SETTLED = 1.5
"""Seconds from the last target's first answer until a process has noticed that it has looked
around: ``core.lifecycle.manager.TICK``, and a moment."""

COMMITTED = 1.0
"""Seconds from an answer until what it means is in the journal, on a machine with much to do."""

OWN_RULES = ("monitor_impaired", "plugin_failed")
"""Alerts of tocsin about itself; they are not about targets."""

FIRED, RESOLVED = "fired", "resolved"


class CannotJudge(Exception):
    """The evidence does not hold what the judge needs; the run says nothing."""


@frozen
class Change:
    """A failure or its end, which every channel is to hear. ``at``: the answer that showed it."""

    target: str
    kind: str
    at: float


def missing(evidence: Evidence) -> list[tuple[str, Change]]:
    """Channel and change of what is still to be told. Raises CannotJudge."""
    looked = Owed(evidence)
    return [
        (channel, change)
        for channel, change in looked.all()
        if looked.accepted_at(channel, change) is None
    ]


def looked_around(evidence: Evidence) -> float:
    """From when on the present process has looked around, and what it saw is in the journal;
    ``NEVER``, while it has not seen every target. Raises CannotJudge."""
    return Owed(evidence).settled(evidence.lives[-1]) + COMMITTED


@define
class Owed:
    """What one run owes to its channels."""

    evidence: Evidence
    answers: dict[str, list[Answer]] = field(init=False)
    accepted: dict[tuple[str, str], list[tuple[Delivery, Told]]] = field(init=False)
    """By channel and target, in the order of time; tocsin's alerts about itself left out."""

    def __attrs_post_init__(self) -> None:
        self.answers = defaultdict(list)
        for answer in sorted(self.evidence.answers, key=lambda a: a.at):
            self.answers[answer.target].append(answer)
        if not self.evidence.lives or not self.answers:
            raise CannotJudge("no process of tocsin ran, or no target answered")
        self.accepted = defaultdict(list)
        for delivery in self.arrived():
            for told in delivery.notices:
                if told.rule not in OWN_RULES:
                    self.accepted[delivery.channel, told.target].append((delivery, told))

    def arrived(self) -> Iterator[Delivery]:
        """Messages that were accepted, in the order of time."""
        ordered = sorted(self.evidence.deliveries, key=lambda d: d.at)
        return (delivery for delivery in ordered if delivery.accepted)

    def episode(self, target: str) -> tuple[float | None, float | None]:
        """When a target began to fail, and when it was well again. A target fails once at most:
        within the cooldown nothing more would be told of it."""
        failed = recovered = None
        for answer in self.answers[target]:
            if not answer.up and recovered is not None:
                raise CannotJudge(f"{target} failed twice within a cooldown")
            if not answer.up and failed is None:
                failed = answer.at
            if answer.up and failed is not None and recovered is None:
                recovered = answer.at
        return failed, recovered

    def settled(self, life: Life) -> float:
        """When a process had looked around, at the latest."""
        first: dict[str, float] = {}
        for target, answers in self.answers.items():
            if any(answer.number is not None for answer in answers):
                seen = (a.at for a in answers if life.begun <= a.at < life.ended)
                first[target] = next(seen, NEVER)
        return max(first.values(), default=life.begun) + SETTLED

    def changes(self) -> list[Change]:
        """What had to be told."""
        found = []
        for target, answers in self.answers.items():
            failed, recovered = self.episode(target)
            if failed is None:
                continue
            if any(self._seen(life, answers, up=False) for life in self.evidence.lives):
                found.append(Change(target, FIRED, failed))
            if recovered is not None:
                found.append(Change(target, RESOLVED, recovered))
        return found

    def _seen(self, life: Life, answers: list[Answer], *, up: bool) -> bool:
        """Whether a process saw the failure (or, with ``up``, its end) and lived on."""
        failed = recovered = None
        for answer in answers:
            within = life.begun <= answer.at < life.ended
            if not answer.up and within and failed is None:
                failed = answer.at
            if answer.up and within and (failed is not None or up):
                recovered = answer.at
                break
        known, until = (recovered, NEVER) if up else (failed, recovered or NEVER)
        if known is None:
            return False
        since = max(known, self.settled(life))
        return since < until and since + COMMITTED <= life.ended

    def all(self) -> Iterator[tuple[str, Change]]:
        """Channel and change of all that had to be told, where the receiver takes it: the end only
        to who heard of, or had to hear of, the failure, and where a process that lived on saw it.
        """
        changes = self.changes()
        fired = {change.target for change in changes if change.kind == FIRED}
        for change in changes:
            for channel in self.evidence.channels:
                if (channel, change.target) in self.evidence.refused:
                    continue
                if change.kind == FIRED:
                    yield channel, change
                    continue
                heard = self.accepted_at(channel, Change(change.target, FIRED, 0.0)) is not None
                later = [a for a in self.answers[change.target] if a.at >= change.at]
                seen = any(self._seen(life, later, up=True) for life in self.evidence.lives)
                if seen and (heard or change.target in fired):
                    yield channel, change

    def accepted_at(self, channel: str, change: Change) -> float | None:
        """When a channel's receiver accepted a change, or None."""
        told = self.accepted.get((channel, change.target), [])
        return next((d.at for d, notice in told if notice.kind == change.kind), None)
