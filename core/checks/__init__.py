"""Targets and checks: what exists, when it is checked, and how a check is run."""
