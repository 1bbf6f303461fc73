"""The way of a notice: route → (journal) → group → inhibit → silence → dedupe → limit → enrich →
deliver → record, one stage a file; ``channel.turn`` is the whole of it."""

from tocsin.core.pipeline.channel import Channel
from tocsin.core.pipeline.enrich import Enricher
from tocsin.core.pipeline.route import route
from tocsin.core.pipeline.tools import Tools

__all__ = ["Channel", "Enricher", "Tools", "route"]
