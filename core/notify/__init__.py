"""The way of a message from the rows of the outbox to the provider: group → limit → (the monitor
says what goes out) → enrich → deliver → (the monitor notes it); ``channel.turn`` is all of it."""

from tocsin.core.notify.channel import Channel
from tocsin.core.notify.enrich import Enricher
from tocsin.core.notify.tools import Tools

__all__ = ["Channel", "Enricher", "Tools"]
