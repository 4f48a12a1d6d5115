"""How a conversation ends: what stands against it, and what ends with it.

Out of every queue and load; with the history of the conversation on its ticket, if it has one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID, uuid4

from models import event, placement, queue
from models.access import Actor, ActorKind
from models.agent import Agent
from models.base import require_length
from models.closure import (
    SUMMARY_LENGTH_MAX,
    Cause,
    ClosingReason,
    ClosingReasonRequired,
    SummaryRequired,
)
from models.conversation import Conversation, Status, TicketLink
from models.database import Row, Transaction, encode, fetch, tx
from models.errors import (
    ConversationClosed,
    ConversationNotHeld,
    Forbidden,
    RuleViolation,
)
from models.placement import Ended
from models.ticket import history
from models.ticket.action import ActionKind
from models.ticket.at_closing import TicketAtClosing, drafts_of
from models.ticket.errors import TicketLinkPending, TicketRequired
from models.ticket.history import Part
from models.ticket.opening import open_all

# What is of the support desk closes with a ticket, and so does what an agent once held there.
NEEDS_TICKET = """(c.line = 'SUPPORT' OR EXISTS (
    SELECT FROM assignments s WHERE s.conversation_id = c.id AND s.line = 'SUPPORT'))"""
_FACTS = f"""
    SELECT c.id, c.workspace_id, c.contact_id, c.channel_id, c.status, c.team_id, c.assignee_id,
           c.ticket_id, c.ticket_link, {NEEDS_TICKET} AS needs_ticket,
           w.closing_reason_required, w.summary_required
    FROM unnest($1::uuid[]) WITH ORDINALITY AS o(id, place)
    JOIN conversations c ON c.id = o.id JOIN workspaces w ON w.id = c.workspace_id
    ORDER BY o.place
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Closed:
    """What a closing wrote."""

    closure_id: UUID
    ticket_id: UUID | None = None
    action_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class _Terms:
    """What the closures of one command say alike; without `by` each is the system's."""

    cause: Cause
    by: Actor | None = None
    person_id: UUID | None = None
    reason_id: UUID | None = None
    summary: str | None = None

    def actor(self, row: Row) -> Actor:
        return self.by or Actor.system(row["workspace_id"])

    @property
    def closed_by_id(self) -> UUID | None:
        return self.person_id or (self.by.id if self.by else None)


async def close(
    conversation: Conversation,
    *,
    by: Actor,
    reason_id: UUID | None = None,
    summary: str | None = None,
    on_behalf_of: UUID | None = None,
    ticket: TicketAtClosing | None = None,
) -> Closed:
    """End a locked conversation; its ticket may be linked, created or changed with it.

    Raises the first of its `obstacles`, what the ticket's own verbs raise, NotFound, Forbidden,
    BadUserInput.
    """
    require_length(summary or "", SUMMARY_LENGTH_MAX, path="input.summary")
    conversation.require_open()
    await conversation.require_workable(by)
    if on_behalf_of is not None:
        await Agent.require_stand_in(on_behalf_of, by=by)
    async with tx() as transaction:
        if ticket is not None:
            # Agents come before tickets, and all of them at once.
            await Agent.lock_all(
                "id = ANY($1) AND workspace_id = $2",
                [conversation.assignee_id, ticket.assignee_id],
                conversation.workspace_id,
            )
            await ticket.settle(conversation, by=by)
        [facts] = await transaction.fetch(_FACTS, [conversation.id])
        for refusal in await _standing(facts, by=by, reason_id=reason_id, summary=summary):
            raise refusal
        person_id = by.agent_id or on_behalf_of
        cause = Cause.AGENT if person_id else Cause.INTEGRATION
        terms = _Terms(cause, by, person_id, reason_id, summary)
        [closed] = await _end(transaction, [facts], terms)
    return closed


async def obstacles(
    conversation: Conversation,
    *,
    by: Actor,
    reason_id: UUID | None = None,
    summary: str | None = None,
) -> list[RuleViolation]:
    """Everything that stands against closing it so, before anybody tries; of a closed one that."""
    require_length(summary or "", SUMMARY_LENGTH_MAX, path="summary")
    if not conversation.is_open:
        return [ConversationClosed()]
    standing: list[RuleViolation] = []
    try:
        await conversation.require_workable(by)
    except Forbidden:
        standing.append(ConversationNotHeld(holder_id=conversation.assignee_id))
    [facts] = await fetch(_FACTS, [conversation.id])
    return standing + await _standing(facts, by=by, reason_id=reason_id, summary=summary)


async def close_automatically(
    transaction: Transaction,
    ids: list[UUID],
    cause: Cause,
    *,
    by: Actor | None = None,
    reason_id: UUID | None = None,
    summary: str | None = None,
) -> list[Closed]:
    """End locked, open conversations that nobody closes, in the order given; nothing stands
    against it.

    What is only proposed is rejected, and what needs a ticket gets one, its contact's. Without
    `by` it is the system's doing. Set-based: one closing costs no statement of its own.
    """
    facts = await transaction.fetch(_FACTS, ids)
    return await _end(transaction, facts, _Terms(cause, by, None, reason_id, summary))


async def _standing(
    facts: Row, *, by: Actor, reason_id: UUID | None, summary: str | None
) -> list[RuleViolation]:
    """The conditions, once; in the order in which a closing is refused for them."""
    standing: list[RuleViolation] = []
    if facts["needs_ticket"] and facts["ticket_link"] is None:
        standing.append(TicketRequired())
    elif facts["needs_ticket"] and facts["ticket_link"] == TicketLink.PROPOSED:
        standing.append(TicketLinkPending(ticket_id=facts["ticket_id"]))
    if reason_id is not None:
        standing += await _against_reason(reason_id, by=by)
    elif facts["closing_reason_required"]:
        standing.append(ClosingReasonRequired())
    if facts["summary_required"] and not (summary and summary.strip()):
        standing.append(SummaryRequired())
    return standing


async def _against_reason(id: UUID, *, by: Actor) -> list[RuleViolation]:
    try:
        await ClosingReason.usable(id, by=by)
    except RuleViolation as refusal:
        return [refusal]
    return []


async def _end(transaction: Transaction, rows: list[Row], terms: _Terms) -> list[Closed]:
    """Agents are locked by the first step, tickets by the second, then their numbers."""
    ended = await placement.end(transaction, [row["id"] for row in rows])
    tickets = await _settle(transaction, rows, terms)
    closures = {row["id"]: uuid4() for row in rows}
    await _write(transaction, rows, terms, closures, ended)
    parts = [
        Part(
            workspace_id=row["workspace_id"],
            ticket_id=tickets[row["id"]],
            conversation_id=row["id"],
            closure_id=closures[row["id"]],
            author_kind=ActorKind.AGENT if terms.person_id else terms.actor(row).kind,
            author_id=terms.closed_by_id,
            messages_until=ended[row["id"]].at,
        )
        for row in rows
        if row["id"] in tickets
    ]
    await history.append(transaction, parts)
    actions = {part.conversation_id: part.id for part in parts}
    for row in rows:
        _record_closed(row, terms, ended[row["id"]])
        if row["id"] in actions:
            _record_action(row, tickets[row["id"]], actions[row["id"]], terms)
    queue.follow(transaction, agents=[row["assignee_id"] for row in rows if row["assignee_id"]])
    return [
        Closed(closures[row["id"]], tickets.get(row["id"]), actions.get(row["id"])) for row in rows
    ]


async def _settle(transaction: Transaction, rows: list[Row], terms: _Terms) -> dict[UUID, UUID]:
    """The ticket of each conversation that ends with one; what nobody decided is decided here."""
    confirmed = [row for row in rows if row["ticket_link"] == TicketLink.CONFIRMED]
    tickets: dict[UUID, UUID] = {row["id"]: row["ticket_id"] for row in confirmed}
    await _lock(transaction, tickets.values())
    lacking = [row for row in rows if row["needs_ticket"] and row["id"] not in tickets]
    drafts = await drafts_of(transaction, [row["id"] for row in lacking]) if lacking else {}
    proposed = [row for row in rows if row["ticket_link"] == TicketLink.PROPOSED]
    for row in proposed:
        _record_link(event.Kind.TICKET_LINK_REJECTED, row, row["ticket_id"], terms)
    await open_all(transaction, list(drafts.values()), by=terms.by)
    created = {id: draft.id for id, draft in drafts.items()}
    for row in lacking:
        _record_link(event.Kind.TICKET_LINKED, row, created[row["id"]], terms)
    changed = {row["id"]: created.get(row["id"]) for row in (*proposed, *lacking)}
    await _relink(transaction, changed)
    return tickets | created


async def _lock(transaction: Transaction, ticket_ids: Iterable[UUID]) -> None:
    if ids := list(ticket_ids):
        await transaction.execute(
            "SELECT FROM tickets WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE", ids
        )


async def _relink(transaction: Transaction, tickets: dict[UUID, UUID | None]) -> None:
    if not tickets:
        return
    await transaction.execute(
        """
        UPDATE conversations c
        SET ticket_id = g.ticket_id,
            ticket_link = CASE WHEN g.ticket_id IS NOT NULL THEN 'CONFIRMED' END
        FROM unnest($1::uuid[], $2::uuid[]) AS g(id, ticket_id) WHERE c.id = g.id
        """,
        list(tickets),
        list(tickets.values()),
    )


async def _write(
    transaction: Transaction,
    rows: list[Row],
    terms: _Terms,
    closures: dict[UUID, UUID],
    ended: dict[UUID, Ended],
) -> None:
    written = [
        {
            "id": closures[row["id"]],
            "workspace_id": row["workspace_id"],
            "conversation_id": row["id"],
            "agent_id": row["assignee_id"],
            "team_id": row["team_id"],
            "closed_at": ended[row["id"]].at,
        }
        for row in rows
    ]
    await transaction.execute(
        """
        INSERT INTO closures
            (id, workspace_id, conversation_id, agent_id, team_id, is_sticky, cause, closed_by_id,
             reason_id, summary, closed_at)
        SELECT c.id, c.workspace_id, c.conversation_id, c.agent_id, c.team_id,
               NOT coalesce(t.unassign_on_close, false), $2, $3, $4, $5, c.closed_at
        FROM jsonb_to_recordset($1::text::jsonb) AS c(
            id uuid, workspace_id uuid, conversation_id uuid, agent_id uuid, team_id uuid,
            closed_at timestamptz)
        LEFT JOIN teams t ON t.id = c.team_id
        """,
        encode(written),
        terms.cause.value,
        terms.closed_by_id,
        terms.reason_id,
        terms.summary,
    )


def _record_link(kind: event.Kind, row: Row, ticket_id: UUID, terms: _Terms) -> None:
    """What became of a link while the conversation still has its place."""
    queue_id = row["team_id"] if row["status"] == Status.QUEUED else None
    event.record(
        kind,
        by=terms.actor(row),
        **_known(row),
        from_queue_id=queue_id,
        to_queue_id=queue_id,
        from_agent_id=row["assignee_id"],
        to_agent_id=row["assignee_id"],
        ticket_id=ticket_id,
    )


def _record_closed(row: Row, terms: _Terms, ended: Ended) -> None:
    event.record(
        event.Kind.CONVERSATION_CLOSED,
        by=terms.actor(row),
        **_known(row),
        from_queue_id=row["team_id"] if row["status"] == Status.QUEUED else None,
        from_agent_id=row["assignee_id"],
        cause=terms.cause,
        reason=terms.reason_id,
        resolution_seconds=ended.seconds,
    )


def _record_action(row: Row, ticket_id: UUID, action_id: UUID, terms: _Terms) -> None:
    event.record(
        event.Kind.TICKET_ACTION_ADDED,
        by=terms.actor(row),
        **_known(row),
        ticket_id=ticket_id,
        action=action_id,
        action_kind=ActionKind.HISTORY,
    )


def _known(row: Row) -> dict[str, UUID]:
    """What every event of it says: its customer, and the team that goes on seeing it."""
    return {
        "conversation_id": row["id"],
        "contact_id": row["contact_id"],
        "channel_id": row["channel_id"],
        "from_team_id": row["team_id"],
        "to_team_id": row["team_id"],
    }
