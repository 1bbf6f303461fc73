"""Log lines: what a container writes, on its way to a reader."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.inputs import mutate, nasty, said
from tests.fuzz.judge import Judge
from tests.fuzz.kinds import Kind
from tests.fuzz.world import INNOCENT, World, world

STAMP = "2026-01-02T03:04:05.678901234Z"


class Logs(Kind):
    """Whatever a container writes, its last lines are shown, clean and bounded."""

    name = "logs"

    def make(self, rng: Random) -> tuple[bytes, bytes, int]:
        def stream() -> bytes:
            lines = []
            for _ in range(rng.randrange(1, 12)):
                stamp = mutate(rng, STAMP) if rng.random() < 0.2 else STAMP
                lines.append(f"{stamp} {said(rng)}")
            if rng.random() < 0.01:
                lines.append(f"{STAMP} " + nasty(rng) + "x" * 1_000_000)
            return (
                rng.choice(("\n", "\n", "\r\n", "\r")).join(lines).encode("utf-8", "surrogatepass")
            )

        return stream(), stream(), rng.choice((1, 10, 100, 1000))

    def parts(self, case: Any) -> int:
        return sum(max(1, stream.count(b"2026-01-02T")) for stream in case[:2])

    def open(
        self, directory: Path, judge: Judge, database: str
    ) -> AbstractAsyncContextManager[Any]:
        return world(directory, judge, database)

    async def run(self, place: World, cases: list[tuple[int, Any]]) -> None:
        if INNOCENT not in place.tocsin.state.targets:
            await place.watch([])
        for _, (out, err, lines) in cases:
            place.engine.output = {"stdout": out, "stderr": err}
            status, text = await place.get(f"/api/v1/containers/{INNOCENT}/logs?lines={lines}")
            if status >= 500:
                place.judge.traceback(f"the logs answer {status}: {text[:200]}")
            for bad in ("\\u001b", "\\u202e", "\x1b", "\u202e"):
                if bad in text:
                    place.judge.traceback(f"a line holds {bad!r}")
            place.judge.out("log lines", text)
        place.check()
