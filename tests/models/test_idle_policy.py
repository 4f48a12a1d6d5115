"""Shortening an idle period takes a look at what closes by it: fresh, and of this very change."""

import asyncio
from contextvars import Context
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from models import Agent, Conversation, Team, Workspace, snooze
from models.access import Actor, Role
from models.base import IdlePeriod
from models.conversation import Status
from models.database import fetch, tx
from models.errors import BadUserInput, Forbidden, PreviewRequired, PreviewStale
from models.idle import close_idle
from models.idle_policy import PREVIEW_MINUTES, Preview, preview
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_conversation,
    a_message,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    by_system,
    working,
)

NEVER, ONE, THREE, THIRTY = (
    IdlePeriod.NEVER,
    IdlePeriod.ONE_DAY,
    IdlePeriod.THREE_DAYS,
    IdlePeriod.THIRTY_DAYS,
)


async def seen(period: IdlePeriod | None, by: Actor, **whose: Any) -> Preview:
    found = await preview(period, by=by, **whose)
    assert found is not None
    return found


async def set_periods(
    workspace: Workspace, team: Team, agent: Agent, *periods: IdlePeriod | None
) -> None:
    records: list[tuple[Any, Any]] = [(Workspace, workspace), (Team, team), (Agent, agent)]
    for (kind, record), period in zip(records, periods, strict=True):
        await kind.filter(id=record.id).update(idle_period_days=period)


async def test_it_says_how_many_would_close_and_that_many_close(
    workspace: Workspace, clock: Clock
) -> None:
    by = by_system(workspace)
    for _ in range(3):
        await a_conversation(workspace)
    await clock.travel(days=2)
    await a_conversation(workspace)

    found = await seen(ONE, by)
    assert await close_idle(10) == 0
    await Workspace.change(by=by, idle_period_days=ONE, preview_token=found.token)

    assert (found.closes_at_once, found.is_shorter) == (3, True)
    assert await close_idle(10) == 3


@pytest.mark.parametrize(
    ("periods", "whose", "to", "closes"),
    [
        ((NEVER, None, None), "workspace", ONE, 3),
        ((NEVER, None, NEVER), "workspace", ONE, 2),
        ((NEVER, THIRTY, None), "workspace", ONE, 1),
        ((NEVER, None, None), "team", ONE, 2),
        ((NEVER, None, NEVER), "team", ONE, 1),
        ((ONE, NEVER, None), "team", None, 2),
        ((ONE, NEVER, THIRTY), "team", None, 1),
        ((NEVER, NEVER, None), "agent", ONE, 1),
        ((ONE, None, NEVER), "agent", None, 1),
        ((ONE, NEVER, NEVER), "agent", None, 0),
        ((NEVER, None, None), "agent", THIRTY, 0),
    ],
)
async def test_it_counts_what_goes_by_the_setting(
    workspace: Workspace,
    clock: Clock,
    periods: tuple[IdlePeriod | None, ...],
    whose: str,
    to: IdlePeriod | None,
    closes: int,
) -> None:
    """One waits in the Todos, one in the team's queue, one of that team is an agent's."""
    team = await a_team(workspace)
    agent = await an_agent(workspace, teams=[team])
    await a_conversation(workspace)
    channel = await a_channel(workspace, team=team)
    await a_conversation(workspace, channel=channel)
    await a_conversation(workspace, channel=channel, holder=agent)
    await set_periods(workspace, team, agent, *periods)
    await clock.travel(days=2)
    ids = {"workspace": {}, "team": {"team_id": team.id}, "agent": {"agent_id": agent.id}}

    found = await seen(to, by_system(workspace), **ids[whose])

    assert found.closes_at_once == closes


async def test_a_snooze_and_what_is_closed_count_for_nothing(
    workspace: Workspace, clock: Clock
) -> None:
    agent = await an_agent(workspace)
    conversation = await a_conversation(workspace, holder=agent)
    async with working(conversation.id, by=as_agent(agent)) as locked:
        await snooze.begin(locked, by=as_agent(agent))
    await clock.travel(days=40)

    assert (await seen(ONE, by_system(workspace))).closes_at_once == 0


@pytest.mark.parametrize(
    ("periods", "whose", "to", "is_shorter"),
    [
        ((NEVER, None, None), "workspace", THIRTY, True),
        ((THREE, None, None), "workspace", ONE, True),
        ((ONE, None, None), "workspace", THREE, False),
        ((ONE, None, None), "workspace", NEVER, False),
        ((ONE, None, None), "workspace", ONE, False),
        ((ONE, None, None), "team", THREE, False),
        ((THREE, None, None), "team", ONE, True),
        ((ONE, THREE, None), "team", None, True),
        ((NEVER, THREE, None), "team", None, False),
        ((NEVER, ONE, None), "agent", THREE, True),
        ((ONE, ONE, None), "agent", ONE, False),
        ((THIRTY, ONE, None), "agent", THREE, True),
        ((ONE, ONE, NEVER), "agent", None, True),
        ((NEVER, NEVER, ONE), "agent", None, False),
    ],
)
async def test_only_what_lets_something_close_earlier_takes_a_token(
    workspace: Workspace,
    periods: tuple[IdlePeriod | None, ...],
    whose: str,
    to: IdlePeriod | None,
    is_shorter: bool,
) -> None:
    by = by_system(workspace)
    team = await a_team(workspace)
    agent = await an_agent(workspace, teams=[team])
    await set_periods(workspace, team, agent, *periods)
    verbs: dict[str, Any] = {
        "workspace": (Workspace.change, [], {}),
        "team": (Team.change, [team.id], {"team_id": team.id}),
        "agent": (Agent.change, [agent.id], {"agent_id": agent.id}),
    }
    change, id, ids = verbs[whose]

    found = await seen(to, by, **ids)
    if is_shorter:
        with pytest.raises(PreviewRequired) as refused:
            await change(*id, by=by, idle_period_days=to)
        assert refused.value.facts == {"closesAtOnce": 0}
        await change(*id, by=by, idle_period_days=to, preview_token=found.token)
    else:
        await change(*id, by=by, idle_period_days=to)

    assert found.is_shorter is is_shorter


async def test_it_is_good_for_ten_minutes_to_the_instant(
    workspace: Workspace, clock: Clock
) -> None:
    by = by_system(workspace)
    await clock.stop()
    found = await seen(ONE, by)

    await clock.travel(minutes=PREVIEW_MINUTES)
    with pytest.raises(PreviewStale):
        await Workspace.change(by=by, idle_period_days=ONE, preview_token=found.token)
    await clock.travel(microseconds=-1)
    await Workspace.change(by=by, idle_period_days=ONE, preview_token=found.token)

    assert (found.expires_at - await _now()).total_seconds() == pytest.approx(1e-6)


@pytest.mark.parametrize("afterwards", [[THIRTY], [THIRTY, NEVER]], ids=["changed", "and back"])
@pytest.mark.parametrize("whose", ["workspace", "team", "agent"])
async def test_it_is_stale_when_the_setting_changed(
    workspace: Workspace, whose: str, afterwards: list[IdlePeriod]
) -> None:
    by = by_system(workspace)
    team = await a_team(workspace)
    agent = await an_agent(workspace)
    await set_periods(workspace, team, agent, NEVER, NEVER, NEVER)
    change, ids = {
        "workspace": (Workspace.change, {}),
        "team": (partial(Team.change, team.id), {"team_id": team.id}),
        "agent": (partial(Agent.change, agent.id), {"agent_id": agent.id}),
    }[whose]
    found = await seen(ONE, by, **ids)
    for period in afterwards:
        other = await seen(period, by, **ids)
        await change(by=by, idle_period_days=period, preview_token=other.token)

    with pytest.raises(PreviewStale):
        await change(by=by, idle_period_days=ONE, preview_token=found.token)


async def test_other_settings_leave_it_fresh(workspace: Workspace) -> None:
    by = by_system(workspace)
    found = await seen(ONE, by)
    await Workspace.change(by=by, name="Another")

    await Workspace.change(by=by, idle_period_days=ONE, preview_token=found.token)

    await workspace.refresh_from_db()
    assert (workspace.name, workspace.idle_period_days) == ("Another", ONE)


async def test_it_is_stale_when_more_would_close_than_it_said_and_not_when_fewer_would(
    workspace: Workspace, clock: Clock
) -> None:
    by = by_system(workspace)
    channel = await a_channel(workspace)
    for sender in ("ada", "bo"):
        await a_message(channel, sender=sender)
    await clock.travel(days=1, minutes=-5)
    early = await seen(ONE, by)
    await clock.travel(minutes=6)

    with pytest.raises(PreviewStale) as refused:
        await Workspace.change(by=by, idle_period_days=ONE, preview_token=early.token)
    late = await seen(ONE, by)
    await a_message(channel, sender="ada")
    await Workspace.change(by=by, idle_period_days=ONE, preview_token=late.token)

    assert refused.value.facts == {"closesAtOnce": 2}
    assert await close_idle(10) == 1
    assert await Conversation.filter(status=Status.CLOSED).count() == 1


async def test_two_changes_at_once_close_nothing_that_nobody_saw(
    workspace: Workspace, clock: Clock
) -> None:
    by = by_system(workspace)
    agent = await an_agent(workspace)
    await a_conversation(workspace, holder=agent)
    await set_periods(workspace, await a_team(workspace), agent, NEVER, None, THIRTY)
    await clock.travel(days=2)
    found = await seen(ONE, by)

    async with tx():
        await Agent.change(agent.id, by=by, idle_period_days=None)
        change = Workspace.change(by=by, idle_period_days=ONE, preview_token=found.token)
        other = asyncio.create_task(change, context=Context())
        await asyncio.wait({other}, timeout=0.2)

    with pytest.raises(PreviewStale):
        await other
    assert await close_idle(10) == 0


async def test_it_confirms_no_other_change_and_cannot_be_made_up(workspace: Workspace) -> None:
    by = by_system(workspace)
    team = await a_team(workspace)
    other = await a_workspace()
    tokens = [
        (await seen(THREE, by)).token,
        (await seen(ONE, by, team_id=team.id)).token,
        (await seen(ONE, by_system(other))).token,
        "",
        "A" * 200,
        "no token at all é",
        "A" * 100_000,
    ]

    for token in tokens:
        with pytest.raises(PreviewStale):
            await Workspace.change(by=by, idle_period_days=ONE, preview_token=token)

    await workspace.refresh_from_db()
    assert workspace.idle_period_days == NEVER


@pytest.mark.parametrize("of", ["team_id", "agent_id"])
async def test_what_nobody_sees_has_no_preview(workspace: Workspace, of: str) -> None:
    other = await a_workspace()
    theirs = {"team_id": (await a_team(other)).id, "agent_id": (await an_agent(other)).id}

    for id in (theirs[of], uuid4()):
        assert await preview(ONE, by=by_system(workspace), **{of: id}) is None


async def test_a_preview_is_of_one_setting_and_for_whoever_may_change_it(
    workspace: Workspace,
) -> None:
    by = by_system(workspace)
    operator = await an_agent(workspace, role=Role.OPERATOR)

    with pytest.raises(BadUserInput):
        await preview(ONE, by=by, team_id=uuid4(), agent_id=uuid4())
    with pytest.raises(BadUserInput):
        await preview(None, by=by)
    with pytest.raises(Forbidden):
        await preview(ONE, by=as_agent(operator))


async def _now() -> Any:
    return (await fetch("SELECT relevo_now() AS now"))[0]["now"]
