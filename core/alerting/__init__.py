"""Alerting at work: what is seen goes into the engine, what changes into the journal, and from
there to the channels, to history and to whoever listens. ``manager`` puts the parts together."""

from tocsin.core.alerting.manager import Alerting

__all__ = ["Alerting"]
