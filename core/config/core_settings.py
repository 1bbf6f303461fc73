"""Settings of tocsin itself, one class for each section of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from attrs import Factory, frozen

from tocsin.core.config.scalars import API_PORT
from tocsin.core.contracts.base import Secret
from tocsin.core.templates.declared import PluginTemplate
from tocsin.core.units import Bytes, Seconds


@frozen(kw_only=True)
class GroupSettings:
    """Defaults for grouping notifications into messages, in seconds; see ChannelSettings."""

    hold: Seconds = 0.3
    window: Seconds = 5.0


@frozen(kw_only=True)
class AlertSettings:
    """Settings of all alerts. Durations are in seconds.

    ``inhibit_grace`` is how long targets may take to recover after what they depend on has
    recovered.
    """

    cooldown: Seconds = 900.0
    escalate_after: int = 3
    escalation_channels: tuple[str, ...] = ()
    inhibit_grace: Seconds = 60.0
    hold: Seconds = 0.3
    window: Seconds = 5.0


@frozen(kw_only=True)
class MessageSettings:
    """Settings of messages.

    Attributes:
        templates: a directory of templates that replace those of plugins and tocsin's own.
        declared: the templates that rules declare, by file name.
        channels: by channel, the templates that its notifier declares, by file name.
    """

    templates: Path | None = None
    declared: Mapping[str, PluginTemplate] = Factory(dict)
    channels: Mapping[str, Mapping[str, PluginTemplate]] = Factory(dict)


@frozen(kw_only=True)
class DeadmanSettings:
    """A ping that is sent while tocsin works; its receiver raises an alarm if it stops."""

    url: Secret | None = None
    interval: Seconds = 60.0
    timeout: Seconds = 10.0


@frozen(kw_only=True)
class ApiSettings:
    """The address on which the API listens."""

    host: str = "127.0.0.1"
    port: int = API_PORT


@frozen(kw_only=True)
class PluginSettings:
    """Which plugins may be loaded, and where they run.

    Attributes:
        disabled: plugins that are not loaded.
        allowed: the only plugins that are loaded; None: all.
        external: whether third-party plugins are loaded.
        inline: third-party plugins that run in the core's own process and event loop; None: none.
        host_memory: bytes of memory that the process of a distribution may use, with its child
            processes.
        host_cpu: processors that it may use, on average over ten seconds.
    """

    disabled: tuple[str, ...] = ()
    allowed: tuple[str, ...] | None = None
    external: bool = True
    inline: tuple[str, ...] | None = None
    host_memory: Bytes = 256 * 1024 * 1024
    host_cpu: float = 0.9


@frozen(kw_only=True)
class ActionSettings:
    """Actions that people may take through tocsin: patterns of targets that may be restarted."""

    restart: tuple[str, ...] = ()


class Level(StrEnum):
    """The lowest severity that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Format(StrEnum):
    """The format of logs; ``auto``: readable text on a terminal, else JSON lines."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


@frozen(kw_only=True)
class LogSettings:
    """Settings of the log.

    ``file`` is a log file that is written in addition, as JSON lines. It is rotated at ``max_size``
    bytes, and ``keep`` old files are kept.
    """

    level: Level = Level.INFO
    format: Format = Format.AUTO
    file: Path | None = None
    max_size: Bytes = 10_000_000
    keep: int = 5
