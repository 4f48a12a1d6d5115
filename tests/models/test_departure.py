"""Agents who leave, come back, or change what they may do."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest

from models import Agent, Channel, Contact, Conversation, Membership, Team, Workspace, departure
from models.access import Actor, Role
from models.assignment import Assignment, Ending
from models.base import Line
from models.conversation import Status
from models.database import Raced, credentials, fetch, retrying
from models.decision import Distribution
from models.departure import change, deactivate, reactivate
from models.errors import (
    AgentInactive,
    InUse,
    LastAdmin,
    NotFound,
    RoleCannotHold,
    TargetInactive,
    TargetNotAllowed,
    Unauthenticated,
)
from models.token import Token, actor_of
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_message,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    by_system,
)

Command = Callable[[UUID, Actor], Awaitable[None]]


async def leave(agent: Agent, replacement: Agent | None = None) -> None:
    by = by_system(await Workspace.get(id=agent.workspace_id))
    replacement_id = replacement.id if replacement else None
    await retrying(lambda: deactivate(agent.id, by=by, replacement_id=replacement_id))


async def test_what_an_agent_held_goes_back_with_its_waiting_time(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    team = await a_team(workspace, members=[agent])
    awake = await a_conversation(workspace, team=team, holder=agent)
    snoozed = await a_conversation(workspace, team=team, holder=agent)
    await Conversation.filter(id=snoozed.id).update(status=Status.SNOOZED)
    await Assignment.filter(conversation_id=snoozed.id).update(is_counted=False)
    await Agent.filter(id=agent.id).update(load=1)

    await leave(agent)

    for before in (awake, snoozed):
        after = await Conversation.get(id=before.id)
        assert (after.status, after.team_id) == (Status.QUEUED, team.id)
        assert after.queued_at == before.queued_at
    assert {a.ending for a in await Assignment.all()} == {Ending.AGENT_LEFT}
    assert (await Agent.get(id=agent.id)).load == 0
    events = await fetch(
        "SELECT data ->> 'rule' AS rule FROM events WHERE kind = 'CONVERSATION_UNASSIGNED'"
    )
    assert [row["rule"] for row in events] == ["AGENT_DEACTIVATED"] * 2


async def test_others_get_it_at_once_where_the_team_gives_out(workspace: Workspace) -> None:
    agent, other = await an_agent(workspace), await an_agent(workspace, capacity=0)
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN, members=[agent, other])
    held = await a_conversation(workspace, team=team)
    await Agent.change(other.id, by=by_system(workspace), capacity=5)

    await leave(agent)

    assert (await Conversation.get(id=held.id)).assignee_id == other.id


async def test_sessions_invitations_and_presence_end(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    _, secret = await Token.open_session(agent)

    await leave(agent)
    await reactivate(agent.id, by=by_system(workspace))

    with pytest.raises(Unauthenticated):
        await actor_of(secret)
    assert not await (await Agent.get(id=agent.id)).has_live_lease()
    kinds = [row["kind"] for row in await fetch("SELECT kind FROM events ORDER BY seq")]
    assert kinds[-4:] == [
        "AGENT_DEACTIVATED",
        "AGENT_DISCONNECTED",
        "TOKEN_REVOKED",
        "AGENT_REACTIVATED",
    ]


async def test_a_target_or_owner_goes_only_when_somebody_takes_over(
    workspace: Workspace,
) -> None:
    agent, other = await an_agent(workspace), await an_agent(workspace)
    channel = await a_channel(workspace, agent=agent)
    contact = await a_contact(channel, owner_agent=agent)

    with pytest.raises(InUse) as refused:
        await leave(agent)
    await leave(agent, other)

    assert refused.value.facts == {
        "channelId": [channel.id],
        "channelCount": 1,
        "contactId": [contact.id],
        "contactCount": 1,
    }
    assert (await Channel.get(id=channel.id)).sales_agent_id == other.id
    assert (await Contact.get(id=contact.id)).owner_agent_id == other.id


async def test_what_waited_for_it_waits_for_anybody(workspace: Workspace) -> None:
    agent = await an_agent(workspace, connected=False)
    team = await a_team(workspace)
    channel = await a_channel(workspace, team=team)
    await a_contact(channel, owner_agent=agent)
    received = await a_message(channel, sender="ada")

    await leave(agent, await an_agent(workspace))

    released = await Conversation.get(id=received.conversation_id)
    assert (released.status, released.team_id) == (Status.QUEUED, team.id)
    assert released.reserved_for_id is None


async def test_who_takes_over_is_another_who_holds_conversations(workspace: Workspace) -> None:
    agent, gone = await an_agent(workspace), await an_agent(workspace)
    await leave(gone)

    for replacement, refusal in (
        (agent, TargetNotAllowed),
        (gone, TargetInactive),
        (await an_agent(workspace, role=Role.AUDITOR, connected=False), RoleCannotHold),
        (await an_agent(await a_workspace("Other")), NotFound),
    ):
        with pytest.raises(refusal):
            await leave(agent, replacement)
    with pytest.raises(AgentInactive):
        await leave(gone)


async def test_nobody_ends_the_own_account(workspace: Workspace) -> None:
    admin = await an_agent(workspace, role=Role.ADMIN)
    await an_agent(workspace, role=Role.ADMIN)

    with pytest.raises(TargetNotAllowed):
        await deactivate(admin.id, by=as_agent(admin))


async def test_an_administrator_stays(workspace: Workspace) -> None:
    admin, by = await an_agent(workspace, role=Role.ADMIN), by_system(workspace)

    with pytest.raises(LastAdmin):
        await leave(admin)
    with pytest.raises(LastAdmin):
        await change(admin.id, by=by, role=Role.OPERATOR)
    await an_agent(workspace, role=Role.ADMIN)
    await change(admin.id, by=by, role=Role.OPERATOR)

    assert (await Agent.get(id=admin.id)).role is Role.OPERATOR


async def test_of_two_administrators_who_leave_at_once_one_stays(workspace: Workspace) -> None:
    for _ in range(3):
        await Agent.filter(role=Role.ADMIN).update(role=Role.AGENT)
        admins = [await an_agent(workspace, role=Role.ADMIN) for _ in range(2)]

        found = await asyncio.gather(*map(leave, admins), return_exceptions=True)

        assert sorted(type(one).__name__ for one in found) == ["LastAdmin", "NoneType"]


async def test_who_comes_back_is_a_member_where_it_was(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    team = await a_team(workspace, distribution=Distribution.ROUND_ROBIN, members=[agent])
    await leave(agent)
    waiting = await a_conversation(workspace, team=team)
    by = by_system(workspace)

    await reactivate(agent.id, by=by)
    await reactivate(agent.id, by=by)
    await Agent.beat(agent.id, by=by, device="browser")

    assert await Membership.exists(team_id=team.id, agent_id=agent.id)
    assert (await Conversation.get(id=waiting.id)).assignee_id == agent.id


async def test_a_role_that_holds_nothing_is_for_whoever_has_nothing(
    workspace: Workspace,
) -> None:
    by, agent = by_system(workspace), await an_agent(workspace)
    team = await a_team(workspace, members=[agent])
    held = await a_conversation(workspace, holder=agent)
    channel = await a_channel(workspace, agent=agent)
    contact = await a_contact(channel, owner_agent=agent)
    free = await an_agent(workspace)

    with pytest.raises(InUse) as refused:
        await change(agent.id, by=by, role=Role.AUDITOR)
    await change(agent.id, by=by, role=Role.OPERATOR)
    await change(free.id, by=by, role=Role.AUDITOR)

    facts = refused.value.facts
    assert [
        facts[name] for name in ("membershipId", "conversationId", "channelId", "contactId")
    ] == [
        [team.id],
        [held.id],
        [channel.id],
        [contact.id],
    ]
    assert (await Agent.get(id=agent.id)).role is Role.OPERATOR
    assert (await Agent.get(id=free.id)).role is Role.AUDITOR


async def test_nothing_is_given_to_who_leaves_at_the_same_time(workspace: Workspace) -> None:
    agent = await an_agent(workspace)
    team = await a_team(workspace, distribution=Distribution.ROUND_ROBIN, members=[agent])
    channel = await a_channel(workspace, team=team)

    await asyncio.gather(
        leave(agent), *(a_conversation(workspace, channel=channel) for _ in range(6))
    )

    assert await Conversation.filter(status=Status.QUEUED, team_id=team.id).count() == 6
    assert (await Team.todos(workspace.id, Line.SALES)).is_active


@pytest.mark.parametrize(
    "command",
    [lambda to, by: deactivate(to, by=by), lambda to, by: change(to, by=by, role=Role.AUDITOR)],
    ids=["leaving", "a new role"],
)
async def test_who_is_given_something_meanwhile_waits_for_nobody_who_works_it(
    workspace: Workspace, database: str, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """Whoever works it may be waiting for the agent that the command has locked already."""
    agent = await an_agent(workspace)
    held = await a_conversation(workspace, holder=agent)
    by = by_system(workspace)

    async def before_it_came(*_: object) -> list[UUID]:
        monkeypatch.undo()
        return []

    monkeypatch.setattr(departure, "_lock_conversations", before_it_came)
    elsewhere = await asyncpg.connect(**credentials(database))
    async with elsewhere.transaction():
        await elsewhere.execute("SELECT FROM conversations WHERE id = $1 FOR UPDATE", held.id)
        with pytest.raises(Raced):
            await command(agent.id, by)
    await elsewhere.close()
