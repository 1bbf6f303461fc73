"""A notifier for real processes: a stranger's plugin on ``PYTHONPATH`` that writes to a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CODE = '''
import json, os, time
from attrs import frozen
from tocsin import Notifier, Receipt, hookimpl

@frozen(kw_only=True)
class Recorder(Notifier):
    """Write each notice to a file, a line of JSON each."""
    path: str
    async def send(self, message):
        with open(self.path, "a") as file:
            for n in message.notices:
                file.write(json.dumps({
                    "channel": message.channel, "message": str(message.id), "kind": n.kind,
                    "rule": n.rule, "target": n.target, "severity": n.severity, "text": n.message,
                    "affected": n.affected, "downtime": n.downtime, "details": n.details,
                    "at": n.at.timestamp(), "told_at": time.time()}) + "\\\\n")
            file.flush()
            os.fsync(file.fileno())
        return Receipt(answer="written")

@hookimpl
def tocsin_notifiers():
    return {"recorder": Recorder}
'''.replace("\\\\n", "\\n")


class Recorder:
    """The plugin in a directory, and what it has written."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "told.jsonl"
        self.place = directory / "plugin"
        info = self.place / "recorder-1.0.dist-info"
        info.mkdir(parents=True)
        (self.place / "recorder.py").write_text(CODE)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: recorder\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[tocsin]\nrecorder = recorder\n")

    def channel(self, name: str, more: str = "") -> str:
        """The table of a channel."""
        return f'[channels.{name}]\nnotifier = "recorder"\npath = "{self.file}"\n{more}\n'

    @property
    def told(self) -> list[dict[str, Any]]:
        """Every notice, in order."""
        if not self.file.exists():
            return []
        lines = self.file.read_text().splitlines()
        return [json.loads(line) for line in lines]

    def about(self, rule: str, target: str) -> list[tuple[str, str]]:
        """Channel and kind of what was told of one alert."""
        return sorted(
            (n["channel"], n["kind"])
            for n in self.told
            if (n["rule"], n["target"]) == (rule, target)
        )
