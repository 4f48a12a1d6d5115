"""`relevo up`: both engines, the schema, the demo workspace, the web process and a worker."""

import asyncio
import errno
import http.client
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from rich.console import Console
from rich.table import Table

from api.child import Child, Unusable
from api.engines import Engines, engines, log_file
from api.stall import limit_peers
from api.supervision import Signals, supervise

if TYPE_CHECKING:
    from api.demo import Demo
    from models.settings import Settings

PROBE_TIMEOUT_SECONDS = 2.0
BACKLOG = 2048
FIRST_QUERY = '{"query": "{ workspace { name } }"}'


def up(settings: "Settings", *, as_json: bool = False, verbose: bool = False) -> None:
    """Run a whole installation until a signal ends it; raises Unusable when it cannot."""
    with Signals() as signals:
        listen(settings.host, settings.port).close()
        _report("starting PostgreSQL and Valkey")
        with engines(settings) as servers:
            _report("preparing the database")
            demo = asyncio.run(_prepare(settings, servers.database_url))
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
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "is already in use"
        else:
            reason = f"cannot be opened ({os.strerror(error.errno or 0)})"
        raise Unusable(f"port {port} on {host} {reason}: choose another with --port") from error
    limit_peers(listening)
    return listening


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


async def _prepare(settings: "Settings", database_url: str) -> "Demo":
    from api import demo
    from models import database, migration

    with one_line(database_url):
        await migration.upgrade(database_url)
        await database.connect(database_url, pool_max=2)
    try:
        return await demo.ensure(settings.home)
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
    table.add_row("GraphQL", addresses["graphql"])
    table.add_row("WebSocket", addresses["websocket"])
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
