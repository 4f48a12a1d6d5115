"""Opening a conversation by hand: who may, where, with whom, and against whom it races."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from models import Agent, Assignment, Channel, Contact, Conversation, Team, Workspace
from models.access import Actor, Role
from models.base import Line
from models.channel import ChannelKind, Target
from models.conversation import Status
from models.database import fetch, fetchval, retrying
from models.decision import Distribution, Rule
from models.errors import (
    ContactMerged,
    ConversationAlreadyOpen,
    DomainError,
    IdentityTaken,
)
from models.event import Kind
from models.identity import ContactIdentity
from models.inbound import Received
from models.merge import merge
from models.opening import open_by_hand
from tests.factories import (
    a_channel,
    a_contact,
    a_message,
    a_team,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    working,
)


@pytest.fixture
async def team(workspace: Workspace) -> Team:
    return await a_team(workspace)


@pytest.fixture
async def channel(workspace: Workspace, team: Team) -> Channel:
    return await a_channel(workspace, team=team)


@pytest.fixture
async def ann(workspace: Workspace, team: Team) -> Agent:
    return await an_agent(workspace, capacity=0, teams=[team])


@pytest.fixture
async def boss(workspace: Workspace) -> Agent:
    return await an_agent(workspace, role=Role.OPERATOR)


@pytest.fixture
async def contact(channel: Channel) -> Contact:
    return await a_contact(channel)


async def known_to(agent: Agent, contact: Contact) -> None:
    """Let an agent see the contact: by a conversation that it held once and left to Todos."""
    channel = await a_channel(await Workspace.get(id=contact.workspace_id))
    await ContactIdentity.create(
        workspace_id=contact.workspace_id,
        contact_id=contact.id,
        channel_id=channel.id,
        external_id=f"seen by {agent.id}",
    )
    await a_message(channel, sender=f"seen by {agent.id}")


async def opened(contact: Contact, channel: Channel, *, by: Actor, **given: Any) -> Conversation:
    async def command() -> UUID:
        return await open_by_hand(by=by, contact_id=contact.id, channel_id=channel.id, **given)

    return await Conversation.get(id=await retrying(command))


async def test_whoever_opens_has_it(
    workspace: Workspace, team: Team, channel: Channel, contact: Contact, ann: Agent
) -> None:
    """Even over capacity: it counts, and is not blocked."""
    await known_to(ann, contact)

    found = await opened(contact, channel, by=as_agent(ann))

    assert (found.status, found.assignee_id, found.team_id, found.line) == (
        Status.ASSIGNED,
        ann.id,
        team.id,
        Line.SALES,
    )
    held = await Assignment.get(conversation_id=found.id)
    assert (held.rule, held.agent_id, held.ended_at) == (Rule.OPENED_BY_HAND, ann.id, None)
    assert (await Agent.get(id=ann.id)).load == 1
    rows = await fetch(
        """
        SELECT kind, actor_id, to_agent_id, data ->> 'rule' AS rule FROM events
        WHERE conversation_id = $1 ORDER BY seq
        """,
        found.id,
    )
    assert [tuple(row) for row in rows] == [
        (Kind.CONVERSATION_OPENED, ann.id, None, Rule.OPENED_BY_HAND),
        (Kind.CONVERSATION_ASSIGNED, ann.id, ann.id, Rule.OPENED_BY_HAND),
    ]


async def test_neither_bot_nor_owner_nor_last_agent_comes_before_whoever_opens(
    workspace: Workspace, team: Team, boss: Agent
) -> None:
    owner = await an_agent(workspace)
    channel = await a_channel(workspace, team=team, bot=True)
    contact = await a_contact(channel, owner_agent=owner)

    found = await opened(contact, channel, by=as_agent(boss))

    assert found.assignee_id == boss.id


async def test_it_goes_on_like_any_other(
    workspace: Workspace, team: Team, channel: Channel, contact: Contact, boss: Agent
) -> None:
    found = await opened(contact, channel, by=as_agent(boss))

    received = await a_message(channel, sender="ada")
    async with working(found.id, by=as_agent(boss)) as held:
        await held.unassign(by=as_agent(boss))

    assert received.conversation_id == found.id
    waiting = await Conversation.get(id=found.id)
    assert (waiting.status, waiting.team_id) == (Status.QUEUED, team.id)


@pytest.mark.parametrize(
    "through", ["its own group", "a group that inherits", "a department", "Todos", "itself"]
)
async def test_the_team_is_the_one_through_which_the_opener_holds_the_channel(
    workspace: Workspace, team: Team, channel: Channel, through: str
) -> None:
    expected: Team | None = team
    line = Line.SALES
    if through == "a group that inherits":
        expected = await a_team(workspace, parent=await a_team(workspace, parent=team))
    elif through == "a department":
        expected, line = await a_team(workspace, line=Line.SUPPORT), Line.SUPPORT
        await channel.assign(line, Target(expected.id), by=by_system(workspace))
    elif through == "Todos":
        expected, line = await Team.todos(workspace.id, Line.SUPPORT), Line.SUPPORT
    teams = [expected] if expected and not expected.is_todos else []
    ann = await an_agent(workspace, teams=teams)
    if through == "itself":
        expected = None
        channel = await a_channel(workspace, agent=await an_agent(workspace))
        await channel.assign(Line.SALES, Target(agent_id=ann.id), by=by_system(workspace))
    contact = await a_contact(channel)
    await known_to(ann, contact)

    found = await opened(contact, channel, by=as_agent(ann), line=line)

    assert found.team_id == (expected.id if expected else None)
    assert found.line is line


@pytest.mark.parametrize("target", ["a team", "an inactive team", "an agent"])
async def test_a_supervisor_opens_on_any_channel_for_its_target(
    workspace: Workspace, team: Team, channel: Channel, boss: Agent, target: str
) -> None:
    expected: UUID | None = team.id
    if target == "an inactive team":
        await Team.filter(id=team.id).update(is_active=False)
        expected = (await Team.todos(workspace.id, Line.SALES)).id
    elif target == "an agent":
        channel, expected = await a_channel(workspace, agent=await an_agent(workspace)), None

    found = await opened(await a_contact(channel), channel, by=as_agent(boss))

    assert (found.assignee_id, found.team_id) == (boss.id, expected)


async def test_an_integration_opens_for_an_agent(
    workspace: Workspace, channel: Channel, contact: Contact, ann: Agent
) -> None:
    script = as_integration(workspace, "conversations:write")

    found = await opened(contact, channel, by=script, on_behalf_of=ann.id)

    assert found.assignee_id == ann.id


async def test_a_contact_is_given_the_identity_it_is_written_to_by(
    workspace: Workspace, contact: Contact, boss: Agent
) -> None:
    other = await a_channel(workspace)

    found = await opened(contact, other, by=as_agent(boss), external_id="+44 1")

    received = await a_message(other, sender="+44 1")
    assert received.conversation_id == found.id
    identity = await ContactIdentity.get(channel_id=other.id)
    assert (identity.contact_id, identity.external_id) == (contact.id, "+44 1")


async def test_the_identity_it_has_is_not_added_again(
    channel: Channel, contact: Contact, boss: Agent
) -> None:
    await opened(contact, channel, by=as_agent(boss), external_id="ada")

    assert await ContactIdentity.filter(contact_id=contact.id).count() == 1


async def test_somebody_elses_identity_is_refused(
    workspace: Workspace, channel: Channel, contact: Contact, boss: Agent
) -> None:
    other = await a_contact(channel, sender="grace")

    with pytest.raises(IdentityTaken) as refused:
        await opened(contact, channel, by=as_agent(boss), external_id="grace")

    assert refused.value.facts == {"contactId": other.id, "channelId": channel.id}


async def test_beside_an_open_one_it_is_refused_naming_it(
    channel: Channel, contact: Contact, boss: Agent
) -> None:
    received = await a_message(channel, sender="ada")

    with pytest.raises(ConversationAlreadyOpen) as refused:
        await opened(contact, channel, by=as_agent(boss))

    assert refused.value.facts == {"conversationId": received.conversation_id}


async def test_a_merged_contact_names_its_survivor(
    channel: Channel, contact: Contact, boss: Agent
) -> None:
    survivor = await a_contact(channel, sender="grace")
    await merge(survivor_id=survivor.id, merged_id=contact.id, by=as_agent(boss))

    with pytest.raises(ContactMerged) as refused:
        await opened(contact, channel, by=as_agent(boss))

    assert refused.value.facts == {"contactId": survivor.id}


@dataclass
class Desk:
    """What an opening is asked for, and by whom: a supervisor who may, unless a case says other."""

    workspace: Workspace
    channel: Channel
    contact: Contact
    ann: Agent
    boss: Agent

    @property
    def script(self) -> Actor:
        return as_integration(self.workspace, "conversations:write")


COUNTS = "SELECT (SELECT count(*) FROM events) + count(*) FROM contact_identities"
Case = tuple[Actor, dict[str, Any]]


async def _on_another_groups_channel(desk: Desk) -> Case:
    stranger = await an_agent(desk.workspace, teams=[await a_team(desk.workspace)])
    await known_to(stranger, desk.contact)
    return as_agent(stranger), {}


async def _on_a_line_that_the_channel_lacks(desk: Desk) -> Case:
    webchat = await a_channel(desk.workspace, kind=ChannelKind.WEBCHAT)
    given = {"channel_id": webchat.id, "external_id": "v-1", "line": Line.SUPPORT}
    return as_agent(desk.boss), given


async def _on_a_channel_that_does_not_know_the_contact(desk: Desk) -> Case:
    return as_agent(desk.boss), {"channel_id": (await a_channel(desk.workspace)).id}


async def _with_whom_one_does_not_see(desk: Desk) -> Case:
    return as_agent(desk.ann), {}


async def _with_another_companys_contact(desk: Desk) -> Case:
    theirs = await a_contact(await a_channel(await a_workspace("Rival")))
    return as_agent(desk.boss), {"contact_id": theirs.id}


async def _on_another_companys_channel(desk: Desk) -> Case:
    theirs = await a_channel(await a_workspace("Rival"))
    return as_agent(desk.boss), {"channel_id": theirs.id, "external_id": "x"}


async def _with_nobody(desk: Desk) -> Case:
    return as_agent(desk.boss), {"contact_id": uuid4()}


async def _by_a_blank_identity(desk: Desk) -> Case:
    return as_agent(desk.boss), {"external_id": " "}


async def _by_an_auditor(desk: Desk) -> Case:
    return as_agent(await an_agent(desk.workspace, role=Role.AUDITOR, connected=False)), {}


async def _by_an_integration(desk: Desk) -> Case:
    return desk.script, {}


async def _by_an_integration_that_reads(desk: Desk) -> Case:
    by = as_integration(desk.workspace, "conversations:read")
    return by, {"on_behalf_of": desk.ann.id}


async def _by_a_person_for_another(desk: Desk) -> Case:
    return as_agent(desk.boss), {"on_behalf_of": desk.ann.id}


async def _for_an_auditor(desk: Desk) -> Case:
    auditor = await an_agent(desk.workspace, role=Role.AUDITOR, connected=False)
    return desk.script, {"on_behalf_of": auditor.id}


async def _for_somebody_inactive(desk: Desk) -> Case:
    await Agent.filter(id=desk.ann.id).update(is_active=False)
    return desk.script, {"on_behalf_of": desk.ann.id}


async def _for_somebody_of_another_company(desk: Desk) -> Case:
    rival = await an_agent(await a_workspace("Rival"))
    return desk.script, {"on_behalf_of": rival.id}


@pytest.mark.parametrize(
    ("case", "code"),
    [
        (_on_another_groups_channel, "CHANNEL_NOT_HELD"),
        (_on_a_line_that_the_channel_lacks, "LINE_NOT_SUPPORTED"),
        (_on_a_channel_that_does_not_know_the_contact, "CONTACT_UNKNOWN_TO_CHANNEL"),
        (_with_whom_one_does_not_see, "NOT_FOUND"),
        (_with_another_companys_contact, "NOT_FOUND"),
        (_on_another_companys_channel, "NOT_FOUND"),
        (_with_nobody, "NOT_FOUND"),
        (_by_a_blank_identity, "BAD_USER_INPUT"),
        (_by_an_auditor, "FORBIDDEN"),
        (_by_an_integration, "FORBIDDEN"),
        (_by_an_integration_that_reads, "FORBIDDEN"),
        (_by_a_person_for_another, "FORBIDDEN"),
        (_for_an_auditor, "ROLE_CANNOT_HOLD"),
        (_for_somebody_inactive, "AGENT_INACTIVE"),
        (_for_somebody_of_another_company, "NOT_FOUND"),
    ],
)
async def test_a_refused_opening_leaves_nothing(
    workspace: Workspace,
    channel: Channel,
    contact: Contact,
    ann: Agent,
    boss: Agent,
    case: Callable[[Desk], Awaitable[Case]],
    code: str,
) -> None:
    by, given = await case(Desk(workspace, channel, contact, ann, boss))
    before = await fetchval(COUNTS)

    with pytest.raises(DomainError) as refused:
        await open_by_hand(by=by, **{"contact_id": contact.id, "channel_id": channel.id, **given})

    assert refused.value.code == code
    after = await fetchval(COUNTS)
    assert after == before


@pytest.mark.parametrize("known", [True, False])
async def test_of_an_opener_and_a_first_message_one_opens_it(
    workspace: Workspace, boss: Agent, known: bool
) -> None:
    """Where the channel does not know the contact yet, its identity is what they race for."""
    automatic = await a_team(workspace, distribution=Distribution.LEAST_OPEN)
    await an_agent(workspace, teams=[automatic])
    channel = await a_channel(workspace, team=automatic)
    outcomes: list[Any] = []
    for number in range(6):
        sender = f"customer {number}"
        contact = await a_contact(channel if known else await a_channel(workspace), sender=sender)
        outcomes += await asyncio.gather(
            *(
                opened(contact, channel, by=as_agent(boss), external_id=None if known else sender),
                a_message(channel, sender=sender),
                a_message(channel, sender=sender),
            ),
            return_exceptions=True,
        )

    first = [one for one in outcomes if isinstance(one, Received) and one.opened]
    opened_by_hand = [one for one in outcomes if isinstance(one, Conversation)]
    refused = [one for one in outcomes if isinstance(one, BaseException)]
    assert len(first) + len(opened_by_hand) == 6
    assert len(refused) == 6 - len(opened_by_hand)
    expected = (ConversationAlreadyOpen,) if known else (IdentityTaken,)
    assert all(isinstance(one, expected) for one in refused)


async def test_of_many_openers_one_opens_it(
    workspace: Workspace, channel: Channel, contact: Contact
) -> None:
    agents = [await an_agent(workspace, role=Role.OPERATOR) for _ in range(5)]

    outcomes = await asyncio.gather(
        *[opened(contact, channel, by=as_agent(agent)) for agent in agents],
        return_exceptions=True,
    )

    won = [one for one in outcomes if isinstance(one, Conversation)]
    assert len(won) == 1
    lost = [one for one in outcomes if isinstance(one, ConversationAlreadyOpen)]
    assert [one.facts["conversationId"] for one in lost] == [won[0].id] * 4
