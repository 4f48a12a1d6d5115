"""Identities: how channels know a contact, and who is behind a message that came in."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from tortoise import fields

from models import event
from models.access import Actor
from models.base import NAME_LENGTH_MAX, Record, reference, require_length, require_name
from models.database import Raced, Transaction
from models.errors import BadUserInput, LimitReached, NotFound

EXTERNAL_ID_LENGTH_MAX = 200
PHONE_LENGTH_MAX = 40
EMAIL_LENGTH_MAX = 254
# Of one contact; merging may leave more together.
IDENTITIES_MAX = 50
# What people write between the digits of a telephone number.
_between_digits = re.compile(r"[\s().\-/]+")


class ContactIdentity(Record):
    """How a channel knows a contact: a number, a page-scoped id, a visitor."""

    contact = reference("models.Contact")
    contact_id: UUID
    channel = reference("models.Channel")
    channel_id: UUID
    external_id = fields.CharField(max_length=EXTERNAL_ID_LENGTH_MAX)

    class Meta:
        table = "contact_identities"


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """A channel, and what it calls somebody."""

    channel_id: UUID
    external_id: str

    def __post_init__(self) -> None:
        """Raise BadUserInput for what the column does not hold."""
        path = "input.identities.externalId"
        require_name(self.external_id, length_max=EXTERNAL_ID_LENGTH_MAX, path=path)


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
        require_reachable(self.phone, self.email, path=path)


def require_reachable(phone: str | None, email: str | None, *, path: str = "input") -> None:
    """Raise BadUserInput unless a telephone number and an address fit their columns."""
    require_length(phone or "", PHONE_LENGTH_MAX, path=f"{path}.phone")
    require_length(email or "", EMAIL_LENGTH_MAX, path=f"{path}.email")


def dialled(phone: str | None) -> str | None:
    """A telephone number without what is written between its digits; None for an empty one."""
    return _between_digits.sub("", phone or "") or None


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
    await claim(transaction, [Identity(channel_id, sender.external_id)])
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


async def require_own_channels(
    transaction: Transaction, identities: Iterable[Identity], *, by: Actor
) -> None:
    """Raise NotFound unless all these channels are of the actor's workspace.

    Comes before `claim`: nobody learns of, or waits for, what another workspace knows.
    """
    named = {identity.channel_id for identity in identities}
    if not named:
        return
    own: int = await transaction.fetchval(
        "SELECT count(*) FROM channels WHERE id = ANY($1) AND workspace_id = $2",
        list(named),
        by.workspace_id,
    )
    if own < len(named):
        raise NotFound("channel", path="input.identities")


async def claim(transaction: Transaction, identities: Iterable[Identity]) -> None:
    """Let nobody else give these identities to a contact before our commit.

    Comes before the lock of any contact, as it does when a message comes in.
    """
    for identity in sorted(set(identities)):
        await transaction.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
            f"contact_identity {identity.channel_id} {identity.external_id}",
        )


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
        dialled(sender.phone),
        sender.email or None,
        channel_id,
        sender.external_id,
    )
    event.record(event.Kind.CONTACT_CREATED, by=by, contact_id=contact_id, channel_id=channel_id)
    return contact_id


async def holders(
    transaction: Transaction, identities: Sequence[Identity], *, by: Actor
) -> dict[Identity, UUID]:
    """Which of these claimed identities belong to a contact already, and to which."""
    rows = await transaction.fetch(
        f"""
        SELECT i.contact_id, i.channel_id, i.external_id FROM contact_identities i
        JOIN {_GIVEN} USING (channel_id, external_id) WHERE i.workspace_id = $3
        """,  # noqa: S608 - a constant
        *_columns(identities),
        by.workspace_id,
    )
    return {Identity(row["channel_id"], row["external_id"]): row["contact_id"] for row in rows}


async def attach(
    transaction: Transaction, contact_id: UUID, identities: Sequence[Identity], *, by: Actor
) -> None:
    """Give claimed identities that nobody has to a contact; raises LimitReached."""
    known: int = await transaction.fetchval(
        "SELECT count(*) FROM contact_identities WHERE contact_id = $1", contact_id
    )
    if known + len(identities) > IDENTITIES_MAX:
        raise LimitReached("identities of a contact", limit=IDENTITIES_MAX)
    await transaction.execute(
        f"""
        INSERT INTO contact_identities (id, workspace_id, contact_id, channel_id, external_id)
        SELECT gen_random_uuid(), $3, $4, channel_id, external_id FROM {_GIVEN}
        """,  # noqa: S608 - a constant
        *_columns(identities),
        by.workspace_id,
        contact_id,
    )


async def detach(
    transaction: Transaction, contact_id: UUID, identities: Sequence[Identity]
) -> None:
    """Take identities from a locked contact; raises NotFound for one that it does not have."""
    gone = await transaction.fetch(
        f"""
        DELETE FROM contact_identities i USING {_GIVEN}
        WHERE i.contact_id = $3 AND i.channel_id = given.channel_id
          AND i.external_id = given.external_id
        RETURNING i.id
        """,  # noqa: S608 - a constant
        *_columns(identities),
        contact_id,
    )
    if len(gone) < len(identities):
        raise NotFound("identity of this contact", path="input.removeIdentities")


def distinct(identities: Iterable[Identity], *, path: str) -> list[Identity]:
    """Each once; raises BadUserInput for more than a contact can have."""
    found = sorted(set(identities))
    if len(found) > IDENTITIES_MAX:
        raise BadUserInput(f"Name at most {IDENTITIES_MAX} identities at once.", path=path)
    return found


_GIVEN = "unnest($1::uuid[], $2::text[]) AS given(channel_id, external_id)"


def _columns(identities: Sequence[Identity]) -> tuple[list[UUID], list[str]]:
    return [each.channel_id for each in identities], [each.external_id for each in identities]
