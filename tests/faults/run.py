"""One run: a row and a seed."""

from __future__ import annotations

import time
from pathlib import Path

from attrs import evolve

from tests.faults import evidence as gather
from tests.faults.fault import Fault
from tests.faults.judge import judge
from tests.faults.needs import lacking
from tests.faults.owed import SETTLED, looked_around, missing
from tests.faults.peers import HarnessError
from tests.faults.records import Evidence, Verdict
from tests.faults.script import TARGETS, Script
from tests.faults.world import World

PATIENCE = 60.0
"""Seconds after the script in which all must be well and told: the longest pause between two tries
of anything that the rows break is some 12 s. What is not well then is counted as wrong."""

OWN_ALERTS = 1.5
"""Seconds of calm in which the end of an alert about tocsin itself is made, too
(``core.lifecycle.manager.TICK``)."""

START_PATIENCE = 60.0


def run(row: type[Fault], seed: int, directory: Path, *, short: bool = False) -> Verdict:
    """Make one run in an empty directory, and judge it.

    Raises:
        HarnessError: what the harness needs is not there, or did not work.
        CannotJudge: the evidence is not enough.
    """
    if reason := lacking(row.needs):
        raise HarnessError(reason)
    script, fault = Script.of(seed, short=short), row()
    with World(directory, script, fault) as world:
        _warm_up(world, fault)
        lives, before = len(world.lives), world.open_handles()
        _play(world, fault)
        _settle(world)
        leaks: list[str] = []
        if world.process.poll() is None:
            if len(world.lives) == lives:
                leaks += gather.grown(before, world.open_handles(), fault.plugin_threads)
            leaks += gather.seen_in_answers(world)
        world.stop()
        fault.stopped(world)
        return judge(_gather(world, leaks))


def _warm_up(world: World, fault: Fault) -> None:
    """Start tocsin; on return it has seen everything, and nothing but the fault is wrong."""
    if fault.from_start:
        world.break_with(fault)
    world.spawn()
    if not fault.from_start:
        world.until(world.is_well, START_PATIENCE, "tocsin is well")
    world.until(lambda: fault.is_ready(world), START_PATIENCE, "it sees what the row brings")

    def answered() -> bool:
        return {answer.target for answer in gather.so_far(world).answers} >= set(TARGETS)

    world.until(answered, START_PATIENCE, "every target is checked")
    time.sleep(SETTLED)


def _play(world: World, fault: Fault) -> None:
    """Let the script happen."""
    world.targets.go()
    begun = time.monotonic()
    steps = sorted(fault.steps(world), key=lambda step: step[0])
    for at, do in [*steps, (world.script.seconds, lambda: None)]:
        time.sleep(max(0.0, begun + at - time.monotonic()))
        do()


def _settle(world: World) -> None:
    """Wait until all is well and told, or for as long as one is patient, or until tocsin ends."""
    over, calm = time.monotonic(), None
    while time.monotonic() < over + PATIENCE and world.process.poll() is None:
        seen = gather.so_far(world)
        last = {answer.target: answer.at for answer in seen.answers if answer.number is not None}
        # Each target was seen as it is in the end, by a process that has looked around.
        all_seen = min(last.values()) > over and time.monotonic() > looked_around(seen)
        if not (all_seen and world.is_well() and not missing(seen) and _nothing_waits(world)):
            calm = None
        elif calm is None:
            calm = time.monotonic()
        elif time.monotonic() > calm + OWN_ALERTS:
            return
        time.sleep(0.2)


def _nothing_waits(world: World) -> bool:
    """Whether every channel has sent what it was given; the rest would only lie in the journal."""
    world.running.reach()
    channels = world.running.get("/api/v1/channels")["items"]
    return all(channel["waiting"] == 0 for channel in channels)


def _gather(world: World, leaks: list[str]) -> Evidence:
    return evolve(
        gather.so_far(world),
        unmarked=gather.unmarked(world),
        outbox=gather.outbox(world),
        rows=gather.history(world),
        leaks=(*leaks, *gather.left_behind(world), *gather.seen_on_disk(world)),
        tracebacks=gather.tracebacks(world),
        deaths=tuple(world.deaths),
    )
