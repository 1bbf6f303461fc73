"""From a killed container to three messages, an answer by a person, and three recoveries."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from tests.notifiers.bot_api import TOKEN, read_html
from tests.notifiers.peers import peers
from tests.running import Running
from tests.tradestack import docker, stood_up

pytestmark = pytest.mark.docker
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
QUICK = (
    '\n[alerts]\ninhibit_grace = "5s"\n[rules.container_down]\nfor = "2s"\n'
    "[rules.above_expected]\nenabled = false\n"
)


def test_the_database_of_the_trade_system_is_killed(tmp_path: Path, database: str) -> None:
    """One Telegram message, one mail, one webhook, each naming the root and the affected;
    Acknowledge pressed, audited by name; started again: one recovery each. The alert's ledger
    tells the whole story, and the bot's token is nowhere."""
    with stood_up() as config, peers(tmp_path, SECRET) as at:
        env = {"DATABASE_URL": database, "MONITOR_INTERVAL": "2"}
        with Running(tmp_path, config + QUICK + at.channels, env) as running:

            def up() -> bool:
                items = running.get("/api/v1/containers?limit=1000")["items"]
                mine = [c for c in items if c["project"] == "tradesystem"]
                return len(mine) == 13 and all(c["status"] == "up" for c in mine)

            running.until(up, 90)
            tested = running.run("test-notification")
            assert tested.returncode == 0, tested.stdout
            assert "✔ telegram: message 1 in chat" in tested.stdout
            assert "✔ email: 127.0.0.1 accepted it for ops@example.org" in tested.stdout
            assert "✔ hook: answered 200: ok" in tested.stdout

            docker("kill", "postgres")
            running.until(
                lambda: len(at.bot.sent) == len(at.mail.mails) == len(at.hook.accepted) == 2
            )
            text = read_html(at.bot.sent[1]["text"])
            assert text.startswith("🚨 CRITICAL: Container down: postgres")
            assert "stopped (exit code 137)" in text
            assert "killed by a person" in text
            affected = {"fastapi-dev", "fastapi-prod", "fastapi-stream", "task-worker"}
            assert all(name in text for name in affected)
            mail = at.mail.mails[1]
            assert mail["Subject"] == "[tocsin] CRITICAL: Container down: postgres"
            body = mail.get_body(("plain",))
            assert body is not None
            assert "Whole system: " in body.get_content()
            assert re.search(r"^  down +postgres: killed by a person", body.get_content(), re.M)
            assert [part.get_filename() for part in mail.iter_attachments()] == ["postgres.log"]
            (told,) = at.hook.accepted[1]["data"]["alerts"]
            assert (told["target"], told["kind"]) == ("postgres", "fired")
            assert affected <= set(told["affected"])

            at.press(at.bot.buttons(2)["✔️ Acknowledge"])
            running.until(lambda: "Acknowledged by ann_ops" in str(at.bot.messages[2]["text"]))
            (alert,) = running.get("/api/v1/alerts/active")["items"]
            assert alert["acknowledged_by"] == "ann_ops (Telegram 42)"

            docker("start", "postgres")
            running.until(
                lambda: len(at.bot.sent) == len(at.mail.mails) == len(at.hook.accepted) == 3
            )
            assert "✅ RECOVERED" in at.bot.sent[2]["text"]
            assert at.bot.sent[2]["reply_parameters"]["message_id"] == 2
            assert at.mail.mails[2]["In-Reply-To"] == mail["Message-ID"]
            assert at.hook.accepted[2]["type"] == "alert.resolved"
            running.until(up, 60)

            def story(transition: str) -> list[tuple[str, str]]:
                rows = running.get(f"/api/v1/alerts/{alert['id']}")["ledger"]
                mine = [row for row in rows if row["transition"] == transition]
                return sorted((row["channel"], row["decision"]) for row in mine)

            told_all = [(channel, "sent") for channel in ("email", "hook", "telegram")]
            assert story("fired") == told_all
            running.until(lambda: story("resolved") == told_all)  # marked a moment after it came
            assert [decision for _, decision in story("acknowledged")] == ["acknowledged"]
            running.until(lambda: [
                row for row in running.get("/api/v1/audit")["items"]
                if (row["actor"], row["action"]) == ("ann_ops (Telegram 42)", "acknowledge")
            ])  # fmt: skip
            assert len(at.bot.sent) == len(at.mail.mails) == len(at.hook.accepted) == 3
            assert at.bot.breaches == []
            for shown in (running.output(), str(running.get("/api/v1/config")),
                          str(running.get("/api/v1/channels"))):  # fmt: skip
                assert TOKEN.partition(":")[2] not in shown
                assert SECRET not in shown


def test_wrong_credentials_are_told_per_channel(tmp_path: Path, database: str) -> None:
    """A test of all channels says in a sentence what each provider answered, and fails."""
    with peers(tmp_path, SECRET) as at:
        wrong = at.channels + "[sources.docker]\nenabled = false\n"
        wrong = wrong.replace(TOKEN, "111111111:" + "x" * 35).replace(
            SECRET, "whsec_" + base64.b64encode(b"y" * 32).decode()
        )
        at.mail.refuse["ops@example.org"] = "550 no such user here"
        with Running(tmp_path, wrong, {"DATABASE_URL": database}) as running:
            tested = running.run("test-notification")
            assert tested.returncode == 1
            lines = dict(line[2:].split(": ", 1) for line in tested.stdout.splitlines())
            assert "check the token that BotFather gave" in lines["telegram"]
            assert lines["email"] == "refused for ops@example.org: 550 no such user here"
            refused = "it answered 401 Unauthorized; check url, secret and headers"
            assert lines["hook"] == refused
            one = running.run("test-notification", "hook")
            assert one.stdout.strip() == f"✖ hook: {refused}"
