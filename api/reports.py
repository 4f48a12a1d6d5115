"""Reports as CSV: `/reports/<name>.csv?from=2026-11-01&to=2026-12-01&groupBy=AGENT&team=...`.

The scope, the rights and the rows are those of GraphQL; filters may be repeated. The rows are
bounded and read in one statement, and their text is streamed: whoever reads it slowly keeps no
connection of the pool.
"""

import asyncio
import csv
import io
import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from uuid import UUID

import structlog
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.auth import authenticate
from api.graphql import STATUSES, refused, request_id_of
from api.requests import JSON, Refusal, bearer_token
from models.access import Actor
from models.database import Row
from models.errors import DomainError
from models.report.catalogue import EXPORT_ROWS_MAX, REPORTS, Report, require_readable
from models.report.names import TABLES, names
from models.report.scope import Asked, Grouping
from models.report.scope import Scope as ReportScope
from resolvers.guard import OPERATION_TIMEOUT_SECONDS
from resolvers.ids import decode, encode

# Written at a time.
BATCH_ROWS = 200

_FILTERS = {"team": "Team", "agent": "Agent", "channel": "Channel"}
_NOUNS = {
    "team_id": "Team",
    "agent_id": "Agent",
    "channel_id": "Channel",
    "reason_id": "ClosingReason",
}
_day = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# A spreadsheet would take what begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_next_word = re.compile(r"_([a-z])")
log = structlog.get_logger(__name__)


class ReportsApp:
    """The ASGI application of a route that names a report in `name`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        request_id = request_id_of(request)
        try:
            async with asyncio.timeout(OPERATION_TIMEOUT_SECONDS):
                response = await _exported(request, request_id)
        except Exception as error:  # noqa: BLE001 - told below, and a bug is logged
            response = refused(_refusal(error, request_id), JSON, request_id)
        await response(scope, receive, send)


def _refusal(error: Exception, request_id: str) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, DomainError):
        return Refusal(STATUSES.get(error.code, 400), error.message, code=error.code)
    if isinstance(error, TimeoutError):
        return Refusal(504, "The report took too long.", code="TIMEOUT")
    log.error("report_failed", request_id=request_id, exc_info=error)
    return Refusal(500, "Internal error", code="INTERNAL_SERVER_ERROR")


async def _exported(request: Request, request_id: str) -> Response:
    if request.method not in ("GET", "HEAD"):
        raise Refusal(405, "Use GET.", headers={"Allow": "GET, HEAD"})
    by = await _actor(request)
    name = request.path_params["name"]
    report = REPORTS.get(name)
    if report is None:
        raise Refusal(404, f"There is no such report; there are {', '.join(REPORTS)}.")
    scope = await ReportScope.of(_asked(request.query_params), by=by)
    require_readable(report, scope)
    header, rows = report.header(scope), await _rows(report, scope)
    is_complete = len(rows) <= EXPORT_ROWS_MAX
    called = await _names(header, rows, scope)
    return StreamingResponse(
        _lines(header, rows[:EXPORT_ROWS_MAX], called),
        media_type="text/csv; charset=utf-8; header=present",
        headers={
            "Content-Disposition": f'attachment; filename="{name}.csv"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Request-Id": request_id,
            "X-Report-Complete": str(is_complete).lower(),
        },
    )


async def _actor(request: Request) -> Actor:
    """Whoever the bearer token stands for: no other site can make a browser send one."""
    caller = await authenticate(bearer_token(request.headers.get("authorization", "")))
    if caller is None:
        raise Refusal(
            401,
            "Reports are for those with a valid token: Authorization: Bearer ...",
            code="UNAUTHENTICATED",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return caller.actor


def _asked(parameters: QueryParams) -> Asked:
    unknown = set(parameters) - {"from", "to", "groupBy", *_FILTERS}
    if unknown or any(len(parameters.getlist(name)) > 1 for name in ("from", "to", "groupBy")):
        raise Refusal(400, "A report takes one from, to and groupBy, and team, agent and channel.")
    ids = {
        name: tuple(decode(noun, id) for id in parameters.getlist(name)) or None
        for name, noun in _FILTERS.items()
    }
    return Asked(
        **_bounds(parameters),
        team_ids=ids["team"],
        agent_ids=ids["agent"],
        channel_ids=ids["channel"],
        group_by=_grouping(parameters.get("groupBy")),
    )


def _bounds(parameters: QueryParams) -> dict[str, Any]:
    """Days or instants; which one a bound is, it shows."""
    found: dict[str, Any] = {}
    for name in ("from", "to"):
        text = parameters.get(name, "")
        is_day = _day.fullmatch(text) is not None
        try:
            read = date.fromisoformat(text) if is_day else datetime.fromisoformat(text)
        except ValueError:
            raise Refusal(
                400, f"Say {name}= as a day, 2026-12-31, or as a time, 2026-12-31T12:00:00Z."
            ) from None
        found[f"{name}_{'day' if is_day else 'at'}"] = read
    return found


def _grouping(text: str | None) -> Grouping | None:
    if text is None:
        return None
    if text.upper() not in Grouping.__members__:
        raise Refusal(400, f"Say groupBy= as one of {', '.join(Grouping)}.")
    return Grouping(text.upper())


async def _rows(report: Report, scope: ReportScope) -> list[Row]:
    """Of what nothing divides, the total is the only row."""
    rows = await report.rows(scope, limit=EXPORT_ROWS_MAX + 1)
    return rows if rows or report.is_divided(scope) else [await report.total(scope)]


async def _names(header: list[str], rows: list[Row], scope: ReportScope) -> dict[UUID, str]:
    found: dict[UUID, str] = {}
    for column in header:
        if column in TABLES:
            found |= await names(column, rows, workspace_id=scope.workspace_id)
    return found


def _lines(header: list[str], rows: list[Row], called: dict[UUID, str]) -> Iterator[bytes]:
    """RFC 4180: the names of the columns, then the rows, some at a time."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(cell for column in header for cell in _titles(column))
    for start in range(0, max(len(rows), 1), BATCH_ROWS):
        for row in rows[start : start + BATCH_ROWS]:
            lines.writerow(
                cell for column in header for cell in _cells(column, row[column], called)
            )
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()


def _titles(column: str) -> list[str]:
    """As in GraphQL; a record has its id and its name."""
    title = _next_word.sub(lambda letter: letter[1].upper(), column.removesuffix("_id"))
    return [title, f"{title}Name"] if column in _NOUNS else [title]


def _cells(column: str, value: Any, called: dict[UUID, str]) -> list[object]:
    if column in _NOUNS:
        if value is None:
            return ["", ""]
        return [encode(_NOUNS[column], value), _harmless(called.get(value, ""))]
    if isinstance(value, datetime):
        return [value.isoformat().replace("+00:00", "Z")]
    return [_harmless(value) if isinstance(value, str) else value]


def _harmless(text: str) -> str:
    """As text whatever it begins with."""
    return f"'{text}" if text.startswith(_FORMULA) else text
