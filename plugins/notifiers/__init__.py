"""Notifiers that come with tocsin."""
