"""Peers that stall, beside others that must not feel them.

python -m tests.live.slow_peers --turns 3
"""

import argparse
import asyncio
import random
import signal
import sys
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

import psutil  # type: ignore[import-untyped]  # it comes without types

from tests.live.cluster import Cluster, a_cluster, eventually
from tests.live.judgement import quantile
from tests.live.listeners import listening
from tests.live.stalled import TEXT, TRANSPORTS, Stalled
from tests.live.storm import Plan, last_of, logged_for, subscribers
from tests.live.traffic import Traffic, flowing

CALM_SECONDS = 4
# What they are sent before they are full costs as much as if they read it.
SETTLE_SECONDS = 2
OPERATIONS = 10


@dataclass
class Trial:
    """One web process, good listeners on it, and peers that stall there from time to time."""

    cluster: Cluster
    company: dict[str, Any]
    peers: int = 3
    drop_seconds: list[float] = field(default_factory=list)
    calm: list[tuple[float, float]] = field(default_factory=list)
    stalled: list[tuple[float, float]] = field(default_factory=list)
    rss_before: int = 0
    rss_max: int = 0
    lags: dict[str, list[float]] = field(default_factory=dict)
    lost: int = 0
    beginning: str | None = None

    @property
    def port(self) -> int:
        return self.cluster.ports[0]

    @property
    def server(self) -> psutil.Process:
        process = self.cluster.children["web0"].process
        assert process is not None
        return psutil.Process(process.pid)

    def rss(self) -> int:
        return int(self.server.memory_info().rss)

    async def run(self, *, turns: int, per_second: float, good: int) -> None:
        """In turn without and with them, while events come in."""
        plan = Plan(subscribers=good, cut_seconds_max=None)
        told, followings = subscribers(self.company, plan)
        async with (
            Traffic(self.company, [self.port], random.Random(1), text=TEXT) as traffic,
            listening(self.cluster, told, ports=[self.port]) as listeners,
        ):
            self.beginning = await traffic.cursor_of_first_event()
            async with flowing([traffic], per_second):
                await self._during(self.calm, asyncio.sleep(CALM_SECONDS))
                self.rss_before = self.rss()
                for turn in range(turns):
                    if turn:
                        await self._during(self.calm, asyncio.sleep(CALM_SECONDS))
                    await self._during(self.stalled, self._stall())
            await traffic.last_words()
            belonging = await logged_for(self.cluster, followings)
            results = await listeners.finish({it.name: last_of(belonging[it]) for it in followings})
        for it in followings:
            wanted = [each for each in belonging[it] if each[0] > results[it.name]["start"]]
            self.lost += len(set(wanted) - {(seq, at) for seq, at in results[it.name]["events"]})
        measured = [lag for result in results.values() for lag in result["lags"]]
        self.lags = {
            "calm": _within(measured, self.calm),
            "stalled": _within(measured, self.stalled),
        }

    async def _during(self, spans: list[tuple[float, float]], what: Awaitable[None]) -> None:
        began = time.time() + SETTLE_SECONDS
        await what
        spans.append((began, time.time()))

    async def _stall(self) -> None:
        """Until every one of them is dropped."""
        peers = self.some()

        async def look() -> bool:
            self.rss_max = max(self.rss_max, self.rss())
            # They cannot tell: the end of the connection is behind what they do not read.
            connected = {it.raddr.port for it in self.server.net_connections("tcp4") if it.raddr}
            for peer in [peer for peer in peers if peer.port not in connected]:
                self.drop_seconds.append(time.monotonic() - peer.since)
                peer.close()
                peers.remove(peer)
            return not peers

        await eventually(look)

    def some(self) -> list[Stalled]:
        """By either transport, in turn."""
        queues = self.company["queues"]
        variables = [
            {"about": queues[number % len(queues)]["id"], "after": self.beginning}
            for number in range(OPERATIONS)
        ]
        token = self.company["watchers"][-1]
        how = [TRANSPORTS[number % len(TRANSPORTS)] for number in range(self.peers)]
        return [Stalled(self.port, *say(self.port, token, variables)) for say in how]

    async def end_with_some(self) -> float:
        """Seconds that the process takes to end in order while peers stall."""
        peers = self.some()
        process = self.cluster.children["web0"].process
        assert process is not None
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait)
        for peer in peers:
            peer.close()
        return time.monotonic() - began

    def line(self) -> str:
        calm, stalled = (quantile(self.lags[name], 0.99) for name in ("calm", "stalled"))
        dropped = f"{min(self.drop_seconds):.1f} to {max(self.drop_seconds):.1f} s"
        grown = (self.rss_max - self.rss_before) / 2**20
        return (
            f"{len(self.drop_seconds)} dropped after {dropped}, lost {self.lost},"
            f" RSS {self.rss_before / 2**20:.0f} MB {grown:+.1f} MB at most,"
            f" lag p99 {calm * 1_000:.1f} ms without and {stalled * 1_000:.1f} ms with them"
        )


def _within(lags: list[tuple[float, float]], spans: list[tuple[float, float]]) -> list[float]:
    return [lag for at, lag in lags if any(began <= at < ended for began, ended in spans)]


async def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.live.slow_peers", description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--peers", type=int, default=3)
    parser.add_argument("--good", type=int, default=20)
    parser.add_argument("--per-second", type=float, default=30)
    given = parser.parse_args()
    async with a_cluster(watchers=Plan(given.good).watchers + 1) as (cluster, (company,)):
        trial = Trial(cluster, company, peers=given.peers)
        await trial.run(turns=given.turns, per_second=given.per_second, good=given.good)
        seconds = await trial.end_with_some()
        sys.stdout.write(f"{trial.line()}, ended in {seconds:.1f} s\n")


if __name__ == "__main__":
    asyncio.run(main())
