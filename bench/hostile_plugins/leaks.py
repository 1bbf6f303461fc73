"""Plugins that leave things behind: tasks, threads, memory, descriptors, children."""

from __future__ import annotations

from hostile_plugins.kinds import probe

KEPT = "KEPT = []\n"

TABLE = (
    probe("leak-tasks", "leaves 50 tasks behind with each check", "tasks", """
KEPT.extend(asyncio.ensure_future(asyncio.sleep(600)) for _ in range(50))
return Result.up()
""", KEPT),
    probe("leak-threads", "leaves 40 threads behind with each check, up to 400", "thread", """
for _ in range(40 if len(KEPT) < 400 else 0):
    KEPT.append(threading.Thread(target=time.sleep, args=(600,), daemon=True))
    KEPT[-1].start()
return Result.up()
""", KEPT),
    probe("leak-memory", "keeps 50 MB more with each check, up to 300 MB", "memory", """
if len(KEPT) < 6: KEPT.append(bytearray(os.urandom(1_000_000) * 50))
return Result.up()
""", KEPT),
    probe("leak-files", "opens files until there are no more", "descriptor|files|block", """
try:
    while len(KEPT) < 50_000: KEPT.append(open("/dev/null"))
except OSError:
    pass
return Result.up()
""", KEPT, deadly=True),
    probe("leak-children", "leaves 5 children with each check, up to 30", "process|child", """
for _ in range(5 if len(KEPT) < 30 else 0):
    KEPT.append(subprocess.Popen(["sleep", "60"]))
return Result.up()
""", KEPT),
    probe("leak-orphans", "leaves orphans in sessions of their own behind, up to 10", "", """
if len(KEPT) < 10:
    KEPT.append(1)
    if not os.fork():
        os.setsid()
        if not os.fork():
            os.execvp("sleep", ["sleep", "60"])
        os._exit(0)
return Result.up()
""", KEPT),
    probe("leak-pipe", "leaves a child that holds its output and ignores SIGTERM", "", """
if not KEPT:
    KEPT.append(subprocess.Popen(["sh", "-c", "trap '' TERM INT HUP; sleep 60"]))
return Result.up()
""", KEPT),
    probe("fork-runs-on", "forks, and parent and child both go on", "", """
if not KEPT:
    KEPT.append(1)
    if not os.fork():
        signal.alarm(30)
return Result.up()
""", KEPT, deadly=True),
    probe("leak-sockets", "listens on 20 ports more with each check, up to 400", "", """
for _ in range(20 if len(KEPT) < 400 else 0):
    KEPT.append(socket.socket())
    KEPT[-1].bind(("127.0.0.1", 0))
    KEPT[-1].listen()
return Result.up()
""", KEPT),
)  # fmt: skip
