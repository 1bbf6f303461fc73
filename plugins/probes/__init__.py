"""Probes and sources."""
