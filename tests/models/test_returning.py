"""Customers who come back: to whom, for how long, and once however often they write."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from models import (
    Agent,
    Assignment,
    Channel,
    ClosingReason,
    Closure,
    Conversation,
    Message,
    Team,
    Workspace,
)
from models.access import Actor
from models.agent import LEASE_SECONDS
from models.base import IdlePeriod, Line
from models.closing import close
from models.conversation import Status
from models.database import Raced, fetch, retrying
from models.decision import Availability, Rule
from models.errors import ConversationAlreadyOpen, ConversationNotClosed
from models.event import Kind
from models.idle import close_idle
from models.owner import set_owner
from models.precedence import Reason
from models.reopening import reopen
from models.transfer import transfer
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_message,
    a_team,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    confirmed,
    working,
)
from tests.meeting import behind

A_DAY = 24


async def a_reason(workspace: Workspace) -> UUID:
    reason = await ClosingReason.filter(workspace_id=workspace.id).first()
    return (reason or await ClosingReason.add(by=by_system(workspace), name="Solved")).id


async def closes(conversation: Conversation, *, by: Actor, **why: Any) -> None:
    async with working(conversation.id, by=by) as locked:
        await close(locked, by=by, **why)


async def a_closed_one(
    workspace: Workspace,
    holder: Agent,
    *,
    channel: Channel | None = None,
    reason: bool = True,
) -> Conversation:
    """Of the customer Ada; its holder closed it, with a reason unless told otherwise."""
    conversation = await a_conversation(workspace, channel=channel, holder=holder, sender="ada")
    reason_id = await a_reason(workspace) if reason else None
    await closes(conversation, by=as_agent(holder), reason_id=reason_id)
    return conversation


async def comes_back(closed: Conversation, *, line: Line | None = None) -> Conversation:
    """What Ada's next message on the same channel comes to."""
    channel = await Channel.get(id=closed.channel_id)
    received = await a_message(channel, sender="ada", line=line)
    return await Conversation.get(id=received.conversation_id)


async def window(workspace: Workspace, hours: int | None) -> None:
    await Workspace.change(by=by_system(workspace), reassignment_window_hours=hours)


async def passed(conversation: Conversation) -> list[str]:
    held = await Assignment.get_or_none(conversation_id=conversation.id, ended_at=None)
    decision = held.decision if held else conversation.decision
    assert decision is not None
    reasons: list[str] = decision["routed"]["passed"]
    return reasons


async def kinds(conversation: Conversation) -> list[str]:
    rows = await fetch(
        "SELECT kind FROM events WHERE conversation_id = $1 ORDER BY seq", conversation.id
    )
    return [row["kind"] for row in rows]


# -- To whom


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("availability", list(Availability))
async def test_on_the_same_channel_it_reopens_for_the_same_agent_at_any_load(
    workspace: Workspace, availability: Availability, connected: bool
) -> None:
    agent = await an_agent(workspace, capacity=0, availability=availability, connected=connected)
    closed = await a_closed_one(workspace, agent)

    reopened = await comes_back(closed)

    newest = await Assignment.get(conversation_id=closed.id, ended_at=None)
    assert reopened.id == closed.id
    assert (reopened.status, reopened.assignee_id) == (Status.ASSIGNED, agent.id)
    assert (reopened.closed_at, newest.rule) == (None, Rule.STICKY)
    assert (await Agent.get(id=agent.id)).load == 1
    assert (await kinds(closed))[-3:] == [
        Kind.CONVERSATION_CLOSED,
        Kind.CONVERSATION_REOPENED,
        Kind.MESSAGE_RECEIVED,
    ]


async def test_on_another_channel_of_the_line_a_new_one_goes_to_the_same_agent(
    workspace: Workspace,
) -> None:
    agent = await an_agent(workspace, capacity=0, connected=False)
    first, second = await a_channel(workspace), await a_channel(workspace)
    await a_contact(first, second)
    closed = await a_closed_one(workspace, agent, channel=first)

    received = await a_message(second, sender="ada")

    opened = await Conversation.get(id=received.conversation_id)
    assert received.opened
    assert opened.contact_id == closed.contact_id
    assert (opened.status, opened.assignee_id) == (Status.ASSIGNED, agent.id)
    assert (await Assignment.get(conversation_id=opened.id)).rule is Rule.STICKY
    assert (await Conversation.get(id=closed.id)).status is Status.CLOSED


async def test_on_the_other_line_nobody_is_sticky(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    closed = await a_closed_one(workspace, agent)

    opened = await comes_back(closed, line=Line.SUPPORT)

    todos = await Team.todos(workspace.id, Line.SUPPORT)
    assert opened.id != closed.id
    assert (opened.team_id, opened.assignee_id) == (todos.id, None)
    assert await passed(opened) == []


async def test_who_held_it_last_has_it_again(workspace: Workspace) -> None:
    ann, ben = await an_agent(workspace), await an_agent(workspace)
    conversation = await a_conversation(workspace, holder=ann, sender="ada")
    await transfer(conversation.id, by=as_agent(ann), to_agent=ben.id)
    await closes(conversation, by=by_system(workspace))

    assert (await comes_back(conversation)).assignee_id == ben.id


async def test_what_nobody_held_is_nobodys(workspace: Workspace) -> None:
    closed = await a_conversation(workspace, sender="ada")
    await closes(closed, by=by_system(workspace))

    opened = await comes_back(closed)

    assert opened.id != closed.id
    assert opened.status is Status.QUEUED


async def test_an_agent_without_an_account_counts_as_expired(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    closed = await a_closed_one(workspace, agent)
    await Agent.filter(id=agent.id).update(is_active=False)

    opened = await comes_back(closed)

    assert opened.id != closed.id
    assert (opened.status, opened.assignee_id) == (Status.QUEUED, None)
    assert await passed(opened) == [Reason.STICKY_INACTIVE]


@pytest.mark.parametrize("absent", ["disconnected", "away"])
async def test_an_absent_agent_is_passed_over_where_such_fall_through(
    workspace: Workspace, clock: Clock, absent: str
) -> None:
    await Workspace.change(by=by_system(workspace), sticky_falls_through=True)
    team, agent = await a_team(workspace), await an_agent(workspace)
    closed = await a_closed_one(workspace, agent, channel=await a_channel(workspace, team=team))
    if absent == "away":
        by = as_agent(agent)
        await Agent.set_availability(agent.id, by=by, availability=Availability.AWAY)
    else:
        await clock.travel(seconds=LEASE_SECONDS)

    opened = await comes_back(closed)

    assert opened.id != closed.id
    assert (opened.status, opened.team_id) == (Status.QUEUED, team.id)
    assert await passed(opened) == [Reason.STICKY_ABSENT]


async def test_a_sticky_agent_comes_before_the_bot(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    closed = await a_closed_one(workspace, agent)
    await Channel.set_bot(closed.channel_id, by=by_system(workspace), is_on=True)

    assert (await comes_back(closed)).assignee_id == agent.id


async def test_after_the_window_the_bot_has_it_as_a_new_contact(
    workspace: Workspace, clock: Clock
) -> None:
    await window(workspace, A_DAY)
    closed = await a_closed_one(workspace, await an_agent(workspace))
    await Channel.set_bot(closed.channel_id, by=by_system(workspace), is_on=True)
    await clock.travel(hours=A_DAY)

    opened = await comes_back(closed)

    assert opened.id != closed.id
    assert opened.status is Status.BOT


@pytest.mark.parametrize("days", [0, 400])
async def test_an_explicit_owner_outlives_every_window_and_beats_the_sticky_agent(
    workspace: Workspace, clock: Clock, days: int
) -> None:
    await window(workspace, A_DAY)
    closed = await a_closed_one(workspace, await an_agent(workspace))
    owner = await an_agent(workspace)
    await set_owner(closed.contact_id, by=by_system(workspace), agent_id=owner.id)
    await clock.travel(days=days)
    await Agent.beat(owner.id, by=as_agent(owner), device="browser")

    opened = await comes_back(closed)

    assert opened.id != closed.id
    assert opened.assignee_id == owner.id


# -- For how long


@pytest.mark.parametrize(
    ("late", "is_the_same"),
    [
        (timedelta(microseconds=-1), True),
        (timedelta(0), True),
        (timedelta(microseconds=1), False),
    ],
)
async def test_a_window_of_a_day_is_a_day_to_the_instant(
    workspace: Workspace, clock: Clock, late: timedelta, is_the_same: bool
) -> None:
    await window(workspace, A_DAY)
    await clock.stop()
    closed = await a_closed_one(workspace, await an_agent(workspace))

    await clock.travel(hours=A_DAY, microseconds=late / timedelta(microseconds=1))
    returned = await comes_back(closed)

    assert (returned.id == closed.id) is is_the_same
    assert await passed(returned) == ([] if is_the_same else [Reason.STICKY_EXPIRED])


async def closed_without_a_reason(conversation: Conversation, holder: Agent) -> None:
    await closes(conversation, by=as_agent(holder))


async def closed_by_a_script(conversation: Conversation, holder: Agent) -> None:
    workspace = await Workspace.get(id=holder.workspace_id)
    by = as_integration(workspace, "conversations:write")
    await closes(conversation, by=by, reason_id=await a_reason(workspace))


async def closed_as_idle(conversation: Conversation, holder: Agent) -> None:
    await confirmed(
        Agent.change,
        holder.id,
        by=Actor.system(holder.workspace_id),
        idle_period_days=IdlePeriod.ONE_DAY,
    )
    await Clock().travel(days=1)
    assert await close_idle(10) == 1


@pytest.mark.parametrize("closing", [closed_without_a_reason, closed_by_a_script, closed_as_idle])
async def test_only_a_person_with_a_reason_starts_a_window(
    workspace: Workspace,
    clock: Clock,
    closing: Callable[[Conversation, Agent], Awaitable[None]],
) -> None:
    await window(workspace, 1)
    agent = await an_agent(workspace)
    conversation = await a_conversation(workspace, holder=agent, sender="ada")
    await closing(conversation, agent)
    await clock.travel(days=400)

    returned = await comes_back(conversation)

    assert (returned.id, returned.assignee_id) == (conversation.id, agent.id)


async def test_a_person_for_whom_a_script_speaks_starts_a_window(
    workspace: Workspace, clock: Clock
) -> None:
    await window(workspace, 1)
    agent = await an_agent(workspace)
    conversation = await a_conversation(workspace, holder=agent, sender="ada")
    await closes(
        conversation,
        by=as_integration(workspace, "conversations:write"),
        reason_id=await a_reason(workspace),
        on_behalf_of=agent.id,
    )
    await clock.travel(hours=2)

    assert (await comes_back(conversation)).id != conversation.id


@pytest.mark.parametrize(
    ("of_team", "of_workspace", "hours_later", "is_the_same"),
    [
        (None, None, 9_999, True),
        (None, 24, 23, True),
        (None, 24, 25, False),
        (48, 24, 25, True),
        (48, 24, 49, False),
        (1, 24, 2, False),
        (1, None, 2, False),
        # 0 is a team's word for ever.
        (0, 24, 9_999, True),
    ],
)
async def test_the_teams_window_goes_over_the_workspaces(
    workspace: Workspace,
    clock: Clock,
    of_team: int | None,
    of_workspace: int | None,
    hours_later: int,
    is_the_same: bool,
) -> None:
    await window(workspace, of_workspace)
    team = await a_team(workspace)
    await Team.change(team.id, by=by_system(workspace), reassignment_window_hours=of_team)
    channel = await a_channel(workspace, team=team)
    closed = await a_closed_one(workspace, await an_agent(workspace), channel=channel)

    await clock.travel(hours=hours_later)

    assert ((await comes_back(closed)).id == closed.id) is is_the_same


@pytest.mark.parametrize(
    ("then", "now", "is_the_same"), [(1, 48, True), (48, 1, False), (1, None, True)]
)
async def test_the_window_is_the_one_at_the_return(
    workspace: Workspace, clock: Clock, then: int, now: int | None, is_the_same: bool
) -> None:
    await window(workspace, then)
    closed = await a_closed_one(workspace, await an_agent(workspace))
    await window(workspace, now)
    await clock.travel(hours=2)

    assert ((await comes_back(closed)).id == closed.id) is is_the_same


async def test_the_target_is_the_one_at_the_return(workspace: Workspace, clock: Clock) -> None:
    await window(workspace, 1)
    channel = await a_channel(workspace, team=await a_team(workspace))
    closed = await a_closed_one(workspace, await an_agent(workspace), channel=channel)
    agent = await an_agent(workspace)
    await Channel.filter(id=channel.id).update(sales_team_id=None, sales_agent_id=agent.id)
    await clock.travel(hours=2)

    assert (await comes_back(closed)).assignee_id == agent.id


async def test_an_open_conversation_outlasts_every_window(
    workspace: Workspace, clock: Clock
) -> None:
    await window(workspace, 1)
    agent = await an_agent(workspace)
    closed = await a_closed_one(workspace, agent)
    await reopen(closed.id, by=as_agent(agent))
    await clock.travel(days=90)

    returned = await comes_back(closed)

    assert (returned.id, returned.assignee_id) == (closed.id, agent.id)


async def test_only_the_last_closing_counts(workspace: Workspace, clock: Clock) -> None:
    await window(workspace, 1)
    agent = await an_agent(workspace)
    closed = await a_closed_one(workspace, agent)
    await comes_back(closed)
    await closes(closed, by=as_agent(agent))
    await clock.travel(days=90)

    assert await Closure.filter(conversation_id=closed.id).count() == 2
    assert (await comes_back(closed)).id == closed.id


@pytest.mark.parametrize("closing", [closed_without_a_reason, closed_as_idle])
async def test_a_team_that_lets_go_keeps_nobody_sticky(
    workspace: Workspace, closing: Callable[[Conversation, Agent], Awaitable[None]]
) -> None:
    team, agent = await a_team(workspace), await an_agent(workspace)
    await Team.filter(id=team.id).update(unassign_on_close=True)
    channel = await a_channel(workspace, team=team)
    conversation = await a_conversation(workspace, channel=channel, holder=agent, sender="ada")
    await closing(conversation, agent)

    opened = await comes_back(conversation)

    assert opened.id != conversation.id
    assert (opened.status, opened.team_id) == (Status.QUEUED, team.id)
    assert await passed(opened) == []


# -- Once


async def test_a_burst_of_returning_messages_reopens_once(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    closed = await a_closed_one(workspace, agent)
    channel = await Channel.get(id=closed.channel_id)

    received = await asyncio.gather(*[a_message(channel, sender="ada") for _ in range(20)])

    assert {message.conversation_id for message in received} == {closed.id}
    assert await Message.filter(conversation_id=closed.id).count() == 21
    assert await Assignment.filter(conversation_id=closed.id).count() == 2
    assert (await kinds(closed)).count(Kind.CONVERSATION_REOPENED) == 1
    assert (await Agent.get(id=agent.id)).load == 1


async def test_a_burst_on_two_channels_has_one_conversation_on_each(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    first, second = await a_channel(workspace), await a_channel(workspace)
    await a_contact(first, second)
    closed = await a_closed_one(workspace, agent, channel=first)

    received = await asyncio.gather(
        *[a_message(channel, sender="ada") for channel in (first, second) * 10]
    )

    assert len({message.conversation_id for message in received}) == 2
    assert closed.id in {message.conversation_id for message in received}
    assert await Conversation.filter(assignee_id=agent.id).count() == 2


@pytest.mark.parametrize("sticky", [True, False])
async def test_reopening_by_hand_and_a_returning_message_leave_one_open(
    workspace: Workspace, sticky: bool
) -> None:
    team = await a_team(workspace)
    agent = await an_agent(workspace, teams=[team])
    await Team.filter(id=team.id).update(unassign_on_close=not sticky)
    channel = await a_channel(workspace, team=team)
    for _ in range(8):
        closed = await a_closed_one(workspace, agent, channel=channel)

        await asyncio.gather(
            comes_back(closed), *[_reopened_unless_refused(closed, agent) for _ in range(3)]
        )

        still_open = await Conversation.filter(contact_id=closed.contact_id, closed_at=None)
        assert len(still_open) == 1
        await closes(still_open[0], by=by_system(workspace))


async def _reopened_unless_refused(closed: Conversation, agent: Agent) -> None:
    with suppress(ConversationAlreadyOpen, ConversationNotClosed):
        await retrying(lambda: reopen(closed.id, by=as_agent(agent)))


async def test_a_closing_and_a_returning_message_lose_nothing(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    channel = await a_channel(workspace)
    for written in range(1, 9):
        conversation = await a_conversation(
            workspace, channel=channel, holder=agent, sender=f"ada {written}"
        )

        await asyncio.gather(
            closes(conversation, by=as_agent(agent)),
            a_message(channel, sender=f"ada {written}"),
        )

        messages = await Message.filter(conversation_id=conversation.id).count()
        assert messages == 2


async def reopened(closed: Conversation) -> None:
    workspace = await Workspace.get(id=closed.workspace_id)
    await reopen(closed.id, by=by_system(workspace))


@pytest.mark.parametrize("returns", [comes_back, reopened])
async def test_who_waits_for_a_queue_has_neither_the_conversation_nor_its_agent(
    workspace: Workspace, returns: Callable[[Conversation], Awaitable[object]]
) -> None:
    """Whoever gives out that queue may want both."""
    team = await a_team(workspace)
    agent = await an_agent(workspace, teams=[team])
    channel = await a_channel(workspace, team=team)
    closed = await a_closed_one(workspace, agent, channel=channel)

    async def are_free() -> None:
        for table, id in (("conversations", closed.id), ("agents", agent.id)):
            await fetch(f"SELECT FROM {table} WHERE id = $1 FOR NO KEY UPDATE NOWAIT", id)

    await behind(
        partial(Team.locked, team.id, by=by_system(workspace)), partial(returns, closed), are_free
    )

    again = await Conversation.get(id=closed.id)
    assert (again.assignee_id, again.team_id) == (agent.id, team.id)


async def test_what_closes_while_it_is_looked_for_is_looked_for_again(workspace: Workspace) -> None:
    by, agent = by_system(workspace), await an_agent(workspace)
    team, other = await a_team(workspace), await a_team(workspace)
    channel = await a_channel(workspace, team=team)
    conversation = await a_conversation(workspace, channel=channel, holder=agent)

    async def moves_and_closes() -> None:
        await transfer(conversation.id, by=by, to_team=other.id)
        await closes(conversation, by=by)

    with pytest.raises(Raced):
        await behind(moves_and_closes, partial(reopen, conversation.id, by=by))
    await reopen(conversation.id, by=by)

    again = await Conversation.get(id=conversation.id)
    assert (again.status, again.team_id) == (Status.QUEUED, other.id)
