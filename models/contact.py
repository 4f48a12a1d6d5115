"""Contacts: the customers, who may see and change them, and what is known of them."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from tortoise import fields
from tortoise.expressions import RawSQL
from tortoise.queryset import QuerySet

from models import contact_field, event, identity
from models.access import Actor, Right
from models.base import NAME_LENGTH_MAX, Record, reference, require_name
from models.database import Transaction, tx
from models.errors import ContactMerged, Forbidden, IdentityTaken, NotFound
from models.identity import EMAIL_LENGTH_MAX, PHONE_LENGTH_MAX, Identity
from models.visibility import Visibility, quoted

Values = Iterable[tuple[UUID, str | None]]


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
    async def add(
        cls,
        *,
        by: Actor,
        name: str,
        phone: str | None = None,
        email: str | None = None,
        identities: Iterable[Identity] = (),
        values: Values = (),
    ) -> "Contact":
        """Create a contact who has not written yet.

        Raises IdentityTaken (naming the contact that has it), NotFound, FieldValueInvalid,
        BadUserInput, Forbidden.
        """
        by.require(Right.EDIT_CONTACTS)
        require_name(name)
        identity.require_reachable(phone, email)
        known = identity.distinct(identities, path="input.identities")
        async with tx() as transaction:
            await identity.require_own_channels(transaction, known, by=by)
            await identity.claim(transaction, known)
            contact = await cls.create(
                workspace_id=by.workspace_id,
                name=name,
                phone=identity.dialled(phone),
                email=email or None,
                field_values=await contact_field.written({}, values, by=by),
            )
            await contact._attach(transaction, known, by=by)
            event.record(event.Kind.CONTACT_CREATED, by=by, contact_id=contact.id)
        return contact

    @classmethod
    async def change(
        cls,
        id: UUID,
        *,
        by: Actor,
        added: Iterable[Identity] = (),
        removed: Iterable[Identity] = (),
        values: Values = (),
        **changes: Any,
    ) -> None:
        """Change name, phone, e-mail, the values given, and by what channels know the contact.

        Raises IdentityTaken (naming the contact that has it), NotFound, ContactMerged,
        FieldValueInvalid, LimitReached, BadUserInput, Forbidden.
        """
        require_name(changes.get("name", "unchanged"))
        identity.require_reachable(changes.get("phone"), changes.get("email"))
        coming = identity.distinct(added, path="input.addIdentities")
        going = identity.distinct(removed, path="input.removeIdentities")
        async with tx() as transaction:
            await identity.require_own_channels(transaction, coming, by=by)
            await identity.claim(transaction, coming)
            contact = await cls.locked(id, by=by)
            contact._require_editor(by)
            changes["field_values"] = await contact_field.written(
                contact.field_values, values, by=by
            )
            changed = contact._differing(changes)
            if going:
                await identity.detach(transaction, id, going)
            attached = await contact._attach(transaction, coming, by=by)
            if changed:
                await contact.update_from_dict(changed).save(update_fields=list(changed))
            if changed or going or attached:
                parts = [*changed, *(["identities"] if going or attached else [])]
                event.record(event.Kind.CONTACT_UPDATED, by=by, contact_id=id, changed=parts)

    @classmethod
    async def visible_to(cls, actor: Actor, *, merged: bool = False) -> QuerySet["Contact"]:
        """Those who may read contacts see all; an agent its own and of conversations it sees.

        What was `merged` into another is in no list, but those who read all still find it.
        """
        within = cls.filter(workspace_id=actor.workspace_id)
        if not merged:
            within = within.filter(merged_into_id__isnull=True)
        if cls.are_all_visible_to(actor):
            return within
        if actor.agent_id is None:
            return cls.filter(id__in=[])
        return within.annotate(is_seen=RawSQL(await cls.sight(actor))).filter(is_seen=True)

    @classmethod
    def are_all_visible_to(cls, actor: Actor) -> bool:
        return actor.may(Right.READ_CONTACTS) or actor.may(Right.SEE_ALL)

    @classmethod
    async def sight(cls, actor: Actor) -> str:
        """What a row of "contacts" must meet for an actor of its workspace to see it."""
        return cls.sight_of(actor, await Visibility.of(actor))

    @classmethod
    def sight_of(cls, actor: Actor, seen: Visibility) -> str:
        """The same of an actor whose conversations are known."""
        if cls.are_all_visible_to(actor):
            return "true"
        if actor.agent_id is None:
            return "false"
        return f"""("contacts"."owner_agent_id" = {quoted(actor.agent_id)} OR EXISTS (
            SELECT FROM conversations c
            WHERE c.contact_id = "contacts"."id" AND {seen.literal}))"""

    @classmethod
    async def locked(cls, id: UUID, *, by: Actor, path: str = "input.contactId") -> "Contact":
        """The contact, locked for the rest of the transaction; raises NotFound, ContactMerged."""
        found = await cls.fetch_one("id = $1 AND workspace_id = $2", id, by.workspace_id, lock=True)
        if found is None or not await found._is_visible_to(by):
            raise NotFound("contact", path=path)
        if found.merged_into_id is not None:
            raise ContactMerged(contact_id=found.merged_into_id)
        return found

    def _require_editor(self, by: Actor) -> None:
        """Agents edit what they see; others need the right."""
        if not by.may(Right.EDIT_CONTACTS) and not by.may(Right.HOLD_CONVERSATIONS):
            raise Forbidden(Right.EDIT_CONTACTS.value)

    async def _is_visible_to(self, by: Actor) -> bool:
        if self.are_all_visible_to(by):
            return True
        return await (await type(self).visible_to(by)).filter(id=self.id).exists()

    def _differing(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The changes as they are stored, without those that change nothing."""
        stored = dict(changes)
        if "phone" in stored:
            stored["phone"] = identity.dialled(stored["phone"])
        if "email" in stored:
            stored["email"] = stored["email"] or None
        return {name: to for name, to in stored.items() if to != getattr(self, name)}

    async def _attach(
        self, transaction: Transaction, identities: list[Identity], *, by: Actor
    ) -> list[Identity]:
        """Give claimed identities to this contact; returns those that it did not have."""
        if not identities:
            return []
        held = await identity.holders(transaction, identities, by=by)
        for taken, holder_id in held.items():
            if holder_id != self.id:
                holder = await (await type(self).visible_to(by)).get_or_none(id=holder_id)
                # Whoever does not see the other one learns only that there is one.
                named = None if holder is None else holder.id
                raise IdentityTaken(contact_id=named, channel_id=taken.channel_id)
        coming = [each for each in identities if each not in held]
        if coming:
            await identity.attach(transaction, self.id, coming, by=by)
        return coming
