"""The top level of ``tocsin.toml``: the keys before the first table, and the tables."""

from __future__ import annotations

from pathlib import Path

from attrs import fields, frozen

from tocsin.core.units import Seconds

SECTIONS = (
    "api", "database", "plugins", "actions", "log", "alerts", "messages", "deadman", "rules",
    "maintenance", "targets", "sources", "channels", "observers", "reviewers", "services",
)  # fmt: skip
"""The tables of the core. Plugins may own further ones."""


@frozen(kw_only=True)
class Top:
    """The keys that stand before the first table."""

    interval: Seconds = 30.0
    timezone: str = "UTC"
    data_dir: Path | None = None
    alert_cooldown: Seconds | None = None


TOP_KEYS = frozenset(field.name for field in fields(Top))
