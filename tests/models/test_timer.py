"""The database tells when the first timer of every kind is due: to the instant, and before it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from models import Agent, Team, Workspace, agent, answer_timeout, idle, idle_reminder, snooze
from models.base import IdlePeriod
from models.database import fetch, fetchval
from models.timer import Timer, first_due
from models.workflow import advance
from models.workflow.definition import AssignStep, SendMessageStep
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_conversation,
    a_message,
    a_team,
    an_agent,
    as_agent,
    by_system,
    working,
)
from tests.published import published

MICROSECOND = 1e-6
HOUR = 3_600.0
DAY = 24 * HOUR
HOURS = {"time_zone": "UTC", "weekly": [{"day": 1, "opens": 0, "closes": 60}], "holidays": []}

Arranging = Callable[[Workspace, Clock], Awaitable[float]]


async def idle_closing(workspace: Workspace, _: Clock) -> float:
    await Workspace.filter(id=workspace.id).update(idle_period_days=IdlePeriod.THREE_DAYS)
    team = await a_team(workspace)
    await Team.filter(id=team.id).update(idle_period_days=IdlePeriod.ONE_DAY)
    patient = await an_agent(workspace, teams=[team])
    await Agent.filter(id=patient.id).update(idle_period_days=IdlePeriod.NEVER)
    for holder in (patient, None):
        await a_conversation(workspace, team=team, holder=holder)
    await a_conversation(workspace)
    return DAY


async def a_reminder(workspace: Workspace, _: Clock) -> float:
    await Workspace.filter(id=workspace.id).update(
        idle_period_days=IdlePeriod.ONE_DAY, idle_reminder_before_minutes=60
    )
    await a_conversation(workspace)
    return DAY - HOUR


async def the_end_of_a_snooze(workspace: Workspace, _: Clock) -> float:
    by = as_agent(await an_agent(workspace))
    assert by.agent_id is not None
    conversation = await a_conversation(workspace, holder=await Agent.get(id=by.agent_id))
    until = await fetchval("SELECT relevo_now() + interval '2 hours'")
    async with working(conversation.id, by=by) as locked:
        await snooze.begin(locked, by=by, until=until)
    return 2 * HOUR


async def an_answer(workspace: Workspace, _: Clock) -> float:
    team = await a_team(workspace)
    await Team.change(team.id, by=by_system(workspace), answer_timeout_minutes=30)
    await a_conversation(workspace, team=team, holder=await an_agent(workspace, teams=[team]))
    return HOUR / 2


async def the_last_lease(workspace: Workspace, clock: Clock) -> float:
    someone = await an_agent(workspace)
    await clock.travel(seconds=10)
    await Agent.beat(someone.id, by=by_system(workspace), device="phone")
    return float(agent.LEASE_SECONDS)


async def a_waiting_limit(workspace: Workspace, _: Clock) -> float:
    give = AssignStep(
        key="give", team_id=(await a_team(workspace)).id, waiting_minutes=60, on_timeout="sorry"
    )
    await published(workspace, give, SendMessageStep(key="sorry", text="Sorry."))
    await a_message(await a_channel(workspace))
    return HOUR


@pytest.mark.parametrize(
    ("timer", "arrange", "sweep"),
    [
        (Timer.IDLE_CLOSED, idle_closing, idle.close_idle),
        (Timer.REMINDED, a_reminder, idle_reminder.remind_idle),
        (Timer.WOKEN, the_end_of_a_snooze, snooze.wake_due),
        (Timer.ANSWERS_LAPSED, an_answer, answer_timeout.lapse_answers),
        (Timer.PRESENCE_LAPSED, the_last_lease, agent.lapse_presence),
        (Timer.STEPS_TAKEN, a_waiting_limit, advance.go_on_due),
    ],
)
async def test_a_sweep_finds_what_was_told_at_that_instant_and_not_before(
    workspace: Workspace,
    clock: Clock,
    timer: Timer,
    arrange: Arranging,
    sweep: Callable[[int], Awaitable[int]],
) -> None:
    await clock.stop()
    seconds = await arrange(workspace, clock)
    await clock.travel(seconds=seconds - 0.5)
    ahead = await due(timer)
    not_yet = await first_due(0.4)

    await clock.travel(seconds=0.5 - MICROSECOND)
    early = await sweep(10)
    await clock.travel(seconds=MICROSECOND)
    [on_time] = [it for it in await first_due(0.0) if it.timer is timer]
    done = await sweep(10)

    assert ahead == pytest.approx(0.5)
    assert timer not in {it.timer for it in not_yet}
    assert (early, on_time.seconds) == (0, 0.0)
    assert done
    assert await due(timer) is None


@pytest.mark.leaves_violations  # rows alone make no reservation
@pytest.mark.parametrize(
    "column", ["reserved_for_id, reserved_until", "skipped_agent_id, skipped_until"]
)
async def test_the_end_of_a_reservation_or_of_a_skip_is_told_while_it_is_ahead(
    workspace: Workspace, clock: Clock, column: str
) -> None:
    await clock.stop()
    someone = await an_agent(workspace)
    conversation = await a_conversation(workspace)
    await fetch(
        f"UPDATE conversations SET ({column}) = ($2, relevo_now() + interval '1 hour')"
        " WHERE id = $1",
        conversation.id,
        someone.id,
    )

    await clock.travel(seconds=HOUR - 0.5)
    ahead = await due(Timer.DRAINED)
    await clock.travel(seconds=0.5)

    assert ahead == pytest.approx(0.5)
    assert await due(Timer.DRAINED) is None


async def test_hours_may_open_with_every_minute(workspace: Workspace, clock: Clock) -> None:
    await clock.stop()
    into_the_minute = await fetchval("SELECT extract(second FROM relevo_now())::float8")
    await clock.travel(seconds=59.5 - into_the_minute)

    without = await due(Timer.DRAINED)
    await Workspace.change(by=by_system(workspace), business_hours=HOURS)
    ahead = await due(Timer.DRAINED)

    assert without is None
    assert ahead == pytest.approx(0.5, abs=1e-3)


async def due(timer: Timer) -> Any:
    """In how many seconds the first one is due, within a second."""
    return next((it.seconds for it in await first_due(1.0) if it.timer is timer), None)
