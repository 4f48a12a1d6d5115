"""One look at the logs of several workspaces: what is new in each, and which cannot go on."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from models import log
from models.database import fetch
from models.log import COLUMNS, Event


@dataclass(frozen=True, slots=True)
class Look:
    """What was found, in which server: another one may tell another history."""

    server: datetime
    events: Mapping[UUID, list[Event]]
    # Whose log is another one now, or has forgotten what was not read yet.
    strayed: frozenset[UUID]
    is_all: bool


async def look(after: Mapping[UUID, tuple[int, UUID]]) -> Look:
    """What follows a number of each log, as long as it is the history that it was.

    In one statement, so that nothing of another history is ever taken for the next of this one.
    """
    rows = await fetch(
        f"""
        SELECT s.server, x.* FROM (SELECT pg_postmaster_start_time() AS server) s
        LEFT JOIN (
            SELECT w.id AS asked, l.epoch IS DISTINCT FROM w.history OR l.floor_seq > w.last
                       AS has_strayed, {COLUMNS}
            FROM unnest($1::uuid[], $2::bigint[], $3::uuid[]) AS w(id, last, history)
            LEFT JOIN logs l ON l.workspace_id = w.id
            LEFT JOIN LATERAL (
                SELECT * FROM events WHERE workspace_id = w.id AND seq > w.last
                ORDER BY seq LIMIT $4) e ON true
            WHERE e.seq IS NOT NULL OR l.epoch IS DISTINCT FROM w.history OR l.floor_seq > w.last
        ) x ON true
        ORDER BY x.asked, x.seq
        """,  # noqa: S608 - constants
        list(after),
        [last for last, _ in after.values()],
        [history for _, history in after.values()],
        log.READ_SIZE_MAX,
    )
    events: defaultdict[UUID, list[Event]] = defaultdict(list)
    for row in rows:
        if row["seq"] is not None and not row["has_strayed"]:
            events[row["asked"]].append(Event.of(row))
    return Look(
        rows[0]["server"],
        events,
        frozenset(row["asked"] for row in rows if row["has_strayed"]),
        is_all=all(len(found) < log.READ_SIZE_MAX for found in events.values()),
    )
