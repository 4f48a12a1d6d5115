"""A web process of the product on the database of the test, to be killed and started again."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.installation import START_SECONDS_MAX, eventually, free_port

ROOT = Path(__file__).parents[1]
END_SECONDS_MAX = 15


@dataclass
class Web:
    """Listens on the same port whenever it runs."""

    database_url: str
    redis_url: str
    log: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    is_up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Returns when it serves."""
        self.kill()
        self._start()
        await asyncio.to_thread(eventually, self._is_ready, seconds_max=START_SECONDS_MAX)
        self.is_up.set()

    def _start(self) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "RELEVO_DATABASE_POOL_MAX": "5",
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "api.cli", "serve", "--port", str(self.port)),
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"http://{self.address}/health/ready").is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    async def end(self, number: signal.Signals) -> int:
        """Its exit code."""
        assert self.process is not None
        self.is_up.clear()
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, END_SECONDS_MAX)


@asynccontextmanager
async def running(database_url: str, redis_url: str, folder: Path) -> AsyncIterator[Web]:
    web = Web(database_url, redis_url, folder / "web.log")
    try:
        await web.start()
        yield web
    finally:
        web.kill()
