"""Sends to endpoints that strangers name: guarded, bounded, and nothing of the answers is kept.

No proxies, no redirects, no cookies, and no second look-up of a name: each connection goes to an
address that was checked for it, while TLS goes on checking the name.
"""

import asyncio
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

import httpcore
import structlog

from models.webhook import target
from models.webhook.record import Failure
from models.webhook.target import Address, Allowed, Target

# From the look-up of the name to the head of the answer, which says it all; and for the rest of it,
# which is read so that the connection can be used again.
REQUEST_SECONDS_MAX = 10.0
REST_SECONDS_MAX = 1.0
# One address of several; the next one is tried after it.
CONNECT_SECONDS_MAX = 3.0
ADDRESSES_MAX = 4
# More of an answer, with its head and all that comes before it, is not waited for.
ANSWER_BYTES_MAX = 16_384
# Read at once: what a stranger sends in tiny pieces takes long to take apart.
READ_BYTES = 1_024
# Shorter than servers keep a quiet connection, most of which close it after 5 s or later.
KEEPALIVE_SECONDS = 4.0
USER_AGENT = "Relevo-Webhooks/1"
_GONE = 410
_BUSY = (429, 503)

log = structlog.get_logger(__name__)


class TargetRefused(Exception):
    """The name stands for an address that webhooks may not reach."""


class AnswerTooLong(httpcore.NetworkError):
    """The receiver says more than is listened to."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one request; accepted unless there is a failure."""

    failure: Failure | None = None
    status_code: int | None = None
    # How long the receiver asks to be left alone, in seconds.
    retry_after: float | None = None


class Client:
    """Connections that are kept between requests, so many at most of either scheme."""

    def __init__(self, *, connections_max: int) -> None:
        self._pools = {
            scheme: httpcore.AsyncConnectionPool(
                ssl_context=trusted(),
                max_connections=connections_max,
                keepalive_expiry=KEEPALIVE_SECONDS,
                network_backend=_Guarded(scheme),
            )
            for scheme in target.PORTS
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pool in self._pools.values():
            await pool.aclose()

    async def send(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timestamp: int
    ) -> Outcome:
        """Post a body once; `timestamp` is now, in seconds since 1970. Never raises."""
        try:
            return await self._post(target.parse(url), body, headers, timestamp=timestamp)
        except Exception as error:  # noqa: BLE001 - whatever a receiver does is a failure of it
            return Outcome(_failure_of(error))

    async def _post(
        self, to: Target, body: bytes, headers: Mapping[str, str], *, timestamp: int
    ) -> Outcome:
        url = httpcore.URL(
            scheme=to.scheme.encode(), host=to.host.encode(), port=to.port, target=to.path.encode()
        )
        sent = {**_headers(to), **headers, "content-length": str(len(body))}
        pool = self._pools[to.scheme]
        async with (
            asyncio.timeout(REQUEST_SECONDS_MAX) as patience,
            pool.stream("POST", url, headers=list(sent.items()), content=body) as response,
        ):
            patience.reschedule(None)
            await _hear_out(response)
            return _outcome_of(response, timestamp=timestamp)


@cache
def trusted() -> ssl.SSLContext:
    """Trusts whom the world trusts; read once, which takes as long as fifty requests."""
    return httpcore.default_ssl_context()


async def _hear_out(response: httpcore.Response) -> None:
    """Read the rest of an answer; the connection is closed where that does not end well."""
    with suppress(Exception):
        async with asyncio.timeout(REST_SECONDS_MAX):
            async for _ in response.aiter_stream():
                pass


def _headers(to: Target) -> dict[str, str]:
    host = f"[{to.host}]" if ":" in to.host else to.host
    default = target.PORTS[to.scheme] == to.port
    headers = {
        "host": host if default else f"{host}:{to.port}",
        "content-type": "application/json",
        "user-agent": USER_AGENT,
    }
    if to.user is not None:
        credentials = b64encode(":".join(to.user).encode()).decode()
        headers["authorization"] = f"Basic {credentials}"
    return headers


def _outcome_of(response: httpcore.Response, *, timestamp: int) -> Outcome:
    status = response.status
    if 200 <= status < 300:
        return Outcome(None, status)
    if status == _GONE:
        return Outcome(Failure.GONE, status)
    asked = dict(response.headers).get(b"retry-after") if status in _BUSY else None
    return Outcome(Failure.NOT_ACCEPTED, status, _seconds(asked, timestamp=timestamp))


def _seconds(asked: bytes | None, *, timestamp: int) -> float | None:
    """What `Retry-After` says, in seconds or as a date; None when it says nothing to go by."""
    if asked is None:
        return None
    text = asked.decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    with suppress(ValueError, OverflowError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - timestamp)
    return None


_FAILURES: tuple[tuple[tuple[type[Exception], ...], Failure], ...] = (
    ((TargetRefused, ValueError), Failure.REFUSED_TARGET),
    ((TimeoutError, httpcore.TimeoutException), Failure.TIMED_OUT),
    ((ssl.SSLError,), Failure.TLS_FAILED),
    ((httpcore.ConnectError,), Failure.UNREACHABLE),
)


def _failure_of(error: Exception) -> Failure:
    # The pool takes the cause away; what it was made of is still its argument.
    if any(isinstance(made_of, ssl.SSLError) for made_of in error.args):
        return Failure.TLS_FAILED
    for kinds, failure in _FAILURES:
        if isinstance(error, kinds):
            return failure
    if not isinstance(error, (OSError, httpcore.NetworkError, httpcore.ProtocolError)):
        log.warning("webhook request broke", error=type(error).__name__)
    return Failure.BROKEN_OFF


class _Guarded(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, and to no name."""

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - the interface's
        local_address: str | None = None,  # noqa: ARG002 - the interface's
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002 - httpcore's
    ) -> httpcore.AsyncNetworkStream:
        """Raises TargetRefused, httpcore.ConnectError, httpcore.ConnectTimeout."""
        to = Target(self._scheme, host, port, path="/", user=None)
        addresses = [to.address] if to.address else await _addresses(host, port)
        require_reachable(to, addresses, target.allowed())
        failure: Exception = httpcore.ConnectError("The name has no address.")
        for address in addresses[:ADDRESSES_MAX]:
            try:
                stream = await self._backend.connect_tcp(
                    str(address), port, timeout=CONNECT_SECONDS_MAX
                )
                return _Bounded(stream)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class _Bounded(httpcore.AsyncNetworkStream):
    """Reads so much for each request, a little at a time, so that others have their turn."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._read_bytes = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the interface's
        """Raises AnswerTooLong, httpcore.ReadError, httpcore.ReadTimeout."""
        if self._read_bytes >= ANSWER_BYTES_MAX:
            raise AnswerTooLong
        await asyncio.sleep(0)  # what is there already comes without a wait
        data = await self._stream.read(min(max_bytes, READ_BYTES), timeout)
        self._read_bytes += len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the interface's
        self._read_bytes = 0
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's
    ) -> httpcore.AsyncNetworkStream:
        return _Bounded(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def require_reachable(to: Target, addresses: Iterable[Address], allowed: Allowed) -> None:
    """Raise TargetRefused unless every one of the addresses may be connected to."""
    if not all(allowed.lets_reach(to, address) for address in addresses):
        raise TargetRefused


async def _addresses(host: str, port: int) -> list[Address]:
    """What a name stands for; raises httpcore.ConnectError when nobody knows it.

    In a thread of its own: a server of names that does not answer holds up nobody else, and not
    the end of the process.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Address]] = loop.create_future()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(ip_address(str(each[4][0])) for each in found))
            _tell(loop, answer.set_result, answer, addresses)
        except (OSError, ValueError) as error:
            failure = httpcore.ConnectError(type(error).__name__)
            _tell(loop, answer.set_exception, answer, failure)

    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    return await answer


def _tell(
    loop: asyncio.AbstractEventLoop, tell: Any, answer: "asyncio.Future[list[Address]]", what: Any
) -> None:
    """From another thread, if anybody still waits for it."""
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(lambda: None if answer.done() else tell(what))
