"""Keyset connections: pages that neither skip nor repeat a row while rows come and go."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import orjson
import strawberry
from tortoise.expressions import Q

from models.errors import BadUserInput, InvalidCursor
from resolvers.limits import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX

NodeType = TypeVar("NodeType")
Row = Mapping[str, Any]

First = Annotated[
    int | None, strawberry.argument(description="Page size from the start, 1 to 100.")
]
After = Annotated[str | None, strawberry.argument(description="Start after this cursor.")]
Last = Annotated[int | None, strawberry.argument(description="Page size from the end, 1 to 100.")]
Before = Annotated[str | None, strawberry.argument(description="End before this cursor.")]


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more follow this page.")
    has_previous_page: bool = strawberry.field(description="Whether some come before this page.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first entry.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last entry.")


@strawberry.type(description="An entry of a page.")
class Edge(Generic[NodeType]):
    cursor: str = strawberry.field(description="Continue after (or before) this entry with it.")
    node: NodeType = strawberry.field(description="The entry itself.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[NodeType]):
    edges: list[Edge[NodeType]] = strawberry.field(description="The entries with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")
    count: strawberry.Private[Callable[[], Awaitable[int]] | None] = None

    @strawberry.field(description="The entries without their cursors.")
    def nodes(self) -> list[NodeType]:
        return [edge.node for edge in self.edges]

    @strawberry.field(description="How many entries the whole list has; null where not counted.")
    async def total_count(self) -> int | None:
        return None if self.count is None else await self.count()


@dataclass(frozen=True, slots=True)
class Page:
    """What a caller asked for; raises BadUserInput when it makes no sense."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    def __post_init__(self) -> None:
        if self.first is not None and self.last is not None:
            raise BadUserInput("Ask for `first` or for `last`, not for both.")
        if not 1 <= self.size <= PAGE_SIZE_MAX:
            raise BadUserInput(f"A page has 1 to {PAGE_SIZE_MAX} entries.")

    @property
    def size(self) -> int:
        asked = self.last if self.first is None else self.first
        return PAGE_SIZE_DEFAULT if asked is None else asked

    @property
    def backward(self) -> bool:
        return self.last is not None


def _instant(text: str) -> datetime:
    """A moment as cursors spell it; ValueError or OverflowError for one that has no UTC."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment.astimezone(UTC)


def place(number: object) -> int:
    """A place in a hand-made order; ValueError for what no such place can be."""
    if not isinstance(number, int) or not 0 <= number < 2**31:
        raise ValueError(number)
    return number


def number(seq: object) -> int:
    """A number of the log; ValueError for what no such number can be."""
    if not isinstance(seq, int) or not 0 <= seq < 2**63:
        raise ValueError(seq)
    return seq


@dataclass(frozen=True, slots=True)
class Keyset:
    """An order by one column and then by id; `name` ties cursors to it."""

    column: str
    descending: bool = False
    parse: Callable[[Any], Any] = _instant

    @property
    def name(self) -> str:
        return f"{'-' if self.descending else ''}{self.column}"

    def cursor(self, row: Row) -> str:
        value = row[self.column]
        packed = orjson.dumps([self.name, value, str(row["id"])], default=str)
        return base64.urlsafe_b64encode(packed).decode()

    def position(self, cursor: str) -> tuple[Any, UUID]:
        try:
            packed = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)
            name, value, id = orjson.loads(packed)
            if name != self.name or not isinstance(id, str):
                raise InvalidCursor
            return self.parse(value), UUID(id)
        except (ValueError, TypeError, OverflowError, binascii.Error) as error:
            raise InvalidCursor from error

    def beyond(self, cursor: str, *, ascending: bool) -> Q:
        """The rows after a cursor in the given direction; the first condition is for the index."""
        value, id = self.position(cursor)
        way = "gt" if ascending else "lt"
        beyond_id: dict[str, Any] = {f"id__{way}": id}
        return Q(**{f"{self.column}__{way}e": value}) & (
            Q(**{f"{self.column}__{way}": value}) | Q(**beyond_id)
        )


BY_CREATION = Keyset("created_at")


async def paginate(
    queryset: Any,
    page: Page,
    order: Keyset,
    *,
    read: Callable[[Any], Awaitable[Sequence[Row]]],
    node: Callable[[Row], NodeType],
    connection: type[Connection[NodeType]],
    edge: type[Edge[NodeType]],
) -> Connection[NodeType]:
    """One page of a queryset; `read` projects it, `node` shows a row."""
    bounded = queryset
    if page.after is not None:
        bounded = bounded.filter(order.beyond(page.after, ascending=not order.descending))
    if page.before is not None:
        bounded = bounded.filter(order.beyond(page.before, ascending=order.descending))
    sign = "-" if order.descending != page.backward else ""
    ordered = bounded.order_by(f"{sign}{order.column}", f"{sign}id").limit(page.size + 1)
    return connected(
        await read(ordered),
        page,
        order,
        node=node,
        connection=connection,
        edge=edge,
        count=queryset.count,
    )


def connected(
    found: Sequence[Row],
    page: Page,
    order: Keyset,
    *,
    node: Callable[[Row], NodeType],
    connection: type[Connection[NodeType]],
    edge: type[Edge[NodeType]],
    count: Callable[[], Awaitable[int]],
) -> Connection[NodeType]:
    """The page of these rows, in the order they were read; one more than it holds says so."""
    rows = list(found[: page.size])
    more = len(found) > page.size
    if page.backward:
        rows.reverse()
    return connection(
        edges=[edge(cursor=order.cursor(row), node=node(row)) for row in rows],
        page_info=PageInfo(
            has_next_page=page.before is not None if page.backward else more,
            has_previous_page=more if page.backward else page.after is not None,
            start_cursor=order.cursor(rows[0]) if rows else None,
            end_cursor=order.cursor(rows[-1]) if rows else None,
        ),
        count=count,
    )


@dataclass(frozen=True, slots=True)
class Nested:
    """A list below each entry of another list, read for all of them in one statement.

    `select` gives its rows for one parent, `p.id`, of the workspace `$1`; every row has an `id`.
    """

    select: str
    order: Keyset

    def statement(self, page: Page) -> tuple[str, list[object]]:
        """The page of every parent in `$2`, with what follows these two arguments."""
        arguments: list[object] = []
        bounds = ""
        for cursor, ascending in ((page.after, True), (page.before, False)):
            if cursor is not None:
                arguments += self.order.position(cursor)
                way = ">" if ascending is not self.order.descending else "<"
                last = len(arguments) + 2
                bounds += f" AND (r.{self.order.column}, r.id) {way} (${last - 1}, ${last})"
        way = "DESC" if self.order.descending is not page.backward else "ASC"
        statement = f"""
            SELECT p.id AS parent, r.* FROM unnest($2::uuid[]) AS p(id)
            CROSS JOIN LATERAL (
                SELECT * FROM ({self.select}) r WHERE true{bounds}
                ORDER BY r.{self.order.column} {way}, r.id {way} LIMIT {page.size + 1}) r
            ORDER BY r.{self.order.column} {way}, r.id {way}
        """  # noqa: S608 - constants and numbers
        return statement, arguments

    @property
    def counting(self) -> str:
        """How many there are for every parent in `$2`."""
        return f"""
            SELECT p.id AS key, (SELECT count(*) FROM ({self.select}) r) AS count
            FROM unnest($2::uuid[]) AS p(id)
        """  # noqa: S608 - constants
