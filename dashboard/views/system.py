"""tocsin itself: its components, channels and plugins, and the audit log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from tocsin.dashboard import parts, session, states, tones
from tocsin.dashboard.client import Api, path_of
from tocsin.dashboard.pace import live
from tocsin.dashboard.words import ago, clean, count, duration, moment, plain, when

EVERY = 5
"""Seconds between two refreshes."""

Item = Mapping[str, Any]


def page() -> None:
    """Draw the page."""
    parts.header("System", ":material/settings_heart:")
    _system()


@live(EVERY)
def _system() -> None:
    with states.guarded():
        api = session.api()
        health, status = api.get("/health"), api.get(path_of("status"))
        _figures(health, status)
        left, right = st.columns(2, gap="medium")
        with left:
            _parts(health)
        with right:
            _channels(api.get(path_of("channels"))["items"])
        _plugins(api.get(path_of("plugins"), limit=200)["items"])
        _audit(api)


def _figures(health: Item, status: Item) -> None:
    tone = tones.of_health(health["status"])
    timing = status["scheduler"]
    started = moment(health["started_at"])
    with st.grid(5, min_column_width=150, gap="small"):
        figures = (
            (f":{tone.colour}[{tone.icon} Health]", _word(health["status"])),
            (":material/tag: Version", clean(health["version"], 20)),
            (":material/timer: Running for", _age(started)),
            (":material/rule: Checks", f"{timing['checks']:,}"),
            (":material/speed: Lateness (p99)", f"{timing['lateness_p99'] * 1000:,.0f} ms"),
        )
        for n, (label, value) in enumerate(figures):
            with st.container(border=True, height="stretch", key=f"panel-figure-{n}"):
                st.metric(label, value)


def _word(status: str) -> str:
    return "OK" if status == "ok" else status.capitalize()


def _age(started: Any) -> str:
    return "–" if started is None else duration((datetime.now(UTC) - started).total_seconds())


def _parts(health: Item) -> None:
    with st.container(border=True, height="stretch", key="panel-parts"):
        st.markdown("##### :material/memory: Components", anchors=False)
        for name, part in health["components"].items():
            _line(name, tones.of_health(part["status"]), part["status"], part["message"])


def _line(name: str, tone: tones.Tone, word: str, message: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(tones.badge(tone, _word(word)), width=110)
        with st.container(gap=None, width="stretch"):
            st.text(clean(name, 60))
            if message:
                st.caption(plain(message, 240))


def _channels(items: Sequence[Item]) -> None:
    with st.container(border=True, height="stretch", key="panel-channels"):
        st.markdown("##### :material/send: Channels", anchors=False)
        if not items:
            st.caption(
                "No channel is configured, so nobody is notified: set `TELEGRAM_BOT_TOKEN` or "
                "`SMTP_HOST`, or add a `[channels.NAME]` table to `tocsin.toml`."
            )
        for channel in items:
            told = [f"{channel['notifier']}, {channel['min_severity']} and above",
                    f"{channel['sent']:,} sent"]  # fmt: skip
            if channel["failed"]:
                told.append(f"{channel['failed']:,} failed")
            if channel["waiting"]:
                told.append(f"{channel['waiting']:,} waiting")
            if channel["last_sent"]:
                told.append(f"last {ago(channel['last_sent'])}")
            if channel["reason"]:
                told.append(channel["reason"])
            _line(channel["name"], tones.of_health(channel["status"]), channel["status"],
                  " · ".join(told))  # fmt: skip


def _plugins(items: Sequence[Item]) -> None:
    with st.container(border=True, key="panel-plugins"):
        bad = sum(plugin["status"] == "failed" for plugin in items)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("##### :material/extension: Plugins", anchors=False, width="stretch")
            text = count(len(items), "plugin") + (f", {bad} failed" if bad else "")
            st.caption(text, width="content")
        with st.grid("auto", min_column_width=270, gap="small"):
            for plugin in sorted(items, key=lambda p: (p["status"] != "failed", p["name"])):
                _plugin(plugin)


def _plugin(plugin: Item) -> None:
    tone = tones.of_health(plugin["status"])
    with st.container(border=True, height="stretch", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.text(clean(plugin["name"], 60), width="stretch")
            st.markdown(tones.badge(tone, _word(plugin["status"])), width="content")
        origin = f"{plugin['distribution'] or 'unknown'} {plugin['version'] or ''}".strip()
        st.caption(plain(" · ".join([*plugin["kinds"], origin])))
        if plugin["reason"]:
            st.text(clean(plugin["reason"], 200))
        if plugin["provides"]:
            with st.popover("Options", icon=":material/tune:", type="tertiary"):
                for item in plugin["provides"]:
                    st.markdown(f"**{plain(item['name'])}**")
                    st.caption(plain(item["summary"]))
                    st.dataframe(
                        [
                            {
                                "option": clean(option["name"]),
                                "type": clean(option["type"]),
                                "default": "required"
                                if option["required"]
                                else clean(option["default"]),
                            }
                            for option in item["options"]
                        ],
                        hide_index=True,
                    )


def _audit(api: Api) -> None:
    with st.container(border=True, key="panel-audit"):
        st.markdown("##### :material/history_edu: What people changed", anchors=False)
        who = session.reader()
        if who is None or not who.may("admin"):
            st.caption("Sign in with an administrator's token to see the audit log.")
            return
        with states.guarded("Audit"):
            rows = api.get(path_of("audit"), limit=15)["items"]
            zone = session.zone()
            for row in rows:
                with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                    st.caption(when(row["at"], zone), width=92)
                    st.text(clean(row["actor"], 40), width=170)
                    st.text(clean(f"{row['action']} {_subject(row)}", 120), width="stretch")
                    st.caption(plain(row["outcome"], 80), width="content")
            if not rows:
                st.caption("Nothing yet.")


def _subject(row: Item) -> str:
    target = (row["details"] or {}).get("target")
    return str(target or row["subject"])
