"""Business hours: when they are open, whose count, and what opening gives out."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from models import Agent, Conversation, Team, Workspace, queue
from models.database import encode, fetchval
from models.decision import Distribution
from models.errors import BadUserInput
from models.hours import HOLIDAYS_MAX, INTERVALS_MAX, BusinessHours, Interval
from tests.conftest import Clock
from tests.factories import a_conversation, a_team, an_agent, as_agent, by_system

DAY = 24 * 60
# Split for a break, until midnight, and in the hour that summer time takes and gives back.
OFFICE = (
    Interval(1, 9 * 60, 12 * 60),
    Interval(1, 13 * 60, 18 * 60),
    Interval(5, 20 * 60, DAY),
    Interval(6, 0, 2 * 60),
    Interval(7, 60, 2 * 60 + 30),
)
ZONES = ("Europe/Madrid", "America/New_York", "Asia/Kolkata", "Pacific/Chatham", "UTC")


def is_open(hours: BusinessHours, instant: datetime) -> bool:
    """What the words say, by the standard library's time zones."""
    local = instant.astimezone(ZoneInfo(hours.time_zone))
    minute = local.hour * 60 + local.minute
    return local.date() not in hours.holidays and any(
        it.day == local.isoweekday() and it.opens <= minute < it.closes for it in hours.weekly
    )


def instants() -> Iterator[datetime]:
    """Around both changes of the clock, and around midnights, to the microsecond."""
    for start in (datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 10, 30, tzinfo=UTC)):
        for quarter in range(5 * 24 * 4):
            instant = start + timedelta(minutes=15 * quarter)
            yield from (instant - timedelta(microseconds=1), instant)


@pytest.mark.parametrize("zone", ZONES)
async def test_the_database_and_the_library_agree_on_what_is_open(database: str, zone: str) -> None:
    hours = BusinessHours.of(zone, OFFICE, [date(2026, 3, 30)])
    asked = list(instants())

    answered = await fetchval(
        "SELECT array_agg(relevo_is_open($1::jsonb, i) ORDER BY n)"
        " FROM unnest($2::timestamptz[]) WITH ORDINALITY AS u(i, n)",
        encode(hours.stored()),
        asked,
    )

    assert answered == [is_open(hours, instant) for instant in asked]
    assert {True, False} == set(answered)


async def test_where_no_hours_are_set_it_is_always_open(database: str) -> None:
    assert await fetchval("SELECT relevo_is_open(NULL, relevo_now())")


def test_hours_come_back_as_they_were_kept() -> None:
    hours = BusinessHours.of("America/Bogota", OFFICE, [date(2026, 12, 25)])

    assert BusinessHours.recall(hours.stored()) == hours


@pytest.mark.parametrize(
    ("zone", "weekly", "holidays"),
    [
        ("Mars/Olympus", OFFICE, []),
        ("UTC", [Interval(0, 0, 60)], []),
        ("UTC", [Interval(8, 0, 60)], []),
        ("UTC", [Interval(1, 60, 60)], []),
        ("UTC", [Interval(1, -1, 60)], []),
        ("UTC", [Interval(1, 0, DAY + 1)], []),
        ("UTC", [Interval(1, 0, 61), Interval(1, 60, 90)], []),
        ("UTC", [Interval(1, it, it + 1) for it in range(INTERVALS_MAX + 1)], []),
        ("UTC", OFFICE, [date(2026, 1, 1)] * (HOLIDAYS_MAX + 1)),
    ],
)
def test_hours_that_nobody_could_keep_are_refused(
    zone: str, weekly: list[Interval], holidays: list[date]
) -> None:
    with pytest.raises(BadUserInput):
        BusinessHours.of(zone, weekly, holidays)


ALWAYS = BusinessHours.of("UTC", [Interval(day, 0, DAY) for day in range(1, 8)]).stored()
NEVER = BusinessHours.of("UTC", []).stored()


@pytest.mark.parametrize(
    ("of_workspace", "of_team", "of_agent", "is_given"),
    [
        (None, None, None, True),
        (NEVER, None, None, False),
        (NEVER, ALWAYS, None, True),
        (ALWAYS, NEVER, None, False),
        (NEVER, NEVER, ALWAYS, True),
        (ALWAYS, ALWAYS, NEVER, False),
    ],
)
async def test_an_agents_hours_go_over_the_teams_and_those_over_the_workspaces(
    workspace: Workspace,
    of_workspace: dict[str, object] | None,
    of_team: dict[str, object] | None,
    of_agent: dict[str, object] | None,
    is_given: bool,
) -> None:
    by = by_system(workspace)
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    agent = await an_agent(workspace, teams=[team])
    await Workspace.change(by=by, business_hours=of_workspace)
    await Team.change(team.id, by=by, business_hours=of_team)
    await Agent.change(agent.id, by=by, business_hours=of_agent)

    conversation = await a_conversation(workspace, team=team)

    assert await holder_of(conversation) == (agent.id if is_given else None)


@pytest.mark.parametrize("whose", ["workspace", "team", "agent"])
async def test_new_hours_give_out_at_once_what_waits(workspace: Workspace, whose: str) -> None:
    by = by_system(workspace)
    team = await a_team(workspace, distribution=Distribution.ROUND_ROBIN)
    agent = await an_agent(workspace, teams=[team])

    async def keep(hours: dict[str, object] | None) -> None:
        if whose == "workspace":
            await Workspace.change(by=by, business_hours=hours)
        elif whose == "team":
            await Team.change(team.id, by=by, business_hours=hours)
        else:
            await Agent.change(agent.id, by=by, business_hours=hours)

    await keep(NEVER)
    conversation = await a_conversation(workspace, team=team)
    before = await holder_of(conversation)
    await keep(None)

    assert (before, await holder_of(conversation)) == (None, agent.id)


async def test_when_the_hours_open_the_sweep_gives_out_what_waits(
    workspace: Workspace, clock: Clock
) -> None:
    now = await fetchval("SELECT relevo_now()")
    soon = (now + timedelta(minutes=10)).astimezone(UTC)
    opens = soon.hour * 60 + soon.minute
    hours = BusinessHours.of("UTC", [Interval(soon.isoweekday(), opens, DAY)])
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    agent = await an_agent(workspace, teams=[team])
    await Team.change(team.id, by=by_system(workspace), business_hours=hours.stored())
    conversation = await a_conversation(workspace, team=team)
    await queue.drain_all(10)
    before = await holder_of(conversation)

    await clock.travel(minutes=10)
    await Agent.beat(agent.id, by=as_agent(agent), device="browser")
    await queue.drain_all(10)

    assert (before, await holder_of(conversation)) == (None, agent.id)


async def holder_of(conversation: Conversation) -> UUID | None:
    return (await Conversation.get(id=conversation.id)).assignee_id


@pytest.mark.parametrize("whose", ["workspace", "team", "agent"])
async def test_a_time_zone_is_one_that_the_database_knows(workspace: Workspace, whose: str) -> None:
    """Machines have zones, such as `localtime`, that are no zone of anybody else's."""
    by, team, agent = by_system(workspace), await a_team(workspace), await an_agent(workspace)
    hours = {"time_zone": "localtime", "weekly": [], "holidays": []}

    changes = {
        "workspace": partial(Workspace.change, by=by),
        "team": partial(Team.change, team.id, by=by),
        "agent": partial(Agent.change, agent.id, by=by),
    }

    with pytest.raises(BadUserInput):
        await changes[whose](business_hours=hours)
