"""Several machines' processes on one: engines of its own, two web processes, a worker.

Every one of them can be killed and comes back where it was.
"""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.child import Child
from api.engines import Engines, embedded
from models.database import credentials
from tests.installation import a_home, environment, free_port

ROOT = Path(__file__).parents[2]
SERVERS = 2
PATIENCE_SECONDS = 30
PROBE_SECONDS = 0.05
RELEVO = ("-c", "from api.cli import main; main()")

Result = TypeVar("Result")


async def eventually(
    look: Callable[[], Awaitable[Result | None]], seconds_max: float = PATIENCE_SECONDS
) -> Result:
    """What it finds once it finds something; the only place that sleeps."""
    deadline = time.monotonic() + seconds_max
    while not (found := await look()):
        assert time.monotonic() < deadline, f"not within {seconds_max} s"
        await asyncio.sleep(PROBE_SECONDS)
    return found


@dataclass
class Cluster:
    """What runs, by name: `web0`, `web1`, `worker0`, `PostgreSQL` and `Valkey`."""

    home: Path
    engines: Engines
    ports: list[int]
    settings: dict[str, str] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)
    kills: int = 0

    def process_environment(self) -> dict[str, str]:
        return {
            **environment(self.home),
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": self.engines.database_url,
            "REDIS_URL": self.engines.redis_url,
            "RELEVO_LOG_LEVEL": "WARNING",
            **self.settings,
        }

    def add(self, name: str, *command: str) -> None:
        child = Child(
            name,
            (sys.executable, "-P", *command),
            log=self.home / "logs" / f"{name}.log",
            environment=self.process_environment(),
        )
        child.start()
        self.children[name] = child

    async def database(self) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(**credentials(self.engines.database_url))

    async def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End a process at once, wherever it is."""
        process = self.children[name].process
        assert process is not None
        os.kill(process.pid, number)
        await asyncio.to_thread(process.wait)
        self.kills += 1

    async def come_back(self, name: str) -> None:
        """Start what was killed, and wait until it serves."""
        self.children[name].start()
        await self.serves(name)

    async def serves(self, name: str) -> None:
        if name.startswith("web"):
            await eventually(lambda: self._is_healthy(self.ports[int(name[-1])]))
        elif name == "PostgreSQL":
            await eventually(self._has_database)
        elif name == "Valkey":
            await eventually(self._has_valkey)

    async def kill_and_restart(self, name: str) -> None:
        # PostgreSQL's immediate end is a crash to its data; killed, it could leave others behind.
        await self.kill(name, signal.SIGQUIT if name == "PostgreSQL" else signal.SIGKILL)
        await self.come_back(name)

    async def flush(self) -> None:
        """Let Valkey forget everything."""
        async with Redis.from_url(self.engines.redis_url) as redis:
            await redis.flushall()
        self.kills += 1

    async def _is_healthy(self, port: int) -> bool:
        with suppress(httpx.TransportError):
            async with httpx.AsyncClient() as client:
                answer = await client.get(f"http://127.0.0.1:{port}/health/ready")
                return answer.status_code == httpx.codes.OK
        return False

    async def _has_database(self) -> bool:
        with suppress(OSError, asyncpg.PostgresError):
            connection = await self.database()
            await connection.close()
            return True
        return False

    async def _has_valkey(self) -> Any:
        with suppress(RedisError, OSError):
            async with Redis.from_url(self.engines.redis_url) as redis:
                return await redis.ping()
        return False


@asynccontextmanager
async def a_cluster(
    *,
    companies: int = 1,
    watchers: int = 2,
    workers: int = 1,
    settings: dict[str, str] | None = None,
    broken: str | None = None,
) -> AsyncIterator[tuple[Cluster, list[dict[str, Any]]]]:
    """Everything runs, with companies in it; `broken` names a defect of the web processes.

    Durable: a commit that PostgreSQL forgets in a crash would be another history.
    """
    serve = ("-m", "tests.live.sabotage", broken) if broken else RELEVO
    with a_home() as home, embedded(home) as engines:
        cluster = Cluster(home, engines, [free_port() for _ in range(SERVERS)], settings or {})
        cluster.children = {child.name: child for child in engines.children}
        founded = await _found(cluster, companies, watchers)
        try:
            await _start(cluster, serve, workers)
            yield cluster, founded
        finally:
            _end(it for it in cluster.children.values() if it not in engines.children)


async def _start(cluster: Cluster, serve: tuple[str, ...], workers: int) -> None:
    for number, port in enumerate(cluster.ports):
        cluster.add(f"web{number}", *serve, "serve", "--port", str(port))
    for number in range(workers):
        cluster.add(f"worker{number}", "-m", "workers")
    for number in range(SERVERS):
        await cluster.serves(f"web{number}")


def _end(children: Iterable[Child]) -> None:
    ours = list(children)
    for child in ours:
        child.ask_to_stop()
    for child in ours:
        child.wait()


async def _found(cluster: Cluster, companies: int, watchers: int) -> list[dict[str, Any]]:
    """Companies to follow, from a process of its own (see company.py)."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tests.live.company", cluster.engines.database_url),
        *(str(companies), str(watchers)),
        stdout=PIPE,
        cwd=ROOT,
        env=cluster.process_environment(),
    )
    out, _ = await process.communicate()
    founded: list[dict[str, Any]] = json.loads(out)
    return founded
