"""Owners: who may set them, whom, and what becomes of what waited for the one before."""

import asyncio
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from models import Agent, Channel, Contact, Conversation, Team, Workspace
from models.access import OWNER_SETTERS, Role
from models.conversation import Status
from models.database import fetch, retrying
from models.decision import Distribution
from models.departure import deactivate
from models.errors import (
    BadUserInput,
    ContactMerged,
    Forbidden,
    NotFound,
    RoleCannotHold,
    TargetInactive,
)
from models.merge import merge
from models.owner import set_owner
from models.team_removal import delete
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    working,
)


@pytest.fixture
async def channel(workspace: Workspace) -> Channel:
    return await a_channel(workspace, team=await a_team(workspace))


async def told(contact: Contact) -> list[dict[str, Any]]:
    """What the log says of the contact's owners."""
    rows = await fetch(
        "SELECT * FROM events WHERE contact_id = $1 AND kind = 'CONTACT_OWNER_SET' ORDER BY seq",
        contact.id,
    )
    return [{**dict(row), **orjson.loads(row["data"])} for row in rows]


async def a_reserved_one(
    workspace: Workspace, channel: Channel, owner: Agent
) -> tuple[Contact, Conversation]:
    """What an absent owner's contact wrote."""
    contact = await a_contact(channel, sender="ada", owner_agent=owner)
    conversation = await a_conversation(workspace, channel=channel, sender="ada")
    assert conversation.reserved_for_id == owner.id
    return contact, conversation


@pytest.mark.parametrize("setters", [[], [Role.AGENT], [Role.MARKETING], list(OWNER_SETTERS)])
async def test_a_workspace_says_which_roles_set_owners(
    workspace: Workspace, channel: Channel, setters: list[Role]
) -> None:
    await Workspace.change(by=by_system(workspace), owner_setters=setters)
    contact = await a_contact(channel, sender="ada")
    await a_conversation(workspace, channel=channel, sender="ada")
    team = await Team.get(id=channel.sales_team_id)
    may = set()
    for role in (role for role in Role if role is not Role.INTEGRATION):
        teams = [team] if role is Role.AGENT else []
        actor = as_agent(await an_agent(workspace, role=role, connected=False, teams=teams))
        try:
            await set_owner(contact.id, by=actor, team_id=team.id)
        except Forbidden:
            continue
        may.add(role)

    assert may == {Role.OPERATOR, Role.ADMIN, *setters}


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ADMIN, Role.INTEGRATION])
async def test_only_the_roles_in_question_can_be_named(workspace: Workspace, role: Role) -> None:
    with pytest.raises(BadUserInput):
        await Workspace.change(by=by_system(workspace), owner_setters=[Role.AGENT, role])


async def test_the_setting_opens_nothing_to_integrations(
    workspace: Workspace, channel: Channel
) -> None:
    await Workspace.change(by=by_system(workspace), owner_setters=OWNER_SETTERS)
    contact = await a_contact(channel)

    with pytest.raises(Forbidden):
        await set_owner(contact.id, by=as_integration(workspace, "contacts:write"))
    await set_owner(contact.id, by=as_integration(workspace, "contacts:own"))


async def test_an_agent_sets_the_owner_of_those_it_sees(
    workspace: Workspace, channel: Channel
) -> None:
    await Workspace.change(by=by_system(workspace), owner_setters=[Role.AGENT])
    agent = await an_agent(workspace)
    contact = await a_contact(channel, sender="ada")
    conversation = await a_conversation(workspace, channel=channel, sender="ada")
    by = as_agent(agent)

    with pytest.raises(NotFound):
        await set_owner(contact.id, by=by, agent_id=agent.id)
    async with working(conversation.id, by=by_system(workspace)) as locked:
        await locked.assign(agent.id, by=by_system(workspace))
    await set_owner(contact.id, by=by, agent_id=agent.id)

    assert (await Contact.get(id=contact.id)).owner_agent_id == agent.id


async def test_an_owner_is_an_active_agent_or_team_of_the_workspace(
    workspace: Workspace, channel: Channel
) -> None:
    other = await a_workspace("Another")
    gone, reader = (
        await an_agent(workspace, connected=False),
        await an_agent(workspace, role=Role.AUDITOR, connected=False),
    )
    closed = await a_team(workspace)
    await Agent.filter(id=gone.id).update(is_active=False)
    await Team.filter(id=closed.id).update(is_active=False)
    contact = await a_contact(channel)
    refused: dict[str, Any] = {}
    for name, owner in {
        "foreign agent": {"agent_id": (await an_agent(other)).id},
        "foreign team": {"team_id": (await a_team(other)).id},
        "no agent": {"agent_id": uuid4()},
        "inactive agent": {"agent_id": gone.id},
        "inactive team": {"team_id": closed.id},
        "reader": {"agent_id": reader.id},
        "both": {"agent_id": gone.id, "team_id": closed.id},
    }.items():
        with pytest.raises((NotFound, TargetInactive, RoleCannotHold, BadUserInput)) as error:
            await set_owner(contact.id, by=by_system(workspace), **owner)
        refused[name] = (error.value.code, error.value.path)

    assert refused == {
        "foreign agent": ("NOT_FOUND", "input.agentId"),
        "foreign team": ("NOT_FOUND", "input.teamId"),
        "no agent": ("NOT_FOUND", "input.agentId"),
        "inactive agent": ("TARGET_INACTIVE", None),
        "inactive team": ("TARGET_INACTIVE", None),
        "reader": ("ROLE_CANNOT_HOLD", None),
        "both": ("BAD_USER_INPUT", None),
    }


async def test_who_was_merged_belongs_to_nobody(workspace: Workspace, channel: Channel) -> None:
    ada, twin = await a_contact(channel, sender="1"), await a_contact(channel, sender="2")
    await merge(survivor_id=ada.id, merged_id=twin.id, by=by_system(workspace))

    with pytest.raises(ContactMerged):
        await set_owner(twin.id, by=by_system(workspace))


async def test_a_new_owner_is_told_on_each_open_conversation_and_moves_none(
    workspace: Workspace, channel: Channel
) -> None:
    second = await a_channel(workspace, team=await a_team(workspace))
    contact = await a_contact(channel, second, sender="ada")
    holder, owner, team = (
        await an_agent(workspace),
        await an_agent(workspace),
        await a_team(workspace),
    )
    waiting = await a_conversation(workspace, channel=channel, sender="ada")
    held = await a_conversation(workspace, channel=second, sender="ada", holder=holder)
    by = by_system(workspace)

    await set_owner(contact.id, by=by, agent_id=owner.id)
    await set_owner(contact.id, by=by, agent_id=owner.id)
    await set_owner(contact.id, by=by, team_id=team.id)

    found = await told(contact)
    assert {(row["from_owner"], row["to_owner"]) for row in found} == {
        (None, str(owner.id)),
        (str(owner.id), str(team.id)),
    }
    of_waiting = [row for row in found if row["conversation_id"] == waiting.id]
    of_held = [row for row in found if row["conversation_id"] == held.id]
    assert len(of_waiting) == len(of_held) == 2
    for row in of_waiting:
        assert row["from_queue_id"] == row["to_queue_id"] == waiting.team_id
    for row in of_held:
        assert (row["from_queue_id"], row["to_agent_id"]) == (None, holder.id)
    for before in (waiting, held):
        after = await Conversation.get(id=before.id)
        assert (after.status, after.assignee_id, after.team_id, after.version) == (
            before.status,
            before.assignee_id,
            before.team_id,
            before.version,
        )
        assert after.reserved_for_id is None


@pytest.mark.parametrize("kind", ["agent", "team"])
async def test_a_succession_is_told_where_the_open_conversations_are(
    workspace: Workspace, channel: Channel, kind: str
) -> None:
    second = await a_channel(workspace, team=await a_team(workspace))
    holder, before, after = [await an_agent(workspace, connected=False) for _ in range(3)]
    teams = [await a_team(workspace) for _ in range(2)]
    owner = {"owner_agent": before} if kind == "agent" else {"owner_team": teams[0]}
    contact = await a_contact(channel, second, sender="ada", **owner)
    silent = await a_contact(channel, sender="silent", **owner)
    waiting = await a_conversation(workspace, channel=channel, sender="ada")
    held = await a_conversation(workspace, channel=second, sender="ada", holder=holder)
    by = by_system(workspace)

    if kind == "agent":
        await deactivate(before.id, by=by, replacement_id=after.id)
    else:
        await delete(teams[0].id, by=by, replacement_id=teams[1].id)

    of_waiting, of_held = sorted(
        (await told(contact))[-2:], key=lambda row: row["conversation_id"] != waiting.id
    )
    places = ("channel_id", "from_queue_id", "to_queue_id", "to_agent_id", "from_team_id")
    assert [of_waiting[place] for place in places] == [
        channel.id,
        waiting.team_id,
        waiting.team_id,
        None,
        waiting.team_id,
    ]
    assert [of_held[place] for place in places] == [second.id, None, None, holder.id, held.team_id]
    successor = after.id if kind == "agent" else teams[1].id
    assert {row["to_owner"] for row in (of_waiting, of_held)} == {str(successor)}
    assert [row["conversation_id"] for row in await told(silent)] == [None, None]


async def test_without_an_open_conversation_the_contact_alone_is_told_of(
    workspace: Workspace, channel: Channel
) -> None:
    contact = await a_contact(channel, owner_team=await a_team(workspace))

    await set_owner(contact.id, by=by_system(workspace))

    first, second = await told(contact)
    assert first["conversation_id"] is second["conversation_id"] is None
    assert (second["from_owner"], second["to_owner"]) == (first["to_owner"], None)


@pytest.mark.parametrize("successor", ["agent", "team", "nobody"])
async def test_what_waited_for_the_owner_before_waits_for_anybody(
    workspace: Workspace, channel: Channel, successor: str
) -> None:
    before = await an_agent(workspace, connected=False)
    contact, conversation = await a_reserved_one(workspace, channel, before)
    owner: dict[str, dict[str, UUID]] = {
        "agent": {"agent_id": (await an_agent(workspace)).id},
        "team": {"team_id": (await a_team(workspace)).id},
        "nobody": {},
    }

    await set_owner(contact.id, by=by_system(workspace), **owner[successor])

    after = await Conversation.get(id=conversation.id)
    assert (after.status, after.team_id) == (Status.QUEUED, conversation.team_id)
    assert (after.reserved_for_id, after.queued_at) == (None, conversation.queued_at)
    assert after.version > conversation.version
    assert after.decision is not None
    assert after.decision["outcome"] == "WAITING_FOR_PICK"
    # Whom it waited for gets nothing by coming back.
    await Agent.beat(before.id, by=as_agent(before), device="browser")
    assert (await Conversation.get(id=conversation.id)).status is Status.QUEUED


async def test_the_same_owner_again_keeps_what_waits(
    workspace: Workspace, channel: Channel
) -> None:
    owner = await an_agent(workspace, connected=False)
    contact, conversation = await a_reserved_one(workspace, channel, owner)

    await set_owner(contact.id, by=by_system(workspace), agent_id=owner.id)

    assert (await Conversation.get(id=conversation.id)).reserved_for_id == owner.id


async def test_an_automatic_queue_gives_out_at_once_what_waited_for_an_owner(
    workspace: Workspace,
) -> None:
    member, owner = await an_agent(workspace), await an_agent(workspace, connected=False)
    team = await a_team(workspace, distribution=Distribution.LEAST_OPEN, members=[member])
    channel = await a_channel(workspace, team=team)
    contact, conversation = await a_reserved_one(workspace, channel, owner)

    await set_owner(contact.id, by=by_system(workspace))

    assert (await Conversation.get(id=conversation.id)).assignee_id == member.id


async def test_an_owner_who_returns_while_another_is_set_gets_it_or_not(
    workspace: Workspace, channel: Channel
) -> None:
    """Whichever comes first, nothing waits for somebody who is not the owner."""
    for number in range(5):
        before = await an_agent(workspace, connected=False)
        contact = await a_contact(channel, sender=f"{number}", owner_agent=before)
        conversation = await a_conversation(workspace, channel=channel, sender=f"{number}")

        await asyncio.gather(
            retrying(partial(set_owner, contact.id, by=by_system(workspace))),
            retrying(partial(Agent.beat, before.id, by=as_agent(before), device="browser")),
        )

        after = await Conversation.get(id=conversation.id)
        assert after.reserved_for_id is None
        assert after.assignee_id in (None, before.id)


async def test_of_owners_set_at_once_the_log_tells_the_last(
    workspace: Workspace, channel: Channel
) -> None:
    contact = await a_contact(channel)
    agents = [await an_agent(workspace) for _ in range(4)]

    async def owned_by(agent: Agent) -> None:
        await retrying(lambda: set_owner(contact.id, by=by_system(workspace), agent_id=agent.id))

    await asyncio.gather(*map(owned_by, agents))

    found = await told(contact)
    chain = [None, *[row["to_owner"] for row in found]]
    assert [row["from_owner"] for row in found] == chain[:-1]
    assert chain[-1] == str((await Contact.get(id=contact.id)).owner_agent_id)
