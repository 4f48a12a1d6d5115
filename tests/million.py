"""A year of a busy workspace, made by set-based SQL, to measure reports on.

`python -m tests.million --home FOLDER` leaves it in an embedded PostgreSQL below the folder, where
the same command finds it again and keeps the server up until it is interrupted. What is generated
keeps the promises about figures; the log holds openings, assignments and closings only.
"""

import argparse
import asyncio
import sys
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg

from api.engines import embedded
from models.database import credentials
from models.migration import upgrade

CONVERSATIONS = 1_000_000
DAYS = 360
AGENTS = 200
TEAMS = 20
CHANNELS = 10
REASONS = 8
# Those that came in last are open: some wait, some are held.
OPEN_DAYS = 1.3
SEED = 0.5

Connection = asyncpg.Connection

_STAFF = f"""
    INSERT INTO workspaces (id, name, idle_period_days, closing_reason_required,
                            transfers_to_unavailable)
    VALUES ($1, 'A busy one', 0, false, false);
    INSERT INTO logs (workspace_id) VALUES ($1);
    INSERT INTO teams (id, workspace_id, line, name, is_todos, is_active, priority, distribution,
                       online_only, round_robin_position)
    SELECT gen_random_uuid(), $1, line, 'Todos', true, true, 0, 'MANUAL', true, 0
    FROM unnest(ARRAY['SALES', 'SUPPORT']) line
    UNION ALL
    SELECT id_of(2, n), $1, CASE WHEN n % 2 = 0 THEN 'SALES' ELSE 'SUPPORT' END, 'Team ' || n,
           false, true, 0, 'MANUAL', true, 0
    FROM generate_series(0, {TEAMS - 1}) n;
    INSERT INTO agents (id, workspace_id, name, email, role, is_active, availability, accepts_new,
                        is_connected, capacity, load)
    SELECT id_of(3, n), $1, 'Agent ' || n, 'agent-' || n || '@busy.example.com', 'AGENT', true,
           'OFFLINE', true, false, 10000, 0
    FROM generate_series(0, {AGENTS - 1}) n;
    INSERT INTO memberships (id, workspace_id, team_id, agent_id, position)
    SELECT gen_random_uuid(), $1, id_of(2, n % {TEAMS}), id_of(3, n), n
    FROM generate_series(0, {AGENTS - 1}) n;
    INSERT INTO channels (id, workspace_id, kind, name, status, default_line)
    SELECT id_of(4, n), $1, 'WHATSAPP', 'Channel ' || n, 'CONNECTED', 'SALES'
    FROM generate_series(0, {CHANNELS - 1}) n;
    INSERT INTO closing_reasons (id, workspace_id, name, is_active)
    SELECT id_of(5, n), $1, 'Reason ' || n, true FROM generate_series(0, {REASONS - 1}) n;
"""

# One row for each time that a conversation was open: 5 % were opened twice.
_STRETCHES = """
    CREATE TEMP TABLE conversation AS
    SELECT n, id_of(1, n) AS id, $2::timestamptz + n * ($3::interval / $4::int) AS opened_at,
           id_of(2, n % {teams}) AS team_id,
           id_of(4, (random() * 1e6)::int % {channels}) AS channel_id,
           id_of(3, n % {teams} + {teams} * ((random() * 1e6)::int % {members})) AS agent_id,
           id_of(6, n % $5::int) AS contact_id,
           5 + (random() * 5)::int AS messages, random() < 0.7 AS waited, random() < 0.05 AS twice,
           random() * interval '30 minutes' AS wait,
           (random() * random() * 7200)::int AS answered_seconds,
           7200 + (random() * 86400)::int AS closed_seconds,
           CASE WHEN random() < 0.1 THEN 'INACTIVE' WHEN random() < 0.1 THEN 'INTEGRATION'
                ELSE 'AGENT' END AS cause,
           CASE WHEN random() < 0.7
                THEN id_of(5, (random() * 1e6)::int % {reasons}) END AS reason_id,
           n >= $4::int - $6::int AND n % 3 = 0 AS is_queued, n >= $4::int - $6::int AS is_open,
           (ARRAY['PICKED', 'CHANNEL_TARGET', 'ASSIGNED_BY_HAND'])[1 + n % 3] AS rule
    FROM generate_series(0, $4::int - 1) n;
    UPDATE conversation SET waited = true, twice = false WHERE is_queued;
    UPDATE conversation SET twice = false
    WHERE is_open OR opened_at > $2::timestamptz + $3::interval - interval '3 days';
    CREATE TEMP TABLE stretch AS
    SELECT c.*, false AS again, opened_at AS started_at,
           opened_at + closed_seconds * interval '1 second' AS closed_at FROM conversation c
    UNION ALL
    SELECT c.*, true, s.started_at, s.started_at + c.closed_seconds * interval '1 second'
    FROM conversation c, LATERAL (
        SELECT opened_at + (closed_seconds + 3600) * interval '1 second' AS started_at) s
    WHERE c.twice;
    ANALYZE conversation; ANALYZE stretch;
    CREATE TEMP TABLE said AS
    SELECT c.id AS conversation_id, c.channel_id, c.contact_id, c.team_id, c.agent_id, c.is_queued,
           m, c.opened_at + CASE m
               WHEN 1 THEN interval '0'
               WHEN 2 THEN c.answered_seconds * interval '1 second'
               ELSE least(c.closed_seconds - 1, c.answered_seconds + m * 300) * interval '1 second'
           END AS at,
           CASE WHEN m % 2 = 1 OR c.is_queued THEN 'INBOUND' WHEN m = 8 THEN 'NOTE'
                ELSE 'OUTBOUND' END AS direction
    FROM conversation c, generate_series(1, c.messages) m;
"""

_HISTORY = """
    INSERT INTO contacts (id, workspace_id, created_at, name)
    SELECT id_of(6, n), $1, $2::timestamptz + n * ($3::interval / $4::int), 'Customer ' || n
    FROM generate_series(0, $5::int - 1) n;
    INSERT INTO conversations (id, workspace_id, created_at, contact_id, channel_id, line, status,
                               team_id, assignee_id, queued_at, opened_at, reopened_at, answered_at,
                               last_activity_at, closed_at, version)
    SELECT c.id, $1, c.opened_at, c.contact_id, c.channel_id, t.line,
           CASE WHEN c.is_queued THEN 'QUEUED' WHEN c.is_open THEN 'ASSIGNED' ELSE 'CLOSED' END,
           c.team_id, CASE WHEN c.is_open AND NOT c.is_queued THEN c.agent_id END,
           CASE WHEN c.is_queued THEN c.opened_at END, c.opened_at,
           CASE WHEN c.twice THEN s.started_at END,
           CASE WHEN NOT c.is_queued THEN
               s.started_at + c.answered_seconds * interval '1 second' END,
           CASE WHEN c.is_open THEN c.opened_at ELSE s.closed_at END,
           CASE WHEN NOT c.is_open THEN s.closed_at END, 5
    FROM conversation c JOIN teams t ON t.id = c.team_id
    JOIN stretch s ON s.id = c.id AND s.again = c.twice
    ORDER BY c.n;
    INSERT INTO messages (id, workspace_id, created_at, direction, external_id, text,
                          author_agent_id, channel_id, conversation_id, delivery)
    SELECT id_of(7, row_number() OVER ()::int), $1, at, direction,
           CASE direction WHEN 'INBOUND' THEN conversation_id || '-' || m END,
           'What was said in this place of the conversation.',
           CASE WHEN direction <> 'INBOUND' THEN agent_id END, channel_id, conversation_id,
           CASE direction WHEN 'OUTBOUND' THEN 'READ' END
    FROM said;
    INSERT INTO assignments (id, workspace_id, created_at, conversation_id, agent_id, team_id,
                             line, rule, decision, started_at, ended_at, ending, is_counted)
    SELECT gen_random_uuid(), $1, started_at, s.id, s.agent_id, s.team_id, 'SALES',
           CASE WHEN again THEN 'REOPENED' ELSE rule END,
           '{"rule": "PICKED", "outcome": "ASSIGNED", "candidates": []}',
           started_at + CASE WHEN waited AND NOT again THEN wait ELSE interval '0' END,
           CASE WHEN NOT is_open THEN closed_at END, CASE WHEN NOT is_open THEN 'CLOSED' END, true
    FROM stretch s WHERE NOT is_queued ORDER BY started_at;
    INSERT INTO closures (id, workspace_id, created_at, conversation_id, agent_id, team_id, cause,
                          reason_id, closed_at, is_sticky)
    SELECT gen_random_uuid(), $1, closed_at, id, agent_id, team_id, cause,
           CASE WHEN cause <> 'INACTIVE' THEN reason_id END, closed_at, true
    FROM stretch WHERE NOT is_open ORDER BY closed_at;
    UPDATE agents a SET load = h.held FROM (
        SELECT assignee_id, count(*) AS held FROM conversations
        WHERE status = 'ASSIGNED' GROUP BY 1) h WHERE h.assignee_id = a.id;
"""

_REPORTED = """
    INSERT INTO figures (workspace_id, measure, at, contact_id)
    SELECT $1, 'CONTACT_CREATED', created_at, id FROM contacts WHERE workspace_id = $1
    ORDER BY created_at;
    INSERT INTO figures (workspace_id, measure, at, team_id, channel_id, conversation_id,
                         contact_id, detail)
    SELECT $1, 'OPENED', opened_at, team_id, channel_id, id, contact_id, rule
    FROM conversation ORDER BY opened_at;
    INSERT INTO figures (workspace_id, measure, at, team_id, agent_id, channel_id, conversation_id,
                         contact_id, detail)
    SELECT $1, 'REOPENED', started_at, team_id, agent_id, channel_id, id, contact_id, 'REOPENED'
    FROM stretch WHERE again ORDER BY started_at;
    INSERT INTO figures (workspace_id, measure, at, team_id, agent_id, channel_id, conversation_id,
                         contact_id, seconds)
    SELECT $1, 'FIRST_RESPONSE', started_at + answered_seconds * interval '1 second', team_id,
           agent_id, channel_id, id, contact_id, answered_seconds
    FROM stretch WHERE NOT is_queued ORDER BY 3;
    INSERT INTO figures (workspace_id, measure, at, team_id, agent_id, channel_id, conversation_id,
                         contact_id, reason_id, seconds, detail)
    SELECT $1, 'CLOSED', closed_at, team_id, agent_id, channel_id, id, contact_id,
           CASE WHEN cause <> 'INACTIVE' THEN reason_id END, closed_seconds, cause
    FROM stretch WHERE NOT is_open ORDER BY closed_at;
    INSERT INTO figures (workspace_id, measure, at, team_id, agent_id, channel_id, conversation_id,
                         contact_id, detail)
    SELECT a.workspace_id, 'ASSIGNED', a.started_at, a.team_id, a.agent_id, c.channel_id, c.id,
           c.contact_id, a.rule
    FROM assignments a JOIN conversation c ON c.id = a.conversation_id ORDER BY a.started_at;
    INSERT INTO figures (workspace_id, measure, at, team_id, agent_id, channel_id, conversation_id,
                         contact_id, detail)
    SELECT $1, 'TRANSFERRED', opened_at + interval '1 hour', team_id, agent_id, channel_id, id,
           contact_id, 'TEAM'
    FROM conversation WHERE n % 10 = 0 AND NOT is_open ORDER BY opened_at;
    INSERT INTO figures (workspace_id, measure, at, team_id, agent_id, channel_id, conversation_id,
                         contact_id)
    SELECT $1, CASE direction WHEN 'INBOUND' THEN 'MESSAGE_RECEIVED'
                              WHEN 'OUTBOUND' THEN 'MESSAGE_SENT' ELSE 'NOTE_ADDED' END,
           at, team_id, CASE WHEN NOT is_queued THEN agent_id END, channel_id, conversation_id,
           contact_id
    FROM said ORDER BY at;
    INSERT INTO queue_stays (workspace_id, team_id, conversation_id, channel_id, entered_at,
                             left_at, ending)
    SELECT $1, team_id, id, channel_id, opened_at,
           CASE WHEN NOT is_queued THEN opened_at + wait END,
           CASE WHEN NOT is_queued THEN 'ASSIGNED' END
    FROM conversation WHERE waited ORDER BY opened_at;
    INSERT INTO availability_intervals (workspace_id, agent_id, availability, accepts_new,
                                        started_at, ended_at)
    SELECT $1, id_of(3, n), p.availability, p.availability = 'ONLINE', d + p.begins,
           CASE WHEN d + p.ends < $2::timestamptz + $3::interval THEN d + p.ends END
    FROM generate_series(
             date_trunc('day', $2::timestamptz), $2::timestamptz + $3::interval, '1 day') d,
         generate_series(0, {agents} - 1) n,
         (VALUES ('OFFLINE', interval '0', interval '9 hours'),
                 ('ONLINE', interval '9 hours', interval '13 hours'),
                 ('AWAY', interval '13 hours', interval '14 hours'),
                 ('ONLINE', interval '14 hours', interval '18 hours'),
                 ('OFFLINE', interval '18 hours', interval '24 hours'))
             p(availability, begins, ends)
    WHERE d + p.begins <= $2::timestamptz + $3::interval
    ORDER BY d, p.begins;
    UPDATE agents a SET availability = i.availability, is_connected = true,
           accepts_new = i.accepts_new
    FROM availability_intervals i
    WHERE i.agent_id = a.id AND i.ended_at IS NULL AND a.workspace_id = $1;
    INSERT INTO events (workspace_id, seq, kind, logged_at, actor_kind, conversation_id,
                        contact_id, channel_id, to_agent_id, from_team_id, to_team_id, data)
    SELECT $1, row_number() OVER (ORDER BY e.at), e.kind, e.at, 'SYSTEM', s.id, s.contact_id,
           s.channel_id, s.agent_id, s.team_id, s.team_id, '{"rule": "CHANNEL_TARGET"}'
    FROM stretch s, LATERAL (VALUES
        (CASE WHEN s.again THEN 'CONVERSATION_REOPENED' ELSE 'CONVERSATION_OPENED' END,
         s.started_at),
        ('CONVERSATION_ASSIGNED', s.started_at + s.wait),
        ('CONVERSATION_CLOSED', s.closed_at)) e(kind, at)
    WHERE NOT s.is_open OR e.kind = 'CONVERSATION_OPENED';
"""

_FILLED = (
    *("contacts", "conversations", "messages", "assignments", "closures", "events", "figures"),
    *("queue_stays", "availability_intervals"),
)
_INDEXES = """
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relname = ANY($1) AND NOT EXISTS (
        SELECT FROM pg_constraint x WHERE x.conindid = i.indexrelid)
"""


async def generate(
    connection: Connection, conversations: int = CONVERSATIONS, days: int = DAYS
) -> UUID:
    """Fill a migrated database, up to this instant; returns the workspace's id."""
    workspace_id = UUID(int=conversations)
    span = timedelta(days=days)
    begin = await connection.fetchval("SELECT relevo_now() - $1::interval", span)
    open_ones = int(conversations * OPEN_DAYS / days)
    contacts = conversations // 3
    values = [workspace_id, begin, span, conversations, contacts, open_ones]
    await connection.execute(
        f"SELECT setseed({SEED}); SET synchronous_commit = off; SET work_mem = '512MB';"
        "SET maintenance_work_mem = '1GB'; SET session_replication_role = replica;"
        # Ids in the order of their rows, so that their indexes grow at one end.
        "CREATE OR REPLACE FUNCTION pg_temp.id_of(kind int, n int) RETURNS uuid LANGUAGE sql"
        " IMMUTABLE AS $$ SELECT (lpad(to_hex(kind), 8, '0') || '-0000-4000-8000-'"
        " || lpad(to_hex(n), 12, '0'))::uuid $$; SET search_path = public, pg_temp"
    )
    indexes = await connection.fetch(_INDEXES, list(_FILLED))
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    for script in (_STAFF, _STRETCHES, _HISTORY, _REPORTED):
        await _run(connection, script, values)
    for index in indexes:
        await _step(connection, index["definition"])
    await connection.execute(
        "DROP TABLE conversation, stretch, said; RESET session_replication_role"
    )
    for table in _FILLED:
        await _step(connection, f"VACUUM (ANALYZE, FREEZE) {table}")
    await connection.execute("ANALYZE")
    return workspace_id


_TYPES = {UUID: "::uuid", int: "::int"}


async def _run(connection: Connection, script: str, values: list[object]) -> None:
    numbers = {"teams": TEAMS, "channels": CHANNELS, "reasons": REASONS, "agents": AGENTS}
    numbers["members"] = AGENTS // TEAMS
    for name, number in numbers.items():
        script = script.replace(f"{{{name}}}", str(number))
    quoted = [f"'{value}'{_TYPES.get(type(value), '')}" for value in values]
    script = script.replace("id_of(", "pg_temp.id_of(")
    for place, value in enumerate(quoted, 1):
        script = script.replace(f"${place}", value)
    for statement in filter(str.strip, script.split(";\n")):
        await _step(connection, statement)


async def _step(connection: Connection, statement: str) -> None:
    began = time.monotonic()
    await connection.execute(statement)
    took = time.monotonic() - began
    if took > 1:
        sys.stderr.write(f"{took:6.1f} s  {' '.join(statement.split())[:70]}\n")


async def _fill(database_url: str, conversations: int) -> None:
    await upgrade(database_url)
    connection = await asyncpg.connect(**credentials(database_url))
    try:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM figures)"):
            await generate(connection, conversations)
    finally:
        await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--conversations", type=int, default=CONVERSATIONS)
    chosen = parser.parse_args()
    with embedded(chosen.home, durable=False) as engines:
        asyncio.run(_fill(engines.database_url, chosen.conversations))
        sys.stdout.write(f"{engines.database_url}\n")
        sys.stdout.flush()
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
