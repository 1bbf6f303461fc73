"""The commands of tocsin's own, whose names no plugin may use. A constant that imports nothing."""

from __future__ import annotations

COMMANDS = {
    "run": "Monitor everything until SIGINT (Ctrl-C) or SIGTERM; SIGHUP reloads the configuration.",
    "check": "Run checks once, now, without a running tocsin.",
    "status": "Show every target, worst first.",
    "alerts": "List the firing alerts, newest first.",
    "ack": "Acknowledge an ALERT (its id, or the end of it); only its recovery is still notified.",
    "silence": "Silence alerts for a limited time; list and end silences.",
    "maintenance": "Plan maintenance windows, once or by a schedule; list and end them.",
    "logs": "Show the last lines of a target's log, oldest first; standard error in red.",
    "replay": "Run rules on stored history and compare the resulting alerts with the actual ones.",
    "test-notification": "Send a test message through one CHANNEL or all; show the answers.",
    "plugins": "List plugins; with NAME, one plugin and its options.",
    "config": "Check and show the configuration.",
    "token": "Create, list and revoke API tokens.",
    "new-plugin": "Create a folder tocsin-NAME with a working plugin, its tests and its packaging.",
    "doctor": "Check this installation and report what is missing.",
}
"""Commands of core with their help; the module of a command is imported only when it is used."""
