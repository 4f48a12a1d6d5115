"""A reminder before a quiet conversation closes: how long before, and when one was given last.

A conversation is reminded once while nothing happens in it, so what was reminded since anything
happened is out of the index that the sweep reads.
"""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE workspaces
            ADD COLUMN idle_reminder_before_minutes int,
            ADD CONSTRAINT workspaces_remind_in_time CHECK (
                idle_reminder_before_minutes BETWEEN 1 AND 29 * 24 * 60);
        CREATE INDEX workspaces_reminding ON workspaces (id)
            WHERE idle_reminder_before_minutes IS NOT NULL;

        ALTER TABLE conversations ADD COLUMN reminded_at timestamptz;
        CREATE INDEX conversations_to_remind ON conversations (workspace_id, last_activity_at)
            WHERE status IN ('BOT', 'QUEUED', 'ASSIGNED')
              AND (reminded_at IS NULL OR reminded_at < last_activity_at);
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE conversations DROP COLUMN reminded_at;
        ALTER TABLE workspaces DROP COLUMN idle_reminder_before_minutes;
    """
