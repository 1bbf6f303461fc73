"""Delivery of notifications, from the rows of the outbox to the provider.

Stages: group → limit → (the monitor decides what is sent) → enrich → deliver → (the monitor records
the outcome); ``Channel.turn`` runs all of them.
"""

from tocsin.core.notify.channel import Channel
from tocsin.core.notify.enrich import Enricher
from tocsin.core.notify.tools import Tools

__all__ = ["Channel", "Enricher", "Tools"]
