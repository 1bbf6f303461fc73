"""What is told of a target: its state as a result, and what happened to it as an event."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from attrs import evolve

from tocsin import Claim, Container, Event, Reason, Result, Sink, Status, Target, clean_text
from tocsin.plugins.probes.docker_health.addresses import Addresses
from tocsin.plugins.probes.docker_health.containers import Known, Registry, Slot
from tocsin.plugins.probes.docker_health.engine import Engine, EngineAway
from tocsin.plugins.probes.docker_health.facts import (
    IMAGE_LABELS,
    container_of,
    health_detail,
    is_one_off,
    start_error,
)
from tocsin.plugins.probes.docker_health.inspecting import Happened
from tocsin.plugins.probes.docker_health.labels import read_labels
from tocsin.plugins.probes.docker_health.reasons import Heard, result_of

_OF_INTEREST = {"die": "exitCode", "kill": "signal", "rename": "oldName"}
"""What is kept of an event; all else that it carries may be labels of the same name."""


class Teller:
    """Tells a sink, in the name of a source."""

    def __init__(
        self, name: str, sink: Sink, registry: Registry, addresses: Addresses, engine: Engine
    ) -> None:
        self._name = name
        self._sink = sink
        self._registry = registry
        self._addresses = addresses
        self._engine = engine

    def discover(self, slot: Slot) -> None:
        """Tell what a target is: what its labels say, and the checks they ask for."""
        if (current := slot.current) is None:
            return
        with self.about(current.id, "its labels"):
            place = self._addresses.of(current.document, self._registry.document)
            suffix = self._registry.suffix
            asked = read_labels(slot.target, current.document, self._registry, place, suffix)
            self._sink.discovered(asked.target, asked.checks, asked.claim)

    def tell(self, slot: Slot) -> None:
        """Tell the state of a target, unless its end is held back for now."""
        known = slot.current
        if known is None or slot.held:
            return
        with self.about(known.id, "its state"):
            self._tell(slot, known)

    def _tell(self, slot: Slot, known: Known) -> None:
        if known.trouble is not None:
            self._sink.observed(slot.target, Result.unknown(known.trouble))
            return
        heard = known.heard(self._engine.ahead)
        facts = container_of(known.document, heard, known.usage, self._engine.ahead)
        if known.mute:
            self._sink.observed(
                slot.target,
                Result.unknown(
                    "the engine does not answer about it",
                    container=evolve(facts, reason=Reason.UNSEEN),
                ),
            )
            return
        if slot.replacing and not known.running:
            self._sink.observed(
                slot.target, Result.degraded("being redeployed by Compose", container=facts)
            )
            return
        result = result_of(facts, heard, health_detail(known.document), start_error(known.document))
        message = result.message
        if result.status is Status.DOWN and not known.running and is_one_off(known.document):
            # Whoever runs a job by hand sees how it ends, and nothing waits for it to come back.
            result = evolve(result, status=Status.DEGRADED, attributes={"one_off": True})
            message = f"one-off job: {message}"
        if known.document.get(IMAGE_LABELS, {}) is None:
            message += " (taken for no part of a Compose project: its image cannot be inspected)"
        self._sink.observed(
            slot.target, evolve(result, metrics=_metrics(facts, heard), message=message)
        )

    def tell_removed(self, slot: Slot, known: Known) -> None:
        """Tell that the last container of a target is no more."""
        with self.about(known.id, "its end"):
            facts = container_of(
                known.document, known.heard(self._engine.ahead), None, self._engine.ahead
            )
            facts = evolve(facts, reason=Reason.REMOVED, state="removed")
            self._sink.observed(slot.target, Result.unknown("removed", container=facts))

    def report(self, slot: Slot, happened: Happened) -> None:
        """Keep an event in the target's history."""
        kept = {"container": happened.container[:12]}
        name = _OF_INTEREST.get(happened.kind)
        if name is not None and name in happened.attributes:
            kept[name] = happened.attributes[name]
        if happened.detail:
            kept["health"] = happened.detail
        at = datetime.fromtimestamp(happened.at - self._engine.ahead, UTC)
        self._sink.happened(
            Event(
                target=slot.target, source=self._name, action=happened.kind, at=at, attributes=kept
            )
        )

    @contextmanager
    def about(self, container_id: str, what: str, name: object = None) -> Iterator[None]:
        """Contain whatever goes wrong about one container: it is unknown, with the reason, and all
        others are none the worse. Only that the engine is away goes further.

        Args:
            container_id: of the container.
            what: which part of what the engine says of it the block deals with.
            name: the container's, where it may not be known yet.
        """
        try:
            yield
        except EngineAway:
            raise
        except Exception as error:  # noqa: BLE001 - see above
            words = clean_text(" ".join(str(error).split()), longest=140)
            reason = f"{what} cannot be understood: {type(error).__name__} {words}".strip()
            found = self._registry.find(container_id)
            if found is None:
                bare = {"Id": container_id, "Name": name if isinstance(name, str) else ""}
                found = self._registry.put(bare, time.monotonic())
                found[1].trouble = reason
            target = found[0].target
            self._sink.discovered(
                Target(name=target, kind="container"), None, Claim(refused=(reason,))
            )
            self._sink.observed(target, Result.unknown(reason))


def _metrics(facts: Container, heard: Heard) -> dict[str, float]:
    names = (
        "cpu_percent", "memory_bytes", "memory_percent", "memory_limit_bytes",
        "network_rx_bytes", "network_tx_bytes", "restart_count",
    )  # fmt: skip
    metrics = {n: float(v) for n in names if (v := getattr(facts, n)) is not None}
    if facts.started_at is not None and facts.state in ("running", "paused"):
        metrics["uptime_seconds"] = max(0.0, time.time() - facts.started_at.timestamp())
    if heard.ooms is not None and facts.state == "running":
        metrics["oom_kills"] = float(heard.ooms)
    return metrics
