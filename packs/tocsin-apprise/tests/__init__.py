"""Tests of tocsin-apprise."""
