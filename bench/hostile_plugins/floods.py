"""Plugins that flood: the sink, events, storage, the log, the output, the API."""

from __future__ import annotations

from hostile_plugins.kinds import probe, service, source

OPENED = """
class Open(ProbeRuntime):
    def __init__(self, context): self.context = context
"""
OPEN = """
async def open(self, context):
    return Open(context)
"""

TABLE = (
    source("flood-sink", "reports without end", "flood|wait|more than", """
sink.discovered(Target(name=NAME, kind="ship"))
sink.synced([NAME])
while True:
    for _ in range(1000):
        sink.observed(NAME, Result.up("afloat " * 20))
    await asyncio.sleep(0)
"""),
    source("flood-changes", "reports down and up in turn without end", "flood|wait|more than", """
sink.discovered(Target(name=NAME, kind="ship"))
sink.synced([NAME])
while True:
    sink.observed(NAME, Result.down("sunk"))
    sink.observed(NAME, Result.up("afloat"))
"""),
    source("flood-targets", "discovers 20,000 targets, each under a new name", "", """
for n in range(20_000):
    sink.discovered(Target(name=f"{NAME}-{n}", kind="ship"))
    sink.observed(f"{NAME}-{n}", Result.up())
sink.synced([f"{NAME}-{n}" for n in range(20_000)])
await asyncio.sleep(3600)
"""),
    source("flood-metrics", "invents 400 new metrics with each result", "", """
sink.discovered(Target(name=NAME, kind="ship"))
sink.synced([NAME])
for n in range(1000):
    sink.observed(NAME, Result.up(metrics={f"m_{n}_{m}": 1.0 for m in range(400)}))
    await asyncio.sleep(0.1)
await asyncio.sleep(3600)
"""),
    probe("flood-emit", "emits 5,000 events at once, with each check", "", OPEN, OPENED + """
    async def check(self, target):
        now = datetime.now(timezone.utc)
        await asyncio.gather(*(
            self.context.emit(Event(target=target.name, source=NAME, action="look", at=now,
                                    attributes={"much": "x" * 1000}))
            for _ in range(5_000)
        ))
        return Result.up()
"""),
    probe("flood-storage", "stores values of 60 kB under 2,000 keys without end", "", OPEN,
          OPENED + """
    async def check(self, target):
        for n in range(2_000):
            try: await self.context.storage.put(f"k{n}", "x" * 60_000)
            except ValueError: pass
        return Result.up()
"""),
    probe("flood-log", "logs 20,000 lines with each check, up to 200,000", "", OPEN, OPENED + """
    lines = 0
    async def check(self, target):
        for n in range(20_000 if self.lines < 200_000 else 0):
            self.lines += 1
            self.context.log.warning("look at me", number=n)
        return Result.up()
"""),
    probe("flood-logging", "logs 5,000 lines with each check by logging, up to 100,000", "", """
import logging
for n in range(5_000 if len(LINES) < 20 else 0):
    logging.getLogger(NAME).error("look at me %s", n)
LINES.append(1)
return Result.up()
""", "LINES = []"),
    probe("flood-prints", "prints 5,000 lines with each check, up to 100,000", "", """
for n in range(5_000 if len(LINES) < 20 else 0):
    print("look at me", n, file=sys.stderr if n % 2 else sys.stdout)
LINES.append(1)
return Result.up()
""", "LINES = []"),
    probe("flood-raw", "writes 5,000 lines with each check to descriptor 2, up to 100,000", "", """
for n in range(5_000 if len(LINES) < 20 else 0):
    os.write(2, b"look at me\\x1b[31m\\n")
LINES.append(1)
return Result.up()
""", "LINES = []"),
    service("flood-api", "asks the API in 5 threads without end", "", """
import urllib.request
token = context.token_file.read_text().strip()
def ask():
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(
                f"{context.api_url}/api/v1/containers?limit=1000",
                headers={"Authorization": f"Bearer {token}"}), timeout=5).read()
        except Exception:
            time.sleep(0.1)
for _ in range(5): threading.Thread(target=ask, daemon=True).start()
await asyncio.sleep(3600)
"""),
    probe("flood-tasks", "turns its event loop without end", "", """
async def turn():
    while True: await asyncio.sleep(0)
if not TASKS: TASKS.append(asyncio.ensure_future(turn()))
return Result.up()
""", "TASKS = []"),
)  # fmt: skip
