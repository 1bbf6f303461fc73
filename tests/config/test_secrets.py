"""Secrets of a configuration: what is known as one, and what is shown of it."""

from __future__ import annotations

import json

import pytest

from tests.config.conftest import Load, Wrong, history_of
from tocsin.core.config import redacted
from tocsin.core.hiding import Known

S = "kQ9xLr_2vTzWm4Hn8yBd"
"""One secret, in every place."""

LETTERS = "kQmxLrqXvTzWmYHnJyBd"
"""Another, as one in thirty that are made at random: without a digit."""

BASE = '[targets.a.checks.c]\nprobe = "rich"\n'
PLACES = {
    "a secret option": BASE + f'secret = "{S}"\n',
    "a URL in a secret option": BASE + f'secret = "postgresql://app:{S}@db/x"\n',
    "a URL with strange characters": BASE + f'secret = "postgresql://app:x/{S}?[@db/x"\n',
    "a connection string": BASE + f'secret = "host=db password={S}"\n',
    "a header": BASE + f'secret = "Bearer {S}"\n',
    "a variable in a secret": BASE + 'secret = "a.${OTHER}"\n',
    "a variable in a secret URL": BASE + 'secret = "https://h/x/${OTHER}"\n',
    "a variable that is called so": BASE + 'text = "${PG_PWD}"\n',
    "a nested password": BASE + f'login = {{ user = "u", password = "{S}" }}\n',
    "a plain URL": BASE + f'text = "https://bob:{S}@host/"\n',
    "a query": BASE + f'text = "https://host/?token={S}"\n',
    "an argument": BASE + f'words = ["/usr/bin/x", "--password", "{S}"]\n',
    "an argument with blanks": BASE + f'words = ["/usr/bin/x", "--password", "ab cd {S}"]\n',
    "an attached argument": BASE + f'words = ["/usr/bin/docker", "login", "-p{S}"]\n',
    "an argument of no option": BASE + f'words = ["/x/rabbitmqctl", "add_user", "bob", "{S}"]\n',
    "a cookie": BASE + f'headers = {{ Cookie = "sid={S[:12]}; a=b" }}\n',
    "an argument of mysql": BASE + f'words = ["/usr/bin/mysql", "-p{S}"]\n',
    "an argument of curl": BASE + f'words = ["curl", "-u", "bob:{S}"]\n',
    "a header as argument": BASE + f'words = ["curl", "-H", "X-Api-Key: {S}"]\n',
    "a shell's text": BASE + f'words = ["/bin/sh", "-c", "redis-cli -a {S} ping"]\n',
    "a table of headers": BASE + f'headers = {{ X-Api-Key = "{S}" }}\n',
    "a label": BASE + f'[targets.a.labels]\n"db.password" = "{S}"\n',
    "the database": f'[database]\nurl = "postgresql://u:{S}@h/d"\n',
    "the dead man's URL": f'[deadman]\nurl = "https://h.example/{S}"\n',
}


@pytest.mark.parametrize("secret", [S, LETTERS])
@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_known_wherever_it_is_configured(load: Load, place: str, secret: str) -> None:
    """It is hidden in any text from then on, and the configuration shows it nowhere."""
    text = PLACES[place].replace(S, secret).replace(S[:12], secret[:12])
    found = load(text, OTHER=secret, PG_PWD=secret)
    shown = json.dumps(redacted(found))
    assert secret[:12] not in shown
    whole = {"an argument with blanks": f"ab cd {secret}", "a cookie": secret[:12]}.get(
        place, secret
    )
    said = Known(found.secrets).hide(f"the library said: {whole!r}")
    assert said == "the library said: '***'"


def test_what_is_no_secret_is_shown(load: Load) -> None:
    """Arguments, hosts and URLs without a password stay as they are."""
    text = BASE + 'words = ["/usr/bin/ssh", "-p", "22", "-u", "1:1"]\ntext = "https://h:8/a@b"\n'
    (check,) = redacted(load(text))["targets"]["a"]["checks"].values()
    assert check["words"] == ["/usr/bin/ssh", "-p", "22", "-u", "1:1"]
    assert check["text"] == "https://h:8/a@b"


def test_a_password_that_is_a_word_leaves_sentences_readable(wrong: Wrong) -> None:
    """What is known of probes is told by their names, whatever the password is."""
    text = '[targets.a.checks.c]\nprobe = "nothing"\n[database]\nurl = "postgresql://u:{}@h/d"\n'
    (plain,) = wrong(text.format("quite-another-1"))
    (word,) = wrong(text.format("rich"), PGPASSWORD="rich", DB_PASSWORD="tcp")
    assert plain.message == word.message
    assert "***" not in word.message


@pytest.mark.parametrize("character", list("/?#["))
def test_a_url_that_cannot_be_read_is_told_without_its_password(
    wrong: Wrong, character: str
) -> None:
    """Its characters are to be escaped: a library would take half of the password for a port, and
    say so in an alert."""
    url = f"postgresql://app:S3cr3t{character}pa55@db:5432/x"
    for problems in (
        wrong(f'[database]\nurl = "{url}"\n'),
        wrong("", DATABASE_URL=url),
    ):
        (problem,) = problems
        assert "cannot be read as a URL" in problem.message
        assert "%2F" in problem.message
        assert "S3cr3t" not in str(problem)
        assert "pa55" not in str(problem)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:S3cr3t%2Fpa55@db:5432/x",
        "postgresql://app:p@ss@db/x",
        "postgresql://app:p@[::1]:5432/x",
        "postgresql://app:p@a:1,b:2/x?target_session_attrs=any",
        "postgresql:///x?host=/run/postgresql",
        "postgresql://app@/x",
    ],
)
def test_urls_that_can_be_read_are_taken(load: Load, url: str) -> None:
    """With escaped characters, several hosts, IPv6, a socket."""
    found = history_of(load(f'[database]\nurl = "{url}"\n')).url
    assert found is not None
    assert found.reveal() == url
