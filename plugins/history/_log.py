"""The log of the plugin's modules: the one that the runtime is given as ``context.log``."""

from __future__ import annotations

import structlog

from tocsin import Log

log: Log = structlog.stdlib.get_logger("tocsin.plugin.history")
