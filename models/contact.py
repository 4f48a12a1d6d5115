"""Contacts: the customers, and the identities they write from."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from tortoise import fields
from tortoise.expressions import RawSQL
from tortoise.queryset import QuerySet

from models import event
from models.access import HOLDERS, Actor, Right
from models.base import NAME_LENGTH_MAX, Record, reference, require_length, require_name
from models.database import Raced, Row, Transaction, fetchrow, tx
from models.errors import BadUserInput, ContactMerged, NotFound, RoleCannotHold, TargetInactive
from models.team import Team

EXTERNAL_ID_LENGTH_MAX = 200
PHONE_LENGTH_MAX = 40
EMAIL_LENGTH_MAX = 254


class Contact(Record):
    """A customer."""

    name = fields.CharField(max_length=NAME_LENGTH_MAX)
    phone = fields.CharField(max_length=PHONE_LENGTH_MAX, null=True)
    email = fields.CharField(max_length=EMAIL_LENGTH_MAX, null=True)
    # The explicit owner: an agent or a team, never both.
    owner_agent = reference("models.Agent", null=True)
    owner_agent_id: UUID | None
    owner_team = reference("models.Team", null=True)
    owner_team_id: UUID | None
    # By the id of their field; typed and checked there.
    field_values: dict[str, Any] = fields.JSONField(default=dict)
    # Whom it was merged into; then it is nobody's any more, until it is split again.
    merged_into = reference("models.Contact", null=True)
    merged_into_id: UUID | None

    class Meta:
        table = "contacts"

    @classmethod
    async def visible_to(cls, actor: Actor, *, merged: bool = False) -> QuerySet["Contact"]:
        """Those who may read contacts see all; an agent those of the conversations it sees.

        What was `merged` into another is in no list, but those who read all still find it.
        """
        within = cls.filter(workspace_id=actor.workspace_id)
        if not merged:
            within = within.filter(merged_into_id__isnull=True)
        if actor.may(Right.READ_CONTACTS) or actor.may(Right.SEE_ALL):
            return within
        if actor.agent_id is None:
            return cls.filter(id__in=[])
        teams = await Team.seen_by_agent(actor.workspace_id, actor.agent_id)
        return within.annotate(
            is_seen=RawSQL(
                f"""EXISTS (SELECT FROM conversations c WHERE c.contact_id = "contacts"."id"
                    AND (c.assignee_id = {_literal(actor.agent_id)}
                         OR c.team_id IN ({", ".join(map(_literal, teams))})))"""
            )
        ).filter(is_seen=True)


def _literal(id: UUID) -> str:
    # Tortoise's raw expressions take no parameters; a UUID object can only spell itself.
    return f"'{UUID(str(id))}'"


async def set_owner(
    id: UUID, *, by: Actor, agent_id: UUID | None = None, team_id: UUID | None = None
) -> None:
    """Make an active agent or an active team the owner of a contact, or nobody.

    It moves no conversation; those that are open are told. Raises NotFound, ContactMerged,
    TargetInactive, RoleCannotHold, BadUserInput, Forbidden.
    """
    by.require(Right.SET_OWNERS)
    if agent_id is not None and team_id is not None:
        raise BadUserInput("A contact has one owner: an agent, or a team.")
    async with tx() as transaction:
        owned = await transaction.fetchrow(
            """
            SELECT owner_agent_id, owner_team_id, merged_into_id FROM contacts
            WHERE id = $1 AND workspace_id = $2 FOR NO KEY UPDATE
            """,
            id,
            by.workspace_id,
        )
        if owned is None:
            raise NotFound("contact", path="input.contactId")
        if owned["merged_into_id"] is not None:
            raise ContactMerged(contact_id=owned["merged_into_id"])
        await _require_owner(agent_id, team_id, by=by)
        if (owned["owner_agent_id"], owned["owner_team_id"]) == (agent_id, team_id):
            return
        await transaction.execute(
            "UPDATE contacts SET owner_agent_id = $2, owner_team_id = $3 WHERE id = $1",
            id,
            agent_id,
            team_id,
        )
        await tell_open_conversations(transaction, id, owned, by, agent_id, team_id)


async def _require_owner(agent_id: UUID | None, team_id: UUID | None, *, by: Actor) -> None:
    table, owner = ("agents", agent_id) if agent_id else ("teams", team_id)
    if owner is None:
        return
    # Locked: it cannot go while it becomes an owner.
    found = await fetchrow(
        f"SELECT * FROM {table} WHERE id = $1 AND workspace_id = $2 FOR NO KEY UPDATE",  # noqa: S608 - above
        owner,
        by.workspace_id,
    )
    if found is None:
        raise NotFound(table.removesuffix("s"), path="input.owner")
    if not found["is_active"]:
        raise TargetInactive
    if agent_id is not None and found["role"] not in HOLDERS:
        raise RoleCannotHold(role=found["role"])


async def tell_open_conversations(
    transaction: Transaction,
    id: UUID,
    before: Row,
    by: Actor,
    agent_id: UUID | None,
    team_id: UUID | None,
) -> None:
    """Its owner changed: an event for each open conversation, or one for the contact."""
    opened = await transaction.fetch(
        "SELECT id FROM conversations WHERE contact_id = $1 AND status <> 'CLOSED' ORDER BY id", id
    )
    for conversation_id in [row["id"] for row in opened] or [None]:
        event.record(
            event.Kind.CONTACT_OWNER_SET,
            by=by,
            contact_id=id,
            conversation_id=conversation_id,
            # Not among the ids of who holds it: an owner holds nothing by being one.
            from_owner=before["owner_agent_id"] or before["owner_team_id"],
            to_owner=agent_id or team_id,
        )


class ContactIdentity(Record):
    """How a channel knows a contact: a number, a page-scoped id, a visitor."""

    contact = reference("models.Contact")
    contact_id: UUID
    channel = reference("models.Channel")
    channel_id: UUID
    external_id = fields.CharField(max_length=EXTERNAL_ID_LENGTH_MAX)

    class Meta:
        table = "contact_identities"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who wrote, as the channel tells it."""

    external_id: str
    name: str | None = None
    phone: str | None = None
    email: str | None = None

    def __post_init__(self) -> None:
        """Raise BadUserInput for what the columns do not hold."""
        path = "input.contact"
        require_name(self.external_id, length_max=EXTERNAL_ID_LENGTH_MAX, path=f"{path}.externalId")
        require_length(self.name or "", NAME_LENGTH_MAX, path=f"{path}.name")
        require_length(self.phone or "", PHONE_LENGTH_MAX, path=f"{path}.phone")
        require_length(self.email or "", EMAIL_LENGTH_MAX, path=f"{path}.email")


async def lock_sender(transaction: Transaction, channel_id: UUID, sender: Sender) -> UUID | None:
    """The contact behind an identity, locked until the commit; None before its first message.

    The lock serialises everything that one customer does on any channel: a burst of first
    messages finds one contact, and then one open conversation. Where there is no contact yet,
    nobody else adds it before our commit. Raises Raced when the contact changed while we waited:
    it may have been merged, or the identity given back by a split.
    """
    found = await _locked(transaction, channel_id, sender.external_id)
    if found is not None:
        return found
    await transaction.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
        f"contact_identity {channel_id} {sender.external_id}",
    )
    return await _locked(transaction, channel_id, sender.external_id)


async def _locked(transaction: Transaction, channel_id: UUID, external_id: str) -> UUID | None:
    found = await transaction.fetchrow(
        # A locked row is the newest, what it is joined with is as the statement began.
        """
        SELECT c.id, c.xmin <> before.xmin AS has_changed
        FROM contact_identities i
        JOIN contacts c ON c.id = i.contact_id
        JOIN contacts before ON before.id = i.contact_id
        WHERE i.channel_id = $1 AND i.external_id = $2 FOR NO KEY UPDATE OF c
        """,
        channel_id,
        external_id,
    )
    if found is None:
        return None
    if found["has_changed"]:
        raise Raced
    id: UUID = found["id"]
    return id


async def add_sender(
    transaction: Transaction, channel_id: UUID, sender: Sender, *, by: Actor
) -> UUID:
    """A contact for an identity that `lock_sender` found none for."""
    contact_id = uuid4()
    await transaction.execute(
        """
        WITH contact AS (
            INSERT INTO contacts (id, workspace_id, name, phone, email)
            VALUES ($1, $2, $3, $4, $5)
        )
        INSERT INTO contact_identities (id, workspace_id, contact_id, channel_id, external_id)
        VALUES (gen_random_uuid(), $2, $1, $6, $7)
        """,
        contact_id,
        by.workspace_id,
        (sender.name or "").strip() or sender.external_id,
        sender.phone or None,
        sender.email or None,
        channel_id,
        sender.external_id,
    )
    event.record(event.Kind.CONTACT_CREATED, by=by, contact_id=contact_id, channel_id=channel_id)
    return contact_id
