"""What the channels work with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from uuid import UUID

from attrs import define, field

from tocsin.core.alerts.engine import Engine
from tocsin.core.alerts.steady import SteadyClock
from tocsin.core.clock import Clock
from tocsin.core.config.settings import ChannelSettings
from tocsin.core.isolation import Isolation
from tocsin.core.journal import Journal
from tocsin.core.outbox import Row
from tocsin.core.pipeline.enrich import Enricher

MOST_REFERENCES = 20_000
"""So many messages are known by the name that their provider gave them."""


@define
class Tools:
    """What every channel works with.

    ``record`` takes rows that have changed; ``owe`` is told of a row that was held back at the last
    moment; ``fall_back`` of rows that a channel could not deliver.
    """

    clock: Clock
    steady: SteadyClock
    engine: Engine
    journal: Journal
    isolation: Isolation
    record: Callable[[list[Row]], object]
    owe: Callable[[Row], None]
    fall_back: Callable[[ChannelSettings, list[Row]], None] = field(default=lambda _, __: None)
    enrich: Enricher = field(factory=Enricher)
    references: OrderedDict[tuple[str, UUID], str] = field(factory=OrderedDict)
    """What providers called their last message, by channel and alert, oldest first."""

    def refer(self, channel: str, alert: UUID, reference: str) -> None:
        """Keep what a provider called a message; the oldest give way."""
        self.references[channel, alert] = reference
        self.references.move_to_end((channel, alert))
        while len(self.references) > MOST_REFERENCES:
            self.references.popitem(last=False)
