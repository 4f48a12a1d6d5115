"""Finding contacts: by what they are called, reached and known by, and by what is known of them.

Each way of searching has an index of its own, so a search asks each of them and unites what they
find; a single condition over all of them would read every contact.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from models import identity
from models.access import Actor
from models.base import require_length, require_text
from models.contact import Contact
from models.contact_field import VALUE_LENGTH_MAX, ContactField
from models.database import Row, encode, fetch
from models.errors import BadUserInput, NotFound

SEARCH_LENGTH_MAX = 200
WORDS_MAX = 10
# Fewer digits would find everybody.
PHONE_DIGITS_MIN = 3
# Of the tags, or of the fields, that one filter names.
NAMED_MAX = 20
_word = re.compile(r"\w+")
_phone = re.compile(rf"\+?\d{{{PHONE_DIGITS_MIN},}}", re.ASCII)
# What one statement looks for: planning it takes memory for each, whatever is found.
WANTED_TOGETHER_MAX = 20
# Follows every text that begins with what stands before it.
_END = "\U0010ffff"


class OwnedBy(StrEnum):
    """Whose contacts are looked for."""

    ME = "ME"
    ANYBODY = "ANYBODY"
    NOBODY = "NOBODY"


@dataclass(frozen=True, slots=True)
class Filter:
    """What contacts must all meet; what is left out does not matter.

    What it names may be gone: then no contact meets it. Raises BadUserInput for what nobody can
    look for.
    """

    search: str | None = None
    tag_ids: tuple[UUID, ...] = ()
    owned_by: OwnedBy | None = None
    owner_agent_id: UUID | None = None
    owner_team_id: UUID | None = None
    fields: tuple[tuple[UUID, str], ...] = ()
    channel_id: UUID | None = None

    def __post_init__(self) -> None:
        if self.search is not None:
            require_text(self.search, path="filter.search")
            require_length(self.search, SEARCH_LENGTH_MAX, path="filter.search")
        if max(len(self.tag_ids), len(self.fields)) > NAMED_MAX:
            raise BadUserInput(f"Name at most {NAMED_MAX} tags, and as many fields.", path="filter")
        for _, value in self.fields:
            require_length(value, VALUE_LENGTH_MAX, path="filter.fields")

    @property
    def stored(self) -> dict[str, Any]:
        """As a segment keeps it: ids are text."""
        parts: dict[str, Any] = {
            "search": self.search,
            "tag_ids": [str(id) for id in self.tag_ids],
            "owned_by": self.owned_by and self.owned_by.value,
            "owner_agent_id": self.owner_agent_id and str(self.owner_agent_id),
            "owner_team_id": self.owner_team_id and str(self.owner_team_id),
            "fields": [[str(id), value] for id, value in self.fields],
            "channel_id": self.channel_id and str(self.channel_id),
        }
        return {name: value for name, value in parts.items() if value}

    @classmethod
    def recall(cls, stored: Mapping[str, Any]) -> "Filter":
        owned_by = stored.get("owned_by")
        ids = ("owner_agent_id", "owner_team_id", "channel_id")
        return cls(
            search=stored.get("search"),
            tag_ids=tuple(map(UUID, stored.get("tag_ids", ()))),
            owned_by=OwnedBy(owned_by) if owned_by else None,
            fields=tuple((UUID(id), value) for id, value in stored.get("fields", ())),
            **{name: UUID(stored[name]) for name in ids if stored.get(name)},
        )


# Contacts that meet several filters; one that cannot be read any more, None, is met by nobody.
Wanted = tuple[Filter | None, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """A page of the contacts by creation: how many, from which end, and between which two."""

    size: int
    descending: bool = False
    after: tuple[datetime, UUID] | None = None
    before: tuple[datetime, UUID] | None = None


async def pages(wanted: Sequence[Wanted], bounds: Bounds, *, by: Actor) -> list[list[Row]]:
    """For each wanted the ids and times of the visible contacts in order."""
    return [rows for some in _apart(wanted) for rows in await _pages(some, bounds, by=by)]


async def counts(wanted: Sequence[Wanted], *, by: Actor) -> list[int]:
    """How many visible contacts each wanted has."""
    return [count for some in _apart(wanted) for count in await _counts(some, by=by)]


def _apart(wanted: Sequence[Wanted]) -> list[Sequence[Wanted]]:
    """As many together as one statement looks for."""
    starts = range(0, len(wanted), WANTED_TOGETHER_MAX)
    return [wanted[start : start + WANTED_TOGETHER_MAX] for start in starts]


async def _pages(wanted: Sequence[Wanted], bounds: Bounds, *, by: Actor) -> list[list[Row]]:
    statement = await _Statement.of(wanted, by=by)
    between = statement.between(bounds)
    way = "DESC" if bounds.descending else "ASC"
    selects = [
        f"(SELECT {place} AS place, found.* FROM ({statement.select(each, between)}) found"  # noqa: S608 - ours
        f" ORDER BY created_at {way}, id {way} LIMIT {bounds.size})"
        for place, each in enumerate(wanted)
    ]
    found: list[list[Row]] = [[] for _ in wanted]
    for row in await fetch(" UNION ALL ".join(selects), *statement.arguments):
        found[row["place"]].append(row)
    # Which the union keeps apart, but promises in no order.
    for rows in found:
        rows.sort(key=lambda row: (row["created_at"], row["id"]), reverse=bounds.descending)
    return found


async def _counts(wanted: Sequence[Wanted], *, by: Actor) -> list[int]:
    statement = await _Statement.of(wanted, by=by)
    selects = [
        f"SELECT {place} AS place, count(*) AS contacts FROM ({statement.select(each)}) found"  # noqa: S608 - conditions of ours
        for place, each in enumerate(wanted)
    ]
    rows = await fetch(" UNION ALL ".join(selects), *statement.arguments)
    found = {row["place"]: row["contacts"] for row in rows}
    return [found[place] for place in range(len(wanted))]


async def validated(filter: Filter, *, by: Actor) -> Filter:
    """The filter with its values as they are stored; raises NotFound, FieldValueInvalid."""
    for table, ids, path in (
        ("tags", filter.tag_ids, "tagIds"),
        ("agents", (filter.owner_agent_id,), "ownerAgentId"),
        ("teams", (filter.owner_team_id,), "ownerTeamId"),
        ("channels", (filter.channel_id,), "channelId"),
    ):
        named = {id for id in ids if id is not None}
        rows = await fetch(
            f"SELECT FROM {table} WHERE workspace_id = $1 AND id = ANY($2)",
            by.workspace_id,
            list(named),
        )
        if len(rows) < len(named):
            raise NotFound(table.removesuffix("s"), path=f"input.filter.{path}")
    path = "input.filter.fields"
    held = await ContactField.held([id for id, _ in filter.fields], by=by)
    if len(held) < len(dict(filter.fields)):
        raise NotFound("contact field", path=path)
    values = [[str(id), held[id].checked(value, path=path)] for id, value in filter.fields]
    return Filter.recall({**filter.stored, "fields": values})


@dataclass(slots=True)
class _Statement:
    """Selects that share their arguments; the first is the workspace."""

    by: Actor
    sight: str
    fields: Mapping[UUID, ContactField]
    arguments: list[object] = field(default_factory=list)

    @classmethod
    async def of(cls, wanted: Sequence[Wanted], *, by: Actor) -> "_Statement":
        """With what every select asks for: which contacts and fields there are to see."""
        ids = {id for each in wanted for filter in each if filter for id, _ in filter.fields}
        own = ContactField.filter(workspace_id=by.workspace_id, id__in=ids)
        fields = {one.id: one for one in await own} if ids else {}
        return cls(by, await Contact.sight(by), fields, [by.workspace_id])

    def given(self, value: object) -> str:
        """The place of an argument."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def between(self, bounds: Bounds) -> str:
        """The condition of a page's cursors."""
        parts = ["true"]
        for cursor, way in ((bounds.after, ">"), (bounds.before, "<")):
            if cursor is not None:
                moment, id = map(self.given, cursor)
                parts.append(f"(contacts.created_at, contacts.id) {way} ({moment}, {id})")
        return " AND ".join(parts)

    def select(self, wanted: Wanted, between: str = "true") -> str:
        """The contacts that meet all filters: one select for each way in which they may."""
        common = ["contacts.workspace_id = $1", "contacts.merged_into_id IS NULL"]
        common += [self.sight, between]
        searches: list[list[str]] = []
        for filter in wanted:
            common += ["false"] if filter is None else self._conditions(filter)
            if filter is not None and filter.search is not None:
                searches.append(self._ways(filter.search))
        return " UNION ".join(
            "SELECT contacts.id, contacts.created_at FROM contacts WHERE "  # noqa: S608 - ours
            + " AND ".join([*common, *ways])
            for ways in itertools.product(*searches)
        )

    def _conditions(self, filter: Filter) -> list[str]:
        parts = [
            f"""EXISTS (SELECT FROM contact_tags t
                WHERE t.contact_id = contacts.id AND t.tag_id = {self.given(id)})"""
            for id in filter.tag_ids
        ]
        parts += [self._has(id, value) for id, value in filter.fields]
        if filter.owned_by is not None:
            parts.append(self._owned_by(filter.owned_by))
        if filter.owner_agent_id is not None:
            parts.append(f"contacts.owner_agent_id = {self.given(filter.owner_agent_id)}")
        if filter.owner_team_id is not None:
            parts.append(f"contacts.owner_team_id = {self.given(filter.owner_team_id)}")
        if filter.channel_id is not None:
            parts.append(
                f"""EXISTS (SELECT FROM contact_identities i WHERE i.contact_id = contacts.id
                    AND i.channel_id = {self.given(filter.channel_id)})"""
            )
        return parts

    def _has(self, id: UUID, value: str) -> str:
        one = self.fields.get(id)
        spelled = one.canonical(value) if one else None
        if spelled is None:
            return "false"
        return f"contacts.field_values @> {self.given(encode({str(id): spelled}))}::text::jsonb"

    def _owned_by(self, owned_by: OwnedBy) -> str:
        if owned_by is OwnedBy.ME:
            agent_id = self.by.agent_id
            return "false" if agent_id is None else f"owner_agent_id = {self.given(agent_id)}"
        nobodys = "(owner_agent_id IS NULL AND owner_team_id IS NULL)"
        return nobodys if owned_by is OwnedBy.NOBODY else f"NOT {nobodys}"

    def _ways(self, search: str) -> list[str]:
        """What a text may be: words of a name, an identity, a telephone number, an address."""
        text = search.strip()
        ways = [
            f"""contacts.id IN (SELECT contact_id FROM contact_identities
                WHERE workspace_id = $1 AND external_id = {self.given(text)})"""  # noqa: S608 - ours
        ]
        # An address is none of words, or its parts would find other people.
        if words := _word.findall(text if "@" not in text else "")[:WORDS_MAX]:
            query = self.given(" & ".join(f"{word}:*" for word in words))
            ways.append(
                f"to_tsvector('simple', contacts.name) @@ to_tsquery('simple', {query}::text)"
            )
        number = identity.dialled(text) or ""
        if _phone.fullmatch(number):
            digits = number.removeprefix("+").removeprefix("00")
            ways += [self._begins("contacts.phone", each) for each in (digits, f"+{digits}")]
        if not re.search(r"\s", text):
            ways.append(self._begins("lower(contacts.email)", text))
        return ways

    def _begins(self, column: str, prefix: str) -> str:
        # As ranges: LIKE with an argument has no index once a plan is kept for any argument.
        least, end = (f"lower({self.given(text)}::text)" for text in (prefix, prefix + _END))
        return f"({column} IS NOT NULL AND {column} ~>=~ {least} AND {column} ~<~ {end})"
