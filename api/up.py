"""`relevo up`: both engines, the schema, the demo workspace, the web process and a worker."""

import asyncio
import errno
import http.client
import json
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs, urlsplit

from rich.console import Console
from rich.table import Table

from api.engines import Child, Engines, Unusable, engines, log_file

if TYPE_CHECKING:
    from api.demo import Demo
    from models.settings import Settings

READY_SECONDS_MAX = 60
LOOK_SECONDS = 1.0
PROBE_SECONDS = 0.05
PROBE_TIMEOUT_SECONDS = 2.0
BACKLOG = 2048
PAUSE_SECONDS_MIN = 0.25
PAUSE_SECONDS_MAX = 10.0
SOON_SECONDS = 30.0
HOPELESS_ENDS = 3
HOPELESS_SECONDS = 10.0
FIRST_QUERY = '{"query": "{ workspace { name } }"}'


class Signals:
    """Turns the signals that end a program into a wish, which waits until somebody looks.

    Nothing is ever interrupted half-way, and a second signal changes nothing.
    """

    def __init__(self) -> None:
        self.stopping = False

    def __enter__(self) -> Self:
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)  # noqa: FBT003 - a signal handler must never wait for room
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        handlers = dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), self._stop)
        handlers[signal.SIGCHLD] = self._notice
        self._previous = {number: signal.signal(number, do) for number, do in handlers.items()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        self._receiver.close()
        self._sender.close()

    def wait(self, seconds: float) -> None:
        """Returns early when a signal arrives, that of a child's end included."""
        if select.select([self._receiver], [], [], seconds)[0]:
            self._receiver.recv(4096)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _notice(self, _number: int, _frame: FrameType | None) -> None:
        """Without a handler of Python's own, the end of a child would not wake `wait`."""


@dataclass
class _Watch:
    """One child and how often it ended lately."""

    child: Child
    ends: deque[float] = field(default_factory=lambda: deque(maxlen=HOPELESS_ENDS))
    pause: float = PAUSE_SECONDS_MIN
    restart_at: float | None = None

    def look(self, now: float, report: Callable[[str], None]) -> None:
        """Notice that it ended, and start it again once its pause is over."""
        if self.restart_at is None and (code := self.child.ended()) is not None:
            pause = self._next_pause(now)
            self.restart_at = now + pause
            report(
                f"{self.child.name} ended (exit code {code}), starting it again in "
                f"{pause:g} s: {self.child.last_words()}"
            )
        if self.restart_at is not None and now >= self.restart_at:
            self.restart_at = None
            self.child.start()

    def is_hopeless(self, now: float) -> bool:
        return len(self.ends) == HOPELESS_ENDS and now - self.ends[0] < HOPELESS_SECONDS

    def _next_pause(self, now: float) -> float:
        """Doubles with each end that follows soon upon the one before."""
        recent = self.ends and now - self.ends[-1] < SOON_SECONDS
        self.pause = min(2 * self.pause, PAUSE_SECONDS_MAX) if recent else PAUSE_SECONDS_MIN
        self.ends.append(now)
        return self.pause


def supervise(
    children: Sequence[Child],
    signals: Signals,
    *,
    is_ready: Callable[[], bool],
    on_ready: Callable[[], None],
    report: Callable[[str], None],
    watched: Sequence[Child] = (),
) -> None:
    """Run the children until a signal asks to stop, then end them, all at once.

    A child that ends is started again after a pause; so is one of `watched`, which run already
    and are left running. Raises Unusable when there is no hope of ever becoming ready.
    """
    watches = [_Watch(child) for child in (*watched, *children)]
    try:
        for child in children:
            child.start()
        if _become_ready(watches, signals, is_ready, report):
            on_ready()
        while not signals.stopping:
            signals.wait(_look(watches, report))
        report("stopping")
    finally:
        for child in children:
            child.ask_to_stop()
        for child in children:
            child.wait()


def _become_ready(
    watches: Sequence[_Watch],
    signals: Signals,
    is_ready: Callable[[], bool],
    report: Callable[[str], None],
) -> bool:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not signals.stopping:
        _look(watches, report)
        if is_ready():
            return True
        _require_hope(watches, deadline)
        signals.wait(PROBE_SECONDS)
    return False


def _look(watches: Sequence[_Watch], report: Callable[[str], None]) -> float:
    """Look after every child; in how many seconds to do so again at the latest."""
    now = time.monotonic()
    for watch in watches:
        watch.look(now, report)
    due = [watch.restart_at - now for watch in watches if watch.restart_at is not None]
    return max(0.0, min([*due, LOOK_SECONDS]))


def _require_hope(watches: Sequence[_Watch], deadline: float) -> None:
    now = time.monotonic()
    for watch in watches:
        if watch.is_hopeless(now):
            name, reason = watch.child.name, watch.child.last_words()
            raise Unusable(f"{name} ended {HOPELESS_ENDS} times while starting: {reason}")
    if now > deadline:
        reasons = "; ".join(f"{each.child.name}: {each.child.last_words()}" for each in watches)
        raise Unusable(f"not ready after {READY_SECONDS_MAX} s ({reasons})")


def up(settings: "Settings", *, as_json: bool = False, verbose: bool = False) -> None:
    """Run a whole installation until a signal ends it; raises Unusable when it cannot."""
    with Signals() as signals:
        listen(settings.host, settings.port).close()
        _report("starting PostgreSQL and Valkey")
        with engines(settings) as servers:
            _report("preparing the database")
            demo = asyncio.run(_prepare(servers.database_url))
            _report("starting the web process and a worker")
            supervise(
                _children(settings, servers, verbose=verbose),
                signals,
                is_ready=lambda: _is_ready(settings),
                on_ready=lambda: _announce(settings, demo, as_json=as_json),
                report=_report,
                watched=servers.children,
            )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises Unusable when the address is taken or is not ours."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except socket.gaierror as error:
        raise Unusable(f"the host {host} is not known: set --host to an address") from error
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "is already in use"
        else:
            reason = f"cannot be opened ({os.strerror(error.errno or 0)})"
        raise Unusable(f"port {port} on {host} {reason}: choose another with --port") from error


@contextmanager
def one_line(database_url: str) -> Iterator[None]:
    """Turns what a person can repair about a database, or asked of it wrongly, into Unusable."""
    import asyncpg

    from models.errors import DomainError
    from models.migration import SchemaBehind, SchemaNewer

    try:
        yield
    except (DomainError, SchemaBehind, SchemaNewer) as error:
        raise Unusable(str(error)) from error
    except (
        OSError,
        asyncpg.ClientConfigurationError,
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.InsufficientPrivilegeError,
        asyncpg.CannotConnectNowError,
        asyncpg.TooManyConnectionsError,
    ) as error:
        parts = urlsplit(database_url)
        where = parts.hostname or "".join(parse_qs(parts.query).get("host", ["its socket"]))
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Unusable(f"the database at {where} refuses ({reason}): check DATABASE_URL") from error


async def _prepare(database_url: str) -> "Demo":
    from api import demo
    from models import database, migration

    with one_line(database_url):
        await migration.upgrade(database_url)
        await database.connect(database_url, pool_max=2)
    try:
        return await demo.ensure()
    finally:
        await database.close()


def _children(settings: "Settings", servers: Engines, *, verbose: bool) -> list[Child]:
    home = settings.home.expanduser().absolute()
    environment = {
        **os.environ,
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "RELEVO_HOME": str(home),
        "RELEVO_HOST": settings.host,
        "RELEVO_PORT": str(settings.port),
    }
    # -P: a folder called `api` or `workers` where the person stands must not take their place.
    python = (sys.executable, "-P", "-m")
    commands = {"web": (*python, "api.cli", "serve"), "worker": (*python, "workers")}
    return [
        Child(name, command, None if verbose else log_file(home, name), environment)
        for name, command in commands.items()
    ]


def _is_ready(settings: "Settings") -> bool:
    connection = http.client.HTTPConnection(
        _reachable(settings.host), settings.port, timeout=PROBE_TIMEOUT_SECONDS
    )
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _announce(settings: "Settings", demo: "Demo", *, as_json: bool) -> None:
    host = _reachable(settings.host)
    authority = f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"
    addresses = {
        "url": f"http://{authority}",
        "graphql": f"http://{authority}/graphql",
        "websocket": f"ws://{authority}/graphql",
    }
    if as_json:
        agents = [
            {"email": email, "password": password, "role": role}
            for email, password, role in demo.agents
        ]
        sys.stdout.write(json.dumps({**addresses, "token": demo.token, "agents": agents}) + "\n")
        sys.stdout.flush()
    else:
        _welcome(addresses, demo)


def _welcome(addresses: Mapping[str, str], demo: "Demo") -> None:
    table = Table.grid(padding=(0, 2))
    for name, address in zip(("Home", "GraphQL", "WebSocket"), addresses.values(), strict=True):
        table.add_row(name, address)
    for email, password, role in demo.agents:
        table.add_row("Sign in", email, password, role)
    screen = Console(highlight=False, soft_wrap=True, markup=False)
    screen.print("\nRelevo is ready. Ctrl-C ends it.\n", style="bold green")
    screen.print(table)
    screen.print(f"\nIntegration token\n  {demo.token}\n\nTry it:", style=None)
    screen.print(
        f"  curl -s {addresses['graphql']} -H 'Authorization: Bearer {demo.token}' "
        f"-H 'Content-Type: application/json' -d '{FIRST_QUERY}'\n"
    )


def _reachable(host: str) -> str:
    """Servers listen on a wildcard, clients cannot call one."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here


def _report(line: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True, markup=False).print(
        f"relevo: {line}", style="dim"
    )
