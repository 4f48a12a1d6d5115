"""Conversations that wait for their contact's owner: offered when the owner is back."""

from collections.abc import Iterable
from uuid import UUID

import orjson

from models import assignment, event
from models.access import Actor
from models.assignment import Hold
from models.database import Row, fetch, retrying, tx
from models.decision import Rule, by_hand

BATCH_SIZE_MAX = 50
BATCHES_MAX = 1_000
# Of a conversation `c`: a reservation without an end, or whose end is still to come.
IN_FORCE = """(c.reserved_for_id IS NOT NULL
    AND (c.reserved_until IS NULL OR c.reserved_until > relevo_now()))"""
_IS_BACK = """EXISTS (SELECT FROM agents a JOIN presence_leases l ON l.agent_id = a.id
    WHERE a.id = c.reserved_for_id AND a.is_active AND l.expires_at > relevo_now())"""


async def honour(owners: Iterable[UUID]) -> int:
    """Give owners who are connected what waits for them, whatever their load; returns how many."""
    ids = list(owners)
    given = 0
    for _ in range(BATCHES_MAX if ids else 0):
        batch = await retrying(lambda: _honour(ids))
        given += batch
        if batch < BATCH_SIZE_MAX:
            break
    return given


async def owners_who_are_back(limit: int) -> list[UUID]:
    """Connected owners for whom something still waits: what a crash left undone."""
    rows = await fetch(
        f"""
        SELECT DISTINCT c.reserved_for_id AS id FROM conversations c
        WHERE c.reserved_for_id IS NOT NULL AND {IN_FORCE} AND {_IS_BACK}
        LIMIT $1
        """,  # noqa: S608 - constants
        limit,
    )
    return [row["id"] for row in rows]


async def _honour(owners: list[UUID]) -> int:
    async with tx() as transaction:
        waiting = await transaction.fetch(
            f"""
            SELECT c.id, c.workspace_id, c.contact_id, c.channel_id, c.team_id, c.reserved_for_id,
                   c.decision ->> 'routed' AS routed, relevo_now() AS now
            FROM conversations c
            WHERE c.reserved_for_id = ANY($1) AND c.status = 'QUEUED' AND {IN_FORCE}
              AND {_IS_BACK}
            ORDER BY c.id LIMIT $2 FOR NO KEY UPDATE
            """,  # noqa: S608 - constants
            owners,
            BATCH_SIZE_MAX,
        )
        if not waiting:
            return 0
        await transaction.execute(
            "SELECT FROM agents WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE",
            [row["reserved_for_id"] for row in waiting],
        )
        holds = [_hold(row) for row in waiting]
        await assignment.begin(transaction, holds)
        for row, hold in zip(waiting, holds, strict=True):
            _record(row, hold)
    return len(waiting)


def _hold(row: Row) -> Hold:
    owner = row["reserved_for_id"]
    routed = orjson.loads(row["routed"]) if row["routed"] else None
    return Hold(
        workspace_id=row["workspace_id"],
        conversation_id=row["id"],
        agent_id=owner,
        team_id=row["team_id"],
        rule=Rule.OWNER,
        decision=by_hand(Rule.OWNER, owner, routed),
        at=row["now"],
    )


def _record(row: Row, hold: Hold) -> None:
    event.record(
        event.Kind.CONVERSATION_ASSIGNED,
        by=Actor.system(row["workspace_id"]),
        conversation_id=row["id"],
        contact_id=row["contact_id"],
        channel_id=row["channel_id"],
        from_queue_id=row["team_id"],
        to_agent_id=row["reserved_for_id"],
        from_team_id=row["team_id"],
        to_team_id=row["team_id"],
        rule=hold.rule,
        assignment=hold.id,
    )
