"""What plugins offer, kept between runs, so that commands need not start their hosts.

An entry belongs to the content of one installation: the hash of the RECORD of its distribution
(PEP 376), which lists the hashes of all its files. A distribution without RECORD, or one that is
installed in editable form, changes without notice, so that it has no entry.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from importlib.metadata import Distribution
from pathlib import Path

import msgspec
from attrs import frozen

from tocsin.core.hosts.offers import PluginOffer

MOST = 200
"""Most entries that are kept; the oldest are removed."""


@frozen
class OfferCache:
    """The entries in one directory. Whatever is wrong with it, offers are only read anew.

    Attributes:
        directory: the directory; None: nothing is kept.
        version: version of tocsin, to which the entries belong.
    """

    directory: Path | None
    version: str

    @classmethod
    def of_user(cls, env: Mapping[str, str], version: str) -> OfferCache:
        """Return the cache of the present user, in the directory that the XDG Base Directory
        Specification names."""
        given = env.get("XDG_CACHE_HOME", "")
        home = Path(given) if given.startswith("/") else None
        if home is None and env.get("HOME", "").startswith("/"):
            home = Path(env["HOME"]) / ".cache"
        return cls(None if home is None else home / "tocsin" / "offers", version)

    def get(
        self, distribution: Distribution, plugins: Mapping[str, str]
    ) -> tuple[PluginOffer, ...] | None:
        """Return what the plugins of a distribution offer; None if it is not known.

        Args:
            distribution: the distribution.
            plugins: values of their entry points by name.
        """
        path = self._path(distribution, plugins)
        if path is None:
            return None
        try:
            if path.stat().st_uid != os.geteuid():  # what others wrote is not trusted
                return None
            return msgspec.msgpack.decode(path.read_bytes(), type=tuple[PluginOffer, ...])
        except (OSError, msgspec.DecodeError):
            return None

    def put(
        self,
        distribution: Distribution,
        plugins: Mapping[str, str],
        offers: tuple[PluginOffer, ...],
    ) -> None:
        """Keep what the plugins of a distribution offer, if all of them could be loaded."""
        path = self._path(distribution, plugins)
        if path is None or any(offer.fault is not None for offer in offers):
            return
        fresh = path.with_suffix(f".{os.getpid()}.new")
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh.touch(0o600)
            fresh.write_bytes(msgspec.msgpack.encode(offers))
            fresh.replace(path)
            entries = sorted(path.parent.glob("*.offers"), key=lambda p: p.stat().st_mtime)
            for old in entries[:-MOST]:
                old.unlink()

    def _path(self, distribution: Distribution, plugins: Mapping[str, str]) -> Path | None:
        record = distribution.read_text("RECORD")
        if self.directory is None or not record or _is_editable(distribution):
            return None
        place = str(distribution.locate_file(""))
        key = json.dumps([self.version, place, record, sorted(plugins.items())])
        return self.directory / f"{hashlib.sha256(key.encode()).hexdigest()}.offers"


def _is_editable(distribution: Distribution) -> bool:
    """Return whether a distribution is installed in editable form (PEP 610)."""
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return True
    return bool(origin.get("dir_info", {}).get("editable")) if isinstance(origin, dict) else True
