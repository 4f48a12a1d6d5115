"""What timers are read by, and the processes that keep them.

Which conversations are due is asked by workspace and period, and by agents that have their own, in
the order of their moments: what is not due by them costs a sweep nothing, however much of it there
is. Changes of a period are counted, so that one that was changed back has changed all the same.
What a worker does and since when it is silent are rows that are replaced, and forgotten when it is
long gone.
"""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True
PERIODS = ("workspaces", "teams", "agents")


async def upgrade(db: BaseDBAsyncClient) -> str:
    counted = {
        table: f"""
        ALTER TABLE {table} ADD COLUMN idle_period_changes integer NOT NULL DEFAULT 0;
        COMMENT ON COLUMN {table}.idle_period_changes IS
            'How often the idle period was changed: what was seen of it before counts no more.';
        CREATE TRIGGER {table}_idle_period_changed BEFORE UPDATE OF idle_period_days ON {table}
            FOR EACH ROW WHEN (OLD.idle_period_days IS DISTINCT FROM NEW.idle_period_days)
            EXECUTE FUNCTION idle_period_changed();
        """
        for table in PERIODS
    }
    # Tables in the order in which commands lock their rows, so that none that runs meanwhile
    # waits for this while this waits for it.
    return f"""
        ALTER TABLE workspaces
            ADD COLUMN preview_key uuid NOT NULL DEFAULT gen_random_uuid();
        COMMENT ON COLUMN workspaces.preview_key IS
            'Signs the tokens of previews; never shown.';
        CREATE FUNCTION idle_period_changed() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                NEW.idle_period_changes := OLD.idle_period_changes + 1;
                RETURN NEW;
            END $$;
        {counted["workspaces"]}
        CREATE INDEX workspaces_closing ON workspaces (id, idle_period_days)
            WHERE idle_period_days > 0;
        {counted["teams"]}
        CREATE INDEX teams_closing ON teams (workspace_id, idle_period_days)
            WHERE idle_period_days > 0;

        CREATE INDEX conversations_idle_in_workspace
            ON conversations (workspace_id, last_activity_at, id)
            WHERE status IN ('BOT', 'QUEUED', 'ASSIGNED');
        DROP INDEX conversations_idle;
        CREATE INDEX conversations_reserved_until ON conversations (reserved_until)
            WHERE reserved_until IS NOT NULL;
        CREATE INDEX conversations_skipped_until ON conversations (skipped_until)
            WHERE skipped_until IS NOT NULL;
        {counted["agents"]}
        CREATE INDEX agents_closing ON agents (workspace_id, idle_period_days)
            WHERE idle_period_days > 0;

        CREATE TABLE workers (
            id uuid PRIMARY KEY,
            name varchar(200) NOT NULL,
            started_at timestamptz NOT NULL DEFAULT relevo_now(),
            beat_at timestamptz NOT NULL DEFAULT relevo_now(),
            swept jsonb NOT NULL DEFAULT '{{}}',
            failing jsonb NOT NULL DEFAULT '[]',
            CONSTRAINT workers_beat_after_they_start CHECK (beat_at >= started_at)
        );
        COMMENT ON TABLE workers IS
            'Worker processes of the installation that were alive lately.';
        COMMENT ON COLUMN workers.swept IS 'How much it did since it started, by what it sweeps.';
        COMMENT ON COLUMN workers.failing IS 'Which sweeps failed when they were tried last.';
        CREATE INDEX workers_by_beat ON workers (beat_at);
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    forgotten = "".join(
        f"""
        DROP TRIGGER {table}_idle_period_changed ON {table};
        ALTER TABLE {table} DROP COLUMN idle_period_changes;
        """
        for table in PERIODS
    )
    return f"""
        DROP TABLE workers;
        {forgotten}
        DROP FUNCTION idle_period_changed();
        ALTER TABLE workspaces DROP COLUMN preview_key;
        DROP INDEX conversations_skipped_until, conversations_reserved_until, agents_closing,
            teams_closing, workspaces_closing;
        CREATE INDEX conversations_idle ON conversations (last_activity_at, id)
            WHERE status IN ('BOT', 'QUEUED', 'ASSIGNED');
        DROP INDEX conversations_idle_in_workspace;
    """
