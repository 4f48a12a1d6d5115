"""What timers are read by, and the processes that keep them.

Which conversations are due is asked by workspace and period, so that what never closes costs a
sweep nothing, however much of it there is. What a worker does and since when it is silent are rows
that are replaced, and forgotten when it is long gone.
"""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE INDEX conversations_idle_in_workspace
            ON conversations (workspace_id, last_activity_at, id)
            WHERE status IN ('BOT', 'QUEUED', 'ASSIGNED');
        DROP INDEX conversations_idle;
        CREATE INDEX workspaces_closing ON workspaces (id, idle_period_days)
            WHERE idle_period_days > 0;
        CREATE INDEX teams_closing ON teams (workspace_id, idle_period_days)
            WHERE idle_period_days > 0;
        CREATE INDEX agents_closing ON agents (workspace_id, idle_period_days)
            WHERE idle_period_days > 0;
        CREATE INDEX conversations_reserved_until ON conversations (reserved_until)
            WHERE reserved_until IS NOT NULL;
        CREATE INDEX conversations_skipped_until ON conversations (skipped_until)
            WHERE skipped_until IS NOT NULL;

        ALTER TABLE workspaces
            ADD COLUMN preview_key uuid NOT NULL DEFAULT gen_random_uuid();
        COMMENT ON COLUMN workspaces.preview_key IS
            'Signs the tokens of previews; never shown.';

        CREATE TABLE workers (
            id uuid PRIMARY KEY,
            name varchar(200) NOT NULL,
            started_at timestamptz NOT NULL DEFAULT relevo_now(),
            beat_at timestamptz NOT NULL DEFAULT relevo_now(),
            swept jsonb NOT NULL DEFAULT '{}',
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
    return """
        DROP TABLE workers;
        ALTER TABLE workspaces DROP COLUMN preview_key;
        DROP INDEX conversations_skipped_until, conversations_reserved_until, agents_closing,
            teams_closing, workspaces_closing;
        CREATE INDEX conversations_idle ON conversations (last_activity_at, id)
            WHERE status IN ('BOT', 'QUEUED', 'ASSIGNED');
        DROP INDEX conversations_idle_in_workspace;
    """
