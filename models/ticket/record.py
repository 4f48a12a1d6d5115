"""A ticket: a numbered case with a requester."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from tortoise import fields

from models.base import NOW, Record, reference

SUBJECT_LENGTH_MAX = 200


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
    version = fields.IntField(default=1)

    class Meta:
        table = "tickets"
