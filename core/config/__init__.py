"""The configuration: ``tocsin.toml``, the environment, and the options of plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.core.lazy import on_demand

if TYPE_CHECKING:
    from tocsin.core.config.by_label import build_check
    from tocsin.core.config.environment import read_secret
    from tocsin.core.config.errors import Catalog, ConfigError, ConfigProblem
    from tocsin.core.config.find import (
        find_config,
        read_address,
        read_data_dir,
        read_plugin_settings,
    )
    from tocsin.core.config.load import load_config
    from tocsin.core.config.redact import redacted
    from tocsin.core.config.settings import Settings
else:
    __getattr__ = on_demand(
        __name__,
        {
            "by_label": "build_check",
            "environment": "read_secret",
            "errors": "Catalog ConfigError ConfigProblem",
            "find": "find_config read_address read_data_dir read_plugin_settings",
            "load": "load_config",
            "redact": "redacted",
            "settings": "Settings",
        },
    )

__all__ = [
    "Catalog",
    "ConfigError",
    "ConfigProblem",
    "Settings",
    "build_check",
    "find_config",
    "load_config",
    "read_address",
    "read_data_dir",
    "read_plugin_settings",
    "read_secret",
    "redacted",
]
