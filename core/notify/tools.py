"""The resources shared by all channels."""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID

from attrs import define, field

from tocsin.core.clock import Clock
from tocsin.core.monitor.executor import Executor
from tocsin.core.notify.enrich import Enricher
from tocsin.core.plugin.sandbox import Isolation

MOST_REFERENCES = 20_000
"""Maximum number of provider references kept."""


@define
class Tools:
    """The resources shared by all channels. ``executor`` handles the events of channels."""

    clock: Clock
    isolation: Isolation
    executor: Executor
    enrich: Enricher = field(factory=Enricher)
    references: OrderedDict[tuple[str, UUID], str] = field(factory=OrderedDict)
    """The provider's name of the last message, by channel and alert, oldest first."""

    def refer(self, channel: str, alert: UUID, reference: str) -> None:
        """Keep the provider's name of a message; drop the oldest ones over the limit."""
        self.references[channel, alert] = reference
        self.references.move_to_end((channel, alert))
        while len(self.references) > MOST_REFERENCES:
            self.references.popitem(last=False)
