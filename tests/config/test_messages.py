"""Templates of one's own, and the channels that the environment makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.conftest import Entry, Load, Shelves, history_of
from tocsin.core.config import ConfigError, load_config
from tocsin.core.config.core_settings import PluginSettings
from tocsin.core.contracts.rule import Severity
from tocsin.core.plugin.manager import PluginManager
from tocsin.plugins.notifiers.email import EmailNotifier
from tocsin.plugins.notifiers.telegram import TelegramNotifier


@pytest.fixture
def catalog() -> Shelves:
    made = Shelves()
    made.notifiers |= {
        "email": Entry(EmailNotifier, "email"), "telegram": Entry(TelegramNotifier, "telegram"),
    }  # fmt: skip
    return made


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


GIVEN = {
    "TELEGRAM_BOT_TOKEN": "123456:abcdefghijklmnopqrstuvwxyz0123456789", "TELEGRAM_CHAT_ID": "-42",
    "SMTP_HOST": "mail.example.org", "SMTP_USER": "ops@example.org",
    "SMTP_PASSWORD": "app password", "SMTP_PORT": "465", "ADMIN_EMAIL": "a@example.org",
    "DATABASE_URL": "postgresql://u:p@db/x",
}  # fmt: skip


def test_a_section_refines_what_the_environment_gives(load: Load) -> None:
    """Options of policy, or some of the channel's own, may stand alone; what the file says goes
    first. So do the database's."""
    settings = load(
        """
        [channels.email]
        min_severity = "warning"
        to = ["b@example.org"]
        [channels.telegram]
        batch = "1m"
        [database]
        retention = "60d"
        """,
        **GIVEN,
    )
    mail, telegram = settings.channels["email"], settings.channels["telegram"]
    assert isinstance(mail.notifier, EmailNotifier)
    assert isinstance(telegram.notifier, TelegramNotifier)
    assert (mail.min_severity, mail.notifier.to) == (Severity.WARNING, ("b@example.org",))
    assert (mail.notifier.host, mail.notifier.port) == ("mail.example.org", 465)
    assert mail.notifier.password is not None
    assert mail.notifier.password.reveal() == "app password"
    assert (telegram.batch, telegram.notifier.chat_id) == (60, "-42")
    assert history_of(settings).url is not None
    assert history_of(settings).retention == 60 * 86400


def test_a_password_goes_to_no_host_but_its_own(load: Load) -> None:
    """Another host than that of the environment gets neither its user nor its password; where the
    environment names none, they are that of the file's."""
    table = '[channels.email]\nhost = "relay.example.org"\n'
    other = load(table, **GIVEN).channels["email"].notifier
    assert isinstance(other, EmailNotifier)
    assert (other.user, other.password, other.to) == (None, None, ("a@example.org",))
    mine = load(table, **{**GIVEN, "SMTP_HOST": ""}).channels["email"].notifier
    assert isinstance(mine, EmailNotifier)
    assert (mine.host, mine.user) == ("relay.example.org", "ops@example.org")


def test_mail_alone_takes_warnings_too(load: Load) -> None:
    """Where mail is the only channel, its summary of warnings every five minutes is on, unless the
    file says from when on it is told; beside another one it takes what is critical."""
    alone = {**GIVEN, "TELEGRAM_BOT_TOKEN": "", "TELEGRAM_CHAT_ID": ""}
    mail = load("", **alone).channels["email"]
    assert (mail.min_severity, mail.batch) == (Severity.WARNING, 300)
    critical = '[channels.email]\nmin_severity = "critical"\n'
    assert load(critical, **alone).channels["email"].min_severity is Severity.CRITICAL
    assert load("", **GIVEN).channels["email"].min_severity is Severity.CRITICAL
    two = '[channels.ops]\nnotifier = "email"\nmin_severity = "warning"\nto = ["a@example.org"]\n'
    two += 'host = "mail.example.org"\n'
    found = load(two, **alone).channels  # who says from when on takes them already
    assert [found[n].min_severity.value for n in ("ops", "email")] == ["warning", "critical"]
    info = '[channels.email]\nmin_severity = "info"\n'
    assert load(info, **alone).channels["email"].min_severity is Severity.INFO


def test_a_section_that_only_refines_stops_no_start(load: Load) -> None:
    """Where the environment gives nothing, or only a part, there is no channel, and a warning names
    what to set; one that the file describes itself must be whole."""
    table = '[channels.email]\nmin_severity = "warning"\n'
    settings = load(table)
    assert settings.channels == {}
    assert "SMTP_HOST and ADMIN_EMAIL are not set: there is no email channel" in settings.warnings
    settings = load(table, SMTP_HOST="mail.example.org")
    assert "ADMIN_EMAIL is not set: there is no email channel" in settings.warnings
    with pytest.raises(ConfigError, match=r"channels\.email\.host: must be given"):
        load('[channels.email]\nto = ["a@example.org"]\n')
