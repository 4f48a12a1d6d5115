"""Merging two contacts that are one person, and splitting them again.

What was merged stays as it was, with the tags and values it had, but for its identities,
conversations and tickets, which its survivor has now: so a merge need only remember which those
were, and what the survivor took over where it had nothing.
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from tortoise import fields

from models import event
from models.access import Actor, Right
from models.base import Record, reference
from models.database import Raced, Row, Transaction, encode, tx
from models.errors import (
    BadUserInput,
    ContactMerged,
    ContactNotMerged,
    ConversationAlreadyOpen,
    NotFound,
)
from models.owner import Owner, end_reservations, tell_open_conversations
from models.tag import require_few
from models.ticket import succession

_OWNER = ("owner_agent_id", "owner_team_id")
_DETAILS = ("phone", "email")


class ContactMerge(Record):
    """What a merge moved, so that it can be split again."""

    survivor = reference("models.Contact")
    survivor_id: UUID
    merged = reference("models.Contact")
    merged_id: UUID
    moved: dict[str, Any] = fields.JSONField()
    split_at = fields.DatetimeField(null=True)

    class Meta:
        table = "contact_merges"


@dataclass(frozen=True, slots=True)
class Moved:
    """What a survivor got by a merge: ids and the names of columns, no values."""

    conversations: list[UUID]
    identities: list[UUID]
    tags: list[UUID]
    columns: list[str]
    field_values: list[str]
    # Of merges from before there were any, none.
    tickets: list[UUID] = field(default_factory=list)


async def merge(*, survivor_id: UUID, merged_id: UUID, by: Actor) -> None:
    """Give everything that one contact has to another, which lives on.

    The survivor's owner and details win; the other's fill what it lacks. What waits for another
    owner than it then has waits for anybody. Raises NotFound,
    ContactMerged, ConversationAlreadyOpen (naming the survivor's, when both have one open on the
    same channel), LimitReached (tags), BadUserInput, Forbidden.
    """
    by.require(Right.EDIT_CONTACTS)
    if survivor_id == merged_id:
        raise BadUserInput("A contact is not merged into itself.", path="input.mergedId")
    async with tx() as transaction:
        contacts = await _locked(transaction, survivor_id, merged_id, by=by)
        survivor = _unmerged(contacts, survivor_id, path="input.survivorId")
        merged = _unmerged(contacts, merged_id, path="input.mergedId")
        conversations = await _lock_conversations(transaction, "contact_id = $1", merged_id)
        await _require_none_open_beside(transaction, conversations, survivor_id)
        moved = Moved(
            conversations=[row["id"] for row in conversations],
            identities=await _identities_of(transaction, merged_id),
            tags=await _add_tags(transaction, survivor_id, merged_id),
            columns=_lacking_columns(survivor, merged),
            field_values=_lacking_values(survivor, merged),
            tickets=await succession.lock_of_requester(transaction, merged_id),
        )
        await _take_over(transaction, survivor, merged, moved.columns, by=by)
        await _give(transaction, moved.conversations, moved.identities, survivor_id)
        await end_reservations(transaction, survivor_id)
        await succession.give(transaction, moved.tickets, survivor_id, by=by)
        await _remember(transaction, survivor_id, merged_id, moved, by=by)
        _tell(event.Kind.CONTACT_MERGED, conversations, survivor_id, survivor_id, merged_id, by=by)


async def split(id: UUID, *, by: Actor) -> UUID:
    """Undo the merge of a contact into its survivor, whose id is returned.

    It gets back what moved, and the conversations opened since where only it can be reached, with
    the tickets created since for none but those; the survivor keeps what else it was given, or
    changed, meanwhile. Raises NotFound, ContactNotMerged,
    Forbidden, and ContactMerged when the survivor was merged itself: that is split first.
    """
    by.require(Right.EDIT_CONTACTS)
    async with tx() as transaction:
        survivor_id = await _survivor_of(transaction, id, by=by)
        contacts = await _locked(transaction, survivor_id, id, by=by)
        if contacts[id]["merged_into_id"] != survivor_id:
            raise Raced
        survivor = _unmerged(contacts, survivor_id, path="input.contactId")
        moved, since = await _recall(transaction, id)
        await _give(transaction, [], moved.identities, id)
        conversations = await _lock_conversations(
            transaction, _GOING_BACK, survivor_id, moved.conversations, since, id
        )
        await _give(transaction, [row["id"] for row in conversations], [], id)
        await end_reservations(transaction, id)
        tickets = await succession.lock_going_back(
            transaction, survivor_id, moved.tickets, since, [row["id"] for row in conversations]
        )
        await succession.give(transaction, tickets, id, by=by)
        await _take_tags(transaction, survivor_id, moved.tags)
        await _give_up(transaction, survivor, contacts[id], moved, by=by)
        _tell(event.Kind.CONTACT_SPLIT, conversations, id, survivor_id, id, by=by)
    return survivor_id


async def _locked(transaction: Transaction, *ids: UUID, by: Actor) -> dict[UUID, Row]:
    rows = await transaction.fetch(
        """
        SELECT id, phone, email, owner_agent_id, owner_team_id, field_values, merged_into_id
        FROM contacts WHERE id = ANY($1) AND workspace_id = $2 ORDER BY id FOR NO KEY UPDATE
        """,
        ids,
        by.workspace_id,
    )
    return {row["id"]: row for row in rows}


def _unmerged(contacts: dict[UUID, Row], id: UUID, *, path: str) -> Row:
    if id not in contacts:
        raise NotFound("contact", path=path)
    if contacts[id]["merged_into_id"] is not None:
        raise ContactMerged(contact_id=contacts[id]["merged_into_id"])
    return contacts[id]


async def _lock_conversations(
    transaction: Transaction, condition: str, *arguments: object
) -> list[Row]:
    """A contact's conversations, open and closed; nobody opens another while it is locked."""
    return await transaction.fetch(
        f"""
        SELECT id, channel_id, status, team_id, assignee_id
        FROM conversations c WHERE {condition} ORDER BY id FOR NO KEY UPDATE
        """,  # noqa: S608 - constants
        *arguments,
    )


# Of the survivor $1: what moved then ($2), and what was opened since ($3) on a channel that now
# only the contact $4 has an identity on.
_GOING_BACK = """c.contact_id = $1 AND (c.id = ANY($2) OR (c.created_at >= $3
    AND EXISTS (SELECT FROM contact_identities i
                WHERE i.contact_id = $4 AND i.channel_id = c.channel_id)
    AND NOT EXISTS (SELECT FROM contact_identities i
                    WHERE i.contact_id = $1 AND i.channel_id = c.channel_id)))"""


async def _require_none_open_beside(
    transaction: Transaction, conversations: list[Row], survivor_id: UUID
) -> None:
    other = await transaction.fetchval(
        """
        SELECT id FROM conversations
        WHERE contact_id = $1 AND channel_id = ANY($2) AND status <> 'CLOSED'
        ORDER BY id LIMIT 1
        """,
        survivor_id,
        [row["channel_id"] for row in conversations if row["status"] != "CLOSED"],
    )
    if other is not None:
        raise ConversationAlreadyOpen(conversation_id=other)


async def _identities_of(transaction: Transaction, id: UUID) -> list[UUID]:
    rows = await transaction.fetch("SELECT id FROM contact_identities WHERE contact_id = $1", id)
    return [row["id"] for row in rows]


async def _add_tags(transaction: Transaction, survivor_id: UUID, merged_id: UUID) -> list[UUID]:
    """The survivor's new tags; the merged contact keeps its own, to have them again."""
    added = await transaction.fetch(
        """
        INSERT INTO contact_tags (workspace_id, contact_id, tag_id)
        SELECT workspace_id, $1, tag_id FROM contact_tags WHERE contact_id = $2
        ON CONFLICT DO NOTHING RETURNING tag_id
        """,
        survivor_id,
        merged_id,
    )
    require_few(
        await transaction.fetchval(
            "SELECT count(*) FROM contact_tags WHERE contact_id = $1", survivor_id
        )
    )
    return [row["tag_id"] for row in added]


def _lacking_columns(survivor: Row, merged: Row) -> list[str]:
    details = [name for name in _DETAILS if survivor[name] is None and merged[name] is not None]
    return details + (list(_OWNER) if _is_owned(merged) and not _is_owned(survivor) else [])


def _is_owned(contact: Row) -> bool:
    return any(contact[name] is not None for name in _OWNER)


def _lacking_values(survivor: Row, merged: Row) -> list[str]:
    return sorted(_values(merged).keys() - _values(survivor).keys())


def _values(contact: Row) -> dict[str, Any]:
    values: dict[str, Any] = orjson.loads(contact["field_values"])
    return values


async def _take_over(
    transaction: Transaction, survivor: Row, merged: Row, columns: list[str], *, by: Actor
) -> None:
    if _OWNER[0] in columns:
        await tell_open_conversations(
            transaction, survivor["id"], by=by, before=Owner(), now=Owner.of(merged)
        )
    taken = "".join(f", {name} = m.{name}" for name in columns)
    await transaction.execute(
        f"""
        UPDATE contacts s SET field_values = m.field_values || s.field_values{taken}
        FROM contacts m WHERE s.id = $1 AND m.id = $2
        """,  # noqa: S608 - names of columns
        survivor["id"],
        merged["id"],
    )


async def _give(
    transaction: Transaction, conversations: list[UUID], identities: list[UUID], to: UUID
) -> None:
    if conversations:
        await transaction.execute(
            "UPDATE conversations SET contact_id = $1, version = version + 1 WHERE id = ANY($2)",
            to,
            conversations,
        )
    if identities:
        await transaction.execute(
            "UPDATE contact_identities SET contact_id = $1 WHERE id = ANY($2)", to, identities
        )


async def _remember(
    transaction: Transaction, survivor_id: UUID, merged_id: UUID, moved: Moved, *, by: Actor
) -> None:
    await transaction.execute(
        "UPDATE contacts SET merged_into_id = $2 WHERE id = $1", merged_id, survivor_id
    )
    await transaction.execute(
        """
        INSERT INTO contact_merges (id, workspace_id, survivor_id, merged_id, moved)
        VALUES (gen_random_uuid(), $1, $2, $3, $4::text::jsonb)
        """,
        by.workspace_id,
        survivor_id,
        merged_id,
        encode(asdict(moved)),
    )


async def _survivor_of(transaction: Transaction, id: UUID, *, by: Actor) -> UUID:
    found = await transaction.fetchrow(
        "SELECT merged_into_id FROM contacts WHERE id = $1 AND workspace_id = $2",
        id,
        by.workspace_id,
    )
    if found is None:
        raise NotFound("contact", path="input.contactId")
    if found["merged_into_id"] is None:
        raise ContactNotMerged
    survivor_id: UUID = found["merged_into_id"]
    return survivor_id


async def _recall(transaction: Transaction, merged_id: UUID) -> tuple[Moved, datetime]:
    """What the merge in force moved, and when it was; it ends here."""
    row = await transaction.fetchrow(
        """
        UPDATE contact_merges SET split_at = relevo_now()
        WHERE merged_id = $1 AND split_at IS NULL RETURNING moved, created_at
        """,
        merged_id,
    )
    assert row is not None  # noqa: S101 - what is merged was merged
    await transaction.execute("UPDATE contacts SET merged_into_id = NULL WHERE id = $1", merged_id)
    return Moved(**orjson.loads(row["moved"])), row["created_at"]


async def _take_tags(transaction: Transaction, survivor_id: UUID, tags: list[UUID]) -> None:
    """Take away what the merge added, but what others that are still merged into it have too:
    from then on it is theirs to take away.
    """
    await transaction.execute(
        """
        WITH kept AS (
            SELECT DISTINCT ON (t.tag_id) t.tag_id, m.id AS merge_id
            FROM contact_merges m
            JOIN contact_tags t ON t.contact_id = m.merged_id
            JOIN contact_tags s ON s.contact_id = m.survivor_id AND s.tag_id = t.tag_id
            WHERE m.survivor_id = $1 AND m.split_at IS NULL AND t.tag_id = ANY($2)
            ORDER BY t.tag_id, m.created_at, m.id
        ), passed_on AS (
            UPDATE contact_merges m
            SET moved = jsonb_set(m.moved, '{tags}', (m.moved -> 'tags') || k.tags)
            FROM (SELECT merge_id, jsonb_agg(tag_id) AS tags FROM kept GROUP BY 1) k
            WHERE m.id = k.merge_id
        )
        DELETE FROM contact_tags WHERE contact_id = $1 AND tag_id = ANY($2)
            AND tag_id NOT IN (SELECT tag_id FROM kept)
        """,
        survivor_id,
        tags,
    )


async def _give_up(
    transaction: Transaction, survivor: Row, merged: Row, moved: Moved, *, by: Actor
) -> None:
    """The survivor loses what the merge filled, where it has the same value still."""
    columns = [name for name in moved.columns if survivor[name] == merged[name]]
    own, others = _values(survivor), _values(merged)
    values = [key for key in moved.field_values if key in own and own[key] == others.get(key)]
    lost = "".join(f", {name} = NULL" for name in columns)
    await transaction.execute(
        f"UPDATE contacts SET field_values = field_values - $2::text[]{lost} WHERE id = $1",  # noqa: S608 - names of columns
        survivor["id"],
        values,
    )
    if any(survivor[name] is not None for name in _OWNER if name in columns):
        await end_reservations(transaction, survivor["id"])
        await tell_open_conversations(
            transaction, survivor["id"], by=by, before=Owner.of(survivor), now=Owner()
        )


def _tell(
    kind: event.Kind,
    conversations: list[Row],
    contact_id: UUID,
    survivor_id: UUID,
    merged_id: UUID,
    *,
    by: Actor,
) -> None:
    """One event for each open conversation that moved, or one for the contact."""
    parties = {"survivor": survivor_id, "merged": merged_id}
    opened = [row for row in conversations if row["status"] != "CLOSED"]
    for row in opened:
        queue_id = row["team_id"] if row["status"] == "QUEUED" else None
        event.record(
            kind,
            by=by,
            contact_id=contact_id,
            conversation_id=row["id"],
            channel_id=row["channel_id"],
            from_queue_id=queue_id,
            to_queue_id=queue_id,
            from_agent_id=row["assignee_id"],
            to_agent_id=row["assignee_id"],
            from_team_id=row["team_id"],
            to_team_id=row["team_id"],
            **parties,
        )
    if not opened:
        event.record(kind, by=by, contact_id=contact_id, **parties)
