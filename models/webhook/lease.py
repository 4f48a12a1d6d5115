"""Turns at sending: who may send to which endpoint now, and how that moves its place.

A turn is a lease with an end by the database's clock. It outlives whatever its holder may still
begin, so that two never send to one endpoint at the same time; only one that froze meanwhile
would, and what it did moves nothing, because every statement asks for the lease and the version.
"""

import re
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from models import log
from models.database import Row, fetch, fetchrow, tx
from models.event import Kind
from models.log import COLUMNS
from models.webhook import interruption
from models.webhook.client import REQUEST_SECONDS_MAX, REST_SECONDS_MAX

# A turn begins no request after this, and goes to the end of the line.
TURN_SECONDS_MAX = 5.0
LEASE_SECONDS = 30
# And time to store.
assert LEASE_SECONDS > TURN_SECONDS_MAX + REQUEST_SECONDS_MAX + REST_SECONDS_MAX  # noqa: S101 - constants

# Of the log: read and, where it does not match, passed over at once; by one endpoint, and by all
# of one statement, which has to end long before its time-out however far behind they are.
SCAN_SIZE = 5_000
SCANS_SIZE = 32_000
BATCH_SIZE = 100


class TurnLost(Exception):
    """The endpoint changed, or somebody else has it: what this turn did moves nothing."""


@dataclass(slots=True)
class Turn:
    """The right to send to one endpoint for a while, and what to send next."""

    webhook_id: UUID
    workspace_id: UUID
    lease: UUID
    version: int
    url: str
    secrets: tuple[str, ...]
    attempts: int
    # When it began, by the database's clock, and by this process's, which counts what it froze.
    began_at: datetime
    began: float
    # Everything up to and including it is delivered or did not match.
    place: int
    epoch: UUID
    events: list[Row] = field(default_factory=list)
    # With `events` the place is here.
    read_to: int = 0

    @classmethod
    def of(cls, row: Row, began: float) -> "Turn":
        secrets = (row["secret"], row["previous_secret"])
        return cls(
            webhook_id=row["id"],
            workspace_id=row["workspace_id"],
            lease=row["lease"],
            version=row["version"],
            url=row["url"],
            secrets=tuple(secret for secret in secrets if secret),
            attempts=row["attempts"],
            began_at=row["now"],
            began=began,
            place=row["delivered_seq"],
            epoch=row["epoch"],
        )

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self.began


async def take(
    turns_max: int,
    *,
    failing_max: int,
    workspace_max: int,
    further_max: int,
    held: Mapping[UUID, int],
    workspaces: Collection[UUID] | None = None,
) -> tuple[list[Turn], int]:
    """Turns at endpoints that are owed something, of these workspaces or of all; and how many
    went on without one, and may be owed something now.

    Each workspace has its first before any has its second, whoever waited longest comes first,
    at most `workspace_max` of one are held here at a time, and at most `further_max` are taken
    beside the first of each. At most `failing_max` are taken of those that failed last, which come
    after the others unless they waited for long.
    """
    began = time.monotonic()
    rows = await fetch(
        _TAKE,
        turns_max,
        failing_max,
        workspace_max,
        list(held),
        list(held.values()),
        None if workspaces is None else list(workspaces),
        LEASE_SECONDS,
        further_max,
    )
    taken = [Turn.of(row, began) for row in rows]
    try:
        turns = await _with_work(taken)
    except BaseException:
        with suppress(Exception):  # else the leases lapse
            await _release(taken)
        raise
    return turns, len(taken) - len(turns)


async def read_on(turn: Turn) -> None:
    """Read what follows; raises TurnLost when the log does not follow any more."""
    if turn not in await _read([turn]):
        raise TurnLost


async def store(turn: Turn, *, status_code: int | None) -> None:
    """Keep the place; with a status code, something was accepted. Raises TurnLost."""
    row = await fetchrow(_STORE, turn.webhook_id, turn.lease, turn.version, turn.place, status_code)
    if row is None:
        raise TurnLost


async def release(turn: Turn) -> None:
    """Let others have the endpoint, whatever became of it meanwhile."""
    await _release([turn])


@dataclass(frozen=True, slots=True)
class Left:
    """What is not delivered: to how many endpoints, and how many numbers they have not passed."""

    webhooks: int
    events_behind: int


async def left() -> Left:
    """Of all endpoints that are sent anything, also those that wait after a failure."""
    row = await fetchrow(_LEFT)
    assert row is not None  # noqa: S101 - an aggregate
    return Left(row["webhooks"], row["events_behind"])


async def _release(turns: Sequence[Turn]) -> None:
    await fetch(
        """
        UPDATE webhooks w SET lease = NULL, leased_until = relevo_now()
        FROM unnest($1::uuid[], $2::uuid[]) AS t(id, lease)
        WHERE w.id = t.id AND w.lease = t.lease
        """,
        [turn.webhook_id for turn in turns],
        [turn.lease for turn in turns],
    )


async def _with_work(turns: list[Turn]) -> list[Turn]:
    """Those with something to send, or to wait for; the others go on, or are put back into the
    log, by this.
    """
    there = await _read(turns)
    for turn in turns:
        if turn not in there:
            await interruption.tell(turn.webhook_id)
            await release(turn)
    idle = [turn for turn in there if not turn.events]
    passed = await _pass_over(idle) if idle else set()
    return [turn for turn in there if turn.webhook_id not in passed]


async def _read(turns: Sequence[Turn]) -> list[Turn]:
    """Read what follows the place of each; returns those that are as they were when they were
    taken, and whose place is still in the log.
    """
    if not turns:
        return []
    async with tx() as transaction:
        await transaction.execute(_BY_NUMBER)
        rows = await transaction.fetch(
            _READ,
            [turn.webhook_id for turn in turns],
            [turn.place for turn in turns],
            [turn.version for turn in turns],
            min(SCAN_SIZE, SCANS_SIZE // len(turns)),
            BATCH_SIZE,
            [kind.value for kind in Kind],
        )
    by_id = {turn.webhook_id: turn for turn in turns}
    there: dict[UUID, Turn] = {}
    for turn in turns:
        turn.events = []
    for row in rows:
        turn = by_id[row["webhook_id"]]
        if _is_in_the_log(turn, row):
            there[turn.webhook_id] = turn
            _add(turn, row)
    return list(there.values())


def _is_in_the_log(turn: Turn, row: Row) -> bool:
    is_between = row["floor_seq"] <= turn.place <= row["head_seq"]
    return is_between and log.epoch_of(row) == turn.epoch


def _add(turn: Turn, row: Row) -> None:
    """An event, if anything matched, and how far the log was looked at for it."""
    turn.read_to = row["read_to"]
    if row["seq"] is not None:
        turn.events.append(row)
    if len(turn.events) == BATCH_SIZE:
        turn.read_to = turn.events[-1]["seq"]


async def _pass_over(turns: Sequence[Turn]) -> set[UUID]:
    """Move the places of those that nothing matched for, all at once, and end their turns.

    Whoever is being changed is not waited for, since everybody else would wait too; returns those
    whose turn is over.
    """
    rows = await fetch(
        """
        WITH free AS (
            SELECT id FROM webhooks WHERE id = ANY($1::uuid[]) FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE webhooks w
        SET delivered_seq = CASE WHEN w.version = t.version THEN t.seq ELSE w.delivered_seq END,
            lease = NULL, leased_until = relevo_now()
        FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::bigint[]) AS t(id, lease, version, seq)
        JOIN free USING (id)
        WHERE w.id = t.id AND w.lease = t.lease
        RETURNING w.id
        """,
        [turn.webhook_id for turn in turns],
        [turn.lease for turn in turns],
        [turn.version for turn in turns],
        [turn.read_to for turn in turns],
    )
    return {row["id"] for row in rows}


# Whoever failed last comes after whoever did not, until it was due for so long.
PATIENCE_SECONDS = 30
_COMES_LAST = f"""
    coalesce(w.next_attempt_at > relevo_now() - interval '{PATIENCE_SECONDS} seconds', false)
"""
_IS_FREE = "(w.lease IS NULL OR w.leased_until <= relevo_now())"
_TAKE = f"""
    WITH due AS (
        SELECT w.id, w.leased_until, w.attempts > 0 AS is_failing, {_COMES_LAST} AS comes_last,
               coalesce(h.turns, 0) + row_number() OVER (
                   PARTITION BY w.workspace_id
                   ORDER BY {_COMES_LAST}, w.leased_until NULLS FIRST, w.id) AS rank
        FROM webhooks w JOIN logs l ON l.workspace_id = w.workspace_id
        LEFT JOIN unnest($4::uuid[], $5::bigint[]) AS h(workspace_id, turns)
            ON h.workspace_id = w.workspace_id
        LEFT JOIN LATERAL (
            SELECT seq FROM events
            WHERE workspace_id = w.workspace_id ORDER BY seq DESC LIMIT 1) e ON true
        WHERE w.status = 'ACTIVE' AND {_IS_FREE}
          AND ($6::uuid[] IS NULL OR w.workspace_id = ANY($6))
          AND coalesce(e.seq, l.floor_seq) <> w.delivered_seq
          AND (w.next_attempt_at IS NULL OR w.next_attempt_at <= relevo_now()
               OR w.delivered_seq < l.floor_seq)
    ), chosen AS (
        SELECT id FROM (
            SELECT *, row_number() OVER (
                PARTITION BY rank > 1 ORDER BY rank, comes_last, leased_until NULLS FIRST) AS nth
            FROM (
                SELECT *, row_number() OVER (
                    PARTITION BY is_failing ORDER BY rank, leased_until NULLS FIRST) AS place
                FROM due WHERE rank <= $3) d
            WHERE NOT is_failing OR place <= $2) d
        WHERE rank = 1 OR nth <= $8
        ORDER BY rank, comes_last, leased_until NULLS FIRST LIMIT $1
    ), locked AS (
        SELECT w.id FROM webhooks w
        WHERE w.id IN (SELECT id FROM chosen) AND w.status = 'ACTIVE' AND {_IS_FREE}
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE webhooks w SET lease = gen_random_uuid(),
        leased_until = relevo_now() + make_interval(secs => $7)
    FROM locked WHERE w.id = locked.id
    RETURNING w.id, w.workspace_id, w.lease, w.version, w.url, w.secret, w.attempts,
        w.delivered_seq, w.epoch, relevo_now() AS now,
        CASE WHEN w.previous_secret_until > relevo_now() THEN w.previous_secret END
            AS previous_secret
"""  # noqa: S608 - constants
# What an endpoint's row says its filter is, in the places of `log.Filter.arguments`.
_ARGUMENTS = {
    "$5": "f.kinds",
    "$6": "$6",
    "$7": "f.conversation_id",
    "$8": "f.queue_id",
    "$9": "f.agent_id",
    "$10": "f.ticket_id",
    "$11": "NULL",
}
_MEETS = re.sub(r"\$\d+", lambda found: _ARGUMENTS[found[0]], log.HOLDS)
# Of itself an endpoint is told whatever its filter says.
_IS_ITS_OWN = """
    e.kind IN ('WEBHOOK_TESTED', 'WEBHOOK_UPDATED') AND e.data ->> 'webhook' = w.id::text
    AND (e.kind = 'WEBHOOK_TESTED' OR e.data ? 'interruption')
"""
# The planner takes a stretch for short, and would read and sort all of it for the first few.
_BY_NUMBER = "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off"
_READ = f"""
    SELECT w.id AS webhook_id, l.floor_seq, l.epoch, h.seq AS head_seq,
           least(h.seq, t.place + $4) AS read_to,
           (SELECT system_identifier FROM pg_control_system()) AS cluster,
           (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline,
           {COLUMNS}
    FROM unnest($1::uuid[], $2::bigint[], $3::int[]) AS t(id, place, version)
    JOIN webhooks w ON w.id = t.id AND w.version = t.version
    JOIN logs l ON l.workspace_id = w.workspace_id
    CROSS JOIN LATERAL (
        SELECT coalesce(max(seq), l.floor_seq) AS seq FROM events
        WHERE workspace_id = w.workspace_id) h
    CROSS JOIN LATERAL jsonb_to_record(w.filter) AS f(
        kinds text[], conversation_id uuid, queue_id uuid, agent_id uuid, ticket_id uuid)
    LEFT JOIN LATERAL (
        SELECT e.* FROM events e
        WHERE e.workspace_id = w.workspace_id
          AND e.seq > t.place AND e.seq <= least(h.seq, t.place + $4)
          AND ({_MEETS} OR {_IS_ITS_OWN})
        ORDER BY e.seq LIMIT $5) e ON true
    ORDER BY w.id, e.seq
"""  # noqa: S608 - constants
_STORE = """
    UPDATE webhooks SET delivered_seq = $4,
        attempts = CASE WHEN $5::int IS NULL THEN attempts ELSE 0 END,
        failing_since = CASE WHEN $5 IS NULL THEN failing_since END,
        next_attempt_at = CASE WHEN $5 IS NULL THEN next_attempt_at END,
        failure = CASE WHEN $5 IS NULL THEN failure END,
        status_code = coalesce($5, status_code),
        delivered_at = CASE WHEN $5 IS NULL THEN delivered_at ELSE relevo_now() END
    WHERE id = $1 AND lease = $2 AND version = $3
    RETURNING id
"""
_LEFT = """
    SELECT count(*) AS webhooks, coalesce(sum(e.seq - w.delivered_seq), 0)::bigint AS events_behind
    FROM webhooks w CROSS JOIN LATERAL (
        SELECT seq FROM events WHERE workspace_id = w.workspace_id ORDER BY seq DESC LIMIT 1) e
    WHERE w.status = 'ACTIVE' AND e.seq > w.delivered_seq
"""
