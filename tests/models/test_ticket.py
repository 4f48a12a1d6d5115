"""Who sees tickets, and how they change."""

from functools import partial
from typing import Any

import pytest

from models import Agent, Contact, Conversation, Team, Ticket, Workspace
from models.access import Actor, Role
from models.base import Line
from models.database import fetch
from models.departure import deactivate
from models.errors import (
    AgentInactive,
    BadUserInput,
    DomainError,
    Forbidden,
    NotFound,
    TargetNotAllowed,
)
from models.event import Kind
from models.log import read
from models.owner import set_owner
from models.ticket import link
from models.ticket.action import ActionKind, TicketAction, add_action
from models.ticket.creation import create
from models.ticket.errors import TicketChanged
from models.ticket.record import TicketPriority, TicketStatus
from tests.factories import (
    a_channel,
    a_contact,
    a_conversation,
    a_team,
    a_ticket,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
    working,
)
from tests.meeting import behind


@pytest.fixture
async def team(workspace: Workspace) -> Team:
    return await a_team(workspace)


@pytest.fixture
async def agent(workspace: Workspace, team: Team) -> Agent:
    return await an_agent(workspace, teams=[team])


@pytest.fixture
async def elsewhere(workspace: Workspace) -> Contact:
    """A contact of a team that the agent is not in."""
    conversation = await a_conversation(workspace, team=await a_team(workspace))
    return await Contact.get(id=conversation.contact_id)


async def seen(by: Actor) -> list[int]:
    """The numbers of the tickets that somebody sees."""
    return sorted([ticket.number for ticket in await (await Ticket.visible_to(by))])


async def linked(conversation: Conversation, ticket: Ticket, *, how: str = "link") -> None:
    by = Actor.system(ticket.workspace_id)
    async with working(conversation.id, by=by) as locked:
        await getattr(link, how)(locked, ticket.id, by=by)


async def test_an_agent_sees_the_tickets_of_what_it_sees_and_its_own(
    workspace: Workspace, team: Team, agent: Agent, elsewhere: Contact
) -> None:
    department = await a_team(workspace, line=Line.SUPPORT, members=[agent])
    own = await a_conversation(workspace, team=team)
    owned = await a_contact(await a_channel(workspace), sender="owned", owner_agent=agent)
    tickets = {
        "nothing": await a_ticket(elsewhere),
        "linked": await a_ticket(elsewhere),
        "proposed": await a_ticket(elsewhere),
        "requested": await a_ticket(await Contact.get(id=own.contact_id)),
        "of an owned contact": await a_ticket(owned),
        "assigned": await a_ticket(elsewhere, assignee=agent),
        "of a department": await a_ticket(elsewhere, department=department),
        "opened": await a_ticket(owned, by=as_agent(agent)),
    }
    await linked(own, tickets["linked"])
    proposed = await a_conversation(workspace, team=team, sender="proposed")
    await linked(proposed, tickets["proposed"], how="propose")
    await set_owner(owned.id, by=by_system(workspace), agent_id=None, team_id=None)
    stranger = await a_conversation(await a_workspace("Other"))
    await a_ticket(await Contact.get(id=stranger.contact_id))

    found = set(await seen(as_agent(agent)))

    names = {name for name, ticket in tickets.items() if ticket.number in found}
    assert names == set(tickets) - {"nothing", "of an owned contact"}


@pytest.mark.parametrize(
    ("role", "sees"),
    [
        (Role.AGENT, False),
        (Role.OPERATOR, True),
        (Role.AUDITOR, True),
        (Role.MARKETING, False),
        (Role.ADMIN, True),
    ],
)
async def test_a_role_sees_every_ticket_or_none_of_others(
    workspace: Workspace, elsewhere: Contact, role: Role, *, sees: bool
) -> None:
    await a_ticket(elsewhere)

    assert await seen(as_agent(await an_agent(workspace, role=role))) == [1] * sees


@pytest.mark.parametrize(
    ("scope", "sees"),
    [("tickets:read", True), ("tickets:write", True), ("conversations:write", False)],
)
async def test_an_integration_sees_tickets_by_its_scopes(
    workspace: Workspace, elsewhere: Contact, scope: str, *, sees: bool
) -> None:
    await a_ticket(elsewhere)

    assert await seen(as_integration(workspace, scope)) == [1] * sees


async def test_what_is_proposed_is_edited_while_somebody_decides(
    workspace: Workspace, team: Team, agent: Agent, elsewhere: Contact
) -> None:
    ticket = await a_ticket(elsewhere)
    conversation = await a_conversation(workspace, team=team, holder=agent)
    await linked(conversation, ticket, how="propose")

    await Ticket.change(ticket.id, by=as_agent(agent), subject="The light is on")
    async with working(conversation.id, by=as_agent(agent)) as locked:
        await link.reject(locked, by=as_agent(agent))

    assert (await Ticket.get(id=ticket.id)).subject == "The light is on"
    with pytest.raises(NotFound):
        await Ticket.change(ticket.id, by=as_agent(agent), subject="Mine no more")


async def test_a_change_is_one_event_without_words(
    workspace: Workspace, agent: Agent, elsewhere: Contact
) -> None:
    ticket = await a_ticket(elsewhere, tags=["lamps", "old"])
    other = await a_contact(await a_channel(workspace), sender="other")
    before = len(await read(workspace.id, 0))

    await Ticket.change(
        ticket.id,
        by=by_system(workspace),
        expected_version=1,
        subject="The light is on",
        description="",
        requester_id=other.id,
        assignee_id=agent.id,
        status=TicketStatus.RESOLVED,
        priority=TicketPriority.NORMAL,
        tags=["Lamps", "new"],
    )

    (told,) = [it for it in (await read(workspace.id, 0))[before:] if it.kind != Kind.TAG_CREATED]
    assert (told.kind, told.ticket_id, told.contact_id) == (
        Kind.TICKET_UPDATED,
        ticket.id,
        other.id,
    )
    assert told.data == {
        "changed": ["subject", "requester_id", "assignee_id", "status", "tags"],
        "assignee_id": str(agent.id),
        "status": "RESOLVED",
    }
    changed = await Ticket.get(id=ticket.id)
    assert (changed.version, changed.number) == (2, ticket.number)
    assert changed.updated_at > ticket.updated_at
    assert await tags_of(ticket) == ["lamps", "new"]


async def tags_of(ticket: Ticket) -> list[str]:
    rows = await fetch(
        "SELECT t.name FROM ticket_tags x JOIN tags t ON t.id = x.tag_id"
        " WHERE x.ticket_id = $1 ORDER BY 1",
        ticket.id,
    )
    return [row["name"] for row in rows]


async def test_a_change_to_what_it_is_already_changes_nothing(
    workspace: Workspace, elsewhere: Contact
) -> None:
    ticket = await a_ticket(elsewhere, tags=["lamps"])
    before = len(await read(workspace.id, 0))

    await Ticket.change(ticket.id, by=by_system(workspace), subject=ticket.subject, tags=["LAMPS"])

    assert len(await read(workspace.id, 0)) == before
    assert (await Ticket.get(id=ticket.id)).version == 1


async def test_all_tags_can_be_taken_away(workspace: Workspace, elsewhere: Contact) -> None:
    ticket = await a_ticket(elsewhere, tags=["lamps"])

    await Ticket.change(ticket.id, by=by_system(workspace), tags=[])

    assert await tags_of(ticket) == []


async def test_a_stale_change_says_which_version_there_is(
    workspace: Workspace, elsewhere: Contact
) -> None:
    ticket = await a_ticket(elsewhere)
    await Ticket.change(ticket.id, by=by_system(workspace), status=TicketStatus.PENDING)

    with pytest.raises(TicketChanged) as refused:
        await Ticket.change(
            ticket.id, by=by_system(workspace), expected_version=1, status=TicketStatus.CLOSED
        )

    assert refused.value.facts == {"currentVersion": 2}
    assert (await Ticket.get(id=ticket.id)).status is TicketStatus.PENDING


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"subject": ""}, BadUserInput),
        ({"description": "x" * 10_001}, BadUserInput),
        ({"assignee_id": "gone"}, AgentInactive),
        ({"department_id": "group"}, TargetNotAllowed),
        ({"requester_id": "gone"}, NotFound),
        ({"tags": ["x"] * 21}, BadUserInput),
    ],
)
async def test_a_change_is_refused_as_opening_is(
    workspace: Workspace,
    team: Team,
    elsewhere: Contact,
    change: dict[str, Any],
    error: type[DomainError],
) -> None:
    ticket = await a_ticket(elsewhere)
    gone = await an_agent(workspace)
    await deactivate(gone.id, by=by_system(workspace))
    ids = {"gone": gone.id, "group": team.id}
    given = {name: ids.get(to, to) if isinstance(to, str) else to for name, to in change.items()}

    with pytest.raises(error):
        await Ticket.change(ticket.id, by=by_system(workspace), **given)

    assert (await Ticket.get(id=ticket.id)).version == 1


async def test_who_only_reads_tickets_changes_none(
    workspace: Workspace, elsewhere: Contact
) -> None:
    ticket = await a_ticket(elsewhere)
    auditor = as_agent(await an_agent(workspace, role=Role.AUDITOR))

    with pytest.raises(Forbidden):
        await Ticket.change(ticket.id, by=auditor, subject="No")
    with pytest.raises(Forbidden):
        await add_action(ticket.id, "No", kind=ActionKind.INTERNAL, by=auditor)


async def test_an_agent_changes_nothing_that_it_does_not_see(
    agent: Agent, elsewhere: Contact
) -> None:
    ticket = await a_ticket(elsewhere)

    with pytest.raises(NotFound):
        await Ticket.change(ticket.id, by=as_agent(agent), subject="No")
    with pytest.raises(NotFound):
        await add_action(ticket.id, "No", kind=ActionKind.PUBLIC, by=as_agent(agent))


@pytest.mark.parametrize("kind", [ActionKind.PUBLIC, ActionKind.INTERNAL])
async def test_an_action_is_kept_with_its_author_and_told(
    workspace: Workspace, agent: Agent, elsewhere: Contact, kind: ActionKind
) -> None:
    ticket = await a_ticket(elsewhere, assignee=agent)

    action_id = await add_action(ticket.id, "Replaced the bulb.", kind=kind, by=as_agent(agent))

    action = await TicketAction.get(id=action_id)
    assert (action.kind, action.text) == (kind, "Replaced the bulb.")
    assert (action.author_id, action.ticket_id) == (agent.id, ticket.id)
    last = (await read(workspace.id, 0))[-1]
    assert (last.kind, last.ticket_id) == (Kind.TICKET_ACTION_ADDED, ticket.id)
    assert last.data == {"action": str(action_id), "action_kind": kind.value}
    touched = await Ticket.get(id=ticket.id)
    assert (touched.version, touched.updated_at > ticket.updated_at) == (1, True)


@pytest.mark.parametrize(
    ("text", "kind"),
    [(" ", ActionKind.PUBLIC), ("\x00", ActionKind.PUBLIC), ("Said.", ActionKind.HISTORY)],
)
async def test_an_action_says_something_and_is_no_history(
    workspace: Workspace, elsewhere: Contact, text: str, kind: ActionKind
) -> None:
    ticket = await a_ticket(elsewhere)

    with pytest.raises(BadUserInput):
        await add_action(ticket.id, text, kind=kind, by=by_system(workspace))


@pytest.mark.parametrize(
    "statement", ["UPDATE ticket_actions SET text = 'No'", "DELETE FROM ticket_actions"]
)
async def test_actions_never_change(
    workspace: Workspace, elsewhere: Contact, statement: str
) -> None:
    ticket = await a_ticket(elsewhere)
    await add_action(ticket.id, "Done.", kind=ActionKind.PUBLIC, by=by_system(workspace))

    with pytest.raises(Exception, match="ticket_actions never change"):
        await fetch(statement)


async def test_a_ticket_of_a_conversation_is_its_contacts_and_linked(
    workspace: Workspace, team: Team, agent: Agent
) -> None:
    conversation = await a_conversation(workspace, team=team, holder=agent)

    ticket = await create(
        by=as_agent(agent), conversation_id=conversation.id, subject="The light is out"
    )

    assert ticket.requester_id == conversation.contact_id
    kept = await Conversation.get(id=conversation.id)
    assert (kept.ticket_id, kept.ticket_link) == (ticket.id, "CONFIRMED")


async def test_a_ticket_of_a_conversation_may_be_somebody_elses_request(
    workspace: Workspace, team: Team, elsewhere: Contact
) -> None:
    conversation = await a_conversation(workspace, team=team)

    ticket = await create(
        by=by_system(workspace),
        conversation_id=conversation.id,
        requester_id=elsewhere.id,
        subject="The light is out",
    )

    assert ticket.requester_id == elsewhere.id


async def test_of_two_changes_of_what_both_saw_the_second_is_refused(
    workspace: Workspace, elsewhere: Contact
) -> None:
    ticket = await a_ticket(elsewhere)
    change = partial(Ticket.change, ticket.id, by=by_system(workspace), expected_version=1)

    with pytest.raises(TicketChanged):
        await behind(
            partial(change, status=TicketStatus.PENDING), partial(change, status=TicketStatus.OPEN)
        )

    assert (await Ticket.get(id=ticket.id)).status is TicketStatus.PENDING


async def test_of_two_links_at_once_the_later_is_kept(
    workspace: Workspace, team: Team, elsewhere: Contact
) -> None:
    conversation = await a_conversation(workspace, team=team)
    first, second = await a_ticket(elsewhere), await a_ticket(elsewhere)

    await behind(partial(linked, conversation, first), partial(linked, conversation, second))

    assert (await Conversation.get(id=conversation.id)).ticket_id == second.id
    last = (await read(workspace.id, 0))[-1]
    assert (last.ticket_id, last.data["from_ticket"]) == (second.id, str(first.id))
