"""Webhooks through the ends of workers, of their receiver and of the engines.

python -m tests.live.webhooks --minutes 2
"""

import argparse
import asyncio
import json
import random
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.installation import free_port
from tests.live.cluster import Cluster, a_cluster, eventually
from tests.live.judgement import Difference, difference
from tests.live.receiver import ACCEPTING
from tests.live.storm import Following, grown, logged_for
from tests.live.topics import TOPICS, Topic
from tests.live.traffic import Traffic, flowing

WORKERS = 2
# A killed worker's turn at an endpoint lapses after half a minute.
CATCH_UP_SECONDS_MAX = 150
BAD = 10
CALAMITIES = ("receiver", "worker0", "Valkey", "worker1", "web0", "PostgreSQL")
SETTINGS = {"RELEVO_WEBHOOK_TARGETS_ALLOWED": '["127.0.0.0/8"]'}
EVERYTHING = Topic("webhook", "teams", "$2::uuid IS NOT NULL")


@dataclass
class Endpoint:
    """A webhook, and what it is for in the log's own terms."""

    path: str
    filter: dict[str, Any]
    following: Following


def endpoints(company: dict[str, Any]) -> list[Endpoint]:
    """For everything, for each queue, for each agent."""
    workspace = UUID(company["workspace"])
    found = [Endpoint("/all", {}, Following("all", workspace, EVERYTHING, workspace))]
    for topic, argument in ((TOPICS[0], "queueId"), (TOPICS[2], "agentId")):
        for place, it in enumerate(company[topic.about]):
            name = f"/{argument}-{place}"
            following = Following(name, workspace, topic, UUID(it["uuid"]))
            found.append(Endpoint(name, {argument: it["id"]}, following))
    return found


class Proof:
    """Endpoints of one company, all at one receiver."""

    def __init__(self, cluster: Cluster, company: dict[str, Any]) -> None:
        self.cluster = cluster
        self.company = company
        self.port = free_port()
        self.file = cluster.home / "received.jsonl"
        self.endpoints = endpoints(company)

    async def run(self, seconds: float, per_second: float) -> list[tuple[Endpoint, Difference]]:
        """What each endpoint accepted first against the log, in the end."""
        self._receive(bad=BAD)
        async with Traffic(self.company, self.cluster.ports, random.Random(1)) as traffic:
            for it in self.endpoints:
                url = f"http://127.0.0.1:{self.port}{it.path}"
                asked = {"name": it.path, "url": url} | ({"filter": it.filter} if it.filter else {})
                await traffic.insist("webhookCreate", asked)
            async with flowing([traffic], per_second):
                await self._calamities(seconds)
            await traffic.last_words()
        await self.cluster.kill("receiver")
        self._receive(bad=0)
        logged = await self._logged()
        with suppress(AssertionError):  # what is missing then is told
            await eventually(lambda: self._has_all(logged), CATCH_UP_SECONDS_MAX)
        later, accepted = await self._logged(), self.accepted()
        judged = []
        for it in self.endpoints:
            got = accepted.get(it.path, [])
            # The worker may have gone on after the last words.
            last = max(logged[it.path][-1:] + got[-1:])
            judged.append((it, difference([e for e in later[it.path] if e <= last], got)))
        return judged

    def _receive(self, *, bad: int) -> None:
        arguments = (str(self.port), str(self.file), "1", str(bad))
        self.cluster.add("receiver", "-m", "tests.live.receiver", *arguments)

    async def _calamities(self, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            for name in CALAMITIES:
                await grown(self.cluster)
                await self.cluster.kill_and_restart(name)
        await grown(self.cluster)

    async def _logged(self) -> dict[str, list[tuple[int, str]]]:
        """By path: what belongs to each endpoint, its own creation first where that does."""
        found = await logged_for(self.cluster, [it.following for it in self.endpoints])
        connection = await self.cluster.database()
        try:
            rows = await connection.fetch(
                "SELECT w.name, e.seq FROM webhooks w JOIN events e"
                " ON e.kind = 'WEBHOOK_CREATED' AND e.data ->> 'webhook' = w.id::text"
            )
        finally:
            await connection.close()
        since = {row["name"]: row["seq"] for row in rows}
        return {
            it.path: [(seq, "") for seq, _ in found[it.following] if seq >= since[it.path]]
            for it in self.endpoints
        }

    async def _has_all(self, logged: dict[str, list[tuple[int, str]]]) -> bool:
        accepted = self.accepted()
        return all(set(logged[path]) <= set(accepted.get(path, [])) for path in logged)

    def received(self) -> list[list[Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def accepted(self) -> dict[str, list[tuple[int, str]]]:
        """By path: each number where it was accepted first."""
        found: dict[str, dict[tuple[int, str], None]] = {}
        for path, seq, manner, _ in self.received():
            if manner in ACCEPTING:
                found.setdefault(path, {})[seq, ""] = None
        return {path: list(seqs) for path, seqs in found.items()}


async def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.live.webhooks", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--per-second", type=float, default=20)
    given = parser.parse_args()
    async with a_cluster(workers=WORKERS, settings=SETTINGS) as (cluster, (company,)):
        proof = Proof(cluster, company)
        judged = await proof.run(given.minutes * 60, given.per_second)
        received = proof.received()
    for endpoint, found in judged:
        if found:
            sys.stderr.write(f"{endpoint.path}: {found}\n")
    total = sum((found for _, found in judged), Difference())
    first = len({(path, seq) for path, seq, _, _ in received})
    sys.stdout.write(
        f"endpoints {len(judged)}, deliveries {first}, requests {len(received)},"
        f" kills {cluster.kills}, lost {total.lost}, reordered {total.reordered},"
        f" foreign {total.foreign}\n"
    )
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
