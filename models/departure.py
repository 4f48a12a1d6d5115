"""Agents who leave and come back: what they held, owned and were the target of, and their role."""

from typing import Any
from uuid import UUID

from models import assignment, event, queue, succession
from models.access import HOLDERS, Actor, Right, Role
from models.agent import Agent
from models.assignment import Ending
from models.database import Raced, Row, Transaction, fetch, tx
from models.decision import Rule
from models.errors import InUse, LastAdmin, NotFound, TargetInactive, TargetNotAllowed
from models.succession import Uses, counted
from models.ticket.succession import hand_over
from models.token import revoke_all_of
from models.workflow import destination


async def deactivate(id: UUID, *, by: Actor, replacement_id: UUID | None = None) -> None:
    """End an agent's account: sessions, invitations, presence; what it holds goes back to queues.

    Its memberships stay, out of distribution, for its return, and so do its tickets. A replacement
    becomes target of its channels, owner of its contacts and assignee of its tickets, and workflows
    give to it. Raises InUse, LastAdmin, TargetNotAllowed, TargetInactive, RoleCannotHold,
    AgentInactive, NotFound.
    """
    by.require(Right.CONFIGURE)
    if by.agent_id == id:
        raise TargetNotAllowed("Nobody ends the own account: another administrator does.")
    async with tx() as transaction:
        await _require_known(id, by=by)
        uses = await Uses.locked(transaction, "agent", id)
        conversations = await _lock_conversations(transaction, id)
        agent = await _lock_agents(transaction, id, replacement_id, by=by)
        await uses.require_all(transaction)
        if set(await _conversations(transaction, id)) - set(conversations):
            raise Raced
        await _require_another_admin(agent)
        uses = await uses.with_workflows(transaction, by.workspace_id)
        if replacement_id is not None:
            await _require_replacement(replacement_id, agent, by=by)
            await uses.hand_over(transaction, replacement_id, by=by)
            await destination.hand_over(id, replacement_id, by=by)
        elif uses:
            raise InUse("agent", **uses.counted())
        event.record(
            event.Kind.AGENT_DEACTIVATED, by=by, from_agent_id=id, to_agent_id=replacement_id
        )
        await _end_account(transaction, agent, by=by)
        await _give_back(transaction, conversations, agent, by=by)
        if replacement_id is not None:
            await hand_over(transaction, "assignee_id", id, replacement_id, by=by)


async def reactivate(id: UUID, *, by: Actor) -> None:
    """Let an agent in again; it is a member where it was, and signs in anew."""
    by.require(Right.CONFIGURE)
    async with tx() as transaction:
        agent = await Agent.fetch_one(
            "id = $1 AND workspace_id = $2", id, by.workspace_id, lock=True
        )
        if agent is None:
            raise NotFound("agent", path="input.agentId")
        if agent.is_active:
            return
        agent.is_active = True
        await agent.save(update_fields=["is_active"])
        event.record(event.Kind.AGENT_REACTIVATED, by=by, to_agent_id=id)
        queue.follow(transaction, agents=[id])


async def change(id: UUID, *, by: Actor, **changes: Any) -> None:
    """Change an agent's account, and its role.

    To a role that holds no conversations only who has none, is in no team, is no target and owns
    nothing. Raises InUse, LastAdmin, BadUserInput and what `Agent.change` does.
    """
    role = changes.get("role")
    if role is None:
        await Agent.change(id, by=by, **changes)
        return
    by.require(Right.CONFIGURE)
    if role is Role.ADMIN:
        by.require(Right.GRANT_ACCESS)
    Agent.require_person(role)
    async with tx() as transaction:
        await _require_known(id, by=by)
        uses = await Uses.locked(transaction, "agent", id) if role not in HOLDERS else None
        conversations = await _lock_conversations(transaction, id) if uses is not None else []
        agent = await _lock_agents(transaction, id, None, by=by)
        if role is not Role.ADMIN:
            await _require_another_admin(agent)
        if uses is not None:
            await _require_nothing(transaction, uses, conversations, by.workspace_id)
        await Agent.change(id, by=by, **changes)


async def _require_nothing(
    transaction: Transaction, uses: Uses, conversations: list[UUID], workspace_id: UUID
) -> None:
    await uses.require_all(transaction)
    uses = await uses.with_workflows(transaction, workspace_id)
    held = await _conversations(transaction, uses.id)
    if set(held) - set(conversations):
        raise Raced
    rows = await fetch(
        "SELECT team_id FROM memberships WHERE agent_id = $1 ORDER BY team_id", uses.id
    )
    teams = [row["team_id"] for row in rows]
    if uses or held or teams:
        raise InUse(
            "agent",
            remedy="change them first",
            memberships=counted(teams),
            conversations=counted(held),
            **uses.counted(),
        )


async def _require_known(id: UUID, *, by: Actor) -> None:
    if not await Agent.exists(id=id, workspace_id=by.workspace_id):
        raise NotFound("agent", path="input.agentId")


async def _lock_conversations(transaction: Transaction, agent_id: UUID) -> list[UUID]:
    """What the agent holds, awake or snoozed, and what waits for it."""
    rows = await transaction.fetch(f"{_CONVERSATIONS} FOR NO KEY UPDATE", agent_id)
    return [row["id"] for row in rows]


async def _conversations(transaction: Transaction, agent_id: UUID) -> list[UUID]:
    """The same once the agent is locked: what came meanwhile is too late to be locked."""
    rows = await transaction.fetch(_CONVERSATIONS, agent_id)
    return [row["id"] for row in rows]


_CONVERSATIONS = """
    SELECT id FROM conversations WHERE assignee_id = $1 OR reserved_for_id = $1 ORDER BY id
"""


async def _lock_agents(
    transaction: Transaction, id: UUID, replacement_id: UUID | None, *, by: Actor
) -> Agent:
    """The agent; locked together with whoever replaces it, and with every administrator.

    Two administrators who end each other's accounts wait here, and one of them is the last.
    """
    await transaction.execute(
        """
        SELECT FROM agents WHERE workspace_id = $1
          AND (id = ANY($2) OR (role = 'ADMIN' AND is_active))
        ORDER BY id FOR NO KEY UPDATE
        """,
        by.workspace_id,
        [id, *([replacement_id] if replacement_id else [])],
    )
    return await Agent.locked(id, by=by)


async def _require_another_admin(agent: Agent) -> None:
    others = Agent.filter(workspace_id=agent.workspace_id, role=Role.ADMIN, is_active=True)
    if agent.role is Role.ADMIN and not await others.exclude(id=agent.id).exists():
        raise LastAdmin


async def _require_replacement(id: UUID, agent: Agent, *, by: Actor) -> None:
    replacement = await Agent.get_or_none(id=id, workspace_id=by.workspace_id)
    if replacement is None:
        raise NotFound("agent", path="input.replacementId")
    if id == agent.id:
        raise TargetNotAllowed("Somebody else takes over.")
    if not replacement.is_active:
        raise TargetInactive
    replacement.require_holder()


async def _end_account(transaction: Transaction, agent: Agent, *, by: Actor) -> None:
    await agent.notice_silence()
    await transaction.execute(
        "UPDATE agents SET is_active = false, is_connected = false WHERE id = $1", agent.id
    )
    await transaction.execute("DELETE FROM presence_leases WHERE agent_id = $1", agent.id)
    if agent.is_connected:
        event.record(event.Kind.AGENT_DISCONNECTED, by=by, to_agent_id=agent.id)
    await revoke_all_of(transaction, agent.id, by=by)


async def _give_back(transaction: Transaction, ids: list[UUID], agent: Agent, *, by: Actor) -> None:
    await assignment.end(transaction, ids, Ending.AGENT_LEFT)
    moved = await succession.requeue(
        transaction, ids, Rule.AGENT_DEACTIVATED, released_from=agent.id
    )
    for kind, rows in _by_kind(moved).items():
        succession.record_requeued(kind, rows, Rule.AGENT_DEACTIVATED, by=by)
    queue.follow(transaction, teams={row["queue_id"] for row in moved})


def _by_kind(moved: list[Row]) -> dict[event.Kind, list[Row]]:
    """What it held was taken from it; what waited for it only waits for anybody now."""
    held = [row for row in moved if row["assignee_id"] is not None]
    released = [row for row in moved if row["assignee_id"] is None]
    return {
        event.Kind.CONVERSATION_UNASSIGNED: held,
        event.Kind.CONVERSATION_QUEUED: released,
    }
