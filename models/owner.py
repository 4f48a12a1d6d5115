"""Owners: the agent or the team that a contact belongs to, until somebody says otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from models import event, queue
from models.access import OWNER_SETTERS, Actor, Right
from models.agent import Agent
from models.contact import Contact
from models.database import Row, Transaction, tx
from models.decision import Outcome
from models.errors import BadUserInput, Forbidden, NotFound, TargetInactive
from models.team import Team
from models.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom a contact belongs to: an agent, a team, or nobody."""

    agent_id: UUID | None = None
    team_id: UUID | None = None

    @classmethod
    def of(cls, contact: Row) -> Self:
        return cls(contact["owner_agent_id"], contact["owner_team_id"])

    @classmethod
    def recalled(cls, data: Mapping[str, Any], side: str) -> Self:
        """Who it was by an event's data, before ("from") or afterwards ("to")."""
        text, noun = data.get(f"{side}_owner"), data.get(f"{side}_owner_noun")
        id = UUID(text) if text else None
        # Older events do not say which: as the one of both that it is not, an id names nobody.
        return cls(id if noun != "team" else None, id if noun != "agent" else None)

    def told(self, side: str) -> dict[str, Any]:
        """The same as an event's data."""
        id = self.agent_id or self.team_id
        if id is None:
            return {f"{side}_owner": None}
        return {f"{side}_owner": id, f"{side}_owner_noun": "agent" if self.agent_id else "team"}


async def set_owner(
    id: UUID, *, by: Actor, agent_id: UUID | None = None, team_id: UUID | None = None
) -> None:
    """Make an active agent or an active team the owner of a contact, or nobody.

    It moves no conversation; those that are open are told, and what waited for the owner before
    waits for anybody. Raises NotFound, ContactMerged, TargetInactive, RoleCannotHold,
    BadUserInput, Forbidden.
    """
    await _require_setter(by)
    if agent_id is not None and team_id is not None:
        raise BadUserInput("A contact has one owner: an agent, or a team.")
    async with tx() as transaction:
        contact = await Contact.locked(id, by=by)
        if team_id is not None:
            await _require_team(team_id, by=by)
        opened = await _lock_open_conversations(transaction, id)
        if agent_id is not None:
            await _require_agent(agent_id, by=by)
        before, now = Owner(contact.owner_agent_id, contact.owner_team_id), Owner(agent_id, team_id)
        if before == now:
            return
        await transaction.execute(
            "UPDATE contacts SET owner_agent_id = $2, owner_team_id = $3 WHERE id = $1",
            id,
            agent_id,
            team_id,
        )
        await end_reservations(transaction, id)
        tell(id, opened, by=by, before=before, now=now)


async def tell_open_conversations(
    transaction: Transaction, id: UUID, *, by: Actor, before: Owner, now: Owner
) -> None:
    """The owner of a locked contact changed in another way than by `set_owner`."""
    opened = await _lock_open_conversations(transaction, id)
    tell(id, opened, by=by, before=before, now=now)


async def end_reservations(transaction: Transaction, contact_id: UUID) -> None:
    """Let what waits for others than a locked contact's owner wait for anybody, in its place."""
    freed = await transaction.fetch(
        """
        UPDATE conversations c
        SET reserved_for_id = NULL, reserved_until = NULL, version = version + 1,
            decision = jsonb_set(decision, '{outcome}', to_jsonb($2::text))
        FROM contacts o
        WHERE o.id = $1 AND c.contact_id = o.id AND c.reserved_for_id IS NOT NULL
          AND c.reserved_for_id IS DISTINCT FROM o.owner_agent_id
        RETURNING c.team_id
        """,
        contact_id,
        Outcome.WAITING_FOR_PICK.value,
    )
    if freed:
        queue.follow(transaction, teams=[row["team_id"] for row in freed])


async def _require_setter(by: Actor) -> None:
    """Some roles always may; others where their workspace says so."""
    if by.may(Right.SET_OWNERS):
        return
    if by.agent_id is None or by.role not in OWNER_SETTERS:
        raise Forbidden(Right.SET_OWNERS.value)
    if by.role not in (await Workspace.get(id=by.workspace_id)).owner_setters:
        raise Forbidden(Right.SET_OWNERS.value)


async def _require_team(id: UUID, *, by: Actor) -> None:
    # Locked, so that nobody deletes it before the contact is its own.
    if not (await Team.lock(id, by=by)).is_active:
        raise TargetInactive


async def _require_agent(id: UUID, *, by: Actor) -> None:
    found = await Agent.fetch_one("id = $1 AND workspace_id = $2", id, by.workspace_id, lock=True)
    if found is None:
        raise NotFound("agent", path="input.agentId")
    if not found.is_active:
        raise TargetInactive
    found.require_holder()


async def _lock_open_conversations(transaction: Transaction, contact_id: UUID) -> list[Row]:
    return await transaction.fetch(
        """
        SELECT id, channel_id, team_id, assignee_id, status = 'QUEUED' AS waits
        FROM conversations WHERE contact_id = $1 AND status <> 'CLOSED'
        ORDER BY id FOR NO KEY UPDATE
        """,
        contact_id,
    )


def tell(contact_id: UUID, opened: list[Row], *, by: Actor, before: Owner, now: Owner) -> None:
    """One event for each open conversation, where it is, or one for the contact without any."""
    owners = {**before.told("from"), **now.told("to")}
    for row in opened:
        queue_id = row["team_id"] if row["waits"] else None
        event.record(
            event.Kind.CONTACT_OWNER_SET,
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
            **owners,
        )
    if not opened:
        event.record(event.Kind.CONTACT_OWNER_SET, by=by, contact_id=contact_id, **owners)
