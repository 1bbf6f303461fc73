"""The postgres-query probe: connect, run a query, compare its first value."""

from __future__ import annotations

import asyncio
import math
import re
import ssl
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncpg
from attrs import field as option
from attrs import frozen, validators

from tocsin import (
    CheckError,
    Metric,
    Probe,
    Result,
    Seconds,
    Secret,
    Target,
    check_dsn,
    clean_text,
    deadline,
    describe_error,
    hookimpl,
    usable_dsn,
)
from tocsin.plugins.probes import _metrics
from tocsin.plugins.probes._postgres_client import (
    MOST_ROUNDS,
    CheckLoop,
    check_readable,
    refused_rounds,
)

Value = int | float | str | bool


@frozen(kw_only=True)
class PostgresQueryProbe(Probe):
    """Connect to PostgreSQL, run a read-only query, compare its first value.

    Attributes:
        dsn: postgresql://user:password@host:port/database; or set host and the options below.
        host: host name, address or directory of the Unix socket.
        port: port of the server.
        user: user name.
        password: password of the user.
        database: name of the database.
        query: one statement; it runs in a READ ONLY transaction.
        expect: the first value of the first row must equal this.
        min: the first value must be at least this.
        max: the first value must be at most this.
        degraded_min: a first value lower than this is degraded.
        degraded_max: a first value higher than this is degraded.
        degraded_above: a run that takes longer than this is degraded.
    """

    metrics: ClassVar[Mapping[str, Metric]] = _metrics.POSTGRES

    dsn: Secret | None = None
    host: str | None = None
    port: int = option(
        default=5432, validator=validators.and_(validators.ge(1), validators.le(65535))
    )
    user: str | None = None
    password: Secret | None = None
    database: str | None = None
    query: str = "SELECT 1"
    expect: Value | None = None
    min: float | None = None
    max: float | None = None
    degraded_min: float | None = None
    degraded_max: float | None = None
    degraded_above: Seconds | None = None

    def __attrs_post_init__(self) -> None:
        """Validate combinations of options. Raises ValueError."""
        if (self.dsn is None) == (self.host is None):
            raise ValueError("give either dsn or host (with user, password, database), not both")
        if self.dsn is not None:
            try:
                check_dsn(self.dsn.reveal())
            except ValueError as error:
                raise ValueError(
                    f"dsn {error}, or give host, user, password and database one by one"
                ) from None

    def network_host(self, target: Target) -> str | None:
        """Return the first host; None: only Unix sockets are used."""
        return self._host()

    def _host(self) -> str | None:
        return next(iter(self._hosts()), None)

    def _hosts(self) -> list[str]:
        """Return the hosts to try, in order, without Unix sockets."""
        if self.dsn is None:
            hosts = [self.host or ""]
        else:
            there = urlsplit(self.dsn.reveal()).netloc.rpartition("@")[2]
            hosts = (unquote(there) or self._in_dsn("host") or "").split(",")
        bare = [re.sub(r"^\[(.*)\](?::\d*)?$|^([^:]*):\d*$", r"\1\2", host) for host in hosts]
        return [host for host in bare if host and not host.startswith("/")]

    async def check(self, target: Target) -> Result:
        """Connect, run the query once, and return the result."""
        metrics: dict[str, float] = {}
        began = time.monotonic()
        connection: Any = None
        refused: list[int] = []
        refused_rounds.set(refused)  # in the context of this task and its connections
        try:
            with deadline(self.timeout):
                connection = await self._connect()
                metrics["connect_seconds"] = time.monotonic() - began
                before = time.monotonic()
                # Closing the connection ends the transaction; a ROLLBACK would wait for a frozen
                # server.
                milliseconds = max(1, int(self.timeout * 1000))
                await connection.execute(
                    f"BEGIN READ ONLY; SET LOCAL statement_timeout = {milliseconds}"
                )
                row = await connection.fetchrow(self.query)
                metrics["query_seconds"] = time.monotonic() - before
        except TimeoutError as error:
            doing = "no connection" if connection is None else "no answer to the query"
            return Result.failed(error, f"{doing} within {self.timeout:g} s", metrics=metrics)
        except (asyncpg.ReadOnlySQLTransactionError, asyncpg.PostgresSyntaxError) as error:
            return Result.unknown(f"the query cannot be used: {error}", metrics=metrics)
        except asyncpg.QueryCanceledError:
            return Result.down(f"no answer to the query within {self.timeout:g} s", metrics=metrics)
        except asyncpg.TargetServerAttributeNotMatched:
            wanted = self._in_dsn("target_session_attrs")
            text = f"no server meets target_session_attrs = {wanted} of the dsn"
            return Result.down(text, metrics=metrics)
        except CheckError as error:
            return Result.failed(error, metrics=metrics)
        except asyncpg.ClientConfigurationError as error:
            text = f"the connection settings cannot be used: {_clean(error)}"
            return Result.unknown(text, metrics=metrics)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return Result.failed(error, _clean(error), metrics=metrics)
        except ssl.SSLError as error:
            if error.library in ("PEM", "X509"):  # a local file, not the server's answer
                text = f"a TLS file of the dsn cannot be used: {error.reason}"
                return Result.unknown(text, metrics=metrics)
            return Result.failed(error, describe_error(error), metrics=metrics)
        except (OSError, UnicodeError) as error:
            return Result.failed(error, describe_error(error), metrics=metrics)
        except Exception as error:  # noqa: BLE001 - values that Python cannot hold, invalid frames
            if refused:
                return Result.unknown(
                    f"the server demands {refused[0]:,} rounds of password hashing, and a check "
                    f"does at most {MOST_ROUNDS:,}; lower scram_iterations there and set the "
                    "password again", metrics=metrics,
                )  # fmt: skip
            text = f"the server's answer cannot be read ({type(error).__name__})"
            return Result.failed(error, text, metrics=metrics)
        finally:
            if connection is not None:
                connection.terminate()  # close() waits for a server that may be frozen
        return self._judge(row, metrics, time.monotonic() - began)

    def _in_dsn(self, name: str) -> str | None:
        """Return a parameter of the DSN's query string, or None."""
        query = "" if self.dsn is None else urlsplit(self.dsn.reveal()).query
        return dict(parse_qsl(query)).get(name)

    async def _connect(self) -> Any:
        mode = self._in_dsn("sslmode")
        strict = mode in ("require", "verify-ca", "verify-full")
        names = ["sslrootcert", "sslcrl"] if strict else []
        if strict or (mode != "disable" and self._host() is not None):
            names += ["sslcert", "sslkey"]
        for name in names:
            check_readable(name, self._in_dsn(name))
        loop: Any = CheckLoop(asyncio.get_running_loop(), self.timeout, len(self._hosts()))
        return await asyncpg.connect(
            usable_dsn(self.dsn.reveal()) if self.dsn is not None else None,
            host=self.host,
            port=self.port if self.dsn is None else None,
            user=self.user,
            password=None if self.password is None else self.password.reveal(),
            database=self.database,
            timeout=self.timeout,
            loop=loop,
            # PgBouncer refuses other server settings. It may also run each transaction on another
            # server connection, where prepared statements of the cache do not exist.
            server_settings={"application_name": "tocsin check"},
            statement_cache_size=0,
        )

    def _judge(self, row: Any, metrics: dict[str, float], took: float) -> Result:
        if row is None or len(row) == 0:
            return Result.down("the query returned no row", metrics=metrics, latency=took)
        value = row[0]
        number = float(value) if isinstance(value, int | float | Decimal) else None
        if number is not None and not math.isfinite(number):
            number = None  # NaN would violate no limit; infinity is not a usable value either
        if number is not None:
            metrics["value"] = number
        if trouble := self._trouble(value, number):
            return Result.down(trouble, metrics=metrics, latency=took)
        low, high = self.degraded_min, self.degraded_max
        if number is None and (low is not None or high is not None):
            text = f"the value is {_shown(value)}, which is not a number"
            return Result.degraded(text, metrics=metrics, latency=took)
        if number is not None and (
            (low is not None and number < low) or (high is not None and number > high)
        ):
            return Result.degraded(f"the value is {value}", metrics=metrics, latency=took)
        if self.degraded_above is not None and took > self.degraded_above:
            return Result.degraded(f"slow: {took * 1000:.0f} ms", metrics=metrics, latency=took)
        return Result.up(
            f"the value is {clean_text(str(value), longest=140)}", metrics=metrics, latency=took
        )

    def _trouble(self, value: Any, number: float | None) -> str | None:
        shown = _shown(value)
        if self.expect is not None:
            same = (
                value == self.expect
                if isinstance(self.expect, bool) or isinstance(value, bool)
                else number == float(self.expect)
                if isinstance(self.expect, int | float) and number is not None
                else str(value) == str(self.expect) and value is not None
            )
            if not same:
                return f"the value is {shown}, expected {self.expect}"
        if (self.min is not None or self.max is not None) and number is None:
            return f"the value is {shown}, which is not a number"
        if self.min is not None and number is not None and number < self.min:
            return f"the value is {shown}, less than {self.min:g}"
        if self.max is not None and number is not None and number > self.max:
            return f"the value is {shown}, more than {self.max:g}"
        return None


def _shown(value: Any) -> str:
    text = clean_text(str(value), longest=140)
    return "NULL" if value is None else repr(text) if isinstance(value, str) else text


def _clean(error: Exception) -> str:
    """Return the server's error message on one line. It names users and databases, no passwords."""
    text = clean_text(" ".join(str(error).split()), longest=240)
    return text or type(error).__name__


@hookimpl
def tocsin_probes() -> dict[str, type[Probe]]:
    """Register the probe."""
    return {"postgres-query": PostgresQueryProbe}
