"""Subscribers through cuts, kills and restarts, and what they got in the end."""

import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.live.cluster import Cluster, eventually
from tests.live.judgement import Entry, Report
from tests.live.listeners import listening
from tests.live.topics import TOPICS, Topic
from tests.live.traffic import Traffic, flowing

SUBSCRIBERS_PER_TOKEN = 15
EVENTS_BETWEEN_KILLS = 20
COUNT = "SELECT count(*) FROM events"
CALAMITIES = ("web0", "Valkey", "web1", "flush", "PostgreSQL", "worker0")


@dataclass(frozen=True)
class Plan:
    """How much of everything; `seconds` lets the calamities happen again until then."""

    subscribers: int = 24
    listeners: int = 1
    per_second: float = 30
    writers: int = 4
    seconds: float = 0
    cut_seconds_max: float | None = 4
    calamities: tuple[str, ...] = CALAMITIES
    seed: int = 1

    @property
    def watchers(self) -> int:
        return 1 + self.subscribers // SUBSCRIBERS_PER_TOKEN


@dataclass(frozen=True)
class Following:
    """One subscriber, as the log will be asked about it."""

    name: str
    workspace: UUID
    topic: Topic
    about: UUID


def subscribers(
    company: dict[str, Any], plan: Plan
) -> tuple[list[dict[str, Any]], list[Following]]:
    """Of every kind in turn: what to tell a listener, and what to remember of it."""
    told, remembered = [], []
    for number in range(plan.subscribers):
        topic, turn = TOPICS[number % len(TOPICS)], number // len(TOPICS)
        name = f"{topic.field} {number} of {company['workspace']}"
        seed = plan.seed * 1_000 + number
        told.append(
            topic.subscription(company, turn)
            | {"name": name, "cut_seconds_max": plan.cut_seconds_max, "seed": seed}
            | {"is_event_stream": bool(number % 2)}
        )
        remembered.append(
            Following(name, UUID(company["workspace"]), topic, topic.uuid(company, turn))
        )
    return told, remembered


async def storm(cluster: Cluster, companies: list[dict[str, Any]], plan: Plan) -> Report:
    """Let everything happen, then judge what every subscriber got."""
    asked = [subscribers(company, plan) for company in companies]
    told = [each for some, _ in asked for each in some]
    followings = [each for _, some in asked for each in some]
    async with AsyncExitStack() as stack:
        writing = [
            await stack.enter_async_context(
                Traffic(it, cluster.ports, random.Random(plan.seed + place))
            )
            for place, it in enumerate(companies)
        ]
        listeners = await stack.enter_async_context(
            listening(cluster, told, processes=plan.listeners)
        )
        async with flowing(writing, plan.per_second, plan.writers):
            await _calamities(cluster, plan)
        for traffic in writing:
            await traffic.last_words()
        belonging = await logged_for(cluster, followings)
        until = {it.name: last_of(belonging[it]) for it in followings}
        results = await listeners.finish(until)
    belonging = await logged_for(cluster, followings)
    report = Report(events=await _events(cluster), kills=cluster.kills)
    for traffic in writing:
        report.counts.update({f"write {code}": n for code, n in traffic.counts.items()})
    for following in followings:
        result = results[following.name]
        # The worker may have gone on after the last words.
        last = max(until[following.name], last_of(result["events"]))
        logged = [it for it in belonging[following] if result["start"] < it[0] <= last]
        report.add(logged, result)
    return report


async def _calamities(cluster: Cluster, plan: Plan) -> None:
    """One after the other, each once the last is over and the log has grown since."""
    ends_at = time.monotonic() + plan.seconds
    while True:
        for name in plan.calamities:
            await grown(cluster)
            await (cluster.flush() if name == "flush" else cluster.kill_and_restart(name))
        await grown(cluster)
        if time.monotonic() >= ends_at:
            return


async def grown(cluster: Cluster) -> None:
    """Wait until there are some more events."""
    connection = await cluster.database()
    try:
        before = await connection.fetchval(COUNT)

        async def look() -> bool:
            return bool(await connection.fetchval(COUNT) >= before + EVENTS_BETWEEN_KILLS)

        await eventually(look)
    finally:
        await connection.close()


async def _events(cluster: Cluster) -> int:
    connection = await cluster.database()
    try:
        return int(await connection.fetchval(COUNT))
    finally:
        await connection.close()


def last_of(events: Sequence[Sequence[Any]]) -> int:
    """The number of the newest of them."""
    return int(events[-1][0]) if events else 0


async def logged_for(cluster: Cluster, followings: list[Following]) -> dict[Following, list[Entry]]:
    """By subscriber: all events that belong to what it follows."""
    connection = await cluster.database()
    try:
        return {
            it: [
                (row["seq"], row["logged_at"].isoformat())
                for row in await connection.fetch(
                    "SELECT seq, logged_at FROM events"
                    f" WHERE workspace_id = $1 AND ({it.topic.belongs}) ORDER BY seq",
                    it.workspace,
                    it.about,
                )
            ]
            for it in followings
        }
    finally:
        await connection.close()
