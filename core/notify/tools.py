"""What the channels work with."""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID

from attrs import define, field

from tocsin.core.clock import Clock
from tocsin.core.monitor.executor import Executor
from tocsin.core.notify.enrich import Enricher
from tocsin.core.plugin.sandbox import Isolation

MOST_REFERENCES = 20_000
"""So many messages are known by the name that their provider gave them."""


@define
class Tools:
    """What every channel works with. ``executor`` takes the events that a channel makes."""

    clock: Clock
    isolation: Isolation
    executor: Executor
    enrich: Enricher = field(factory=Enricher)
    references: OrderedDict[tuple[str, UUID], str] = field(factory=OrderedDict)
    """What providers called their last message, by channel and alert, oldest first."""

    def refer(self, channel: str, alert: UUID, reference: str) -> None:
        """Keep what a provider called a message; the oldest give way."""
        self.references[channel, alert] = reference
        self.references.move_to_end((channel, alert))
        while len(self.references) > MOST_REFERENCES:
            self.references.popitem(last=False)
