"""Webhooks: consumers of the log that are sent it, each with its own place in it.

Whoever sends to one holds its lease, and moves its place only while it does and nothing about the
endpoint changed meanwhile (its version). The place lives beside the log, so that both come out of
a restore as they were at one instant.
"""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE webhooks (
            id uuid PRIMARY KEY,
            workspace_id uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT relevo_now(),
            name varchar(200) NOT NULL,
            url varchar(2000) NOT NULL,
            filter jsonb NOT NULL,
            secret varchar(64) NOT NULL,
            previous_secret varchar(64),
            previous_secret_until timestamptz,
            status varchar(16) NOT NULL,
            epoch uuid NOT NULL,
            delivered_seq bigint NOT NULL,
            missed_count bigint NOT NULL,
            attempts int NOT NULL,
            failing_since timestamptz,
            next_attempt_at timestamptz,
            failure varchar(32),
            status_code int,
            delivered_at timestamptz,
            lease uuid,
            leased_until timestamptz,
            disabled_at timestamptz,
            version int NOT NULL,
            CONSTRAINT webhooks_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id),
            CONSTRAINT webhooks_of_workspace UNIQUE (workspace_id, id),
            CONSTRAINT webhooks_status_known CHECK (status IN ('ACTIVE', 'PAUSED', 'DISABLED')),
            CONSTRAINT webhooks_filter_named CHECK (jsonb_typeof(filter) = 'object'),
            CONSTRAINT webhooks_previous_secret_ends CHECK (
                (previous_secret IS NULL) = (previous_secret_until IS NULL)),
            CONSTRAINT webhooks_in_the_log CHECK (delivered_seq >= 0 AND missed_count >= 0),
            CONSTRAINT webhooks_failing_for_a_reason CHECK (
                attempts >= 0
                AND (attempts = 0) = (failing_since IS NULL)
                AND (attempts = 0) = (failure IS NULL)
                AND (attempts > 0 OR next_attempt_at IS NULL)),
            CONSTRAINT webhooks_failure_known CHECK (failure IN (
                'NOT_WRITTEN', 'TIMED_OUT', 'UNREACHABLE', 'BROKEN_OFF', 'TLS_FAILED',
                'REFUSED_TARGET', 'NOT_ACCEPTED', 'GONE')),
            CONSTRAINT webhooks_disabled_for_a_failure CHECK (
                (status = 'DISABLED') = (disabled_at IS NOT NULL)
                AND (status <> 'DISABLED' OR failure IS NOT NULL)),
            CONSTRAINT webhooks_lease_ends CHECK (lease IS NULL OR leased_until IS NOT NULL)
        );
        COMMENT ON TABLE webhooks IS 'An endpoint that is sent the log, and how far it got.';
        COMMENT ON COLUMN webhooks.delivered_seq IS
            'Everything up to and including it is delivered, did not match, or is told as missed.';
        COMMENT ON COLUMN webhooks.missed_count IS
            'How many events the log forgot before they could be delivered.';
        COMMENT ON COLUMN webhooks.leased_until IS
            'Without a lease, when the last one ended: who waited longest comes first.';
        CREATE INDEX webhooks_sending ON webhooks (workspace_id) WHERE status = 'ACTIVE';
        CREATE INDEX webhooks_in_order ON webhooks (workspace_id, created_at, id);
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    return "DROP TABLE webhooks;"
