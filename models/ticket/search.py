"""Finding tickets: by the beginning of a number, or by words of what is written on them.

Each way of searching has an index of its own, so a search asks each of them and unites what they
find, and only that is filtered and put in order. What finds more than a few is common, so that the
first page is soon full of it: there the tickets are walked in their order until it is. The planner
cannot know which of both a word is, so the statement looks.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from models.access import Actor
from models.base import require_length, require_text
from models.database import Row, fetch, fetchval
from models.ticket.record import Ticket, TicketPriority, TicketStatus

SEARCH_LENGTH_MAX = 200
WORDS_MAX = 10
# Tickets that are found by a search before it is a common one.
FEW = 5_000
_number = re.compile(r"#?(\d{1,10})", re.ASCII)
_has_word = re.compile(r"\w")


class OrderColumn(StrEnum):
    """What tickets are ordered by; each has an index."""

    NUMBER = "number"
    UPDATED = "updated_at"


@dataclass(frozen=True, slots=True)
class Filter:
    """What tickets must all meet; what is left out does not matter.

    Raises BadUserInput for what nobody can look for.
    """

    search: str | None = None
    status: Sequence[TicketStatus] | None = None
    priority: Sequence[TicketPriority] | None = None
    assignee_id: UUID | None = None
    department_id: UUID | None = None
    requester_id: UUID | None = None
    tag_id: UUID | None = None

    def __post_init__(self) -> None:
        if self.search is not None:
            require_text(self.search, path="filter.search")
            require_length(self.search, SEARCH_LENGTH_MAX, path="filter.search")


@dataclass(frozen=True, slots=True)
class Bounds:
    """A page of tickets: by what, how many, from which end, and between which two."""

    order: OrderColumn
    size: int
    descending: bool = False
    after: tuple[Any, UUID] | None = None
    before: tuple[Any, UUID] | None = None

    @property
    def way(self) -> str:
        return "DESC" if self.descending else "ASC"


async def page(wanted: Filter, bounds: Bounds, *, by: Actor) -> list[Row]:
    """The visible tickets that meet a filter, in order."""
    statement = await _Statement.of(wanted, by=by)
    between = statement.between(bounds)
    order = f"{bounds.order.value} {bounds.way}, id {bounds.way}"
    return await fetch(
        statement.select(COLUMNS, between, f"ORDER BY {order} LIMIT {bounds.size}"),
        *statement.arguments,
    )


async def count(wanted: Filter, *, by: Actor) -> int:
    """How many visible tickets meet a filter."""
    statement = await _Statement.of(wanted, by=by)
    found: int = await fetchval(
        f"SELECT count(*) FROM ({statement.select('tickets.id')}) found",  # noqa: S608 - conditions of ours
        *statement.arguments,
    )
    return found


COLUMNS = """tickets.id, tickets.number, tickets.subject, tickets.description,
    tickets.requester_id, tickets.assignee_id, tickets.department_id, tickets.status,
    tickets.priority, tickets.created_at, tickets.updated_at, tickets.version"""


@dataclass(slots=True)
class _Statement:
    """Selects of tickets, found in any of some ways; the first argument is the workspace."""

    conditions: list[str]
    # None where nobody searches.
    ways: list[str]
    arguments: list[object]

    @classmethod
    async def of(cls, wanted: Filter, *, by: Actor) -> "_Statement":
        statement = cls(
            conditions=["tickets.workspace_id = $1", await Ticket.sight(by)],
            ways=[],
            arguments=[by.workspace_id],
        )
        statement.conditions += statement._own(wanted)
        if wanted.tag_id is not None:
            statement.conditions.append(
                f"""EXISTS (SELECT FROM ticket_tags t WHERE t.ticket_id = tickets.id
                    AND t.tag_id = {statement._given(wanted.tag_id)})"""
            )
        if wanted.search is not None:
            # What has neither digits nor letters finds nothing.
            statement.ways = statement._ways(wanted.search.strip()) or ["false"]
        return statement

    def select(self, columns: str, between: str = "true", order: str = "") -> str:
        """The tickets between two that are found in any way, each once; in order, if in one."""
        these = " AND ".join([*self.conditions, between])
        select = f"SELECT {columns} FROM tickets WHERE {these}"  # noqa: S608 - conditions of ours
        if not self.ways:
            return f"{select} {order}"
        found = " UNION ".join(
            f"(SELECT id FROM tickets WHERE {self.conditions[0]} AND {way} LIMIT {FEW + 1})"  # noqa: S608 - conditions of ours
            for way in self.ways
        )
        # The half that a search does not need is planned, but not run.
        return f"""
            WITH found AS MATERIALIZED ({found}),
                 few AS MATERIALIZED (SELECT count(*) <= {FEW} AS are FROM found)
            SELECT * FROM (
                ({select} AND (SELECT are FROM few)
                    AND tickets.id IN (SELECT id FROM found) {order})
                UNION ALL
                ({select} AND NOT (SELECT are FROM few) AND ({" OR ".join(self.ways)}) {order})
            ) tickets {order}
        """  # noqa: S608 - conditions of ours

    def between(self, bounds: Bounds) -> str:
        """The condition of a page's cursors."""
        parts = ["true"]
        least, most = (">", "<") if not bounds.descending else ("<", ">")
        for cursor, way in ((bounds.after, least), (bounds.before, most)):
            if cursor is not None:
                value, id = map(self._given, cursor)
                parts.append(f"(tickets.{bounds.order.value}, tickets.id) {way} ({value}, {id})")
        return " AND ".join(parts)

    def _given(self, value: object) -> str:
        """The place of an argument."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def _own(self, wanted: Filter) -> list[str]:
        equal: Mapping[str, object] = {
            "assignee_id": wanted.assignee_id,
            "department_id": wanted.department_id,
            "requester_id": wanted.requester_id,
        }
        among: Mapping[str, Sequence[StrEnum] | None] = {
            "status": wanted.status,
            "priority": wanted.priority,
        }
        parts = [
            f"tickets.{name} = {self._given(value)}"
            for name, value in equal.items()
            if value is not None
        ]
        return parts + [
            f"tickets.{name} = ANY({self._given([value.value for value in values])}::text[])"
            for name, values in among.items()
            if values is not None
        ]

    def _ways(self, search: str) -> list[str]:
        """What a text may be: the beginning of a number, or words, the last one begun only."""
        ways = []
        if number := _number.fullmatch(search):
            digits = number.group(1)
            # As a range: LIKE with an argument has no index once a plan is kept for any argument.
            # A colon follows every digit.
            least, end = self._given(digits), self._given(f"{digits}:")
            ways.append(f"(number::text ~>=~ {least}::text AND number::text ~<~ {end}::text)")
        if words := [word for word in search.split() if _has_word.search(word)][:WORDS_MAX]:
            query = self._given(" & ".join(map(_quoted, words)) + ":*")
            ways.append(f"({_OF_WORKSPACE} AND words @@ to_tsquery('simple', {query}::text))")
        return ways


# Every ticket has its workspace as a word, so that nobody's search reads what others wrote.
_OF_WORKSPACE = "words @@ quote_literal('#' || $1::uuid)::tsquery"


def _quoted(word: str) -> str:
    """A word that is taken apart as the text was, whatever is in it: `ORD-12` is found by it."""
    escaped = word.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
