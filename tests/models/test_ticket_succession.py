"""What becomes of the tickets of agents and departments that go."""

from uuid import UUID

import pytest

from models import Contact, Ticket, Workspace
from models.base import Line
from models.departure import deactivate
from models.event import Kind
from models.log import read
from models.team_removal import delete
from models.ticket.record import TicketStatus
from tests.factories import a_channel, a_contact, a_team, a_ticket, an_agent, by_system


@pytest.fixture
async def requester(workspace: Workspace) -> Contact:
    return await a_contact(await a_channel(workspace))


async def told_since(workspace: Workspace, seq: int) -> list[tuple[object, object]]:
    log = await read(workspace.id, seq)
    return [(it.ticket_id, it.data) for it in log if it.kind is Kind.TICKET_UPDATED]


@pytest.mark.parametrize("replaced", [True, False])
async def test_a_replacement_takes_the_tickets_over_that_are_not_closed(
    workspace: Workspace, requester: Contact, *, replaced: bool
) -> None:
    by = by_system(workspace)
    leaver, replacement = await an_agent(workspace), await an_agent(workspace)
    pending, closed = [await a_ticket(requester, assignee=leaver) for _ in range(2)]
    await Ticket.change(pending.id, by=by, status=TicketStatus.PENDING)
    await Ticket.change(closed.id, by=by, status=TicketStatus.CLOSED)
    before = len(await read(workspace.id, 0))

    await deactivate(leaver.id, by=by, replacement_id=replacement.id if replaced else None)

    assert await assignees() == {
        pending.id: replacement.id if replaced else leaver.id,
        closed.id: leaver.id,
    }
    change = {"changed": ["assignee_id"], "assignee_id": str(replacement.id)}
    assert await told_since(workspace, before) == [(pending.id, change)] * replaced


async def assignees() -> dict[UUID, UUID | None]:
    return {ticket.id: ticket.assignee_id for ticket in await Ticket.all()}


@pytest.mark.parametrize("replaced", [True, False])
async def test_a_department_that_goes_keeps_its_tickets_unless_it_is_replaced(
    workspace: Workspace, requester: Contact, *, replaced: bool
) -> None:
    by = by_system(workspace)
    going, staying = [await a_team(workspace, line=Line.SUPPORT) for _ in range(2)]
    ticket = await a_ticket(requester, department=going)
    before = len(await read(workspace.id, 0))

    await delete(going.id, by=by, replacement_id=staying.id if replaced else None)

    kept = await Ticket.get(id=ticket.id)
    assert kept.department_id == (staying.id if replaced else going.id)
    change = {"changed": ["department_id"], "department_id": str(staying.id)}
    assert await told_since(workspace, before) == [(ticket.id, change)] * replaced
