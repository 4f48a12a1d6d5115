"""Opening tickets: whose request they are, what they name, and their numbers."""

from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest

from models import Contact, Team, Ticket, Workspace
from models.access import Actor, Role
from models.base import Line
from models.database import attempt, fetch, tx
from models.departure import deactivate
from models.errors import (
    AgentInactive,
    BadUserInput,
    ContactMerged,
    DomainError,
    Forbidden,
    LimitReached,
    NotFound,
    RoleCannotHold,
    TargetNotAllowed,
    TeamInactive,
)
from models.event import Kind
from models.log import read
from models.merge import merge
from models.tag import TAGS_MAX
from models.team_removal import delete
from models.ticket.opening import Draft, open_all, open_ticket
from models.ticket.record import SUBJECT_LENGTH_MAX, TicketPriority, TicketStatus
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
)


@pytest.fixture
async def requester(workspace: Workspace) -> Contact:
    return await a_contact(await a_channel(workspace))


async def test_tickets_are_numbered_from_one_in_each_workspace(workspace: Workspace) -> None:
    others = await a_contact(await a_channel(await a_workspace("Other")))
    requester = await a_contact(await a_channel(workspace))

    numbers = [(await a_ticket(each)).number for each in (requester, others, requester)]

    assert numbers == [1, 1, 2]


async def test_many_tickets_are_opened_in_the_order_of_their_drafts(requester: Contact) -> None:
    other = await a_contact(await a_channel(await a_workspace("Other")))
    await a_ticket(requester)
    drafts = [
        Draft(each.workspace_id, f"The light {place}", each.id)
        for place, each in enumerate([requester, other, requester])
    ]

    async with tx() as transaction:
        opened = await open_all(transaction, drafts)

    assert [each.number for each in opened] == [2, 1, 3]
    kept = {ticket.id: ticket for ticket in await Ticket.all()}
    assert [kept[each.id].subject for each in opened] == [draft.subject for draft in drafts]
    assert [kept[each.id].number for each in opened] == [each.number for each in opened]


async def test_a_number_that_was_not_committed_is_given_again(requester: Contact) -> None:
    async with tx() as transaction:
        with suppress(LimitReached):
            async with attempt(transaction):
                await a_ticket(requester)
                raise LimitReached("tries", limit=1)

    assert (await a_ticket(requester)).number == 1


async def test_a_ticket_is_open_and_of_normal_priority_and_known_by_whom(
    workspace: Workspace,
) -> None:
    department = await a_team(workspace, line=Line.SUPPORT)
    agent = await an_agent(workspace, teams=[department])
    conversation = await a_conversation(workspace, team=department, holder=agent)

    ticket = await open_ticket(
        by=as_agent(agent),
        subject="The light is out",
        requester_id=conversation.contact_id,
        department_id=department.id,
        assignee_id=agent.id,
        tags=["lamps", "Lamps", "urgent"],
    )

    assert (ticket.status, ticket.priority) == (TicketStatus.OPEN, TicketPriority.NORMAL)
    assert (ticket.version, ticket.opened_by_id) == (1, agent.id)
    assert (ticket.department_id, ticket.assignee_id) == (department.id, agent.id)
    rows = await fetch("SELECT FROM ticket_tags WHERE ticket_id = $1", ticket.id)
    assert len(rows) == 2
    last = (await read(workspace.id, 0))[-1]
    assert (last.kind, last.contact_id) == (Kind.TICKET_CREATED, conversation.contact_id)
    assert last.data == {
        "number": 1,
        "priority": "NORMAL",
        "assignee_id": str(agent.id),
        "department_id": str(department.id),
    }


async def _inactive_agent(workspace: Workspace) -> UUID:
    agent = await an_agent(workspace)
    await deactivate(agent.id, by=by_system(workspace))
    return agent.id


async def _deleted_department(workspace: Workspace) -> UUID:
    team = await a_team(workspace, line=Line.SUPPORT)
    await delete(team.id, by=by_system(workspace))
    return team.id


async def _nobody(_: Workspace) -> UUID:
    return uuid4()


async def _auditor(workspace: Workspace) -> UUID:
    return (await an_agent(workspace, role=Role.AUDITOR)).id


async def _group(workspace: Workspace) -> UUID:
    return (await a_team(workspace)).id


async def _strangers_department(_: Workspace) -> UUID:
    return (await Team.todos(workspace_id=(await a_workspace("Other")).id, line=Line.SUPPORT)).id


@pytest.mark.parametrize(
    ("name", "named", "error", "path"),
    [
        ("assignee_id", _inactive_agent, AgentInactive, None),
        ("assignee_id", _auditor, RoleCannotHold, None),
        ("assignee_id", _nobody, NotFound, "input.assigneeId"),
        ("department_id", _deleted_department, TeamInactive, None),
        ("department_id", _group, TargetNotAllowed, "input.departmentId"),
        ("department_id", _strangers_department, NotFound, "input.departmentId"),
        ("requester_id", _nobody, NotFound, "input.requesterId"),
    ],
)
async def test_a_ticket_names_only_who_is_there_for_it(
    requester: Contact,
    workspace: Workspace,
    name: str,
    named: Any,
    error: type[DomainError],
    path: str | None,
) -> None:
    given = {"requester_id": requester.id, name: await named(workspace)}

    with pytest.raises(error) as refused:
        await open_ticket(by=by_system(workspace), subject="The light is out", **given)

    assert refused.value.path == path
    assert not await Ticket.exists()


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"subject": " "}, "input.subject"),
        ({"subject": "x" * (SUBJECT_LENGTH_MAX + 1)}, "input.subject"),
        ({"description": "\x00"}, "input.description"),
        ({"description": "x" * 10_001}, "input.description"),
        ({"tags": ["x"] * (TAGS_MAX + 1)}, "input.tags"),
    ],
)
async def test_a_ticket_says_what_can_be_stored(
    requester: Contact, given: dict[str, Any], path: str
) -> None:
    by = Actor.system(requester.workspace_id)

    with pytest.raises(BadUserInput) as refused:
        await open_ticket(by=by, requester_id=requester.id, **{"subject": "Light", **given})

    assert refused.value.path == path


async def test_a_contact_that_was_merged_requests_nothing(workspace: Workspace) -> None:
    channel = await a_channel(workspace)
    survivor = await a_contact(channel)
    merged = await a_contact(channel, sender="bob")
    await merge(survivor_id=survivor.id, merged_id=merged.id, by=by_system(workspace))

    with pytest.raises(ContactMerged) as refused:
        await a_ticket(merged)

    assert refused.value.facts == {"contactId": survivor.id}


async def test_an_agent_opens_tickets_for_contacts_that_it_sees(workspace: Workspace) -> None:
    seen, unseen = await a_team(workspace), await a_team(workspace)
    agent = await an_agent(workspace, teams=[seen])
    own = await a_conversation(workspace, team=seen)
    other = await a_conversation(workspace, channel=await a_channel(workspace, team=unseen))

    await open_ticket(by=as_agent(agent), subject="Light", requester_id=own.contact_id)
    with pytest.raises(NotFound):
        await open_ticket(by=as_agent(agent), subject="Light", requester_id=other.contact_id)


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.MARKETING])
async def test_who_works_no_tickets_opens_none(
    workspace: Workspace, requester: Contact, role: Role
) -> None:
    agent = await an_agent(workspace, role=role)

    with pytest.raises(Forbidden):
        await a_ticket(requester, by=as_agent(agent))


async def test_an_integration_opens_tickets_by_its_scopes(
    workspace: Workspace, requester: Contact
) -> None:
    with pytest.raises(Forbidden):
        await a_ticket(requester, by=as_integration(workspace, "tickets:read", "contacts:read"))

    ticket = await a_ticket(
        requester, by=as_integration(workspace, "tickets:write", "contacts:read")
    )

    assert ticket.opened_by_id is None
