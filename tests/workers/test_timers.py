"""Timers under fire: killed sweepers, lost and repeated wake-ups, races, clocks that are off."""

import asyncio
import random
import re
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from models import Team, Workspace, idle
from models.base import IdlePeriod, Line
from models.database import fetch, fetchval
from models.idle import close_idle
from tests.conftest import Clock
from tests.factories import a_channel, a_message, a_team
from tests.workers.test_worker_process import a_worker, eventually, locking
from workers import sweeps, tasks
from workers.sweeps import Sweep, Sweeper

SEED = 11
PACKAGES = Path(__file__).parent.parent.parent
PROCESS_CLOCKS = re.compile(r"\b(datetime\.(utc)?now|date\.today|time\.time(_ns)?)\b")


async def test_sweepers_killed_at_random_close_everything_once(
    workspace: Workspace, database: str, redis_url: str, clock: Clock
) -> None:
    """With the tickets that it takes, however often they are woken, and whatever Valkey forgets."""
    chance = random.Random(SEED)
    await closing_after(workspace, IdlePeriod.ONE_DAY)
    channel = await a_channel(workspace, team=await a_team(workspace, line=Line.SUPPORT))
    for _ in range(3):
        await asyncio.gather(*(a_message(channel) for _ in range(20)))
        await clock.travel(hours=1)
    await clock.travel(hours=20, minutes=30)

    async with AsyncExitStack() as stack:
        jobs = await stack.enter_async_context(tasks.client(redis_url))
        survivor = await stack.enter_async_context(a_worker(database, redis_url))
        for closed in range(20, 80, 20):
            victim = await stack.enter_async_context(a_worker(database, redis_url))
            await clock.travel(hours=1)
            await asyncio.gather(*(jobs.enqueue_job("sweep") for _ in range(5)))
            await asyncio.sleep(chance.uniform(0, 0.2))
            victim.process.kill()
            await jobs.flushall()
            await eventually(partial(are_closed, closed))
        assert survivor.process.returncode is None

    await each_closed_once(60)


async def test_a_message_between_the_look_and_the_lock_keeps_it_open(
    workspace: Workspace, database: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await closing_after(workspace, IdlePeriod.ONE_DAY)
    channel = await a_channel(workspace)
    await a_message(channel, sender="ada")
    await clock.travel(days=1)
    gate = "CROSS JOIN LATERAL (SELECT pg_advisory_xact_lock(42) FROM (SELECT k.id) g OFFSET 0) g"
    monkeypatch.setattr(
        idle,
        "_LOCK",
        idle._LOCK.replace("JOIN conversations c ON c.id", f"{gate} JOIN conversations c ON c.id"),
    )

    async with locking(database, "SELECT pg_advisory_lock(42)"):
        closing = asyncio.create_task(close_idle(10))
        await eventually(is_somebody_kept_waiting)
        await a_message(channel, sender="ada")

    assert await closing == 0
    assert await fetchval("SELECT count(*) FROM closures") == 0


async def test_what_became_due_while_nobody_worked_is_made_up_for_in_its_order(
    workspace: Workspace, clock: Clock
) -> None:
    """A longer period that ends earlier comes first."""
    await closing_after(workspace, IdlePeriod.THREE_DAYS)
    hasty = await a_team(workspace)
    await Team.filter(id=hasty.id).update(idle_period_days=IdlePeriod.ONE_DAY)
    slow, fast = await a_channel(workspace), await a_channel(workspace, team=hasty)
    for _ in range(5):
        await a_message(slow)
        await clock.travel(minutes=1)
    await clock.travel(days=2, minutes=-3, seconds=-30)
    for _ in range(5):
        await a_message(fast)
        await clock.travel(minutes=1)
    await clock.travel(days=1, hours=1)

    await Sweeper([Sweep("idle_closed", close_idle, 2, sweeps.TIMERS_EVERY_SECONDS)]).burst()

    closed = await fetch(
        """
        SELECT c.opened_at + CASE c.team_id WHEN $1 THEN interval '1 day' ELSE '3 days' END AS due
        FROM closures x JOIN conversations c ON c.id = x.conversation_id ORDER BY x.closed_at
        """,
        hasty.id,
    )
    due = [row["due"] for row in closed]
    assert len(due) == 10
    assert due == sorted(due)


async def test_the_clocks_of_workers_change_nothing(
    workspace: Workspace, database: str, redis_url: str, clock: Clock
) -> None:
    await closing_after(workspace, IdlePeriod.ONE_DAY)
    channel = await a_channel(workspace)
    for _ in range(3):
        await a_message(channel)
    await clock.travel(days=1, minutes=-30)

    async with (
        a_worker(database, redis_url, ahead_seconds=3_600.0) as fast,
        a_worker(database, redis_url, ahead_seconds=-3_600.0) as slow,
    ):
        for worker in (fast, slow):
            # It has looked, and found nothing to close.
            await eventually(partial(has_beaten, worker.process.pid))
        early = await fetchval("SELECT count(*) FROM closures")
        await clock.travel(minutes=30)
        await eventually(partial(are_closed, 3))

    assert early == 0
    await each_closed_once(3)


def test_no_rule_reads_the_clock_of_its_process() -> None:
    modules = [*PACKAGES.glob("models/**/*.py"), *PACKAGES.glob("workers/**/*.py")]

    found = {
        f"{module.name}: {call[0]}"
        for module in modules
        for call in PROCESS_CLOCKS.finditer(module.read_text())
    }

    assert len(modules) > 50
    assert found == set()


async def is_somebody_kept_waiting() -> bool:
    waiting = """SELECT EXISTS (SELECT FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database())"""
    return bool(await fetchval(waiting))


async def closing_after(workspace: Workspace, period: IdlePeriod) -> None:
    await Workspace.filter(id=workspace.id).update(idle_period_days=period)


async def are_closed(count: int) -> bool:
    return bool(await fetchval("SELECT count(*) = $1 FROM closures", count))


async def has_beaten(pid: int) -> bool:
    found = "SELECT EXISTS (SELECT FROM workers WHERE name LIKE '%:' || $1::text)"
    return bool(await fetchval(found, str(pid)))


async def each_closed_once(count: int) -> None:
    """One closure, one event, and where it takes a ticket one of its own with one action."""
    for what in (
        "closures",
        "events WHERE kind = 'CONVERSATION_CLOSED'",
    ):
        rows = await fetch(f"SELECT count(*) FROM {what} GROUP BY conversation_id")
        assert [row["count"] for row in rows] == [1] * count, what
    support = await fetchval("SELECT count(*) FROM conversations WHERE line = 'SUPPORT'")
    numbers = await fetch("SELECT number FROM tickets ORDER BY number")
    actions = await fetch("SELECT count(*) FROM ticket_actions GROUP BY ticket_id")
    assert [row["number"] for row in numbers] == list(range(1, support + 1))
    assert [row["count"] for row in actions] == [1] * support
