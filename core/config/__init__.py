"""The configuration: ``tocsin.toml``, the environment, and the plugins' own options."""

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
