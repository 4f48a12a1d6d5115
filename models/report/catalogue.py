"""Every report by its name, and how many rows of it are read at once."""

from collections.abc import Mapping
from typing import Protocol

from models.database import Row
from models.errors import Forbidden
from models.report.availability import Availability
from models.report.queue_depth import QueueDepth
from models.report.scope import Grouping, Scope
from models.report.summary import Part, Summary, count, percentile

ROWS_MAX = 1_000
EXPORT_ROWS_MAX = 10_000

_BY_SOMEBODY = "f.agent_id IS NOT NULL"


class Report(Protocol):
    """A question about a scope; all its answers are of committed history."""

    def require(self, scope: Scope) -> None:
        """Raise BadUserInput unless it is of what the scope filters and divides by.

        Nothing else is asked of a scope that it refuses.
        """
        ...

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


def _times(measure: str) -> Summary:
    columns = {
        "count": "count(*)",
        "median_seconds": percentile(0.5),
        "percentile90_seconds": percentile(0.9),
    }
    return Summary((Part(columns, (measure,)),))


QUEUE_DEPTH = QueueDepth()
REPORTS: Mapping[str, Report] = {
    "conversations": Summary(
        (
            Part({"opened": "count(*)"}, ("OPENED",)),
            Part({"reopened": "count(*)"}, ("REOPENED",)),
            Part({"closed": "count(*)"}, ("CLOSED",)),
        )
    ),
    "firstResponses": _times("FIRST_RESPONSE"),
    "resolutions": _times("CLOSED"),
    "messages": Summary(
        (
            Part({"received": "count(*)"}, ("MESSAGE_RECEIVED",)),
            Part({"sent": "count(*)"}, ("MESSAGE_SENT",)),
            Part({"notes": "count(*)"}, ("NOTE_ADDED",)),
        )
    ),
    "contacts": Summary(
        (
            Part({"active": "count(DISTINCT f.contact_id)"}, ("OPENED", "REOPENED")),
            Part({"created": "count(*)"}, ("CONTACT_CREATED",)),
        )
    ),
    "assignments": Summary(
        (
            Part(
                {
                    "assigned": "count(*)",
                    "picked": count("f.detail = 'PICKED'"),
                    "assigned_by_hand": count("f.detail = 'ASSIGNED_BY_HAND'"),
                },
                ("ASSIGNED",),
            ),
            Part(
                {"unassigned": "count(*)", "timed_out": count("f.detail = 'ANSWER_TIMEOUT'")},
                ("UNASSIGNED",),
            ),
        )
    ),
    "transfers": Summary(
        (
            Part(
                {
                    "transferred": "count(*)",
                    "to_agents": count("f.detail = 'AGENT'"),
                    "to_teams": count("f.detail = 'TEAM'"),
                },
                ("TRANSFERRED",),
            ),
        )
    ),
    "leaderboard": Summary(
        (
            Part(
                {"closed": "count(*)", "resolution_median_seconds": percentile(0.5)},
                ("CLOSED",),
                _BY_SOMEBODY,
            ),
            Part({"assigned": "count(*)"}, ("ASSIGNED",), _BY_SOMEBODY),
            Part({"sent": "count(*)"}, ("MESSAGE_SENT",), _BY_SOMEBODY),
            Part(
                {"first_response_median_seconds": percentile(0.5)},
                ("FIRST_RESPONSE",),
                _BY_SOMEBODY,
            ),
        ),
        always_by=Grouping.AGENT,
    ),
    "availability": Availability(),
    "queueDepth": QUEUE_DEPTH,
    "closings": Summary(
        (Part({"closed": "count(*)"}, ("CLOSED",)),),
        splits={"cause": "f.detail", "reason_id": "f.reason_id"},
    ),
}


def may_read(report: Report, scope: Scope) -> bool:
    """Queues are nobody's own."""
    return not (report is QUEUE_DEPTH and scope.is_own)


def require_readable(report: Report, scope: Scope) -> None:
    """Raise Forbidden for what somebody who reads its own reports does not; BadUserInput."""
    if not may_read(report, scope):
        raise Forbidden("read the reports of queues")
    report.require(scope)
