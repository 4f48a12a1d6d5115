"""What stands on a desk, in plain Python: the nouns of the domain, and no database."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from models.access import Role
from models.base import Line
from models.decision import Availability, Distribution

HOLDERS = (Role.AGENT, Role.OPERATOR, Role.ADMIN)
SUPERVISORS = (Role.OPERATOR, Role.ADMIN)


class Refused(Exception):
    """What the domain answers instead of doing it: a code, and the facts worth comparing."""

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts


@dataclass(frozen=True)
class Caller:
    """Who asks: a person with a role, or the integration, which has every scope of its work."""

    role: Role
    person: UUID | None = None

    @property
    def sees_all(self) -> bool:
        return self.role in (Role.OPERATOR, Role.AUDITOR, Role.ADMIN, Role.INTEGRATION)

    @property
    def works_all(self) -> bool:
        return self.role in (*SUPERVISORS, Role.INTEGRATION)

    @property
    def holds(self) -> bool:
        return self.role in HOLDERS

    def must_be(self, *roles: Role) -> None:
        if self.role not in roles:
            raise Refused("FORBIDDEN")


@dataclass(eq=False)
class Person:
    id: UUID
    role: Role
    capacity: int = 1
    availability: Availability = Availability.ONLINE
    accepts_new: bool = True
    leases: dict[str, datetime] = field(default_factory=dict)
    last_given: datetime | None = None
    idle_days: int | None = None


@dataclass(eq=False)
class Team:
    id: UUID
    line: Line
    is_todos: bool = False
    parent: UUID | None = None
    priority: int = 0
    distribution: Distribution = Distribution.MANUAL
    online_only: bool = True
    max_open: int | None = None
    window_hours: int | None = None
    lets_go: bool = False
    idle_days: int | None = None
    places: dict[UUID, int] = field(default_factory=dict)
    served: int = 0

    @property
    def distributes(self) -> bool:
        return self.distribution is not Distribution.MANUAL


@dataclass(eq=False)
class Channel:
    id: UUID
    lines: tuple[Line, ...]
    default_line: Line
    is_connected: bool = True
    bot: bool = False
    # Per line, the team or the agent that new conversations go to.
    teams: dict[Line, UUID | None] = field(default_factory=dict)
    agent: UUID | None = None

    def must_serve(self, line: Line) -> None:
        if line not in self.lines:
            raise Refused("LINE_NOT_SUPPORTED")


@dataclass(eq=False)
class Customer:
    name: str
    id: UUID | None = None
    owner: UUID | None = None
    owner_team: UUID | None = None


@dataclass(frozen=True)
class Closing:
    """How a conversation ended: what stickiness and the reassignment window go by."""

    at: datetime
    holder: UUID | None
    team: UUID | None
    by_person: bool
    has_reason: bool
    is_sticky: bool


@dataclass(eq=False)
class Talk:
    """A conversation; its id is known once the other side has made it."""

    customer: Customer
    channel: Channel
    line: Line
    status: str
    active_at: datetime
    id: UUID | None = None
    team: UUID | None = None
    holder: UUID | None = None
    reserved_for: UUID | None = None
    reserved_until: datetime | None = None
    queued_at: datetime | None = None
    snoozed_until: datetime | None = None
    closings: list[Closing] = field(default_factory=list)
    # Whether somebody ever held it on the support desk, and whether it has a ticket; what its
    # closings added there.
    was_support: bool = False
    has_ticket: bool = False
    actions: int = 0

    @property
    def needs_ticket(self) -> bool:
        return self.line is Line.SUPPORT or self.was_support

    @property
    def is_open(self) -> bool:
        return self.status != "CLOSED"

    def is_reserved(self, now: datetime) -> bool:
        ends = self.reserved_until
        return self.reserved_for is not None and (ends is None or now < ends)


@dataclass
class Settings:
    """Of the workspace."""

    closing_reason_required: bool = False
    summary_required: bool = False
    transfers_to_unavailable: bool = False
    owned_skips_bot: bool = False
    owner_wait_minutes: int | None = None
    sticky_falls_through: bool = False
    reassignment_window_hours: int | None = None
    idle_period_days: int = 0
