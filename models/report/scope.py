"""What a report is about: a range of time, filters, and what its rows are of.

Whoever reads the workspace's reports reads all of them. An agent reads its own: whatever it asks
for, only what is counted for that agent is counted, so of others it learns nothing; queues, which
are nobody's own, it reads where it sees them, not here.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from models.access import Actor, Right
from models.base import require_instant
from models.database import fetchrow, fetchval
from models.errors import BadUserInput

REPORT_DAYS_MAX = 366
FILTER_IDS_MAX = 20
# Of a range.
BOUNDS = 2
# What no calendar of a customer service goes beyond, and every time zone reckons with.
YEAR_MIN, YEAR_MAX = 2000, 2199


class Grouping(StrEnum):
    """What the rows of a report are of."""

    DAY = "DAY"
    TEAM = "TEAM"
    AGENT = "AGENT"
    CHANNEL = "CHANNEL"


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to know: from days or instants until just before others.

    Each filter that is given holds: any of these.
    """

    from_day: date | None = None
    to_day: date | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    team_ids: tuple[UUID, ...] | None = None
    agent_ids: tuple[UUID, ...] | None = None
    channel_ids: tuple[UUID, ...] | None = None
    group_by: Grouping | None = None

    def require(self) -> None:
        """Raise BadUserInput unless it is a range and short filters."""
        _require_bounds((self.from_day, self.to_day), (self.from_at, self.to_at))
        filters = (self.team_ids, self.agent_ids, self.channel_ids)
        if any(len(ids) > FILTER_IDS_MAX for ids in filters if ids):
            raise BadUserInput(f"A filter names at most {FILTER_IDS_MAX}.")


@dataclass(frozen=True, slots=True)
class Scope:
    """From `begins_at` until just before `ends_at`, with days of a time zone."""

    workspace_id: UUID
    begins_at: datetime
    ends_at: datetime
    now: datetime
    time_zone: str
    team_ids: tuple[UUID, ...] | None
    agent_ids: tuple[UUID, ...] | None
    channel_ids: tuple[UUID, ...] | None
    group_by: Grouping | None
    # Only what is the asker's own.
    is_own: bool

    @property
    def lasts(self) -> timedelta:
        return self.ends_at - self.begins_at

    @classmethod
    async def of(cls, asked: Asked, *, by: Actor) -> "Scope":
        """The scope as the asker may read it; raises Forbidden, BadUserInput."""
        is_own = not by.may(Right.READ_REPORTS)
        if is_own:
            by.require(Right.READ_OWN_REPORTS)
        asked.require()
        # Whoever logs takes its time under this lock and keeps it until its commit: what was logged
        # before this instant is there for whatever is read after it.
        await fetchval(
            "SELECT pg_advisory_xact_lock_shared(hashtextextended($1::uuid::text, 7))",
            by.workspace_id,
        )
        range_ = await fetchrow(
            """
            SELECT w.time_zone, relevo_now() AS now,
                   coalesce($2, relevo_day_begins($4, w.time_zone)) AS begins_at,
                   coalesce($3, relevo_day_begins($5, w.time_zone)) AS ends_at
            FROM workspaces w WHERE w.id = $1
            """,
            by.workspace_id,
            asked.from_at and asked.from_at.astimezone(UTC),
            asked.to_at and asked.to_at.astimezone(UTC),
            asked.from_day,
            asked.to_day,
        )
        assert range_ is not None  # noqa: S101 - an actor is of a workspace
        _require_range(range_["begins_at"], range_["ends_at"])
        return cls(
            workspace_id=by.workspace_id,
            **range_,
            team_ids=asked.team_ids,
            agent_ids=_own(asked.agent_ids, by) if is_own else asked.agent_ids,
            channel_ids=asked.channel_ids,
            group_by=asked.group_by,
            is_own=is_own,
        )


def _require_bounds(*pairs: tuple[date | None, date | None]) -> None:
    """One pair is whole, and the other is not there."""
    given = [bound for pair in pairs for bound in pair if bound is not None]
    if len(given) != BOUNDS or any((begin is None) != (end is None) for begin, end in pairs):
        raise BadUserInput("A range is from a day to a day, or from a time to a time.")
    for bound in given:
        if isinstance(bound, datetime):
            require_instant(bound, path="scope")
        if not YEAR_MIN <= bound.year <= YEAR_MAX:
            raise BadUserInput(f"Reports are of the years {YEAR_MIN} to {YEAR_MAX}.")


def _require_range(begins_at: datetime, ends_at: datetime) -> None:
    if begins_at >= ends_at:
        raise BadUserInput("A range ends after it begins.")
    if (ends_at - begins_at).days > REPORT_DAYS_MAX:
        raise BadUserInput(f"A report is of at most {REPORT_DAYS_MAX} days.")


def _own(agent_ids: tuple[UUID, ...] | None, by: Actor) -> tuple[UUID, ...]:
    """The asker alone; nobody where it asked for others."""
    if by.agent_id is None or (agent_ids is not None and by.agent_id not in agent_ids):
        return ()
    return (by.agent_id,)
