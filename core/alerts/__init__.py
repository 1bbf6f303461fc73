"""Alerts: their data, their life cycle, and what suppresses their notifications."""
