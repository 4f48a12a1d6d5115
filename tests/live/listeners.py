"""The processes of the subscribers, seen from the one that leads them (see listener.py)."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.live.cluster import ROOT, Cluster

LINE_BYTES_MAX = 2**28
ANSWER_SECONDS_MAX = 60


@dataclass
class Listeners:
    """Subscribers by name, spread over processes."""

    processes: list[Process]
    starts: dict[str, int] = field(default_factory=dict)

    async def finish(self, until: dict[str, int]) -> dict[str, dict[str, Any]]:
        """What each one got, once it got what comes last, or had the time to."""
        for process in self.processes:
            await _say(process, until)
        results = [result for process in self.processes for result in await _hear(process)]
        return {result["name"]: result for result in results}


@asynccontextmanager
async def listening(
    cluster: Cluster,
    subscribers: list[dict[str, Any]],
    *,
    processes: int = 1,
    ports: list[int] | None = None,
) -> AsyncIterator[Listeners]:
    """All of them have their first snapshot."""
    started = [await _listener(cluster) for _ in range(processes)]
    try:
        for number, process in enumerate(started):
            mine = subscribers[number::processes]
            await _say(process, {"subscribers": mine, "ports": ports or cluster.ports})
        listeners = Listeners(started)
        for process in started:
            listeners.starts |= await _hear(process)
        yield listeners
    finally:
        for process in started:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _listener(cluster: Cluster) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tests.live.listener"),
        stdin=PIPE,
        stdout=PIPE,
        limit=LINE_BYTES_MAX,
        cwd=ROOT,
        env=cluster.process_environment(),
    )


async def _say(process: Process, what: object) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(what).encode() + b"\n")
    await process.stdin.drain()


async def _hear(process: Process) -> Any:
    assert process.stdout is not None
    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        line = await process.stdout.readline()
    assert line, "a listener ended"
    return json.loads(line)
