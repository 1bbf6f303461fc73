"""Alerting in operation: results enter the engine, changes the journal, and from there go to the
channels, to history and to subscribers. ``manager`` connects the parts."""

from tocsin.core.alerting.manager import Alerting

__all__ = ["Alerting"]
