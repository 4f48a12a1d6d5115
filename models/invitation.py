"""Invitations: a secret, shown once, with which a person chooses the own password."""

import asyncio
from datetime import timedelta
from uuid import UUID

from models import event
from models.access import Actor, ActorKind, Right, Role
from models.agent import CAPACITY_DEFAULT, Agent, hash_password
from models.database import Row, fetchrow, tx
from models.errors import BadUserInput, InvitationInvalid
from models.token import Token, TokenKind, digest, revoke_all_of

INVITATION_DAYS = 7


async def invite(
    id: UUID | None,
    *,
    by: Actor,
    name: str | None = None,
    email: str | None = None,
    role: Role = Role.AGENT,
    capacity: int = CAPACITY_DEFAULT,
) -> tuple[Token, str]:
    """An invitation for an active agent, or for a new one, and its secret; an older one ends.

    Raises NotFound, AgentInactive, BadUserInput and what creating an agent does.
    """
    by.require(Right.GRANT_ACCESS)
    if id is not None and (name is not None or email is not None):
        raise BadUserInput("Who is there has a name and an address.", path="input.agentId")
    async with tx() as transaction:
        if id is None:
            if name is None or email is None:
                raise BadUserInput("A new agent has a name and an address.", path="input.email")
            added = await Agent.add(by=by, name=name, email=email, role=role, capacity=capacity)
            id = added.id
        # The agent's lock keeps two invitations apart.
        await Agent.locked(id, by=by)
        await revoke_all_of(transaction, id, by=by, kinds=[TokenKind.INVITATION])
        return await Token.invite(id, by=by, lifetime=timedelta(days=INVITATION_DAYS))


async def reset_password(secret: str, password: str) -> Agent:
    """Set the password of whoever was invited; the invitation and all its sessions end.

    Raises InvitationInvalid, the same and after the same work for one that is unknown, used,
    replaced or too old; BadUserInput for a password that cannot be one.
    """
    hashed = await asyncio.to_thread(hash_password, password)
    async with tx() as transaction:
        invited = await _live(secret)
        if invited is None:
            raise InvitationInvalid
        agent = await Agent.fetch_one("id = $1", invited["agent_id"], lock=True)
        # Read again under the agent's lock: of two who use it at once, one is too late.
        if agent is None or not agent.is_active or await _live(secret) is None:
            raise InvitationInvalid
        by = Actor(ActorKind.AGENT, agent.workspace_id, agent.id, agent.role)
        agent.password_hash = hashed
        await agent.save(update_fields=["password_hash"])
        event.record(event.Kind.AGENT_PASSWORD_SET, by=by, to_agent_id=agent.id)
        await revoke_all_of(transaction, agent.id, by=by)
    return agent


async def _live(secret: str) -> Row | None:
    return await fetchrow(
        """
        SELECT agent_id FROM tokens
        WHERE digest = $1 AND kind = 'INVITATION' AND revoked_at IS NULL
          AND expires_at > relevo_now()
        """,
        digest(secret),
    )
