"""A ticket: a numbered case with a requester, and who sees it."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from tortoise import fields
from tortoise.expressions import RawSQL
from tortoise.queryset import QuerySet

from models import event, tag
from models.access import Actor, Right
from models.base import NOW, Record, reference, require_length, require_name
from models.contact import Contact
from models.database import Transaction, tx
from models.errors import NotFound
from models.ticket import parties
from models.ticket.errors import TicketChanged
from models.visibility import Visibility, quoted

SUBJECT_LENGTH_MAX = 200
DESCRIPTION_LENGTH_MAX = 10_000


class TicketStatus(StrEnum):
    """Where a ticket stands."""

    OPEN = "OPEN"
    PENDING = "PENDING"
    RESOLVED = "RESOLVED"
    CLOSED = "CLOSED"


class TicketPriority(StrEnum):
    """How much a ticket matters."""

    LOW = "LOW"
    NORMAL = "NORMAL"
    HIGH = "HIGH"
    URGENT = "URGENT"


class Ticket(Record):
    """A numbered case with a requester; conversations link to it."""

    # 1, 2, 3 ... in each workspace, without holes.
    number = fields.IntField()
    subject = fields.CharField(max_length=SUBJECT_LENGTH_MAX)
    description: str | None = fields.TextField(null=True)
    requester = reference("models.Contact")
    requester_id: UUID
    assignee = reference("models.Agent", null=True)
    assignee_id: UUID | None
    department = reference("models.Team", null=True)
    department_id: UUID | None
    status = fields.CharEnumField(TicketStatus, max_length=16, default=TicketStatus.OPEN)
    priority = fields.CharEnumField(TicketPriority, max_length=16, default=TicketPriority.NORMAL)
    # The agent who created it, if one did: it goes on seeing the ticket.
    opened_by_id: UUID | None = fields.UUIDField(null=True)
    updated_at: datetime = fields.DatetimeField(db_default=NOW)
    # Of what it says; an action changes nothing of that.
    version = fields.IntField(default=1)

    class Meta:
        table = "tickets"

    @classmethod
    async def visible_to(cls, actor: Actor) -> QuerySet[Self]:
        """Those who may see tickets see all; an agent those of what it sees, and its own.

        Of what it sees: linked, in any way, to its conversations, requested by its contacts, or of
        its departments. Its own: assigned to it, or opened by it.
        """
        within = cls.filter(workspace_id=actor.workspace_id)
        if cls.are_all_visible_to(actor):
            return within
        if not cls.are_some_visible_to(actor):
            return cls.filter(id__in=[])
        return within.annotate(is_seen=RawSQL(await cls.sight(actor))).filter(is_seen=True)

    @classmethod
    def are_all_visible_to(cls, actor: Actor) -> bool:
        return actor.may(Right.SEE_TICKETS)

    @classmethod
    def are_some_visible_to(cls, actor: Actor) -> bool:
        return actor.agent_id is not None and actor.may(Right.WORK_TICKETS)

    @classmethod
    async def sight(cls, actor: Actor) -> str:
        """What a row of "tickets" must meet for an actor of its workspace to see it."""
        return cls.sight_of(actor, await Visibility.of(actor))

    @classmethod
    def sight_of(cls, actor: Actor, seen: Visibility) -> str:
        """The same of an actor whose conversations are known."""
        if cls.are_all_visible_to(actor):
            return "true"
        if actor.agent_id is None or not cls.are_some_visible_to(actor):
            return "false"
        agent = quoted(actor.agent_id)
        teams = ", ".join(map(quoted, seen.team_ids)) or "NULL"
        return f"""("tickets"."assignee_id" = {agent} OR "tickets"."opened_by_id" = {agent}
            OR "tickets"."department_id" IN ({teams})
            OR EXISTS (SELECT FROM conversations c
                       WHERE c.ticket_id = "tickets"."id" AND {seen.literal})
            OR EXISTS (SELECT FROM contacts WHERE "contacts"."id" = "tickets"."requester_id"
                       AND {Contact.sight_of(actor, seen)}))"""  # noqa: S608 - ids

    @classmethod
    async def find(cls, id: UUID, *, by: Actor, path: str = "input.ticketId") -> Self:
        """A ticket that the actor sees; raises NotFound."""
        found = await (await cls.visible_to(by)).get_or_none(id=id)
        if found is None:
            raise NotFound("ticket", path=path)
        return found

    @classmethod
    async def change(
        cls, id: UUID, *, by: Actor, expected_version: int | None = None, **changes: Any
    ) -> None:
        """Change a ticket: subject, description, requester_id, assignee_id, department_id, status,
        priority, and tags, which are all that it has then.

        Raises NotFound, TicketChanged, ContactMerged, AgentInactive, RoleCannotHold, TeamInactive,
        TargetNotAllowed, LimitReached, BadUserInput, Forbidden.
        """
        by.require(Right.WORK_TICKETS)
        require_subject(changes.get("subject", "unchanged"))
        require_description(changes.get("description"))
        tags: Sequence[str] | None = changes.pop("tags", None)
        async with tx() as transaction:
            if "requester_id" in changes:
                await parties.lock_requester(changes["requester_id"], by=by)
            ticket = await cls.locked(id, by=by)
            if expected_version not in (None, ticket.version):
                raise TicketChanged(version=ticket.version)
            changed = _differing(ticket, changes)
            await parties.require_assignee(changed.get("assignee_id"), by=by)
            await parties.require_department(changed.get("department_id"), by=by)
            retagged = tags is not None and await tag.replace(
                transaction, "ticket", id, tags, by=by
            )
            if changed or retagged:
                await _store(transaction, ticket, changed)
                _record_change(ticket, changed, retagged=retagged, by=by)

    @classmethod
    async def id_of(cls, number: int, *, by: Actor) -> UUID | None:
        """The ticket of a number, whoever sees it."""
        found = await cls.get_or_none(workspace_id=by.workspace_id, number=number)
        return None if found is None else found.id

    @classmethod
    async def locked(cls, id: UUID, *, by: Actor) -> Self:
        """The ticket, locked for the rest of the transaction; raises NotFound.

        Tickets come after agents in the order of locks, and before their numbers.
        """
        found = await cls.fetch_one("id = $1 AND workspace_id = $2", id, by.workspace_id, lock=True)
        if found is None or not await (await cls.visible_to(by)).filter(id=id).exists():
            raise NotFound("ticket", path="input.ticketId")
        return found


# Of what changes; subject and description are somebody's own words.
_TOLD = ("assignee_id", "department_id", "status", "priority")


def require_subject(subject: str) -> None:
    """Raise BadUserInput unless this can say what a ticket is about."""
    require_name(subject, length_max=SUBJECT_LENGTH_MAX, path="input.subject")


def require_description(description: str | None) -> None:
    """Raise BadUserInput unless this can be a ticket's description."""
    require_length(description or "", DESCRIPTION_LENGTH_MAX, path="input.description")


def _differing(ticket: Ticket, changes: dict[str, Any]) -> dict[str, Any]:
    """The changes as they are stored, without those that change nothing."""
    if "description" in changes:
        changes = {**changes, "description": changes["description"] or None}
    return {name: to for name, to in changes.items() if to != getattr(ticket, name)}


async def _store(transaction: Transaction, ticket: Ticket, changed: dict[str, Any]) -> None:
    ticket.update_from_dict(changed)
    ticket.version += 1
    ticket.updated_at = await transaction.fetchval("SELECT relevo_now()")
    await ticket.save(update_fields=[*changed, "version", "updated_at"])


def _record_change(ticket: Ticket, changed: dict[str, Any], *, retagged: bool, by: Actor) -> None:
    """What changed, and to what where that is an id or an enum."""
    event.record(
        event.Kind.TICKET_UPDATED,
        by=by,
        ticket_id=ticket.id,
        contact_id=ticket.requester_id,
        changed=[*changed, *(["tags"] if retagged else [])],
        **{name: to for name, to in changed.items() if name in _TOLD},
    )
