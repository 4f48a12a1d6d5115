"""The numbered log, and the rows with composite keys that no ORM class stands for.

`flush_events` numbers what a transaction buffered, directly before its COMMIT. The advisory lock
makes the numbers contiguous in commit order; each statement of the function takes a new snapshot,
so the last number is read after the wait. Not a counter row: one bloats under any long snapshot.
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
]


async def upgrade(db: BaseDBAsyncClient) -> str:
    columns = ", ".join(_IDS)
    typed = ", ".join(f"{name} uuid" for name in _IDS)
    return f"""
        CREATE TABLE logs (
            workspace_id uuid PRIMARY KEY REFERENCES workspaces (id),
            epoch uuid NOT NULL DEFAULT gen_random_uuid(),
            floor_seq bigint NOT NULL DEFAULT 0 CHECK (floor_seq >= 0)
        );
        COMMENT ON TABLE logs IS 'Where the log of a workspace begins, and which history it is.';

        CREATE TABLE events (
            workspace_id uuid NOT NULL,
            seq bigint NOT NULL CHECK (seq > 0),
            kind varchar(64) NOT NULL,
            logged_at timestamptz NOT NULL,
            actor_kind varchar(16) NOT NULL,
            actor_id uuid,
            {typed},
            data jsonb,
            PRIMARY KEY (workspace_id, seq)
        );
        COMMENT ON TABLE events IS 'One numbered fact; numbers have no holes and never change.';
        CREATE INDEX events_of_conversation ON events (conversation_id, seq)
            WHERE conversation_id IS NOT NULL;
        CREATE INDEX events_leaving_queue ON events (from_queue_id, seq)
            WHERE from_queue_id IS NOT NULL;
        CREATE INDEX events_entering_queue ON events (to_queue_id, seq)
            WHERE to_queue_id IS NOT NULL AND from_queue_id IS DISTINCT FROM to_queue_id;
        CREATE INDEX events_leaving_agent ON events (from_agent_id, seq)
            WHERE from_agent_id IS NOT NULL;
        CREATE INDEX events_reaching_agent ON events (to_agent_id, seq)
            WHERE to_agent_id IS NOT NULL AND from_agent_id IS DISTINCT FROM to_agent_id;

        CREATE FUNCTION flush_events() RETURNS void LANGUAGE plpgsql AS $$
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
                                    {columns}, data)
                SELECT workspace, last + row_number() OVER (ORDER BY p.place), e.kind,
                       greatest(relevo_now(), last_at), e.actor_kind, e.actor_id, {columns}, e.data
                FROM jsonb_array_elements(pending) WITH ORDINALITY AS p(fact, place),
                     jsonb_to_record(p.fact) AS e(
                         workspace_id uuid, kind text, actor_kind text, actor_id uuid,
                         {typed}, data jsonb)
                WHERE e.workspace_id = workspace;
            END LOOP;
        END $$;

        CREATE TABLE idempotency_keys (
            workspace_id uuid NOT NULL,
            actor_id uuid NOT NULL,
            mutation varchar(64) NOT NULL,
            key varchar(200) NOT NULL,
            input_hash bytea NOT NULL,
            answer jsonb,
            created_at timestamptz NOT NULL DEFAULT relevo_now(),
            PRIMARY KEY (workspace_id, actor_id, mutation, key)
        );
        COMMENT ON TABLE idempotency_keys IS 'The answers of commands, for those sent again.';
        CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

        CREATE TABLE presence_leases (
            agent_id uuid NOT NULL,
            device varchar(100) NOT NULL,
            workspace_id uuid NOT NULL,
            expires_at timestamptz NOT NULL,
            PRIMARY KEY (agent_id, device),
            CONSTRAINT presence_leases_agent
                FOREIGN KEY (workspace_id, agent_id) REFERENCES agents (workspace_id, id)
        );
        COMMENT ON TABLE presence_leases IS 'Live connections; several devices count as one.';
        CREATE INDEX presence_leases_by_end ON presence_leases (expires_at);
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP TABLE presence_leases, idempotency_keys, events, logs;
        DROP FUNCTION flush_events();
    """
