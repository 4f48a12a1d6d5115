"""The replay window: what is older is forgotten, except who changed what was set up.

The floor of a log is the last number that it forgot something of. Above it nothing is missing; at
and below it only the kinds of `event.AUDIT` are kept, so nothing there is in a row. The newest
event is never forgotten, however old: the next number, and the head, are told by it.
"""

from dataclasses import dataclass
from uuid import UUID

from models.database import Transaction, tx
from models.event import AUDIT

EVENT_RETENTION_DAYS = 30

_KEPT = sorted(kind.value for kind in AUDIT)
_WINDOW = f"(SELECT relevo_now() - interval '{EVENT_RETENTION_DAYS} days')"

# The first two events above a floor tell: one alone is the newest. No command locks these rows.
_LOCK_DUE = f"""
    SELECT l.workspace_id FROM logs l
    CROSS JOIN LATERAL (
        SELECT min(logged_at) AS since, count(*) AS events FROM (
            SELECT logged_at FROM events
            WHERE workspace_id = l.workspace_id AND seq > l.floor_seq ORDER BY seq LIMIT 2) two) o
    WHERE o.events = 2 AND o.since < {_WINDOW}
    ORDER BY o.since LIMIT $1 FOR NO KEY UPDATE OF l SKIP LOCKED
"""  # noqa: S608 - constants

# By halving, because time follows the numbers and these have no holes: `low` is too old, or the
# floor, and `high` is not, or the newest.
_LAST_TOO_OLD = f"""
    WITH RECURSIVE search AS (
        SELECT l.workspace_id, l.floor_seq, l.floor_seq AS low,
               least(n.seq, l.floor_seq + $2 + 1) AS high
        FROM logs l
        CROSS JOIN LATERAL (
            SELECT seq FROM events WHERE workspace_id = l.workspace_id
            ORDER BY seq DESC LIMIT 1) n
        WHERE l.workspace_id = ANY($1)
        UNION ALL
        SELECT s.workspace_id, s.floor_seq,
               CASE WHEN e.is_too_old THEN s.middle ELSE s.low END,
               CASE WHEN e.is_too_old THEN s.high ELSE s.middle END
        FROM (SELECT *, (low + high) / 2 AS middle FROM search WHERE high - low > 1) s
        CROSS JOIN LATERAL (
            SELECT logged_at < {_WINDOW} AS is_too_old FROM events
            WHERE workspace_id = s.workspace_id AND seq = s.middle LIMIT 1) e
    )
    SELECT workspace_id, floor_seq, low AS seq FROM search
    WHERE high - low = 1 AND low > floor_seq
    ORDER BY array_position($1, workspace_id)
"""  # noqa: S608 - constants

# The planner cannot know how short these stretches are.
_BY_NUMBER = """
    SET LOCAL enable_seqscan = off;
    SET LOCAL enable_hashjoin = off;
    SET LOCAL enable_mergejoin = off
"""
_FORGET = """
    WITH stretch AS (
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[])
            AS s(workspace_id, floor_seq, seq)
    ), moved AS (
        UPDATE logs l SET floor_seq = s.seq FROM stretch s WHERE l.workspace_id = s.workspace_id
    )
    DELETE FROM events e USING stretch s
    WHERE e.workspace_id = s.workspace_id AND e.seq > s.floor_seq AND e.seq <= s.seq
      AND e.kind <> ALL($4)
"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The numbers of one log above `floor_seq` and up to `seq`."""

    workspace_id: UUID
    floor_seq: int
    seq: int


async def forget_old(batch_size: int) -> int:
    """Move floors over at most so many numbers, the oldest first; returns over how many.

    Fewer than the batch when no more is due. Logs that another worker is at are passed over.
    """
    async with tx() as transaction:
        stretches = await _due(transaction, batch_size)
        if stretches:
            await transaction.execute(_BY_NUMBER)
            await transaction.execute(
                _FORGET,
                [stretch.workspace_id for stretch in stretches],
                [stretch.floor_seq for stretch in stretches],
                [stretch.seq for stretch in stretches],
                _KEPT,
            )
    return sum(stretch.seq - stretch.floor_seq for stretch in stretches)


async def _due(transaction: Transaction, batch_size: int) -> list[Stretch]:
    """What to forget now, of logs that are locked; together no more than the batch."""
    locked = await transaction.fetch(_LOCK_DUE, batch_size)
    if not locked:
        return []
    ids = [row["workspace_id"] for row in locked]
    left = batch_size
    found = []
    # Read again after the lock: another worker may just have moved the floor.
    for row in await transaction.fetch(_LAST_TOO_OLD, ids, batch_size):
        seq = min(row["seq"], row["floor_seq"] + left)
        left -= seq - row["floor_seq"]
        found.append(Stretch(row["workspace_id"], row["floor_seq"], seq))
        if left == 0:
            break
    return found
