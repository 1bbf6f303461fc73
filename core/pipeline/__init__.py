"""The way of a notice: route → (journal) → group → inhibit → silence → dedupe → limit → enrich →
deliver → record, one stage a file; ``channel.turn`` is the whole of it."""

from tocsin.core.pipeline.channel import Channel, Tools
from tocsin.core.pipeline.enrich import Enricher
from tocsin.core.pipeline.route import route

__all__ = ["Channel", "Enricher", "Tools", "route"]
