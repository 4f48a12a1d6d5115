"""The sweeper in this process: what it does, how often, and what goes wrong around it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import pytest
from arq import ArqRedis
from structlog.testing import capture_logs

from models import Agent, Closure, Conversation, Team, Workspace, idle, queue
from models.base import IdlePeriod
from models.closure import Cause
from models.conversation import Status
from models.database import fetchval
from models.decision import Distribution
from models.retention import EVENT_RETENTION_DAYS
from tests.conftest import Clock
from tests.factories import a_conversation, a_message, a_team, an_agent
from workers import sweeps, tasks
from workers.sweeps import (
    LOOK_EVERY_SECONDS,
    LOOK_REST,
    LOOK_SECONDS_MIN,
    Sweep,
    Sweeper,
    next_look,
)

NEVER_AGAIN_SECONDS = 3_600.0


async def test_only_conversations_past_the_period_that_applies_to_them_are_closed(
    workspace: Workspace, clock: Clock
) -> None:
    await Workspace.filter(id=workspace.id).update(idle_period_days=IdlePeriod.SEVEN_DAYS)
    hasty_team = await a_team(workspace)
    await Team.filter(id=hasty_team.id).update(idle_period_days=IdlePeriod.ONE_DAY)
    patient_agent = await an_agent(workspace, teams=[hasty_team])
    await Agent.filter(id=patient_agent.id).update(idle_period_days=IdlePeriod.NEVER)
    of_workspace = await a_conversation(workspace)
    of_team = await a_conversation(workspace, team=hasty_team)
    of_agent = await a_conversation(workspace, team=hasty_team, holder=patient_agent)

    await clock.travel(days=1)
    await Sweeper().burst()

    closed = await Conversation.filter(status=Status.CLOSED).values_list("id", flat=True)
    assert closed == [of_team.id]
    await clock.travel(days=30)
    await Sweeper().burst()
    closed = await Conversation.filter(status=Status.CLOSED).values_list("id", flat=True)
    assert set(closed) == {of_workspace.id, of_team.id}
    assert of_agent.id not in closed
    assert await Closure.filter(cause=Cause.INACTIVE).count() == 2


async def test_a_message_restarts_the_idle_time(workspace: Workspace, clock: Clock) -> None:
    await Workspace.filter(id=workspace.id).update(idle_period_days=IdlePeriod.ONE_DAY)
    conversation = await a_conversation(workspace, sender="Grace")
    channel = await conversation.channel
    await clock.travel(hours=23)
    await a_message(channel, sender="Grace")

    await clock.travel(hours=23)
    await Sweeper().burst()

    await conversation.refresh_from_db()
    assert conversation.status is Status.QUEUED


async def test_a_backlog_of_many_batches_is_closed_without_a_pause(
    workspace: Workspace, clock: Clock
) -> None:
    await Workspace.filter(id=workspace.id).update(idle_period_days=IdlePeriod.ONE_DAY)
    for _ in range(7):
        await a_conversation(workspace)
    sweep = Sweep("idle_closed", idle.close_idle, batch_size=2, every_seconds=NEVER_AGAIN_SECONDS)

    await clock.travel(days=1)
    async with sweeping(sweep) as sweeper:
        await eventually(lambda: _is(sweeper.swept["idle_closed"] == 7))

    assert await Closure.all().count() == 7


async def test_a_presence_lease_lapses_into_one_event_however_many_sweep(
    workspace: Workspace, clock: Clock
) -> None:
    agent = await an_agent(workspace)

    await clock.travel(seconds=61)
    await asyncio.gather(*(Sweeper().burst() for _ in range(5)))

    await agent.refresh_from_db()
    assert not agent.is_connected
    assert await _events("AGENT_DISCONNECTED") == 1


async def test_a_beating_device_keeps_an_agent_connected(
    workspace: Workspace, clock: Clock
) -> None:
    agent = await an_agent(workspace)

    await clock.travel(seconds=59)
    await Sweeper().burst()

    await agent.refresh_from_db()
    assert agent.is_connected


async def test_a_drain_that_a_crash_cut_off_is_made_up_for(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, conversation = await _a_conversation_that_nobody_drained(workspace, monkeypatch)

    await Sweeper().burst()

    await conversation.refresh_from_db()
    assert conversation.assignee_id == agent.id


async def test_events_are_forgotten_after_theirs(workspace: Workspace, clock: Clock) -> None:
    await a_conversation(workspace)
    await clock.travel(days=EVENT_RETENTION_DAYS, seconds=1)
    await a_conversation(workspace)

    await Sweeper().burst()

    assert await _events("CONVERSATION_OPENED") == 1


async def test_answers_are_forgotten_after_their_retention(
    workspace: Workspace, clock: Clock
) -> None:
    await _remember(workspace, "old")
    await clock.travel(hours=72, seconds=1)
    await _remember(workspace, "new")

    await Sweeper().burst()

    assert await fetchval("SELECT string_agg(key, ',') FROM idempotency_keys") == "new"


async def test_a_sweep_that_fails_is_tried_again_while_the_others_go_on() -> None:
    broken, healthy = Batches(ConnectionError("away"), ConnectionError("away")), Batches()

    with capture_logs() as lines:
        async with sweeping(Sweep("broken", broken, 10, 0.01), Sweep("healthy", healthy, 10, 0.01)):
            await eventually(lambda: _is(broken.count > 3 and healthy.count > 3))

    told = [line for line in lines if line["event"] == "sweep failed"]
    assert [line["sweep"] for line in told] == ["broken", "broken"]
    assert [line["again_in_seconds"] for line in told] == [0.5, 1.0]


async def test_back_off_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "RETRY_SECONDS", 0.001)
    monkeypatch.setattr(sweeps, "RETRY_SECONDS_MAX", 0.004)
    broken = Batches(*[ConnectionError("away")] * 6)

    with capture_logs() as lines:
        async with sweeping(Sweep("broken", broken, 10, 0.01)):
            await eventually(lambda: _is(broken.count > 6))

    pauses = [line["again_in_seconds"] for line in lines if line["event"] == "sweep failed"]
    assert pauses == [0.001, 0.002, 0.004, 0.004, 0.004, 0.004]


async def test_a_wake_up_sweeps_at_once() -> None:
    batches = Batches()
    async with sweeping(Sweep("rare", batches, 10, NEVER_AGAIN_SECONDS)) as sweeper:
        await eventually(lambda: _is(batches.count == 1))

        sweeper.wake()

        await eventually(lambda: _is(batches.count == 2))


async def test_a_wake_up_does_not_hurry_what_backs_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "RETRY_SECONDS", NEVER_AGAIN_SECONDS)
    monkeypatch.setattr(sweeps, "RETRY_SECONDS_MAX", NEVER_AGAIN_SECONDS)
    broken, healthy = Batches(ConnectionError("away")), Batches()
    rarely = NEVER_AGAIN_SECONDS
    async with sweeping(
        Sweep("broken", broken, 10, rarely), Sweep("healthy", healthy, 10, rarely)
    ) as sweeper:
        await eventually(lambda: _is(broken.count == healthy.count == 1))

        sweeper.wake()

        await eventually(lambda: _is(healthy.count == 2))
        assert broken.count == 1


@pytest.mark.parametrize(
    ("took", "due", "seconds"),
    [
        (0.0, [], LOOK_EVERY_SECONDS),
        (0.0, [0.7, 0.3], 0.3),
        (0.0, [-9.0], LOOK_SECONDS_MIN),
        (0.1, [0.3], 0.1 * LOOK_REST),
        (0.1, [0.6], 0.6),
        (1.0, [], LOOK_REST),
    ],
)
def test_timers_are_looked_at_when_the_next_is_due_and_after_a_rest(
    took: float, due: list[float], seconds: float
) -> None:
    assert next_look(took=took, due=due) == seconds


async def test_stopping_lets_the_running_batch_finish() -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def batch(_: int) -> int:
        begun.set()
        await may_end.wait()
        return 10

    sweeper = Sweeper([Sweep("slow", batch, 10, NEVER_AGAIN_SECONDS)])
    with capture_logs() as lines:
        running = asyncio.create_task(sweeper.run())
        await begun.wait()

        sweeper.stop()
        may_end.set()
        await running

    assert [line["slow"] for line in lines if line["event"] == "swept"] == [10]


async def test_nothing_is_told_when_nothing_was_swept() -> None:
    with capture_logs() as lines:
        await Sweeper([Sweep("idle_closed", Batches(), 10, 1.0)]).burst()

    assert lines == []


async def test_a_burst_repeats_what_a_lost_connection_cut_off() -> None:
    batches = Batches(ConnectionResetError("cut"))

    await Sweeper([Sweep("idle_closed", batches, 10, 1.0)]).burst()

    assert batches.count == 2


async def test_a_burst_does_the_rest_when_a_sweep_fails_and_says_so() -> None:
    broken, healthy = Batches(*[ValueError("broken")] * 9), Batches()

    with pytest.raises(ExceptionGroup) as raised:
        await Sweeper(
            [Sweep("broken", broken, 10, 1.0), Sweep("healthy", healthy, 10, 1.0)]
        ).burst()

    assert (broken.count, healthy.count) == (1, 1)
    assert [repr(error) for error in raised.value.exceptions] == ["ValueError('broken')"]


async def test_a_job_wakes_the_sweeper(redis_url: str) -> None:
    batches = Batches()
    async with (
        sweeping(Sweep("rare", batches, 10, NEVER_AGAIN_SECONDS)) as sweeper,
        serving(redis_url, sweeper),
        tasks.client(redis_url) as jobs,
    ):
        # More than once where a job of an earlier test is still there.
        await eventually(lambda: _is(batches.count >= 1))
        so_far = batches.count

        await jobs.enqueue_job("sweep")

        await eventually(lambda: _is(batches.count > so_far))


async def test_a_job_drains_the_queues_it_names(
    workspace: Workspace, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, conversation = await _a_conversation_that_nobody_drained(workspace, monkeypatch)

    async with serving(redis_url, Sweeper([])), tasks.client(redis_url) as jobs:
        await jobs.enqueue_job("drain", [conversation.team_id])
        await eventually(lambda: Conversation.filter(assignee_id=agent.id).exists())

    await conversation.refresh_from_db()
    assert conversation.assignee_id == agent.id


async def test_a_job_that_nobody_can_read_ends_nothing(redis_url: str) -> None:
    batches = Batches()
    async with (
        sweeping(Sweep("rare", batches, 10, NEVER_AGAIN_SECONDS)) as sweeper,
        tasks.client(redis_url) as jobs,
    ):
        await jobs.set("arq:job:poison", b"\x80\x04cposix\nsystem\n")
        await jobs.zadd(queue.JOBS_QUEUE, {"poison": 1})
        await jobs.enqueue_job("drain", ["no team's id"])
        await jobs.enqueue_job("no such function")
        async with serving(redis_url, sweeper):
            await jobs.enqueue_job("sweep")

            await eventually(lambda: _is(batches.count == 2))
            await eventually(lambda: _is_empty(jobs))


class Batches:
    """A sweep's batches: raises these errors first, then does nothing, and counts the calls."""

    def __init__(self, *errors: Exception) -> None:
        self.count = 0
        self._errors = list(errors)

    async def __call__(self, _: int) -> int:
        self.count += 1
        if self._errors:
            raise self._errors.pop(0)
        return 0


@asynccontextmanager
async def sweeping(*of: Sweep) -> AsyncIterator[Sweeper]:
    sweeper = Sweeper(of)
    running = asyncio.create_task(sweeper.run())
    try:
        yield sweeper
    finally:
        sweeper.stop()
        await running


@asynccontextmanager
async def serving(redis_url: str, sweeper: Sweeper) -> AsyncIterator[None]:
    running = asyncio.create_task(tasks.serve(redis_url, sweeper))
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Look until it holds, for ten seconds at most."""
    async with asyncio.timeout(10):
        while not await holds():  # noqa: ASYNC110 - what it waits for is elsewhere
            await asyncio.sleep(0.01)


async def _is(holds: bool) -> bool:
    return holds


async def _is_empty(jobs: ArqRedis) -> bool:
    return not await jobs.zcard(queue.JOBS_QUEUE)


async def _events(kind: str) -> int:
    count: int = await fetchval("SELECT count(*) FROM events WHERE kind = $1", kind)
    return count


async def _remember(workspace: Workspace, key: str) -> None:
    await fetchval(
        "INSERT INTO idempotency_keys (workspace_id, actor_id, mutation, key, input_hash, answer)"
        " VALUES ($1, $2, 'messageSend', $3, '', '{}') RETURNING key",
        workspace.id,
        uuid4(),
        key,
    )


async def _a_conversation_that_nobody_drained(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> tuple[Agent, Conversation]:
    """An agent came and has room, but the process died between the commit and the drain."""
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    conversation = await a_conversation(workspace, team=team)
    with monkeypatch.context() as crashed:
        crashed.setattr(queue.Freed, "__call__", lambda _: asyncio.sleep(0))
        agent = await an_agent(workspace, teams=[team])
    await conversation.refresh_from_db()
    assert conversation.status is Status.QUEUED
    return agent, conversation
