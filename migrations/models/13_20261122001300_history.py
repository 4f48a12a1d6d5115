"""What reports are computed from: figures, stays in queues, and agents' time by availability.

All three are written by `flush_events`, with the facts that they come from and at the same instant:
what belongs to a range of time is there before the range ends, and nothing is counted that was not
committed. Nothing here is ever trimmed.

Of what was there before, the history tables tell all conversations, closings, assignments,
messages and contacts. They do not tell of which team a conversation was at the time (its present
team is taken), nor through which channel a contact came, nor how an agent's availability changed: intervals begin with this migration.
Reopenings, hand-overs and stays in queues are as far back as the log is.
"""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True

_IDS = [
    "conversation_id",
    "contact_id",
    "channel_id",
    "message_id",
    "from_queue_id",
    "to_queue_id",
    "from_agent_id",
    "to_agent_id",
    "from_team_id",
    "to_team_id",
    "ticket_id",
]
_MEASURES = """
    'OPENED', 'REOPENED', 'FIRST_RESPONSE', 'CLOSED', 'MESSAGE_RECEIVED', 'MESSAGE_SENT',
    'NOTE_ADDED', 'CONTACT_CREATED', 'ASSIGNED', 'UNASSIGNED', 'TRANSFERRED'
"""
_COLUMNS = ", ".join(_IDS)
_TYPED = ", ".join(f"{name} uuid" for name in _IDS)
# Tickets came with this function.
_COLUMNS_BEFORE = ", ".join(_IDS[:-1])
_TYPED_BEFORE = ", ".join(f"{name} uuid" for name in _IDS[:-1])

_MOVES = """
    SELECT DISTINCT ON (1) (p.fact ->> 'conversation_id')::uuid AS id, {columns}
    FROM jsonb_array_elements(pending) WITH ORDINALITY AS p(fact, place)
    WHERE p.fact ->> 'from_queue_id' IS DISTINCT FROM p.fact ->> 'to_queue_id'
    ORDER BY 1, p.place {way}
"""
_FIRST_MOVES = _MOVES.format(
    columns="""p.fact ->> 'from_queue_id' AS from_queue_id,
        CASE WHEN p.fact ? 'to_queue_id' THEN 'MOVED'
             WHEN p.fact ->> 'kind' = 'CONVERSATION_CLOSED' THEN 'CLOSED'
             WHEN p.fact ? 'to_agent_id' THEN 'ASSIGNED' ELSE 'WITH_BOT' END AS ending""",
    way="ASC",
)
_LAST_MOVES = _MOVES.format(
    columns="""(p.fact ->> 'to_queue_id')::uuid AS queue_id,
        (p.fact ->> 'channel_id')::uuid AS channel_id,
        (p.fact ->> 'workspace_id')::uuid AS workspace_id""",
    way="DESC",
)
_FLUSH_EVENTS = f"""
    CREATE OR REPLACE FUNCTION flush_events() RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        pending jsonb := current_setting('relevo.pending')::jsonb;
        workspace uuid;
        last bigint;
        last_at timestamptz;
        now_at timestamptz;
        is_moving bool;
        present uuid[];
        silent uuid[];
        silences timestamptz[];
        leaving uuid[];
        endings text[];
        entering uuid[];
        queues uuid[];
        channels uuid[];
        homes uuid[];
    BEGIN
        -- Before the lock is taken, because nothing of it depends on the lock.
        SELECT bool_or(f ->> 'from_queue_id' IS DISTINCT FROM f ->> 'to_queue_id'),
               array_agg(coalesce(f ->> 'to_agent_id', f ->> 'from_agent_id')::uuid) FILTER (
                   WHERE f ->> 'kind' IN ('AGENT_CREATED', 'AGENT_AVAILABILITY_CHANGED',
                                          'AGENT_CONNECTED', 'AGENT_DISCONNECTED',
                                          'AGENT_REACTIVATED'))
               || array_agg((f ->> 'from_agent_id')::uuid) FILTER (
                   WHERE f ->> 'kind' = 'AGENT_DEACTIVATED'),
               array_agg((f ->> 'to_agent_id')::uuid) FILTER (
                   WHERE f ->> 'kind' = 'AGENT_DISCONNECTED' AND f -> 'data' ? 'since'),
               array_agg((f -> 'data' ->> 'since')::timestamptz) FILTER (
                   WHERE f ->> 'kind' = 'AGENT_DISCONNECTED' AND f -> 'data' ? 'since')
        INTO is_moving, present, silent, silences FROM jsonb_array_elements(pending) f;
        IF is_moving THEN
            -- What comes into a queue and leaves it in one transaction never stays.
            SELECT array_agg(m.id), array_agg(m.ending) INTO leaving, endings
            FROM ({_FIRST_MOVES}) m WHERE m.from_queue_id IS NOT NULL;
            SELECT array_agg(m.id), array_agg(m.queue_id), array_agg(m.channel_id),
                   array_agg(m.workspace_id)
            INTO entering, queues, channels, homes
            FROM ({_LAST_MOVES}) m WHERE m.queue_id IS NOT NULL;
        END IF;
        FOR workspace IN
            SELECT DISTINCT (e ->> 'workspace_id')::uuid
            FROM jsonb_array_elements(pending) e ORDER BY 1
        LOOP
            PERFORM pg_advisory_xact_lock(hashtextextended(workspace::text, 7));
            SELECT e.seq, e.logged_at INTO last, last_at FROM events e
                WHERE e.workspace_id = workspace ORDER BY e.seq DESC LIMIT 1;
            IF last IS NULL THEN
                SELECT floor_seq INTO last FROM logs WHERE workspace_id = workspace;
            END IF;
            now_at := greatest(relevo_now(), last_at);
            WITH fact AS MATERIALIZED (
                SELECT last + row_number() OVER (ORDER BY p.place) AS seq, e.*,
                       p.fact -> 'figures' AS figures
                FROM jsonb_array_elements(pending) WITH ORDINALITY AS p(fact, place),
                     jsonb_to_record(p.fact) AS e(
                         workspace_id uuid, kind text, actor_kind text, actor_id uuid,
                         {_TYPED}, data jsonb)
                WHERE e.workspace_id = workspace
            ), logged AS (
                INSERT INTO events (workspace_id, seq, kind, logged_at, actor_kind, actor_id,
                                    {_COLUMNS}, data)
                SELECT workspace, seq, kind, now_at, actor_kind, actor_id, {_COLUMNS}, data
                FROM fact
            )
            INSERT INTO figures (workspace_id, measure, at, seq, team_id, agent_id, channel_id,
                                 conversation_id, contact_id, reason_id, seconds, detail)
            SELECT workspace, g.measure, now_at, f.seq, g.team_id, g.agent_id, f.channel_id,
                   f.conversation_id, f.contact_id, g.reason_id, g.seconds, g.detail
            FROM fact f, jsonb_to_recordset(f.figures) AS g(
                measure text, team_id uuid, agent_id uuid, reason_id uuid, seconds int,
                detail text);
            IF leaving IS NOT NULL THEN
                UPDATE queue_stays s SET left_at = now_at, ending = m.ending
                FROM unnest(leaving, endings) AS m(id, ending)
                WHERE s.conversation_id = m.id AND s.left_at IS NULL AND s.workspace_id = workspace;
            END IF;
            IF entering IS NOT NULL THEN
                INSERT INTO queue_stays
                    (workspace_id, team_id, conversation_id, channel_id, entered_at)
                SELECT workspace, m.queue_id, m.id, m.channel_id, now_at
                FROM unnest(entering, queues, channels, homes)
                    AS m(id, queue_id, channel_id, home)
                WHERE m.home = workspace;
            END IF;
            IF silent IS NOT NULL THEN
                PERFORM note_silence(silent, silences, workspace, now_at);
            END IF;
            IF present IS NOT NULL THEN
                PERFORM note_availability(present, workspace, now_at);
            END IF;
        END LOOP;
    END $$;
"""

# The facts come with the agents locked, so that the rows say what the facts made of them.
_NOTE_AVAILABILITY = """
    CREATE FUNCTION note_availability(agents uuid[], workspace uuid, changed_at timestamptz)
        RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE availability_intervals i SET ended_at = changed_at
        FROM present_availability p
        WHERE i.agent_id = ANY(agents) AND i.workspace_id = workspace AND i.ended_at IS NULL
          AND p.agent_id = i.agent_id
          AND (p.availability, p.accepts_new) IS DISTINCT FROM (i.availability, i.accepts_new);
        INSERT INTO availability_intervals
            (workspace_id, agent_id, availability, accepts_new, started_at)
        SELECT workspace, p.agent_id, p.availability, p.accepts_new, changed_at
        FROM present_availability p
        WHERE p.agent_id = ANY(agents) AND p.workspace_id = workspace
          AND p.availability IS NOT NULL AND NOT EXISTS (
              SELECT FROM availability_intervals i
              WHERE i.agent_id = p.agent_id AND i.ended_at IS NULL);
    END $$;
    COMMENT ON FUNCTION note_availability IS
        'Ends the intervals of agents whose availability is another one now, and begins theirs.';
"""

# Whoever falls silent is away from then on, not from when somebody noticed.
_NOTE_SILENCE = """
    CREATE FUNCTION note_silence(agents uuid[], silences timestamptz[], workspace uuid,
                                 noticed_at timestamptz)
        RETURNS void LANGUAGE sql AS $$
        WITH ended AS (
            UPDATE availability_intervals i
            SET ended_at = greatest(i.started_at, least(s.since, noticed_at))
            FROM unnest(agents, silences) AS s(agent_id, since)
            WHERE i.agent_id = s.agent_id AND i.workspace_id = workspace AND i.ended_at IS NULL
              AND i.availability <> 'OFFLINE'
            RETURNING i.agent_id, i.accepts_new, i.ended_at
        )
        INSERT INTO availability_intervals
            (workspace_id, agent_id, availability, accepts_new, started_at)
        SELECT workspace, agent_id, 'OFFLINE', accepts_new, ended_at FROM ended;
    $$;
    COMMENT ON FUNCTION note_silence IS
        'Lets agents be OFFLINE since their last lease ran out, but not before what began later.';
"""

_TABLES = f"""
    CREATE TABLE figures (
        workspace_id uuid NOT NULL,
        measure varchar(32) NOT NULL,
        at timestamptz NOT NULL,
        seq bigint,
        team_id uuid,
        agent_id uuid,
        channel_id uuid,
        conversation_id uuid,
        contact_id uuid,
        reason_id uuid,
        seconds int,
        detail varchar(32),
        CONSTRAINT figures_measure_known CHECK (measure IN ({_MEASURES})),
        CONSTRAINT figures_seconds_not_negative CHECK (seconds >= 0)
    );
    COMMENT ON TABLE figures IS
        'One countable thing that happened, with the places it had then; immutable.';
    COMMENT ON COLUMN figures.seq IS 'The number of its event; empty for what is older than this.';
    COMMENT ON COLUMN figures.agent_id IS
        'Who wrote (messages), got (ASSIGNED, REOPENED), gave away (TRANSFERRED), lost (UNASSIGNED) or held it.';
    COMMENT ON COLUMN figures.seconds IS
        'From the last opening or reopening to the first response, or to the closing.';
    COMMENT ON COLUMN figures.detail IS
        'The rule; of a closing its cause; of a hand-over AGENT or TEAM, whoever received it.';
    CREATE INDEX figures_in_order ON figures (workspace_id, measure, at)
        INCLUDE (team_id, agent_id, channel_id, seconds, detail, reason_id);
    CREATE TRIGGER figures_never_change BEFORE UPDATE OR DELETE ON figures
        FOR EACH ROW EXECUTE FUNCTION refuse_change();

    CREATE TABLE queue_stays (
        workspace_id uuid NOT NULL,
        team_id uuid NOT NULL,
        conversation_id uuid NOT NULL,
        channel_id uuid,
        entered_at timestamptz NOT NULL,
        left_at timestamptz,
        ending varchar(16),
        CONSTRAINT queue_stays_ending_known CHECK (
            ending IN ('ASSIGNED', 'MOVED', 'CLOSED', 'WITH_BOT')),
        CONSTRAINT queue_stays_end_in_some_way CHECK ((left_at IS NULL) = (ending IS NULL)),
        CONSTRAINT queue_stays_end_after_they_begin CHECK (left_at >= entered_at)
    );
    COMMENT ON TABLE queue_stays IS
        'The time for which a conversation waited in a queue; open while left_at is empty.';
    CREATE UNIQUE INDEX queue_stays_one_open_per_conversation ON queue_stays (conversation_id)
        WHERE left_at IS NULL;
    CREATE INDEX queue_stays_entered ON queue_stays (workspace_id, entered_at)
        INCLUDE (team_id, channel_id, left_at, ending);
    CREATE INDEX queue_stays_left ON queue_stays (workspace_id, left_at)
        INCLUDE (team_id, channel_id, entered_at, ending);
    CREATE INDEX queue_stays_at ON queue_stays USING gist (tstzrange(entered_at, left_at));

    CREATE TABLE availability_intervals (
        workspace_id uuid NOT NULL,
        agent_id uuid NOT NULL,
        availability varchar(16) NOT NULL,
        accepts_new bool NOT NULL,
        started_at timestamptz NOT NULL,
        ended_at timestamptz,
        CONSTRAINT availability_intervals_known CHECK (
            availability IN ('ONLINE', 'AWAY', 'OFFLINE')),
        CONSTRAINT availability_intervals_end_after_they_begin CHECK (ended_at >= started_at)
    );
    COMMENT ON TABLE availability_intervals IS
        'The time for which an agent was there, or was not; open while ended_at is empty.';
    COMMENT ON COLUMN availability_intervals.availability IS
        'What it said, and OFFLINE for as long as no device is connected.';
    CREATE UNIQUE INDEX availability_intervals_one_open_per_agent
        ON availability_intervals (agent_id) WHERE ended_at IS NULL;
    CREATE INDEX availability_intervals_in_order
        ON availability_intervals (workspace_id, agent_id, started_at)
        INCLUDE (ended_at, availability, accepts_new);

    CREATE VIEW present_availability AS
        SELECT workspace_id, id AS agent_id,
               CASE WHEN NOT is_active THEN NULL
                    WHEN is_connected THEN availability ELSE 'OFFLINE' END AS availability,
               accepts_new
        FROM agents;
    COMMENT ON VIEW present_availability IS
        'What an agent''s open interval says; of a deactivated one, who has none, nothing.';

    ALTER TABLE conversations
        ADD COLUMN reopened_at timestamptz,
        ADD COLUMN answered_at timestamptz;
    COMMENT ON COLUMN conversations.reopened_at IS
        'Since when it is, or was, open this time; empty for one that was never reopened.';
    COMMENT ON COLUMN conversations.answered_at IS
        'When a person first answered since it was opened, or opened again; opened by hand, it is answered.';
"""

_STRETCHES = """
    CREATE TEMP TABLE stretches ON COMMIT DROP AS
    WITH begun AS (
        SELECT id AS conversation_id, opened_at AS started_at FROM conversations
        UNION ALL
        SELECT conversation_id, logged_at FROM events WHERE kind = 'CONVERSATION_REOPENED'
    )
    SELECT conversation_id, started_at,
           lead(started_at, 1, 'infinity') OVER (
               PARTITION BY conversation_id ORDER BY started_at) AS ended_at
    FROM begun;
    CREATE INDEX ON stretches (conversation_id, started_at);
    ANALYZE stretches;
"""

_SECONDS = "greatest(0, extract(epoch FROM {end} - s.started_at))::int"
# No customer waits for what somebody opens.
_IS_OPENED_BY_HAND = """EXISTS (SELECT FROM assignments o
    WHERE o.conversation_id = c.id AND o.rule = 'OPENED_BY_HAND')"""
_BACKFILL = f"""
    {_STRETCHES}
    UPDATE conversations c SET reopened_at = s.started_at
    FROM stretches s
    WHERE s.conversation_id = c.id AND s.ended_at = 'infinity' AND s.started_at > c.opened_at;

    INSERT INTO figures (workspace_id, measure, at, team_id, agent_id, channel_id, conversation_id,
                         contact_id)
    SELECT c.workspace_id, 'OPENED', c.opened_at, c.team_id, o.agent_id, c.channel_id, c.id,
           c.contact_id
    FROM conversations c
    LEFT JOIN assignments o ON o.conversation_id = c.id AND o.rule = 'OPENED_BY_HAND'
    ORDER BY c.opened_at;

    INSERT INTO figures (workspace_id, measure, at, team_id, agent_id, channel_id, conversation_id,
                         contact_id, detail)
    SELECT workspace_id,
           CASE kind WHEN 'CONVERSATION_REOPENED' THEN 'REOPENED' ELSE 'TRANSFERRED' END,
           logged_at,
           CASE kind WHEN 'CONVERSATION_REOPENED' THEN to_team_id ELSE from_team_id END,
           CASE kind WHEN 'CONVERSATION_REOPENED' THEN to_agent_id ELSE from_agent_id END,
           channel_id, conversation_id, contact_id,
           CASE kind WHEN 'CONVERSATION_TRANSFERRED'
                     THEN CASE WHEN to_agent_id IS NULL THEN 'TEAM' ELSE 'AGENT' END
                     ELSE data ->> 'rule' END
    FROM events
    WHERE kind IN ('CONVERSATION_REOPENED', 'CONVERSATION_TRANSFERRED')
    ORDER BY workspace_id, seq;

    INSERT INTO figures (workspace_id, measure, at, team_id, agent_id, channel_id, conversation_id,
                         contact_id, reason_id, seconds, detail)
    SELECT x.workspace_id, 'CLOSED', x.closed_at, x.team_id, x.agent_id, c.channel_id, c.id,
           c.contact_id, x.reason_id, {_SECONDS.format(end="x.closed_at")}, x.cause
    FROM closures x JOIN conversations c ON c.id = x.conversation_id
    LEFT JOIN LATERAL (
        SELECT started_at FROM stretches s
        WHERE s.conversation_id = c.id AND s.started_at <= x.closed_at
        ORDER BY s.started_at DESC LIMIT 1) s ON true
    ORDER BY x.closed_at;

    INSERT INTO figures (workspace_id, measure, at, team_id, agent_id, channel_id, conversation_id,
                         contact_id, detail)
    SELECT a.workspace_id, 'ASSIGNED', a.started_at, a.team_id, a.agent_id, c.channel_id, c.id,
           c.contact_id, a.rule
    FROM assignments a JOIN conversations c ON c.id = a.conversation_id ORDER BY a.started_at;

    INSERT INTO figures (workspace_id, measure, at, team_id, agent_id, channel_id, conversation_id,
                         contact_id, detail)
    SELECT a.workspace_id, 'UNASSIGNED', a.ended_at, a.team_id, a.agent_id, c.channel_id, c.id,
           c.contact_id,
           CASE a.ending WHEN 'TIMED_OUT' THEN 'ANSWER_TIMEOUT'
                         WHEN 'AGENT_LEFT' THEN 'AGENT_DEACTIVATED'
                         WHEN 'REASSIGNED' THEN a.next_rule ELSE 'UNASSIGNED' END
    FROM (SELECT *, lead(agent_id) OVER holders AS next_id, lead(rule) OVER holders AS next_rule
          FROM assignments
          WINDOW holders AS (PARTITION BY conversation_id ORDER BY started_at, ended_at)) a
    JOIN conversations c ON c.id = a.conversation_id
    WHERE a.ending NOT IN ('CLOSED', 'TRANSFERRED')
      AND (a.ending <> 'REASSIGNED' OR a.next_id IS DISTINCT FROM a.agent_id)
    ORDER BY a.ended_at;

    INSERT INTO figures (workspace_id, measure, at, team_id, agent_id, channel_id, conversation_id,
                         contact_id)
    SELECT m.workspace_id,
           CASE m.direction WHEN 'INBOUND' THEN 'MESSAGE_RECEIVED'
                            WHEN 'OUTBOUND' THEN 'MESSAGE_SENT' ELSE 'NOTE_ADDED' END,
           m.created_at, c.team_id,
           CASE m.direction WHEN 'INBOUND' THEN a.agent_id ELSE m.author_agent_id END,
           c.channel_id, c.id, c.contact_id
    FROM messages m JOIN conversations c ON c.id = m.conversation_id
    LEFT JOIN LATERAL (
        SELECT agent_id FROM assignments a
        WHERE m.direction = 'INBOUND' AND a.conversation_id = c.id AND a.started_at <= m.created_at
          AND (a.ended_at IS NULL OR a.ended_at > m.created_at)
        ORDER BY a.started_at DESC LIMIT 1) a ON true
    ORDER BY m.created_at;

    WITH answer AS (
        INSERT INTO figures (workspace_id, measure, at, team_id, agent_id, channel_id,
                             conversation_id, contact_id, seconds)
        SELECT c.workspace_id, 'FIRST_RESPONSE', m.created_at, c.team_id, m.author_agent_id,
               c.channel_id, c.id, c.contact_id, {_SECONDS.format(end="m.created_at")}
        FROM stretches s JOIN conversations c ON c.id = s.conversation_id
        CROSS JOIN LATERAL (
            SELECT created_at, author_agent_id FROM messages m
            WHERE m.conversation_id = c.id AND m.direction = 'OUTBOUND'
              AND m.author_agent_id IS NOT NULL
              AND m.created_at >= s.started_at AND m.created_at < s.ended_at
            ORDER BY m.created_at LIMIT 1) m
        WHERE s.started_at > c.opened_at OR NOT {_IS_OPENED_BY_HAND}
        ORDER BY m.created_at
        RETURNING conversation_id, at
    )
    UPDATE conversations c SET answered_at = a.at
    FROM answer a WHERE a.conversation_id = c.id AND a.at >= coalesce(c.reopened_at, c.opened_at);

    UPDATE conversations c SET answered_at = c.opened_at
    WHERE c.reopened_at IS NULL AND {_IS_OPENED_BY_HAND};

    INSERT INTO figures (workspace_id, measure, at, contact_id)
    SELECT workspace_id, 'CONTACT_CREATED', created_at, id FROM contacts ORDER BY created_at;

    INSERT INTO queue_stays
        (workspace_id, team_id, conversation_id, channel_id, entered_at, left_at, ending)
    SELECT workspace_id, to_queue_id, conversation_id, channel_id, logged_at, left_at,
           CASE WHEN left_at IS NULL THEN NULL
                WHEN next_queue_id IS NOT NULL THEN 'MOVED'
                WHEN next_kind = 'CONVERSATION_CLOSED' THEN 'CLOSED'
                WHEN next_agent_id IS NOT NULL THEN 'ASSIGNED' ELSE 'WITH_BOT' END
    FROM (
        SELECT *, lead(logged_at) OVER moves AS left_at, lead(kind) OVER moves AS next_kind,
               lead(to_queue_id) OVER moves AS next_queue_id,
               lead(to_agent_id) OVER moves AS next_agent_id
        FROM events
        WHERE conversation_id IS NOT NULL AND from_queue_id IS DISTINCT FROM to_queue_id
        WINDOW moves AS (PARTITION BY conversation_id ORDER BY seq)
    ) e
    WHERE to_queue_id IS NOT NULL AND (left_at IS NOT NULL OR EXISTS (
        SELECT FROM conversations c WHERE c.id = e.conversation_id AND c.status = 'QUEUED'
          AND c.team_id = e.to_queue_id))
    ORDER BY logged_at;
    INSERT INTO queue_stays (workspace_id, team_id, conversation_id, channel_id, entered_at)
    SELECT c.workspace_id, c.team_id, c.id, c.channel_id, c.queued_at FROM conversations c
    WHERE c.status = 'QUEUED' AND NOT EXISTS (
        SELECT FROM queue_stays s WHERE s.conversation_id = c.id AND s.left_at IS NULL);

    INSERT INTO availability_intervals
        (workspace_id, agent_id, availability, accepts_new, started_at)
    SELECT workspace_id, agent_id, availability, accepts_new, relevo_now()
    FROM present_availability WHERE availability IS NOT NULL;
    DROP TABLE stretches;
"""


async def upgrade(db: BaseDBAsyncClient) -> str:
    return f"""
        {_TABLES}
        {_NOTE_AVAILABILITY}
        {_NOTE_SILENCE}
        {_BACKFILL}
        {_FLUSH_EVENTS}
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    return f"""
        CREATE OR REPLACE FUNCTION flush_events() RETURNS void LANGUAGE plpgsql AS $$
        DECLARE
            pending jsonb := current_setting('relevo.pending')::jsonb;
            workspace uuid;
            last bigint;
            last_at timestamptz;
        BEGIN
            FOR workspace IN
                SELECT DISTINCT (e ->> 'workspace_id')::uuid
                FROM jsonb_array_elements(pending) e ORDER BY 1
            LOOP
                PERFORM pg_advisory_xact_lock(hashtextextended(workspace::text, 7));
                SELECT e.seq, e.logged_at INTO last, last_at FROM events e
                    WHERE e.workspace_id = workspace ORDER BY e.seq DESC LIMIT 1;
                IF last IS NULL THEN
                    SELECT floor_seq INTO last FROM logs WHERE workspace_id = workspace;
                END IF;
                INSERT INTO events (workspace_id, seq, kind, logged_at, actor_kind, actor_id,
                                    {_COLUMNS_BEFORE}, data)
                SELECT workspace, last + row_number() OVER (ORDER BY p.place), e.kind,
                       greatest(relevo_now(), last_at), e.actor_kind, e.actor_id, {_COLUMNS_BEFORE}, e.data
                FROM jsonb_array_elements(pending) WITH ORDINALITY AS p(fact, place),
                     jsonb_to_record(p.fact) AS e(
                         workspace_id uuid, kind text, actor_kind text, actor_id uuid,
                         {_TYPED_BEFORE}, data jsonb)
                WHERE e.workspace_id = workspace;
            END LOOP;
        END $$;
        DROP FUNCTION note_availability;
        DROP FUNCTION note_silence;
        DROP VIEW present_availability;
        DROP TABLE figures, queue_stays, availability_intervals;
        ALTER TABLE conversations DROP COLUMN reopened_at, DROP COLUMN answered_at;
    """
