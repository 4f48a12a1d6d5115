"""Snoozing, answering in time, and what an assignment was for: what the desk does all day.

A snoozed conversation keeps its agent and leaves its load, so the assignment says whether it
counts. Who let a conversation wait too long is passed over for it until the time beside it.
"""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE conversations
            ADD COLUMN snoozed_until timestamptz,
            ADD COLUMN skipped_agent_id uuid,
            ADD COLUMN skipped_until timestamptz,
            ADD CONSTRAINT conversations_skipped_agent FOREIGN KEY (workspace_id, skipped_agent_id)
                REFERENCES agents (workspace_id, id),
            ADD CONSTRAINT conversations_skip_for_a_time CHECK (
                (skipped_agent_id IS NULL) = (skipped_until IS NULL)),
            ADD CONSTRAINT conversations_snoozed_by_somebody CHECK (
                status <> 'SNOOZED' OR assignee_id IS NOT NULL),
            ADD CONSTRAINT conversations_wake_from_a_snooze CHECK (
                snoozed_until IS NULL OR status = 'SNOOZED');
        CREATE INDEX conversations_waking ON conversations (snoozed_until)
            WHERE snoozed_until IS NOT NULL;
        CREATE INDEX conversations_waiting_for_another ON conversations (team_id, queued_at, id)
            WHERE status = 'QUEUED' AND skipped_until IS NOT NULL;

        ALTER TABLE assignments
            ADD COLUMN line varchar(16),
            ADD COLUMN is_counted bool NOT NULL DEFAULT true,
            ADD COLUMN unanswered_since timestamptz;
        UPDATE assignments a SET line = c.line FROM conversations c WHERE c.id = a.conversation_id;
        ALTER TABLE assignments
            ALTER COLUMN line SET NOT NULL,
            ADD CONSTRAINT assignments_line_known CHECK (line IN ('SALES', 'SUPPORT'));
        CREATE INDEX assignments_unanswered ON assignments (team_id, unanswered_since)
            WHERE unanswered_since IS NOT NULL AND ended_at IS NULL;

        ALTER TABLE messages
            ADD COLUMN delivery varchar(16),
            ADD CONSTRAINT messages_delivery_known CHECK (
                delivery IN ('PENDING', 'SENT', 'DELIVERED', 'READ', 'FAILED')),
            ADD CONSTRAINT messages_only_answers_are_delivered CHECK (
                delivery IS NULL OR direction = 'OUTBOUND');
        UPDATE messages SET delivery = 'PENDING' WHERE direction = 'OUTBOUND';
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE messages DROP COLUMN delivery;
        ALTER TABLE assignments
            DROP COLUMN line, DROP COLUMN is_counted, DROP COLUMN unanswered_since;
        ALTER TABLE conversations
            DROP CONSTRAINT conversations_snoozed_by_somebody,
            DROP COLUMN snoozed_until, DROP COLUMN skipped_agent_id, DROP COLUMN skipped_until;
    """
