"""Owners, stickiness, the bot and reservations: what decides where a customer's message goes."""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True

_WINDOW_HOURS_MAX = 90 * 24


async def upgrade(db: BaseDBAsyncClient) -> str:
    return f"""
        ALTER TABLE workspaces
            ADD COLUMN owned_skips_bot bool NOT NULL DEFAULT false,
            ADD COLUMN owner_wait_minutes int
                CONSTRAINT workspaces_owner_wait_positive CHECK (owner_wait_minutes > 0),
            ADD COLUMN sticky_falls_through bool NOT NULL DEFAULT false,
            ADD COLUMN reassignment_window_hours int
                CONSTRAINT workspaces_window_in_range CHECK (
                    reassignment_window_hours BETWEEN 1 AND {_WINDOW_HOURS_MAX});
        ALTER TABLE teams
            ADD COLUMN reassignment_window_hours int
                CONSTRAINT teams_window_in_range CHECK (
                    reassignment_window_hours BETWEEN 0 AND {_WINDOW_HOURS_MAX}),
            ADD COLUMN unassign_on_close bool NOT NULL DEFAULT false;
        ALTER TABLE channels ADD COLUMN bot_is_on bool NOT NULL DEFAULT false;
        ALTER TABLE contacts
            ADD COLUMN owner_agent_id uuid,
            ADD COLUMN owner_team_id uuid,
            ADD CONSTRAINT contacts_one_owner CHECK (
                owner_agent_id IS NULL OR owner_team_id IS NULL),
            ADD CONSTRAINT contacts_owner_agent FOREIGN KEY (workspace_id, owner_agent_id)
                REFERENCES agents (workspace_id, id),
            ADD CONSTRAINT contacts_owner_team FOREIGN KEY (workspace_id, owner_team_id)
                REFERENCES teams (workspace_id, id);
        CREATE INDEX contacts_of_owner ON contacts (owner_agent_id)
            WHERE owner_agent_id IS NOT NULL;
        CREATE INDEX contacts_of_owner_team ON contacts (owner_team_id)
            WHERE owner_team_id IS NOT NULL;
        ALTER TABLE closures ADD COLUMN is_sticky bool NOT NULL DEFAULT true;
        ALTER TABLE conversations
            ADD COLUMN reserved_for_id uuid,
            ADD COLUMN reserved_until timestamptz,
            ADD CONSTRAINT conversations_reserved_for FOREIGN KEY (workspace_id, reserved_for_id)
                REFERENCES agents (workspace_id, id),
            ADD CONSTRAINT conversations_reserved_while_waiting CHECK (
                reserved_for_id IS NULL OR status = 'QUEUED');
        CREATE INDEX conversations_reserved ON conversations (reserved_for_id)
            WHERE reserved_for_id IS NOT NULL;
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE conversations DROP COLUMN reserved_for_id, DROP COLUMN reserved_until;
        ALTER TABLE closures DROP COLUMN is_sticky;
        ALTER TABLE contacts DROP COLUMN owner_agent_id, DROP COLUMN owner_team_id;
        ALTER TABLE channels DROP COLUMN bot_is_on;
        ALTER TABLE teams
            DROP COLUMN reassignment_window_hours, DROP COLUMN unassign_on_close;
        ALTER TABLE workspaces
            DROP COLUMN owned_skips_bot, DROP COLUMN owner_wait_minutes,
            DROP COLUMN sticky_falls_through, DROP COLUMN reassignment_window_hours;
    """
