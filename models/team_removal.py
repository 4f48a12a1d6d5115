"""Deleting a team: what used it goes to a replacement, what it had goes on, its row stays."""

from typing import Any, cast
from uuid import UUID

from models import decision, event, queue, succession, team_tree, transfer_list
from models.access import Actor, Right
from models.channel import Channel
from models.database import Raced, Transaction, encode, tx
from models.decision import Rule
from models.errors import InUse, NotFound, TargetInactive, TargetNotAllowed, TeamHasChannel
from models.succession import Uses
from models.team import Team, lock_drawing_from
from models.ticket.succession import hand_over
from models.workflow import destination


async def delete(id: UUID, *, by: Actor, replacement_id: UUID | None = None) -> None:
    """Let a team go for good; a replacement of its line takes over its channels, its contacts, its
    conversations, its tickets and its place in workflows.

    Without one, what waits or is with the bot goes where its channel or the Todos say, what is
    held stays held, tickets keep their department, and the groups below move up. A department that
    could hand over to nobody else, or to itself, uses it too. Raises InUse, TargetNotAllowed,
    TargetInactive, TeamHasChannel, TeamInactive, NotFound.
    """
    by.require(Right.CONFIGURE)
    async with tx() as transaction:
        await team_tree.lock(transaction, by.workspace_id)
        uses = await _own_uses(transaction, id, by=by)
        team, replacement = await _locked(transaction, id, replacement_id, by=by)
        await uses.require_all(transaction)
        # In the order of locks: what it has is locked after it, and before anything changes.
        conversation_ids = await _lock_conversations(transaction, id)
        uses = await uses.with_workflows(transaction, by.workspace_id)
        lists = await transfer_list.naming_only(transaction, id, replacement_id)
        if lists or (uses and replacement is None):
            raise InUse("team", departments=succession.counted(lists), **uses.counted())
        if replacement is not None:
            await _require_room(team, replacement)
            await uses.hand_over(transaction, replacement.id, by=by)
            await destination.hand_over(id, replacement.id, by=by)
        await transfer_list.leave(transaction, id, replacement_id, by=by)
        members = await _dissolve(transaction, team)
        event.record(
            event.Kind.TEAM_DELETED,
            by=by,
            from_team_id=id,
            to_team_id=replacement_id,
            # Who they were can be read nowhere else afterwards.
            **cast("dict[str, Any]", {"members": members} if members else {}),
        )
        await _move_on(transaction, conversation_ids, replacement_id, by=by)
        if replacement is not None:
            await hand_over(transaction, "department_id", id, replacement.id, by=by)


async def _own_uses(transaction: Transaction, id: UUID, *, by: Actor) -> Uses:
    if not await Team.exists(id=id, workspace_id=by.workspace_id):
        raise NotFound("team", path="input.teamId")
    return await Uses.locked(transaction, "team", id)


async def _locked(
    transaction: Transaction, id: UUID, replacement_id: UUID | None, *, by: Actor
) -> tuple[Team, Team | None]:
    """Both teams, locked and fit for it."""
    await _lock_teams(transaction, id, [replacement_id] if replacement_id else [], by=by)
    team = await Team.locked(id, by=by)
    if team.is_todos:
        raise TargetNotAllowed("Todos stays.")
    if replacement_id is None:
        return team, None
    replacement = await Team.get_or_none(id=replacement_id, workspace_id=by.workspace_id)
    if replacement is None:
        raise NotFound("team", path="input.replacementId")
    if replacement.id == id or replacement.is_todos or replacement.line is not team.line:
        raise TargetNotAllowed("Another group or department of the same line takes over.")
    if not replacement.is_active:
        raise TargetInactive
    return team, replacement


async def _lock_teams(transaction: Transaction, id: UUID, others: list[UUID], *, by: Actor) -> None:
    """Lock a team, those that its members are candidates of, those that hand over to it, others."""
    lists = await transfer_list.naming(transaction, id)
    await lock_drawing_from(transaction, id, by=by, others=[*lists, *others])
    if not set(await transfer_list.naming(transaction, id)) <= set(lists):
        raise Raced


async def _require_room(team: Team, replacement: Team) -> None:
    """Raise TeamHasChannel when both groups hold one: the replacement would hold two."""
    held = await Channel.filter(sales_team_id=replacement.id).first()
    if held is not None and await Channel.exists(sales_team_id=team.id):
        raise TeamHasChannel(channel_id=held.id, channel_name=held.name)


async def _lock_conversations(transaction: Transaction, id: UUID) -> list[UUID]:
    rows = await transaction.fetch(
        """
        SELECT id FROM conversations WHERE team_id = $1 AND status <> 'CLOSED'
        ORDER BY id FOR NO KEY UPDATE
        """,
        id,
    )
    return [row["id"] for row in rows]


async def _dissolve(transaction: Transaction, team: Team) -> list[UUID]:
    """Take the team out of everything but history; the row keeps its place for that.

    Returns who its members were.
    """
    await transaction.execute("UPDATE teams SET is_active = false WHERE id = $1", team.id)
    members = await transaction.fetch(
        "DELETE FROM memberships WHERE team_id = $1 RETURNING agent_id", team.id
    )
    await transaction.execute(
        "UPDATE teams SET parent_id = $2 WHERE parent_id = $1 AND is_active",
        team.id,
        team.parent_id,
    )
    return [row["agent_id"] for row in members]


async def _move_on(
    transaction: Transaction, ids: list[UUID], replacement_id: UUID | None, *, by: Actor
) -> None:
    """Everything at once: however many wait, nobody sees half of them moved."""
    waiting = await transaction.fetch(
        "SELECT id FROM conversations WHERE id = ANY($1) AND status = 'QUEUED'", ids
    )
    waiting_ids = [row["id"] for row in waiting]
    moved = await succession.requeue(
        transaction, waiting_ids, Rule.TEAM_DELETED, team_id=replacement_id
    )
    succession.record_requeued(event.Kind.CONVERSATION_QUEUED, moved, Rule.TEAM_DELETED, by=by)
    await transaction.execute(
        f"""
        UPDATE conversations c SET version = version + 1,
               team_id = CASE status WHEN 'BOT' THEN coalesce($2, {succession.QUEUE_WITHOUT_TEAM})
                         ELSE $2 END,
               decision = CASE status WHEN 'BOT' THEN $3::text::jsonb ELSE decision END
        WHERE id = ANY($1) AND status <> 'QUEUED'
        """,  # noqa: S608 - a constant
        ids,
        replacement_id,
        encode(decision.with_bot()),
    )
    queue.follow(transaction, teams={row["queue_id"] for row in moved})
