"""A quiet conversation is reminded before it closes: once, on time, and that is no activity."""

import asyncio
from contextvars import Context
from typing import Any

import pytest

from models import Agent, Channel, Conversation, Team, Workspace, snooze
from models.base import IdlePeriod
from models.closing import close
from models.database import encode, fetch, fetchval, tx
from models.errors import BadUserInput
from models.idle import close_idle
from models.idle_reminder import remind_idle
from models.workflow.definition import Definition, Trigger
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_conversation,
    a_message,
    a_team,
    a_workspace,
    an_agent,
    by_system,
    confirmed,
    working,
)

BATCH = 100
HOUR = 60
DAY = 24 * HOUR


async def remind(
    workspace: Workspace, minutes: int | None, period: IdlePeriod = IdlePeriod.ONE_DAY
) -> None:
    by = by_system(workspace)
    await Workspace.change(by=by, idle_reminder_before_minutes=minutes)
    await Workspace.filter(id=workspace.id).update(idle_period_days=period)


async def reminded() -> list[Any]:
    rows = await fetch("SELECT * FROM events WHERE kind = 'IDLE_REMINDED' ORDER BY seq")
    return [row["conversation_id"] for row in rows]


@pytest.mark.parametrize(
    ("period", "before"),
    [
        (IdlePeriod.ONE_DAY, 1),
        (IdlePeriod.ONE_DAY, DAY - 1),
        (IdlePeriod.THREE_DAYS, DAY),
        (IdlePeriod.THIRTY_DAYS, 29 * DAY),
    ],
)
async def test_it_is_reminded_when_so_much_is_left_and_not_before(
    workspace: Workspace, clock: Clock, period: IdlePeriod, before: int
) -> None:
    await remind(workspace, before, period)
    await clock.stop()
    conversation = await a_conversation(workspace)

    await clock.travel(days=period, minutes=-before, microseconds=-1)
    assert await remind_idle(BATCH) == 0
    await clock.travel(microseconds=1)
    assert await remind_idle(BATCH) == 1

    assert await reminded() == [conversation.id]


async def test_it_is_reminded_once_while_nothing_happens_and_again_after_something_did(
    workspace: Workspace, clock: Clock
) -> None:
    await remind(workspace, HOUR)
    conversation = await a_conversation(workspace, sender="ada")
    found = []
    for _ in range(2):
        await clock.travel(hours=23)
        found.append([await remind_idle(BATCH) for _ in range(3)])
        await remind(workspace, 30)
        await clock.travel(minutes=40)
        found.append([await remind_idle(BATCH)])
        await remind(workspace, HOUR)
        await a_message(await Channel.get(id=conversation.channel_id), sender="ada")

    assert found == [[1, 0, 0], [0]] * 2
    assert await reminded() == [conversation.id] * 2


async def test_a_reminder_is_no_activity(workspace: Workspace, clock: Clock) -> None:
    await remind(workspace, HOUR)
    conversation = await a_conversation(workspace)
    await clock.travel(hours=23)
    await remind_idle(BATCH)

    after = await Conversation.get(id=conversation.id)
    await clock.travel(hours=1)
    closed = await close_idle(BATCH)

    assert after.last_activity_at == conversation.last_activity_at
    assert after.version == conversation.version
    assert closed == 1


async def test_what_closes_by_now_is_not_reminded_any_more(
    workspace: Workspace, clock: Clock
) -> None:
    await remind(workspace, HOUR)
    await clock.stop()
    await a_conversation(workspace)

    await clock.travel(days=1)

    assert await remind_idle(BATCH) == 0
    assert await close_idle(BATCH) == 1


@pytest.mark.parametrize(
    ("of_team", "of_agent", "hours"),
    [
        (None, None, 23),
        (IdlePeriod.THREE_DAYS, None, 71),
        (IdlePeriod.THREE_DAYS, IdlePeriod.SEVEN_DAYS, 167),
        (IdlePeriod.NEVER, None, None),
        (None, IdlePeriod.NEVER, None),
    ],
)
async def test_it_comes_before_the_end_of_the_period_that_applies(
    workspace: Workspace,
    clock: Clock,
    of_team: IdlePeriod | None,
    of_agent: IdlePeriod | None,
    hours: int | None,
) -> None:
    await remind(workspace, HOUR)
    team = await a_team(workspace)
    await Team.filter(id=team.id).update(idle_period_days=of_team)
    agent = await an_agent(workspace, teams=[team])
    if of_agent is not None:
        await confirmed(Agent.change, agent.id, by=by_system(workspace), idle_period_days=of_agent)
    await a_conversation(workspace, team=team, holder=agent)

    found, passed = [], 0
    for hour in (23, 71, 167, 719):
        await clock.travel(hours=hour - passed)
        passed = hour
        found += [hour] * await remind_idle(BATCH)

    assert found == ([hours] if hours else [])


@pytest.mark.parametrize("status", ["BOT", "QUEUED", "ASSIGNED", "SNOOZED", "CLOSED"])
async def test_whatever_can_close_by_itself_is_reminded(
    workspace: Workspace, clock: Clock, status: str
) -> None:
    await remind(workspace, HOUR)
    by = by_system(workspace)
    holder = await an_agent(workspace) if status in ("ASSIGNED", "SNOOZED") else None
    channel = await a_channel(workspace, bot=status == "BOT")
    conversation = await a_conversation(workspace, channel=channel, holder=holder)
    if status in ("SNOOZED", "CLOSED"):
        async with working(conversation.id, by=by) as held:
            await (close(held, by=by) if status == "CLOSED" else snooze.begin(held, by=by))

    await clock.travel(hours=23)

    assert await remind_idle(BATCH) == (status in ("BOT", "QUEUED", "ASSIGNED"))


async def test_where_the_period_is_not_longer_there_is_no_reminder(
    workspace: Workspace, clock: Clock
) -> None:
    await remind(workspace, 13 * DAY, IdlePeriod.SEVEN_DAYS)
    await a_conversation(workspace)

    for _ in range(7):
        assert await remind_idle(BATCH) == 0
        await clock.travel(hours=25)


async def test_without_the_setting_nobody_is_reminded(workspace: Workspace, clock: Clock) -> None:
    await remind(workspace, None)
    await remind(await a_workspace("Another"), HOUR)
    await a_conversation(workspace)
    await clock.travel(hours=23, minutes=30)

    assert await remind_idle(BATCH) == 0


@pytest.mark.parametrize("minutes", [0, -1, 29 * DAY + 1, 2**31])
async def test_a_reminder_comes_a_minute_to_29_days_before(
    workspace: Workspace, minutes: int
) -> None:
    with pytest.raises(BadUserInput) as refused:
        await Workspace.change(by=by_system(workspace), idle_reminder_before_minutes=minutes)

    assert refused.value.path == "input.idleReminderBeforeMinutes"


async def test_it_is_reminded_once_however_many_sweep(workspace: Workspace, clock: Clock) -> None:
    await remind(workspace, HOUR)
    ids = {(await a_conversation(workspace)).id for _ in range(10)}
    await clock.travel(hours=23)

    counts = await asyncio.gather(*[remind_idle(4) for _ in range(8)])

    assert sum(counts) == 10
    assert sorted(await reminded()) == sorted(ids)


async def test_what_somebody_works_on_is_passed_over(workspace: Workspace, clock: Clock) -> None:
    await remind(workspace, HOUR)
    busy, quiet = [await a_conversation(workspace) for _ in range(2)]
    await clock.travel(hours=23)

    async with tx():
        await Conversation.locked(busy.id, by=by_system(workspace))
        # Outside of this transaction, whose own locks would not keep it off.
        await Context().run(asyncio.create_task, remind_idle(BATCH))

    assert await reminded() == [quiet.id]


async def test_a_reminder_starts_the_workflows_that_wait_for_it(
    workspace: Workspace, clock: Clock
) -> None:
    await remind(workspace, HOUR)
    conversation = await a_conversation(workspace)
    await a_published_workflow(workspace, Trigger.IDLE_REMINDER)
    await clock.travel(hours=23)

    await remind_idle(BATCH)

    [run] = await fetch("SELECT * FROM workflow_runs")
    assert (run["trigger"], run["conversation_id"]) == ("IDLE_REMINDER", conversation.id)
    assert await fetchval("SELECT last_activity_at FROM conversations") == (
        conversation.last_activity_at
    )


async def a_published_workflow(workspace: Workspace, trigger: Trigger) -> None:
    """By its rows, as publishing leaves them."""
    await fetch(
        """
        WITH w AS (
            INSERT INTO workflows (id, workspace_id, name, position, status, draft, version)
            VALUES (gen_random_uuid(), $1, 'Remind', 1, 'DRAFT', $3::text::jsonb, 1) RETURNING id
        )
        INSERT INTO workflow_revisions
            (id, workspace_id, workflow_id, number, trigger, is_once, definition)
        SELECT gen_random_uuid(), $1, id, 1, $2, false, $3::text::jsonb FROM w
        """,
        workspace.id,
        trigger,
        encode(Definition(trigger=trigger).stored),
    )
    await fetch(
        "UPDATE workflows w SET status = 'ACTIVE', revision_id = r.id FROM workflow_revisions r"
    )
