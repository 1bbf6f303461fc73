"""A catalog of probes as plugins write them, and ways to load a configuration text with it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from attrs import Attribute, Factory, field, frozen, validators

from tocsin import Bytes, Probe, PushProbe, Result, Seconds, Secret, Sink, Source, Target
from tocsin.core.config import ConfigError, ConfigProblem, Settings, load_config
from tocsin.core.contracts.base import private
from tocsin.plugins.history import PostgresHistory
from tocsin.plugins.rules.down import DownRule
from tocsin.testing import RecordingNotifier


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


@frozen(kw_only=True)
class Login:
    user: str
    password: Secret


@frozen(kw_only=True)
class TcpProbe(Probe):
    host: str
    port: int = field()

    @port.validator
    def _in_range(self, attribute: Attribute[int], value: int) -> None:
        if not 1 <= value <= 65535:
            raise ValueError("must be from 1 to 65535")

    async def check(self, target: Target) -> Result:
        return Result.up()


@frozen(kw_only=True)
class RichProbe(Probe):
    """One option of each kind."""

    whole: int = field(default=1, validator=validators.ge(0))
    number: float = 1.0
    truth: bool = False
    text: str = ""
    mode: Mode = Mode.FAST
    word: Literal["a", "b"] = "a"
    either: int | float | str | bool = 1
    maybe: str | None = None
    wait: Seconds | None = None
    room: Bytes = 1
    words: tuple[str, ...] = ()
    numbers: list[int] = Factory(list)
    pair: tuple[int, str] = (1, "a")
    several: Sequence[str] = ()
    one_or_many: str | tuple[str, ...] = ()
    table: Mapping[str, int] = Factory(dict)
    login: Login | None = None
    logins: tuple[Login, ...] = ()
    secret: Secret | None = None
    headers: Mapping[str, str] = Factory(dict)
    anything: Any = None
    directory: Path | None = None
    cache: dict[str, int] = private(factory=dict)

    async def check(self, target: Target) -> Result:
        return Result.up()


@frozen(kw_only=True)
class ExitingProbe(Probe):
    """A stranger's class whose constructor ends the process."""

    def __attrs_post_init__(self) -> None:
        raise SystemExit(3)

    async def check(self, target: Target) -> Result:
        return Result.up()


@frozen(kw_only=True)
class BeatProbe(PushProbe):
    def judge(self, target: Target, last: Any, silence: float) -> Result:
        return Result.up()


@frozen(kw_only=True)
class EngineSource(Source):
    autostart: ClassVar[str | None] = "docker"
    url: str = "unix:///var/run/docker.sock"

    async def run(self, name: str, interval: float, sink: Sink) -> None:
        return


@frozen
class Entry:
    cls: Any
    plugin: str


class Shelves:
    """What the plugin manager offers, with one plugin that failed to load."""

    def __init__(self) -> None:
        self.probes = {
            "tcp": Entry(TcpProbe, "tcp"),
            "rich": Entry(RichProbe, "rich"),
            "exiting": Entry(ExitingProbe, "hostile"),
            "beat": Entry(BeatProbe, "beat"),
        }
        self.sources = {"engine": Entry(EngineSource, "engine")}
        self.rules = {"down": Entry(DownRule, "down")}
        self.notifiers = {"recording": Entry(RecordingNotifier, "recording")}
        self.services: dict[str, Entry] = {}
        self.observers: dict[str, Entry] = {}
        self.reviewers: dict[str, Entry] = {}
        self.hosted_histories = {"past": "past"}
        self.histories = {"postgresql": Entry(PostgresHistory, "history")}

    inline: tuple[str, ...] = ()

    def unloaded(self, *, disabled: bool = False) -> str | None:
        return None

    def missing(self, name: str) -> str | None:
        return "plugin 'dns' failed: ImportError" if name == "dns" else None


@pytest.fixture
def catalog() -> Shelves:
    return Shelves()


Load = Callable[..., Settings]
Wrong = Callable[..., list[ConfigProblem]]


@pytest.fixture
def load(tmp_path: Path, catalog: Shelves) -> Load:
    """Load a text as tocsin.toml."""

    def load(text: str = "", **env: str) -> Settings:
        path = tmp_path / "tocsin.toml"
        path.write_text(text, encoding="utf-8")
        return load_config(path, env, catalog)

    return load


@pytest.fixture
def wrong(load: Load) -> Wrong:
    """The problems of a text."""

    def wrong(text: str = "", **env: str) -> list[ConfigProblem]:
        with pytest.raises(ConfigError) as caught:
            load(text, **env)
        return list(caught.value.problems)

    return wrong


def history_of(settings: Settings) -> PostgresHistory:
    """The options of the history."""
    assert isinstance(settings.database.store, PostgresHistory)
    return settings.database.store
