"""What is told of a target: its state as a result, and what happened to it as an event."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from attrs import evolve

from tocsin import Container, Event, Reason, Result, Sink
from tocsin.plugins.probes.docker_health.addresses import Addresses
from tocsin.plugins.probes.docker_health.containers import Registry, Slot
from tocsin.plugins.probes.docker_health.facts import (
    container_of,
    health_detail,
    labels_of,
    start_error,
)
from tocsin.plugins.probes.docker_health.labels import checks_of, target_of
from tocsin.plugins.probes.docker_health.reasons import result_of


class Teller:
    """Tells a sink, in the name of a source."""

    def __init__(self, name: str, sink: Sink, registry: Registry, addresses: Addresses) -> None:
        self._name = name
        self._sink = sink
        self._registry = registry
        self._addresses = addresses

    def discover(self, slot: Slot) -> None:
        """Tell what a target is: what its labels say, and the checks they ask for."""
        if (current := slot.current) is None:
            return
        labels = labels_of(current.document)
        self._sink.discovered(
            target_of(slot.target, labels, self._registry.of_service),
            checks_of(labels, self._addresses.of(current.document, self._registry.document)),
        )

    def tell(self, slot: Slot) -> None:
        """Tell the state of a target, unless its end is held back for now."""
        known = slot.current
        if known is None or slot.held:
            return
        heard = known.heard()
        facts = container_of(known.document, heard, known.usage)
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
        metrics = _metrics(facts)
        self._sink.observed(slot.target, evolve(result, metrics=metrics))

    def report(self, slot: Slot, kind: str, event: dict[str, Any]) -> None:
        """Keep an event in the target's history."""
        attributes = event["Actor"].get("Attributes") or {}
        kept = {k: v for k, v in attributes.items() if k in ("exitCode", "signal", "oldName")}
        kept["container"] = str(event["Actor"]["ID"])[:12]
        if ":" in str(event["Action"]):
            kept["health"] = str(event["Action"]).partition(":")[2].strip()
        self._sink.happened(
            Event(
                target=slot.target,
                source=self._name,
                action=kind,
                at=datetime.fromtimestamp(event.get("timeNano", 0) / 1e9, UTC),
                attributes=kept,
            )
        )


def _metrics(facts: Container) -> dict[str, float]:
    names = (
        "cpu_percent", "memory_bytes", "memory_percent", "memory_limit_bytes",
        "network_rx_bytes", "network_tx_bytes", "restart_count",
    )  # fmt: skip
    metrics = {n: float(v) for n in names if (v := getattr(facts, n)) is not None}
    if facts.started_at is not None and facts.state in ("running", "paused"):
        metrics["uptime_seconds"] = max(0.0, time.time() - facts.started_at.timestamp())
    return metrics
