"""Every report by its name, and how many rows of it are read at once."""

from collections.abc import Mapping
from typing import Protocol

from models.database import Row
from models.errors import Forbidden
from models.report.availability import Availability
from models.report.leaderboard import Leaderboard
from models.report.queue_depth import QueueDepth
from models.report.scope import Scope
from models.report.summary import Summary, count, percentile

ROWS_MAX = 1_000
EXPORT_ROWS_MAX = 10_000


class Report(Protocol):
    """A question about a scope; all its answers are of committed history."""

    def header(self, scope: Scope) -> list[str]:
        """The names of the columns of its rows, or of the total where nothing divides it."""
        ...

    def is_divided(self, scope: Scope) -> bool:
        """Whether it has rows, if only there were something."""
        ...

    async def total(self, scope: Scope) -> Row: ...

    async def rows(self, scope: Scope, *, limit: int) -> list[Row]:
        """At most so many; none where nothing divides the total."""
        ...


_TIMES = {
    "count": "count(*)",
    "median_seconds": percentile(0.5),
    "percentile90_seconds": percentile(0.9),
}
QUEUE_DEPTH = QueueDepth()
REPORTS: Mapping[str, Report] = {
    "conversations": Summary(
        ("OPENED", "REOPENED", "CLOSED"),
        {"opened": count("OPENED"), "reopened": count("REOPENED"), "closed": count("CLOSED")},
    ),
    "firstResponses": Summary(("FIRST_RESPONSE",), _TIMES),
    "resolutions": Summary(("CLOSED",), _TIMES),
    "messages": Summary(
        ("MESSAGE_RECEIVED", "MESSAGE_SENT", "NOTE_ADDED"),
        {
            "received": count("MESSAGE_RECEIVED"),
            "sent": count("MESSAGE_SENT"),
            "notes": count("NOTE_ADDED"),
        },
    ),
    "contacts": Summary(
        ("CONTACT_CREATED", "OPENED", "REOPENED"),
        {
            "created": count("CONTACT_CREATED"),
            "active": "count(DISTINCT f.contact_id) FILTER (WHERE f.measure <> 'CONTACT_CREATED')",
        },
    ),
    "assignments": Summary(
        ("ASSIGNED", "UNASSIGNED"),
        {
            "assigned": count("ASSIGNED"),
            "picked": count("ASSIGNED", "f.detail = 'PICKED'"),
            "assigned_by_hand": count("ASSIGNED", "f.detail = 'ASSIGNED_BY_HAND'"),
            "unassigned": count("UNASSIGNED"),
            "timed_out": count("UNASSIGNED", "f.detail = 'ANSWER_TIMEOUT'"),
        },
    ),
    "transfers": Summary(
        ("TRANSFERRED",),
        {
            "transferred": count("TRANSFERRED"),
            "to_agents": count("TRANSFERRED", "f.detail = 'AGENT'"),
            "to_teams": count("TRANSFERRED", "f.detail = 'TEAM'"),
        },
    ),
    "leaderboard": Leaderboard(),
    "availability": Availability(),
    "queueDepth": QUEUE_DEPTH,
    "closings": Summary(
        ("CLOSED",), {"closed": count("CLOSED")}, {"cause": "f.detail", "reason_id": "f.reason_id"}
    ),
}


def may_read(report: Report, scope: Scope) -> bool:
    """Queues are nobody's own."""
    return not (report is QUEUE_DEPTH and scope.is_own)


def require_readable(report: Report, scope: Scope) -> None:
    """Raise Forbidden for what somebody who reads its own reports does not."""
    if not may_read(report, scope):
        raise Forbidden("read the reports of queues")
