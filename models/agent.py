"""Agents: people who sign in, with a role, an availability and a capacity."""

import asyncio
import secrets
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from tortoise import fields
from tortoise.exceptions import IntegrityError
from tortoise.queryset import QuerySet

from models import event, idle_policy, queue
from models.access import HOLDERS, Actor, ActorKind, Right, Role
from models.base import NAME_LENGTH_MAX, IdlePeriod, Record, require_name
from models.database import fetch, fetchval, tx
from models.decision import Availability
from models.errors import (
    AgentInactive,
    BadUserInput,
    CapacityOutOfRange,
    EmailTaken,
    Forbidden,
    NotFound,
    RoleCannotHold,
)
from models.hours import require_known_zone

CAPACITY_DEFAULT = 20
CAPACITY_MAX = 10_000
EMAIL_LENGTH_MAX = 254
PASSWORD_LENGTH_MIN = 8
PASSWORD_LENGTH_MAX = 1_024
LEASE_SECONDS = 60
DEVICE_LENGTH_MAX = 100
LEASES_KEPT_SECONDS = 3_600

# The library's defaults follow RFC 9106's second choice for machines that also serve requests.
_hasher = PasswordHasher()


class Agent(Record):
    """A person who signs in and holds conversations."""

    name = fields.CharField(max_length=NAME_LENGTH_MAX)
    email = fields.CharField(max_length=EMAIL_LENGTH_MAX)
    password_hash = fields.CharField(max_length=200, null=True)
    role = fields.CharEnumField(Role, max_length=16, default=Role.AGENT)
    is_active = fields.BooleanField(default=True)
    # What it said last; until a device is connected it counts as OFFLINE all the same.
    availability = fields.CharEnumField(Availability, max_length=16, default=Availability.ONLINE)
    accepts_new = fields.BooleanField(default=True)
    # Whether a lease was live when somebody last looked; leases themselves decide eligibility.
    is_connected = fields.BooleanField(default=False)
    capacity = fields.IntField(default=CAPACITY_DEFAULT)
    load = fields.IntField(default=0)
    last_assigned_at: datetime | None = fields.DatetimeField(null=True)
    idle_period_days = fields.IntEnumField(IdlePeriod, null=True)
    business_hours: dict[str, Any] | None = fields.JSONField(null=True)

    class Meta:
        table = "agents"

    @classmethod
    async def add(
        cls,
        *,
        by: Actor,
        name: str,
        email: str,
        password: str | None = None,
        role: Role = Role.AGENT,
        capacity: int = CAPACITY_DEFAULT,
    ) -> "Agent":
        """Create an agent; raises EmailTaken (addresses are unique over the installation).

        No integration gives itself a person's rights: only people choose passwords.
        """
        by.require(Right.CONFIGURE)
        if password is not None or role is Role.ADMIN:
            by.require(Right.GRANT_ACCESS)
        require_name(name)
        email = email.strip().lower()
        require_name(email, length_max=EMAIL_LENGTH_MAX, path="input.email")
        _require_capacity(capacity)
        cls.require_person(role)
        hashed = None if password is None else await asyncio.to_thread(hash_password, password)
        async with tx() as transaction:
            try:
                agent = await cls.create(
                    workspace_id=by.workspace_id,
                    name=name,
                    email=email,
                    password_hash=hashed,
                    role=role,
                    capacity=capacity,
                )
            except IntegrityError as error:
                if "agents_email_once" not in str(error):
                    raise
                raise EmailTaken from error
            event.record(event.Kind.AGENT_CREATED, by=by, to_agent_id=agent.id)
            # A member of Todos from its first moment.
            queue.follow(transaction, agents=[agent.id])
        return agent

    @classmethod
    def visible_to(cls, actor: Actor) -> QuerySet["Agent"]:
        within = cls.filter(workspace_id=actor.workspace_id)
        return within if cls.are_visible_to(actor) else cls.filter(id__in=[])

    @classmethod
    def are_visible_to(cls, actor: Actor) -> bool:
        """Colleagues see each other; an integration needs a scope that shows agents."""
        rights = (Right.READ_SETTINGS, Right.SEE_ALL, Right.SET_OTHERS_AVAILABILITY)
        return any(actor.may(right) for right in rights)

    @classmethod
    async def locked(cls, id: UUID, *, by: Actor) -> "Agent":
        """The agent, locked for the rest of the transaction; raises NotFound, AgentInactive."""
        agent = await cls.fetch_one("id = $1 AND workspace_id = $2", id, by.workspace_id, lock=True)
        if agent is None:
            raise NotFound("agent", path="input.agentId")
        if not agent.is_active:
            raise AgentInactive(agent_id=id)
        return agent

    @classmethod
    async def locked_to_hold(cls, id: UUID, *, by: Actor) -> "Agent":
        """The agent, locked, who is to hold a conversation; raises RoleCannotHold too."""
        agent = await cls.locked(id, by=by)
        agent.require_holder()
        return agent

    @classmethod
    def require_person(cls, role: Role) -> None:
        """Raise BadUserInput unless a person can have this role."""
        if role is Role.INTEGRATION:
            raise BadUserInput("An agent is a person: scripts have tokens.", path="input.role")

    def require_holder(self) -> None:
        """Raise RoleCannotHold unless this role holds conversations."""
        if self.role not in HOLDERS:
            raise RoleCannotHold(role=self.role)

    @classmethod
    async def require_stand_in(cls, id: UUID, *, by: Actor) -> None:
        """Raise unless the actor may act for this agent: people work elsewhere, and an integration
        tells us. Raises Forbidden, NotFound.
        """
        if by.kind is not ActorKind.INTEGRATION:
            raise Forbidden("act for somebody else")
        known = await fetchval(
            "SELECT EXISTS (SELECT FROM agents WHERE id = $1 AND workspace_id = $2)",
            id,
            by.workspace_id,
        )
        if not known:
            raise NotFound("agent", path="input.onBehalfOf")

    async def has_live_lease(self) -> bool:
        """Whether a device is connected now, whoever looked last."""
        return bool(
            await fetchval(
                """
                SELECT EXISTS (SELECT FROM presence_leases
                               WHERE agent_id = $1 AND expires_at > relevo_now())
                """,
                self.id,
            )
        )

    @classmethod
    def nobody(cls) -> "Agent":
        """An agent that no password fits, to spend the same time on an unknown address."""
        return cls(password_hash=_nobodys_hash())

    def accepts_password(self, password: str) -> bool:
        """Compare in the hash's own constant time; about 50 ms of CPU."""
        if self.password_hash is None or len(password) > PASSWORD_LENGTH_MAX:
            return False
        try:
            return _hasher.verify(self.password_hash, password)
        except (VerifyMismatchError, InvalidHashError):
            return False

    @classmethod
    async def set_availability(
        cls,
        id: UUID,
        *,
        by: Actor,
        availability: Availability | None = None,
        accepts_new: bool | None = None,
    ) -> None:
        """Say whether the agent works and takes new conversations; open ones stay with it."""
        _require_presence(by, id)
        async with tx() as transaction:
            agent = await cls.locked(id, by=by)
            await agent.notice_silence()
            changed: dict[str, Any] = {
                name: value
                for name, value in (("availability", availability), ("accepts_new", accepts_new))
                if value is not None and value != getattr(agent, name)
            }
            if not changed:
                return
            await agent.update_from_dict(changed).save(update_fields=list(changed))
            event.record(event.Kind.AGENT_AVAILABILITY_CHANGED, by=by, to_agent_id=id, **changed)
            queue.follow(transaction, agents=[id])

    @classmethod
    async def change(
        cls, id: UUID, *, by: Actor, preview_token: str | None = None, **changes: Any
    ) -> None:
        """Change name, capacity or idle period; a shorter one takes the token of its preview.

        Raises CapacityOutOfRange, PreviewRequired, PreviewStale.
        """
        by.require(Right.CONFIGURE)
        require_name(changes.get("name", "unchanged"))
        _require_capacity(changes.get("capacity", CAPACITY_DEFAULT))
        await require_known_zone(changes.get("business_hours"))
        async with tx() as transaction:
            agent = await cls.locked(id, by=by)
            changed = {name: to for name, to in changes.items() if to != getattr(agent, name)}
            if not changed:
                return
            if "idle_period_days" in changed:
                whose = idle_policy.Whose(by.workspace_id, agent_id=id)
                await idle_policy.require_seen(whose, changed["idle_period_days"], preview_token)
            await agent.update_from_dict(changed).save(update_fields=list(changed))
            event.record(event.Kind.AGENT_UPDATED, by=by, to_agent_id=id, **event.told(changed))
            queue.follow(transaction, agents=[id])

    @classmethod
    async def beat(cls, id: UUID, *, by: Actor, device: str) -> None:
        """Keep a device's presence lease alive; the first lease connects the agent."""
        _require_presence(by, id)
        require_name(device, length_max=DEVICE_LENGTH_MAX, path="input.device")
        async with tx() as transaction:
            agent = await cls.locked(id, by=by)
            # A lease that ran out has kept work away, even if nobody has looked since.
            lapsed = await agent.notice_silence()
            await transaction.execute(
                """
                INSERT INTO presence_leases (workspace_id, agent_id, device, expires_at)
                VALUES ($1, $2, $3, relevo_now() + make_interval(secs => $4))
                ON CONFLICT (agent_id, device) DO UPDATE SET expires_at = excluded.expires_at
                """,
                by.workspace_id,
                id,
                device,
                LEASE_SECONDS,
            )
            if lapsed:
                queue.follow(transaction, agents=[id], returned=[id])
            if not agent.is_connected:
                agent.is_connected = True
                await agent.save(update_fields=["is_connected"])
                event.record(event.Kind.AGENT_CONNECTED, by=by, to_agent_id=id)

    async def notice_silence(self) -> bool:
        """Whether no device of a locked agent is connected; the log tells since when it is not."""
        rows = await fetch(
            f"SELECT {_LAST_LEASE_ENDS} AS since FROM agents a WHERE a.id = $1 AND {_SILENT}",  # noqa: S608 - constants
            self.id,
        )
        if rows and self.is_connected:
            self.is_connected = False
            await self.save(update_fields=["is_connected"])
            _record_silence(self.id, self.workspace_id, rows[0]["since"])
        return bool(rows)


async def lapse_presence(batch_size: int) -> int:
    """Disconnect agents whose last lease has run out; returns how many.

    A beat takes the agent's lock too, so the leases are read again once the lock is held: a beat
    that came first wins. Of who counts as connected the last lease is kept, however long ago it
    ran out: it tells since when the agent is silent.
    """
    async with tx() as transaction:
        silent = await transaction.fetch(
            f"""
            SELECT a.id FROM agents a WHERE a.is_connected AND {_SILENT}
            ORDER BY a.id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
            """,  # noqa: S608 - a constant
            batch_size,
        )
        lapsed = await transaction.fetch(
            f"""
            UPDATE agents a SET is_connected = false WHERE a.id = ANY($1) AND {_SILENT}
            RETURNING a.id, a.workspace_id, {_LAST_LEASE_ENDS} AS since
            """,  # noqa: S608 - a constant
            [row["id"] for row in silent],
        )
        for row in lapsed:
            _record_silence(row["id"], row["workspace_id"], row["since"])
        await transaction.execute(
            """
            DELETE FROM presence_leases WHERE (agent_id, device) IN (
                SELECT l.agent_id, l.device FROM presence_leases l
                JOIN agents a ON a.id = l.agent_id
                WHERE l.expires_at < relevo_now() - make_interval(secs => $1)
                  AND (NOT a.is_connected OR EXISTS (
                      SELECT FROM presence_leases o
                      WHERE o.agent_id = a.id AND o.expires_at > l.expires_at))
                ORDER BY l.expires_at LIMIT $2 FOR UPDATE OF l SKIP LOCKED)
            """,
            LEASES_KEPT_SECONDS,
            batch_size,
        )
    return len(lapsed)


_SILENT = """NOT EXISTS (SELECT FROM presence_leases l
    WHERE l.agent_id = a.id AND l.expires_at > relevo_now())"""
# When the last lease of an agent `a` ran out, or will.
_LAST_LEASE_ENDS = """(SELECT max(l.expires_at) FROM presence_leases l WHERE l.agent_id = a.id)"""

# When the first connected agent falls silent, if it does within the interval $1.
NEXT_SILENCE = f"""
    SELECT min({_LAST_LEASE_ENDS}) AS due_at FROM agents a
    WHERE a.is_connected AND NOT EXISTS (SELECT FROM presence_leases l
        WHERE l.agent_id = a.id AND l.expires_at > (SELECT relevo_now() + $1::interval))
"""  # noqa: S608 - constants


def _record_silence(id: UUID, workspace_id: UUID, since: datetime | None) -> None:
    by = Actor.system(workspace_id)
    event.record(event.Kind.AGENT_DISCONNECTED, by=by, to_agent_id=id, since=since)


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_urlsafe(32))


def _require_presence(actor: Actor, agent_id: UUID) -> None:
    """One's own availability is one's own, for whoever holds conversations."""
    if actor.agent_id != agent_id:
        actor.require(Right.SET_OTHERS_AVAILABILITY)
    elif not actor.may(Right.SET_OTHERS_AVAILABILITY):
        actor.require(Right.SET_OWN_AVAILABILITY)


def hash_password(password: str) -> str:
    """What is stored of a password, 50 ms of CPU later; raises BadUserInput for its length."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise BadUserInput(
            f"A password has {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters.",
            path="input.password",
        )
    return _hasher.hash(password)


def _require_capacity(capacity: int) -> None:
    if not 0 <= capacity <= CAPACITY_MAX:
        raise CapacityOutOfRange(capacity_max=CAPACITY_MAX)
