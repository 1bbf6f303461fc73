"""The http probe: send one request and check the answer."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from itertools import chain
from typing import ClassVar
from urllib.parse import urlsplit

from attrs import define, field, frozen
from attrs import field as option
from yarl import URL

from tocsin import (
    Bytes,
    CheckError,
    Context,
    Metric,
    Panel,
    PanelChart,
    PanelCurve,
    PanelFact,
    Probe,
    ProbeRuntime,
    Result,
    Seconds,
    Secret,
    Target,
    check_pattern,
    deadline,
    describe_error,
    hookimpl,
    search_text,
    tls_context,
)
from tocsin.plugins.probes import _http_client, _metrics
from tocsin.plugins.probes._http_exchange import Answer, Timings, Trouble
from tocsin.plugins.probes._http_expect import (
    Expectation,
    json_expectation,
    parse_statuses,
    read_json,
    show_statuses,
)
from tocsin.plugins.probes._http_options import (
    FAMILIES,
    check_family,
    check_headers,
    check_json,
    check_line,
    check_method,
    check_statuses,
    check_url,
)
from tocsin.plugins.probes._net import check_server_name


@frozen
class _Means:
    """The prepared request and expectations of a check, built at its first run.

    Attributes:
        prepared: the request.
        statuses: the expected status codes.
        reads_body: whether any option depends on the body.
        expectations: those of the option ``json``.
    """

    prepared: _http_client.Prepared
    statuses: frozenset[int]
    reads_body: bool
    expectations: list[Expectation]


@frozen(kw_only=True)
class HttpProbe(Probe):
    """Send an HTTP request and check status, body, certificate and speed.

    Attributes:
        url: http:// or https:// URL.
        method: request method.
        headers: headers to send; their values are never shown.
        body: text to send as the body.
        user: user name for basic authentication.
        password: password for basic authentication.
        bearer: token for bearer authentication.
        expected_status: status codes and ranges that count as up, such as [200, "300-399"].
        contains: text that the body must contain.
        not_contains: text that the body must not contain.
        matches: regular expression that must match somewhere in the body.
        json: expected values in a JSON body: {"$.status" = "ok", "$.queue[0].depth" = "< 100"};
            a path consists of names and indexes (RFC 9535), quoted if needed: $['last run'].
        redirects: most redirects to follow; 0: the redirect itself is the answer.
        max_body: most of the body that is read.
        verify: whether to verify the certificate.
        ca_file: CA certificates to trust instead of the machine's.
        server_name: name for SNI and the certificate check; unset: the host of the URL.
        family: any, ipv4 or ipv6.
        degraded_above: an answer slower than this is degraded.
        certificate_warn_days: a certificate that expires in fewer days is degraded.
    """

    metrics: ClassVar[Mapping[str, Metric]] = _metrics.HTTP
    by_label: ClassVar[bool] = True
    # A regular expression or an endless body, set by a label, could delay all other checks.
    config_only: ClassVar[tuple[str, ...]] = ("method", "body", "ca_file", "matches", "max_body")

    url: str = option(validator=check_url)
    method: str = option(default="GET", validator=check_method)
    headers: Mapping[str, Secret] = option(factory=dict, validator=check_headers)
    body: str | None = None
    user: str | None = None
    password: Secret | None = None
    bearer: Secret | None = option(default=None, validator=check_line)
    expected_status: list[int | str] = option(factory=lambda: ["200-299"], validator=check_statuses)
    contains: str | None = None
    not_contains: str | None = None
    matches: str | None = option(default=None, validator=check_pattern)
    json: Mapping[str, str | int | float | bool] = option(factory=dict, validator=check_json)
    redirects: int = 5
    max_body: Bytes = 1_000_000
    verify: bool = True
    ca_file: str | None = None
    server_name: str | None = option(default=None, validator=check_server_name)
    family: str = option(default="any", validator=check_family)
    degraded_above: Seconds | None = None
    certificate_warn_days: float = 14.0

    def network_host(self, target: Target) -> str | None:
        """Return the host of the URL."""
        return urlsplit(self.url).hostname

    async def open(self, context: Context) -> HttpCheck:
        """Return what sends the requests."""
        return HttpCheck(self)


@define(eq=False)
class HttpCheck(ProbeRuntime):
    """Sends the requests of one check.

    Attributes:
        options: its options.
    """

    options: HttpProbe
    _means: _Means | None = field(init=False, default=None)

    async def check(self, target: Target) -> Result:
        """Send one request and judge the answer.

        Each run opens a new connection: reusing one would hide that the server accepts no more.
        """
        timings = Timings()
        try:
            with deadline(self.options.timeout):
                means = self._means or self._prepare()
                answer = await _http_client.exchange(means.prepared, timings)
        except TimeoutError as error:
            text = f"no answer within {self.options.timeout:g} s"
            return Result.failed(error, text, metrics=timings.phases())
        except Trouble as error:
            return Result.failed(error, str(error), metrics=timings.phases())
        except CheckError as error:
            return Result.failed(error, metrics=timings.phases())
        except UnicodeError:  # not a valid host name
            return Result.down("the host name cannot be resolved", metrics=timings.phases())
        except OSError as error:  # includes ssl.SSLError
            return Result.failed(error, describe_error(error), metrics=timings.phases())
        return await self._judge(means, answer, timings)

    def _prepare(self) -> _Means:
        options = self.options
        request = _http_client.HttpRequest(
            url=URL(options.url),
            method=options.method.upper(),
            headers=self._headers(),
            body=None if options.body is None else options.body.encode(),
            family=FAMILIES[options.family],
            tls=tls_context(options.verify, options.ca_file),
            server_name=options.server_name,
            redirects=options.redirects,
            max_body=options.max_body,
            timeout=options.timeout,
        )
        self._means = means = _Means(
            _http_client.prepare(request),
            frozenset(chain(*parse_statuses(options.expected_status))),
            bool(options.contains or options.not_contains or options.matches or options.json),
            [json_expectation(path, wanted) for path, wanted in options.json.items()],
        )
        return means

    def _headers(self) -> dict[str, str]:
        options = self.options
        given = {name: value.reveal() for name, value in options.headers.items()}
        if options.bearer is not None:
            given["Authorization"] = f"Bearer {options.bearer.reveal()}"
        if options.user is not None:
            password = "" if options.password is None else options.password.reveal()
            pair = base64.b64encode(f"{options.user}:{password}".encode()).decode()
            given["Authorization"] = f"Basic {pair}"
        named = {name.lower() for name in given}
        ours = {"User-Agent": "tocsin", "Accept": "*/*"}
        return {k: v for k, v in ours.items() if k.lower() not in named} | given

    async def _judge(self, means: _Means, answer: Answer, timings: Timings) -> Result:
        options = self.options
        took = time.monotonic() - timings.began
        metrics = timings.phases()
        metrics["total_seconds"] = took
        metrics["http_status_code"] = float(answer.status)
        metrics["body_bytes"] = float(len(answer.body))
        days = timings.certificate_days
        if days is not None:
            metrics["certificate_expiry_days"] = days
        trouble = None
        if answer.status not in means.statuses:
            wanted = show_statuses(options.expected_status)
            reason = f" {answer.reason}" if answer.reason else ""
            trouble = f"status {answer.status}{reason}, expected {wanted}"
        elif means.reads_body:
            try:
                trouble = await self._trouble(means, answer)
            except Trouble as error:
                trouble = str(error)
            except CheckError as error:
                return Result.failed(error, metrics=metrics)
        if trouble:
            return Result.down(trouble, metrics=metrics, latency=took)
        if days is not None and days < options.certificate_warn_days:
            text = f"{answer.status}, but the certificate ends in {days:.0f} days"
            return Result.degraded(text, metrics=metrics, latency=took)
        if options.degraded_above is not None and took > options.degraded_above:
            text = f"{answer.status}, but slow: {took * 1000:.0f} ms"
            return Result.degraded(text, metrics=metrics, latency=took)
        return Result.up(f"{answer.status} {answer.reason}".strip(), metrics=metrics, latency=took)

    async def _trouble(self, means: _Means, answer: Answer) -> str | None:
        """Return a clause that says what is wrong with the body, or None."""
        options = self.options
        cut = " in the part that was read" if len(answer.body) >= options.max_body else ""
        text = answer.text()
        if options.contains and options.contains not in text:
            return f"the body does not contain {options.contains!r}{cut}"
        if options.not_contains and options.not_contains in text:
            return f"the body contains {options.not_contains!r}"
        if options.matches and not await search_text(options.matches, text):
            return f"the body does not match {options.matches!r}{cut}"
        document = read_json(text) if means.expectations else None
        return next((t for e in means.expectations if (t := e.trouble(document))), None)


@hookimpl
def tocsin_probes() -> dict[str, type[Probe]]:
    """Register the probe."""
    return {"http": HttpProbe}


@hookimpl
def tocsin_panels() -> tuple[Panel, ...]:
    """Return the panel of a URL that is a target of its own."""
    phases = PanelChart(
        title="Response by phase",
        curves=(
            PanelCurve(metric="dns_seconds", label="Name resolved"),
            PanelCurve(metric="connect_seconds", label="Connected"),
            PanelCurve(metric="first_byte_seconds", label="First byte"),
            PanelCurve(metric="total_seconds", label="Whole answer"),
        ),
    )
    facts = (
        PanelFact(label="Status code", value="http_status_code"),
        PanelFact(label="Size", value="body_bytes"),
        PanelFact(label="Certificate expires in", value="certificate_expiry_days", unit="days"),
    )
    return (
        Panel(name="answer", title="Answer", kinds=("service",), facts=facts, charts=(phases,)),
    )
