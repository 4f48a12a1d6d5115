"""Owners and targets: who has what a customer writes, and what waits for whom."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from models import Agent, Assignment, Channel, Contact, Conversation, Team, Workspace, queue
from models.access import Role
from models.agent import LEASE_SECONDS
from models.base import IdlePeriod, Line
from models.closing import close
from models.conversation import Status
from models.database import fetch
from models.decision import Availability, Distribution, Outcome, Rule
from models.errors import BadUserInput, Forbidden, NotFound, TargetInactive
from models.event import Kind
from models.idle import close_idle
from models.owner import set_owner
from models.precedence import Reason, place, recall
from models.reservation import BATCH_SIZE_MAX
from models.transfer import transfer
from tests.conftest import Clock
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_message,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    confirmed,
    working,
)


async def writes(channel: Channel, *, sender: str = "ada") -> Conversation:
    """What the message of a known customer comes to."""
    received = await a_message(channel, sender=sender)
    return await Conversation.get(id=received.conversation_id)


async def connects(agent: Agent) -> None:
    await Agent.beat(agent.id, by=as_agent(agent), device="phone")


async def passed(conversation: Conversation) -> list[str]:
    """The reasons that the stored decision gives, of whoever holds it or of its waiting."""
    held = await Assignment.get_or_none(conversation_id=conversation.id, ended_at=None)
    decision: dict[str, Any] | None = held.decision if held else conversation.decision
    assert decision is not None
    reasons: list[str] = decision["routed"]["passed"]
    return reasons


async def kinds(conversation: Conversation) -> list[str]:
    rows = await fetch(
        "SELECT kind FROM events WHERE conversation_id = $1 ORDER BY seq", conversation.id
    )
    return [row["kind"] for row in rows]


async def load(agent: Agent) -> int:
    return (await Agent.get(id=agent.id)).load


# -- An agent as owner


@pytest.mark.parametrize("availability", list(Availability))
async def test_a_connected_owner_has_it_directly_whatever_its_load(
    workspace: Workspace, availability: Availability
) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    await an_agent(workspace, teams=[team])
    owner = await an_agent(workspace, capacity=0, availability=availability)
    channel = await a_channel(workspace, team=team)
    await a_contact(channel, owner_agent=owner)

    conversation = await writes(channel)

    assignment = await Assignment.get(conversation_id=conversation.id)
    assert (conversation.status, conversation.assignee_id) == (Status.ASSIGNED, owner.id)
    assert assignment.rule is Rule.OWNER
    assert await load(owner) == 1
    assert await kinds(conversation) == [
        Kind.CONVERSATION_OPENED,
        Kind.MESSAGE_RECEIVED,
        Kind.CONVERSATION_ASSIGNED,
    ]


@pytest.mark.parametrize("distribution", list(Distribution))
async def test_what_waits_for_an_absent_owner_is_given_to_nobody(
    workspace: Workspace, distribution: Distribution
) -> None:
    team = await a_team(workspace, distribution=distribution)
    await an_agent(workspace, teams=[team])
    owner = await an_agent(workspace, connected=False)
    channel = await a_channel(workspace, team=team)
    await a_contact(channel, owner_agent=owner)

    conversation = await writes(channel)
    await an_agent(workspace, teams=[team])

    assert await queue.drain_all(10) == 0
    assert conversation.status is Status.QUEUED
    assert (conversation.team_id, conversation.reserved_for_id) == (team.id, owner.id)
    assert conversation.reserved_until is None
    assert conversation.decision is not None
    assert conversation.decision["outcome"] == Outcome.RESERVED
    assert await passed(conversation) == [Reason.OWNER_ABSENT]


@pytest.mark.parametrize("target", ["nobody", "an agent", "an inactive team"])
async def test_without_a_team_to_wait_in_it_waits_for_its_owner_in_todos(
    workspace: Workspace, target: str
) -> None:
    team = await a_team(workspace) if target == "an inactive team" else None
    agent = await an_agent(workspace) if target == "an agent" else None
    owner = await an_agent(workspace, connected=False)
    channel = await a_channel(workspace, team=team, agent=agent)
    await a_contact(channel, owner_agent=owner)
    if team is not None:
        await Team.filter(id=team.id).update(is_active=False)

    conversation = await writes(channel)

    todos = await Team.todos(workspace.id, Line.SALES)
    assert (conversation.team_id, conversation.reserved_for_id) == (todos.id, owner.id)


async def test_others_do_not_wait_behind_what_is_reserved(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.ROUND_ROBIN)
    owner = await an_agent(workspace, connected=False)
    channel = await a_channel(workspace, team=team)
    for number in range(BATCH_SIZE_MAX):
        await a_contact(channel, sender=f"owned {number}", owner_agent=owner)
        await writes(channel, sender=f"owned {number}")
    unreserved = await writes(channel)

    agent = await an_agent(workspace, teams=[team])

    assert (await Conversation.get(id=unreserved.id)).assignee_id == agent.id


async def test_an_agent_picks_what_waits_for_another(workspace: Workspace) -> None:
    team = await a_team(workspace)
    agent = await an_agent(workspace, teams=[team])
    owner = await an_agent(workspace, connected=False)
    channel = await a_channel(workspace, team=team)
    await a_contact(channel, owner_agent=owner)
    waiting = await writes(channel)

    async with working(waiting.id, by=as_agent(agent)) as conversation:
        await conversation.pick(by=as_agent(agent))
    await connects(owner)

    picked = await Conversation.get(id=waiting.id)
    assert (picked.assignee_id, picked.reserved_for_id) == (agent.id, None)


async def test_a_supervisor_picks_what_waits_where_agents_may_not(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    boss = await an_agent(workspace, role=Role.OPERATOR)
    owner = await an_agent(workspace, connected=False)
    channel = await a_channel(workspace, team=team)
    await a_contact(channel, owner_agent=owner)
    waiting = await writes(channel)

    async with working(waiting.id, by=as_agent(boss)) as conversation:
        await conversation.pick(by=as_agent(boss))

    assert (await Conversation.get(id=waiting.id)).assignee_id == boss.id


async def test_an_owner_who_comes_back_has_at_once_what_waits(workspace: Workspace) -> None:
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    owner = await an_agent(workspace, connected=False, capacity=0)
    channel = await a_channel(workspace, team=team)
    await a_contact(channel, owner_agent=owner)
    waiting = await writes(channel)

    await connects(owner)

    assignment = await Assignment.get(conversation_id=waiting.id)
    held = await Conversation.get(id=waiting.id)
    assert (held.assignee_id, held.reserved_for_id) == (owner.id, None)
    assert assignment.rule is Rule.OWNER
    assert await passed(held) == [Reason.OWNER_ABSENT]
    assert await load(owner) == 1
    assert await kinds(held) == [
        Kind.CONVERSATION_OPENED,
        Kind.MESSAGE_RECEIVED,
        Kind.CONVERSATION_QUEUED,
        Kind.CONVERSATION_ASSIGNED,
    ]


async def test_a_lapse_that_nobody_saw_is_an_absence(workspace: Workspace, clock: Clock) -> None:
    owner = await an_agent(workspace)
    channel = await a_channel(workspace)
    await a_contact(channel, owner_agent=owner)
    await clock.travel(seconds=LEASE_SECONDS + 1)

    waiting = await writes(channel)
    await connects(owner)

    assert waiting.reserved_for_id == owner.id
    assert (await Conversation.get(id=waiting.id)).assignee_id == owner.id


async def test_an_owner_has_all_that_waits_however_much(workspace: Workspace) -> None:
    owner = await an_agent(workspace, connected=False)
    channel = await a_channel(workspace)
    for number in range(BATCH_SIZE_MAX + 1):
        await a_contact(channel, sender=f"owned {number}", owner_agent=owner)
        await writes(channel, sender=f"owned {number}")

    await connects(owner)

    assert await load(owner) == BATCH_SIZE_MAX + 1


async def test_the_sweep_gives_what_a_crash_kept_from_an_owner(workspace: Workspace) -> None:
    owner = await an_agent(workspace, connected=False)
    channel = await a_channel(workspace)
    await a_contact(channel, owner_agent=owner)
    waiting = await writes(channel)
    await _a_live_lease(owner)

    assert await queue.drain_all(10) == 1
    assert (await Conversation.get(id=waiting.id)).assignee_id == owner.id


async def test_an_owner_who_cannot_be_given_anything_keeps_no_queue_from_being_drained(
    workspace: Workspace,
) -> None:
    owner = await an_agent(workspace, connected=False)
    reserved = await a_channel(workspace)
    await a_contact(reserved, owner_agent=owner)
    refused = await writes(reserved)
    await _a_live_lease(owner)
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    agent = await an_agent(workspace, teams=[team], connected=False)
    waiting = await writes(await a_channel(workspace, team=team))
    await _a_live_lease(agent)
    await fetch(
        f"ALTER TABLE assignments ADD CONSTRAINT refused CHECK (conversation_id <> '{refused.id}')"
    )

    try:
        with pytest.raises(ExceptionGroup):
            await queue.drain_all(10)
    finally:
        await fetch("ALTER TABLE assignments DROP CONSTRAINT refused")

    assert (await Conversation.get(id=waiting.id)).assignee_id == agent.id
    assert await queue.drain_all(10) == 1


async def test_an_owner_without_an_account_gets_nothing(workspace: Workspace) -> None:
    owner = await an_agent(workspace, connected=False)
    channel = await a_channel(workspace)
    await a_contact(channel, owner_agent=owner)
    waiting = await writes(channel)
    await _a_live_lease(owner)
    await Agent.filter(id=owner.id).update(is_active=False)

    assert await queue.drain_all(10) == 0
    assert (await Conversation.get(id=waiting.id)).status is Status.QUEUED


async def _a_live_lease(agent: Agent) -> None:
    await fetch(
        "INSERT INTO presence_leases (workspace_id, agent_id, device, expires_at)"
        " VALUES ($1, $2, 'phone', relevo_now() + interval '1 minute')",
        agent.workspace_id,
        agent.id,
    )


async def test_the_wait_for_an_owner_ends(workspace: Workspace, clock: Clock) -> None:
    await Workspace.change(by=by_system(workspace), owner_wait_minutes=30)
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN, online_only=False)
    agent = await an_agent(workspace, teams=[team])
    owner = await an_agent(workspace, connected=False)
    channel = await a_channel(workspace, team=team)
    await a_contact(channel, owner_agent=owner)
    waiting = await writes(channel)

    await clock.travel(minutes=29)
    assert await queue.drain_all(10) == 0
    await clock.travel(minutes=1)
    assert await queue.drain_all(10) == 1

    assignment = await Assignment.get(conversation_id=waiting.id)
    held = await Conversation.get(id=waiting.id)
    assert (held.assignee_id, held.reserved_until) == (agent.id, None)
    assert assignment.rule is Rule.OWNER
    assert assignment.decision["outcome"] == Outcome.ASSIGNED


async def test_an_owner_who_comes_back_too_late_has_no_claim(
    workspace: Workspace, clock: Clock
) -> None:
    await Workspace.change(by=by_system(workspace), owner_wait_minutes=30)
    owner = await an_agent(workspace, connected=False)
    channel = await a_channel(workspace)
    await a_contact(channel, owner_agent=owner)
    waiting = await writes(channel)

    await clock.travel(minutes=30)
    await connects(owner)

    assert await queue.drain_all(10) == 0
    assert (await Conversation.get(id=waiting.id)).status is Status.QUEUED


async def transferred(id: UUID, workspace: Workspace) -> None:
    elsewhere = await a_team(workspace)
    await transfer(id, by=by_system(workspace), to_team=elsewhere.id)


async def closed(id: UUID, workspace: Workspace) -> None:
    async with working(id, by=by_system(workspace)) as conversation:
        await close(conversation, by=by_system(workspace))


async def closed_as_idle(id: UUID, workspace: Workspace) -> None:
    await confirmed(Workspace.change, by=by_system(workspace), idle_period_days=IdlePeriod.ONE_DAY)
    await Clock().travel(days=1)
    assert await close_idle(10) == 1


@pytest.mark.parametrize("moved", [transferred, closed, closed_as_idle])
async def test_what_is_moved_is_reserved_no_more(
    workspace: Workspace, moved: Callable[[UUID, Workspace], Awaitable[None]]
) -> None:
    owner = await an_agent(workspace, connected=False)
    channel = await a_channel(workspace)
    await a_contact(channel, owner_agent=owner)
    waiting = await writes(channel)

    await moved(waiting.id, workspace)
    await connects(owner)

    elsewhere = await Conversation.get(id=waiting.id)
    assert (elsewhere.reserved_for_id, elsewhere.assignee_id) == (None, None)


# -- A team as owner


async def test_an_owner_team_gives_it_to_its_members(workspace: Workspace) -> None:
    owner = await a_team(workspace, distribution=Distribution.ROUND_ROBIN)
    agent = await an_agent(workspace, teams=[owner])
    channel = await a_channel(workspace, team=await a_team(workspace))
    await a_contact(channel, owner_team=owner)

    conversation = await writes(channel)

    assignment = await Assignment.get(conversation_id=conversation.id)
    assert (conversation.assignee_id, conversation.team_id) == (agent.id, owner.id)
    assert assignment.rule is Rule.OWNER
    assert [c["agent_id"] for c in assignment.decision["candidates"]] == [str(agent.id)]


async def test_it_waits_in_the_queue_of_its_owner_team(workspace: Workspace) -> None:
    owner = await a_team(workspace)
    channel = await a_channel(workspace, team=await a_team(workspace))
    await a_contact(channel, owner_team=owner)

    conversation = await writes(channel)

    assert (conversation.status, conversation.team_id) == (Status.QUEUED, owner.id)
    assert conversation.reserved_for_id is None


@pytest.mark.parametrize("distribution", list(Distribution))
async def test_an_owner_team_of_the_other_line_is_passed_over(
    workspace: Workspace, distribution: Distribution
) -> None:
    owner = await a_team(workspace, line=Line.SUPPORT)
    target = await a_team(workspace, distribution=distribution)
    await an_agent(workspace, teams=[target])
    channel = await a_channel(workspace, team=target)
    await a_contact(channel, owner_team=owner)

    conversation = await writes(channel)

    assert conversation.team_id == target.id
    assert await passed(conversation) == [Reason.OWNER_OF_OTHER_LINE]


# -- Owners that do not decide


async def test_an_inactive_owner_is_passed_over(workspace: Workspace) -> None:
    owner, target = await an_agent(workspace), await an_agent(workspace)
    channel = await a_channel(workspace, agent=target)
    await a_contact(channel, owner_agent=owner)
    await Agent.filter(id=owner.id).update(is_active=False)

    conversation = await writes(channel)

    assert conversation.assignee_id == target.id
    assert await passed(conversation) == [Reason.OWNER_INACTIVE]


@pytest.mark.parametrize("skips", [False, True])
async def test_the_bot_comes_before_an_owner_who_does_not_skip_it(
    workspace: Workspace, skips: bool
) -> None:
    await Workspace.change(by=by_system(workspace), owned_skips_bot=skips)
    owner = await an_agent(workspace)
    channel = await a_channel(workspace, bot=True)
    await a_contact(channel, owner_agent=owner)

    conversation = await writes(channel)

    assert conversation.assignee_id == (owner.id if skips else None)
    assert conversation.status is (Status.ASSIGNED if skips else Status.BOT)
    assert await passed(conversation) == ([] if skips else [Reason.BOT_FIRST])


# -- Making somebody the owner


async def test_a_new_owner_is_told_and_moves_nothing(workspace: Workspace) -> None:
    holder, owner = await an_agent(workspace), await an_agent(workspace)
    conversation = await a_conversation(workspace, holder=holder)
    by = by_system(workspace)

    for _ in range(2):
        await set_owner(conversation.contact_id, by=by, agent_id=owner.id)

    assert (await Conversation.get(id=conversation.id)).assignee_id == holder.id
    assert (await kinds(conversation)).count(Kind.CONTACT_OWNER_SET) == 1
    assert (await Contact.get(id=conversation.contact_id)).owner_agent_id == owner.id


async def test_an_owner_is_replaced_by_a_team_and_then_by_nobody(workspace: Workspace) -> None:
    channel = await a_channel(workspace)
    contact = await a_contact(channel, owner_agent=await an_agent(workspace))
    team = await a_team(workspace)
    by = by_system(workspace)

    await set_owner(contact.id, by=by, team_id=team.id)
    await contact.refresh_from_db()
    assert (contact.owner_agent_id, contact.owner_team_id) == (None, team.id)
    await set_owner(contact.id, by=by)
    await contact.refresh_from_db()
    assert (contact.owner_agent_id, contact.owner_team_id) == (None, None)

    told = await fetch("SELECT FROM events WHERE kind = $1", Kind.CONTACT_OWNER_SET.value)
    assert len(told) == 3


async def test_one_owner_only_and_an_active_one(workspace: Workspace) -> None:
    contact = await a_contact(await a_channel(workspace))
    agent, team = await an_agent(workspace), await a_team(workspace)
    rival = await an_agent(await a_workspace("Rival"))
    by = by_system(workspace)
    await Agent.filter(id=agent.id).update(is_active=False)
    await Team.filter(id=team.id).update(is_active=False)

    with pytest.raises(BadUserInput):
        await set_owner(contact.id, by=by, agent_id=agent.id, team_id=team.id)
    with pytest.raises(TargetInactive):
        await set_owner(contact.id, by=by, agent_id=agent.id)
    with pytest.raises(TargetInactive):
        await set_owner(contact.id, by=by, team_id=team.id)
    with pytest.raises(NotFound):
        await set_owner(contact.id, by=by, agent_id=rival.id)
    with pytest.raises(NotFound):
        await set_owner(uuid4(), by=by)


async def test_only_who_may_sets_an_owner(workspace: Workspace) -> None:
    contact = await a_contact(await a_channel(workspace))
    agent = await an_agent(workspace)

    for stranger in (as_agent(agent), as_integration(workspace, "contacts:read")):
        with pytest.raises(Forbidden):
            await set_owner(contact.id, by=stranger, agent_id=agent.id)
    for by in (
        as_agent(await an_agent(workspace, role=Role.OPERATOR)),
        as_integration(workspace, "contacts:own"),
    ):
        await set_owner(contact.id, by=by, agent_id=agent.id)


# -- Targets


@pytest.mark.parametrize("target", ["team", "agent"])
async def test_an_inactive_target_is_passed_over(workspace: Workspace, target: str) -> None:
    team = await a_team(workspace) if target == "team" else None
    agent = await an_agent(workspace) if target == "agent" else None
    channel = await a_channel(workspace, team=team, agent=agent)
    await Team.filter(is_todos=False).update(is_active=False)
    await Agent.all().update(is_active=False)

    conversation = await writes(channel)

    todos = await Team.todos(workspace.id, Line.SALES)
    assert (conversation.status, conversation.team_id) == (Status.QUEUED, todos.id)
    assert await passed(conversation) == [Reason.TARGET_INACTIVE]


async def test_a_stored_decision_says_where_again(workspace: Workspace) -> None:
    owner = await an_agent(workspace, connected=False)
    channel = await a_channel(workspace)
    await a_contact(channel, owner_agent=owner)

    conversation = await writes(channel)

    assert conversation.decision is not None
    again = place(recall(conversation.decision["routed"]["facts"]))
    assert again.rule == conversation.decision["rule"] == Rule.OWNER
    assert (again.team_id, again.reserved_for) == (conversation.team_id, owner.id)
