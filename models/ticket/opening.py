"""Opening tickets: by hand one, by a sweep many; each gets the next number of its workspace."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from models import event, tag
from models.access import Actor, Right
from models.conversation import Conversation
from models.database import Transaction, encode, tx
from models.ticket import parties
from models.ticket.record import (
    Ticket,
    TicketPriority,
    TicketStatus,
    require_description,
    require_subject,
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A ticket that has no number yet; whoever drafts it has checked what it names."""

    workspace_id: UUID
    subject: str
    requester_id: UUID
    description: str | None = None
    department_id: UUID | None = None
    assignee_id: UUID | None = None
    priority: TicketPriority = TicketPriority.NORMAL
    opened_by_id: UUID | None = None
    id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class Opened:
    """A ticket that was opened."""

    id: UUID
    number: int


async def open_ticket(
    *,
    by: Actor,
    subject: str,
    requester_id: UUID,
    description: str | None = None,
    department_id: UUID | None = None,
    assignee_id: UUID | None = None,
    priority: TicketPriority = TicketPriority.NORMAL,
    tags: Sequence[str] = (),
    conversation: Conversation | None = None,
) -> Ticket:
    """Open a ticket for a contact that the actor sees; whoever sees every ticket opens it for any.

    With a `conversation`, which is locked already, its contact is the requester and is not locked
    again. Raises NotFound, ContactMerged, TeamInactive, TargetNotAllowed, AgentInactive,
    RoleCannotHold, LimitReached, BadUserInput, Forbidden.
    """
    by.require(Right.WORK_TICKETS)
    require_subject(subject)
    require_description(description)
    async with tx() as transaction:
        if conversation is None or conversation.contact_id != requester_id:
            await parties.lock_requester(requester_id, by=by)
        await parties.require_department(department_id, by=by)
        await parties.require_assignee(assignee_id, by=by)
        tag_ids = await tag.known(transaction, tags, by=by)
        draft = Draft(
            workspace_id=by.workspace_id,
            subject=subject,
            requester_id=requester_id,
            description=description,
            department_id=department_id,
            assignee_id=assignee_id,
            priority=priority,
            opened_by_id=by.agent_id,
        )
        await open_all(transaction, [draft], by=by)
        await tag.mark(transaction, "ticket", draft.id, tag_ids, by=by)
        return await Ticket.get(id=draft.id)


async def open_all(
    transaction: Transaction, drafts: Sequence[Draft], *, by: Actor | None = None
) -> list[Opened]:
    """Open tickets in the order of their drafts, by the system unless somebody is named.

    Nothing but events is numbered after this: the lock of the numbers is held until the commit.
    """
    if not drafts:
        return []
    await _lock_numbers(transaction, {draft.workspace_id for draft in drafts})
    rows = await transaction.fetch(
        _INSERT,
        encode([_row(draft) for draft in drafts]),
        TicketStatus.OPEN.value,
    )
    numbers: dict[UUID, int] = {row["id"]: row["number"] for row in rows}
    for draft in drafts:
        event.record(
            event.Kind.TICKET_CREATED,
            by=by or Actor.system(draft.workspace_id),
            ticket_id=draft.id,
            contact_id=draft.requester_id,
            number=numbers[draft.id],
            priority=draft.priority,
            assignee_id=draft.assignee_id,
            department_id=draft.department_id,
        )
    return [Opened(draft.id, numbers[draft.id]) for draft in drafts]


async def _lock_numbers(transaction: Transaction, workspace_ids: set[UUID]) -> None:
    # Beside the lock of the log, which comes after it. What follows has a new snapshot, so the
    # last number is read after the wait.
    await transaction.execute(
        """
        SELECT pg_advisory_xact_lock(hashtextextended(w.id::text, 8))
        FROM (SELECT unnest($1::uuid[]) AS id ORDER BY 1) w
        """,
        list(workspace_ids),
    )


def _row(draft: Draft) -> dict[str, object]:
    return {
        "id": draft.id,
        "workspace_id": draft.workspace_id,
        "subject": draft.subject,
        "description": draft.description or None,
        "requester_id": draft.requester_id,
        "assignee_id": draft.assignee_id,
        "department_id": draft.department_id,
        "priority": draft.priority.value,
        "opened_by_id": draft.opened_by_id,
    }


_INSERT = """
    INSERT INTO tickets (id, workspace_id, number, subject, description, requester_id, assignee_id,
                         department_id, status, priority, opened_by_id, version)
    SELECT d.id, d.workspace_id, coalesce(last.number, 0) + row_number() OVER (
               PARTITION BY d.workspace_id ORDER BY p.place),
           d.subject, d.description, d.requester_id, d.assignee_id, d.department_id, $2,
           d.priority, d.opened_by_id, 1
    FROM jsonb_array_elements($1::text::jsonb) WITH ORDINALITY AS p(draft, place)
    CROSS JOIN LATERAL jsonb_to_record(p.draft) AS d(
        id uuid, workspace_id uuid, subject text, description text, requester_id uuid,
        assignee_id uuid, department_id uuid, priority text, opened_by_id uuid)
    LEFT JOIN LATERAL (
        SELECT t.number FROM tickets t WHERE t.workspace_id = d.workspace_id
        ORDER BY t.number DESC LIMIT 1) last ON true
    RETURNING id, number
"""
