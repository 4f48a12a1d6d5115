"""Tags: the words that contacts and conversations are marked with, made by their first use."""

from collections.abc import Sequence
from uuid import UUID

from tortoise import fields
from tortoise.expressions import RawSQL
from tortoise.queryset import QuerySet

from models import event
from models.access import Actor, Right
from models.base import Record, require_name
from models.contact import Contact
from models.conversation import Conversation
from models.database import Row, Transaction, tx
from models.errors import BadUserInput, ContactMerged, LimitReached, NotFound

TAG_LENGTH_MAX = 50
# On one contact or conversation: as many as a list shows without pages.
TAGS_MAX = 20
TAGS_PER_WORKSPACE_MAX = 1_000


class Tag(Record):
    """A word that contacts and conversations are marked with."""

    name = fields.CharField(max_length=TAG_LENGTH_MAX)

    class Meta:
        table = "tags"

    @classmethod
    def visible_to(cls, actor: Actor) -> QuerySet["Tag"]:
        within = cls.filter(workspace_id=actor.workspace_id)
        return within if cls.are_visible_to(actor) else cls.filter(id__in=[])

    @classmethod
    def are_visible_to(cls, actor: Actor) -> bool:
        """Whoever reads settings, or what is tagged."""
        readers = (Right.READ_SETTINGS, Right.READ_CONTACTS, Right.SEE_ALL)
        return any(actor.may(right) for right in readers)


async def tag_conversation(conversation: Conversation, names: list[str], *, by: Actor) -> None:
    """Mark a locked conversation; what it has already changes nothing.

    It is activity, but on a closed one. Raises Forbidden, LimitReached, BadUserInput.
    """
    wanted = _names(names)
    await conversation.require_taggable(by)
    async with tx() as transaction:
        tags = await _found_or_made(transaction, wanted, by=by)
        added = await _add(transaction, "conversation", conversation.id, tags, by=by)
        if added:
            await _touch(transaction, conversation)
            conversation.record(event.Kind.CONVERSATION_TAGGED, by=by, tags=added)


async def untag_conversation(conversation: Conversation, names: list[str], *, by: Actor) -> None:
    """Take tags from a locked conversation; what it has not changes nothing."""
    unwanted = _names(names)
    await conversation.require_taggable(by)
    async with tx() as transaction:
        removed = await _remove(transaction, "conversation", conversation.id, unwanted, by=by)
        if removed:
            await _touch(transaction, conversation)
            conversation.record(event.Kind.CONVERSATION_UNTAGGED, by=by, tags=removed)


async def tag_contact(id: UUID, names: list[str], *, by: Actor) -> None:
    """Mark a contact; raises NotFound, ContactMerged, LimitReached, Forbidden, BadUserInput."""
    wanted = _names(names)
    async with tx() as transaction:
        await _lock_contact(transaction, id, by=by)
        tags = await _found_or_made(transaction, wanted, by=by)
        added = await _add(transaction, "contact", id, tags, by=by)
        if added:
            event.record(event.Kind.CONTACT_TAGGED, by=by, contact_id=id, tags=added)


async def untag_contact(id: UUID, names: list[str], *, by: Actor) -> None:
    """Take tags from a contact; raises NotFound, ContactMerged, Forbidden, BadUserInput."""
    unwanted = _names(names)
    async with tx() as transaction:
        await _lock_contact(transaction, id, by=by)
        removed = await _remove(transaction, "contact", id, unwanted, by=by)
        if removed:
            event.record(event.Kind.CONTACT_UNTAGGED, by=by, contact_id=id, tags=removed)


def tagged(conversations: QuerySet[Conversation], tag_id: UUID) -> QuerySet[Conversation]:
    """Those of the conversations that have a tag."""
    # Tortoise's raw expressions take no parameters; a UUID object can only spell itself.
    has_tag = f"""EXISTS (SELECT FROM conversation_tags t
        WHERE t.conversation_id = "conversations"."id" AND t.tag_id = '{UUID(str(tag_id))}')"""
    return conversations.annotate(has_tag=RawSQL(has_tag)).filter(has_tag=True)


async def replace(
    transaction: Transaction, noun: str, id: UUID, names: Sequence[str], *, by: Actor
) -> bool:
    """Give a locked record these tags and no others; whether that was a change.

    Raises LimitReached, BadUserInput.
    """
    tags = await _found_or_made(transaction, _names(names), by=by) if names else []
    removed = await transaction.fetch(
        f"DELETE FROM {noun}_tags WHERE {noun}_id = $1 AND tag_id <> ALL($2) RETURNING tag_id",  # noqa: S608 - a constant
        id,
        tags,
    )
    added = await _add(transaction, noun, id, tags, by=by)
    return bool(removed or added)


async def mark(
    transaction: Transaction, noun: str, id: UUID, tag_ids: list[UUID], *, by: Actor
) -> None:
    """Give tags to a record that has none; raises LimitReached."""
    if tag_ids:
        await _add(transaction, noun, id, tag_ids, by=by)


async def known(transaction: Transaction, names: Sequence[str], *, by: Actor) -> list[UUID]:
    """The tags of these names, made where there are none; raises LimitReached, BadUserInput."""
    return await _found_or_made(transaction, _names(names), by=by) if names else []


def require_few(tags: int) -> None:
    """Raise LimitReached when one record would have too many."""
    if tags > TAGS_MAX:
        raise LimitReached("tags on one record", limit=TAGS_MAX)


def _names(names: Sequence[str]) -> list[str]:
    if not 1 <= len(names) <= TAGS_MAX:
        raise BadUserInput(f"Name 1 to {TAGS_MAX} tags.", path="input.tags")
    for name in names:
        require_name(name, length_max=TAG_LENGTH_MAX, path="input.tags")
    return [name.strip() for name in names]


async def _lock_contact(transaction: Transaction, id: UUID, *, by: Actor) -> None:
    """A contact that the actor tags: all, or those of the conversations that an agent sees."""
    found = await transaction.fetchrow(
        """
        SELECT merged_into_id FROM contacts
        WHERE id = $1 AND workspace_id = $2 FOR NO KEY UPDATE
        """,
        id,
        by.workspace_id,
    )
    visible = await Contact.visible_to(by, merged=True)
    if found is None or not await visible.filter(id=id).exists():
        raise NotFound("contact", path="input.contactId")
    if not by.may(Right.HOLD_CONVERSATIONS):
        by.require(Right.TAG_CONTACTS)
    if found["merged_into_id"] is not None:
        raise ContactMerged(contact_id=found["merged_into_id"])


async def _found_or_made(transaction: Transaction, names: list[str], *, by: Actor) -> list[UUID]:
    """The tags of these names, whatever their case; new ones get the first spelling."""
    known = await _named(transaction, names, by=by)
    new = [row["name"] for row in known if row["id"] is None]
    if new:
        await _make(transaction, new, by=by)
        known = await _named(transaction, names, by=by)
    return [row["id"] for row in known]


async def _named(transaction: Transaction, names: list[str], *, by: Actor) -> list[Row]:
    return await transaction.fetch(
        """
        SELECT DISTINCT ON (lower(n.name)) n.name, t.id
        FROM unnest($2::text[]) WITH ORDINALITY AS n(name, place)
        LEFT JOIN tags t ON t.workspace_id = $1 AND lower(t.name) = lower(n.name)
        ORDER BY lower(n.name), n.place
        """,
        by.workspace_id,
        names,
    )


async def _make(transaction: Transaction, names: list[str], *, by: Actor) -> None:
    # Those who make tags wait for each other here, after all their other locks: so the count is
    # exact, and nobody waits for one name while holding another.
    await transaction.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"tags {by.workspace_id}"
    )
    made = await transaction.fetch(
        """
        INSERT INTO tags (id, workspace_id, name)
        SELECT gen_random_uuid(), $1, name FROM unnest($2::text[]) AS name
        ON CONFLICT (workspace_id, lower(name)) DO NOTHING RETURNING id
        """,
        by.workspace_id,
        names,
    )
    if await Tag.filter(workspace_id=by.workspace_id).count() > TAGS_PER_WORKSPACE_MAX:
        raise LimitReached("tags in a workspace", limit=TAGS_PER_WORKSPACE_MAX)
    for row in made:
        event.record(event.Kind.TAG_CREATED, by=by, tag=row["id"])


async def _add(
    transaction: Transaction, noun: str, id: UUID, tag_ids: list[UUID], *, by: Actor
) -> list[UUID]:
    """Returns what the record did not have before."""
    added = await transaction.fetch(
        f"""
        INSERT INTO {noun}_tags (workspace_id, {noun}_id, tag_id)
        SELECT $1, $2, tag_id FROM unnest($3::uuid[]) AS tag_id
        ON CONFLICT DO NOTHING RETURNING tag_id
        """,  # noqa: S608 - a constant
        by.workspace_id,
        id,
        tag_ids,
    )
    require_few(
        await transaction.fetchval(
            f"SELECT count(*) FROM {noun}_tags WHERE {noun}_id = $1",  # noqa: S608 - a constant
            id,
        )
    )
    return [row["tag_id"] for row in added]


async def _remove(
    transaction: Transaction, noun: str, id: UUID, names: list[str], *, by: Actor
) -> list[UUID]:
    """Returns what the record had before."""
    known = await _named(transaction, names, by=by)
    removed = await transaction.fetch(
        f"DELETE FROM {noun}_tags WHERE {noun}_id = $1 AND tag_id = ANY($2) RETURNING tag_id",  # noqa: S608 - a constant
        id,
        [row["id"] for row in known],
    )
    return [row["tag_id"] for row in removed]


async def _touch(transaction: Transaction, conversation: Conversation) -> None:
    """Tags restart the idle time of what is open; what is closed only gets another version."""
    await transaction.execute(
        """
        UPDATE conversations SET version = version + 1,
            last_activity_at = CASE status WHEN 'CLOSED' THEN last_activity_at
                                           ELSE relevo_now() END
        WHERE id = $1
        """,
        conversation.id,
    )
