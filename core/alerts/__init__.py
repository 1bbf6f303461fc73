"""Alerts: what they are, how they live, and what keeps them from being told."""
