"""What the conditions of workflows ask for, and whether it is so.

The answer is pure. What is read for it holds no text of the customer's: of the message only which
of the conditions it meets.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import orjson
from pydantic import TypeAdapter

from models.base import Line
from models.contact_field import FieldKind
from models.database import Row, Transaction
from models.workflow.definition import (
    ChannelCondition,
    Condition,
    ContactFieldCondition,
    ContactTagCondition,
    Definition,
    FirstContactCondition,
    HoursCondition,
    LineCondition,
    Marked,
    Match,
    Operator,
    Source,
    SourceCondition,
    TagStep,
    TextCondition,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What a contact has in a field, as it is stored; nothing where it is empty."""

    field_id: UUID
    kind: FieldKind
    value: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is so, of all that some conditions ask for.

    `tags_named` are the tags that steps can put on the contact. A contact without a conversation
    has no channel and no line.
    """

    channel_id: UUID | None = None
    line: Line | None = None
    source: Source | None = None
    tag_ids: frozenset[UUID] = frozenset()
    tags_named: tuple[tuple[str, UUID], ...] = ()
    values: tuple[Value, ...] = ()
    texts_met: tuple[TextCondition, ...] = ()
    is_open: bool = True
    open_team_ids: frozenset[UUID] = frozenset()
    is_first: bool = False

    @property
    def stored(self) -> dict[str, Any]:
        kept: dict[str, Any] = _adapter.dump_python(self, mode="json")
        return kept

    @classmethod
    def recall(cls, stored: object) -> "Facts":
        return _adapter.validate_python(stored)


_adapter = TypeAdapter(Facts)


def met(conditions: Iterable[Condition], facts: Facts) -> bool:
    """Whether all of them are met; none ask for nothing."""
    return all(_is_met(condition, facts) for condition in conditions)


def _is_met(condition: Condition, facts: Facts) -> bool:
    return _ANSWERS[type(condition)](condition, facts)


def _is_open(team_id: UUID | None, facts: Facts) -> bool:
    return facts.is_open if team_id is None else team_id in facts.open_team_ids


def _tags_match(condition: ContactTagCondition, has: frozenset[UUID]) -> bool:
    named = set(condition.tag_ids)
    if condition.match is Match.ALL:
        return named <= has
    return bool(named & has) is (condition.match is Match.ANY)


def _value_compares(condition: ContactFieldCondition, values: tuple[Value, ...]) -> bool:
    """What is empty differs from every value, and is neither more nor less than any."""
    found = next((one for one in values if one.field_id == condition.field_id), None)
    has = found.value if found is not None else None
    if condition.operator in (Operator.IS_SET, Operator.IS_EMPTY):
        return (has is None) is (condition.operator is Operator.IS_EMPTY)
    if found is None or has is None or condition.value is None:
        return condition.operator is Operator.DIFFERS
    read = _AS[found.kind]
    try:
        return _compares(condition.operator, read(has), read(condition.value))
    except (InvalidOperation, ValueError):
        # Written for a field of another kind: nothing compares with it.
        return condition.operator is Operator.DIFFERS


def _compares(operator: Operator, left: Any, right: Any) -> bool:
    if operator is Operator.AT_LEAST:
        return bool(left >= right)
    if operator is Operator.AT_MOST:
        return bool(left <= right)
    return bool(left == right) is (operator is Operator.EQUALS)


_AS: dict[FieldKind, Callable[[str], Any]] = {
    FieldKind.TEXT: str.strip,
    FieldKind.NUMBER: Decimal,
    FieldKind.DATE: lambda value: date.fromisoformat(value.strip()),
    FieldKind.CHOICE: str,
}
_ANSWERS: dict[type, Callable[[Any, Facts], bool]] = {
    ChannelCondition: lambda it, so: so.channel_id in it.channel_ids,
    LineCondition: lambda it, so: so.line is it.line,
    SourceCondition: lambda it, so: so.source in it.sources,
    ContactTagCondition: lambda it, so: _tags_match(it, so.tag_ids),
    ContactFieldCondition: lambda it, so: _value_compares(it, so.values),
    TextCondition: lambda it, so: it in so.texts_met,
    HoursCondition: lambda it, so: _is_open(it.team_id, so) is it.are_open,
    FirstContactCondition: lambda it, so: so.is_first is it.is_first,
}


def says(text: str, condition: TextCondition) -> bool:
    """Whether a text has any of the phrases, in whole words, whatever their case and spaces."""
    said = _plain(text)
    return any(_whole(phrase).search(said) for phrase in condition.contains if phrase.strip())


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _whole(phrase: str) -> re.Pattern[str]:
    plain = _plain(phrase)
    before = r"(?<!\w)" if _ends_words(plain[0]) else ""
    after = r"(?!\w)" if _ends_words(plain[-1]) else ""
    return re.compile(before + re.escape(plain) + after)


def _ends_words(letter: str) -> bool:
    """Scripts without capitals may have no spaces either: there a part of a word is enough."""
    return letter.isdigit() or letter.lower() != letter.upper()


async def read(
    transaction: Transaction,
    *,
    workspace_id: UUID,
    contact_id: UUID | None,
    conversation_id: UUID | None,
    channel_id: UUID | None,
    line: Line | None,
    source: Source | None,
    definitions: Iterable[Definition],
    message_id: UUID | None = None,
    text: str | None = None,
) -> Facts:
    """What these workflows ask for, as it is now, in one statement at most; of a stranger, who is
    there for the first time, when there is no contact.

    The text is the one given, or that of the message, or what the customer said last in the
    conversation. A conversation is its contact's first until it was closed, or another before it.
    """
    asked = _Asked.by(definitions)
    known = Facts(channel_id=channel_id, line=line, source=source)
    if not asked.anything:
        return known
    row = await transaction.fetchrow(
        _FACTS,
        workspace_id,
        contact_id,
        conversation_id,
        asked.tag_ids,
        asked.tag_names,
        asked.field_ids,
        asked.team_ids,
        bool(asked.texts) and text is None,
        message_id,
    )
    assert row is not None  # noqa: S101 - the workspace is there
    return _found(known, row, asked, row["text"] if text is None else text)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What has to be looked up to answer."""

    tag_ids: list[UUID]
    tag_names: list[str]
    field_ids: list[UUID]
    team_ids: list[UUID]
    texts: tuple[TextCondition, ...]
    times: bool

    @classmethod
    def by(cls, definitions: Iterable[Definition]) -> "_Asked":
        known = list(definitions)
        asked = [condition for one in known for condition in one.all_conditions]
        tags = [it for it in asked if isinstance(it, ContactTagCondition)]
        steps = [it for one in known for it in one.steps if isinstance(it, TagStep)]
        marking = [it for it in steps if it.on is Marked.CONTACT] if tags else []
        hours = [it for it in asked if isinstance(it, HoursCondition)]
        return cls(
            tag_ids=list({id for it in tags for id in it.tag_ids}),
            tag_names=list({name.strip() for it in marking for name in it.tags}),
            field_ids=list({it.field_id for it in asked if isinstance(it, ContactFieldCondition)}),
            team_ids=list({it.team_id for it in hours if it.team_id is not None}),
            texts=tuple(dict.fromkeys(it for it in asked if isinstance(it, TextCondition))),
            times=bool(hours) or any(isinstance(it, FirstContactCondition) for it in asked),
        )

    @property
    def anything(self) -> bool:
        return bool(self.tag_ids or self.field_ids or self.texts or self.times)


def _found(known: Facts, row: Row, asked: _Asked, text: str | None) -> Facts:
    values = orjson.loads(row["field_values"] or "[]")
    named = orjson.loads(row["tags_named"] or "{}")
    return Facts(
        channel_id=known.channel_id,
        line=known.line,
        source=known.source,
        tag_ids=frozenset(row["tag_ids"]),
        tags_named=tuple((name, UUID(id)) for name, id in named.items()),
        values=tuple(
            Value(field_id=UUID(it["id"]), kind=FieldKind(it["kind"]), value=it["value"])
            for it in values
        ),
        texts_met=tuple(it for it in asked.texts if text is not None and says(text, it)),
        is_open=row["is_open"],
        open_team_ids=frozenset(row["open_team_ids"]),
        is_first=row["is_first"],
    )


_FACTS = """
    SELECT relevo_is_open(w.business_hours, relevo_now()) AS is_open,
           ARRAY(SELECT t.tag_id FROM contact_tags t
                 WHERE t.contact_id = o.id AND t.tag_id = ANY($4)) AS tag_ids,
           (SELECT jsonb_object_agg(n.name, t.id) FROM unnest($5::text[]) AS n(name)
            JOIN tags t ON t.workspace_id = w.id AND lower(t.name) = lower(n.name)) AS tags_named,
           (SELECT jsonb_agg(jsonb_build_object(
                'id', f.id, 'kind', f.kind, 'value', o.field_values ->> f.id::text) ORDER BY f.id)
            FROM contact_fields f
            WHERE f.workspace_id = w.id AND f.id = ANY($6)) AS field_values,
           ARRAY(SELECT t.id FROM teams t
                 WHERE t.workspace_id = w.id AND t.id = ANY($7)
                   AND relevo_is_open(coalesce(t.business_hours, w.business_hours),
                                      relevo_now())) AS open_team_ids,
           CASE WHEN $8 THEN coalesce(
               (SELECT m.text FROM messages m WHERE m.id = $9 AND m.workspace_id = w.id),
               (SELECT m.text FROM messages m
                WHERE m.conversation_id = c.id AND m.direction = 'INBOUND'
                ORDER BY m.created_at DESC, m.id DESC LIMIT 1)) END AS text,
           NOT EXISTS (
               SELECT FROM conversations v WHERE v.contact_id = o.id AND v.id IS DISTINCT FROM c.id
                 AND (c.id IS NULL OR (v.opened_at, v.id) < (c.opened_at, c.id)))
           AND NOT EXISTS (
               SELECT FROM closures s WHERE s.conversation_id = c.id
                 AND s.closed_at IS DISTINCT FROM c.closed_at) AS is_first
    FROM workspaces w
    LEFT JOIN contacts o ON o.id = $2 AND o.workspace_id = w.id
    LEFT JOIN conversations c ON c.id = $3 AND c.workspace_id = w.id
    WHERE w.id = $1
"""
