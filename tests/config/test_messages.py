"""Templates of one's own, and the channels that the environment makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.conftest import Load
from tocsin.core.config import ConfigError, load_config
from tocsin.core.config.settings import PluginSettings
from tocsin.core.plugin_manager import PluginManager
from tocsin.plugins.notifiers.email import EmailNotifier
from tocsin.plugins.notifiers.telegram import TelegramNotifier


def test_config_check_names_the_template(load: Load, tmp_path: Path) -> None:
    """The templates are looked at with the rest of the configuration; a relative directory lies
    beside its file."""
    (tmp_path / "words").mkdir()
    (tmp_path / "words/alert.txt").write_text("{{ nope }}")
    with pytest.raises(ConfigError, match=r"messages\.templates.*'nope' is undefined"):
        load('[messages]\ntemplates = "words"\n')
    (tmp_path / "words/alert.txt").write_text("{{ target }}")
    settings = load('[messages]\ntemplates = "words"\n')
    assert settings.messages.templates == tmp_path / "words"
    with pytest.raises(ConfigError, match="is no directory"):
        load('[messages]\ntemplates = "nowhere"\n')


def test_the_environment_makes_channels_that_work(tmp_path: Path) -> None:
    """The plan's variables alone: a Telegram and an e-mail channel with the true token and
    password, which are shown nowhere; whose presses count; what is missing is said."""
    manager = PluginManager(PluginSettings())
    manager.load()
    env = {
        "TELEGRAM_BOT_TOKEN": "123456:abcdefghijklmnopqrstuvwxyz0123456789",
        "TELEGRAM_CHAT_ID": "-42", "TELEGRAM_ALLOWED_USERS": "1, 2",
        "SMTP_HOST": "mail.example.org", "SMTP_USER": "ops@example.org",
        "SMTP_PASSWORD": "app password", "SMTP_PORT": "465",
        "ADMIN_EMAIL": "a@example.org, b@example.org", "TOCSIN_DATA_DIR": str(tmp_path),
    }  # fmt: skip
    settings = load_config(None, env, manager)
    telegram, mail = settings.channels["telegram"].notifier, settings.channels["email"].notifier
    assert isinstance(telegram, TelegramNotifier)
    assert isinstance(mail, EmailNotifier)
    assert telegram.token.reveal() == env["TELEGRAM_BOT_TOKEN"]
    assert (telegram.chat_id, telegram.allowed_users) == ("-42", (1, 2))
    assert mail.password is not None
    assert mail.password.reveal() == "app password"
    assert (mail.to, mail.port) == (("a@example.org", "b@example.org"), 465)
    assert (mail.sender, mail.security) == (None, "auto")
    assert "abcdefghij" not in repr(settings)
    assert settings.warnings == ()
    said = {**env, "SMTP_FROM": "bell@example.org", "SMTP_SECURITY": "starttls"}
    mail = load_config(None, said, manager).channels["email"].notifier
    assert isinstance(mail, EmailNotifier)
    assert (mail.sender, mail.security) == ("bell@example.org", "starttls")
    for variable, value, says in (
        ("SMTP_HOST", "mail.example.org:587", "SMTP_PORT"), ("SMTP_FROM", "bell", "mail address"),
        ("SMTP_SECURITY", "ssl", "starttls"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=says):
            load_config(None, {**env, variable: value}, manager)
    missing = load_config(None, {**env, "TELEGRAM_CHAT_ID": "", "ADMIN_EMAIL": ""}, manager)
    assert missing.channels == {}
    assert len(missing.warnings) == 2
    with pytest.raises(ConfigError, match="numbers separated by commas"):
        load_config(None, {**env, "TELEGRAM_ALLOWED_USERS": "ann"}, manager)
