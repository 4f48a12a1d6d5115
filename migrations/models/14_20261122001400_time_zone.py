"""The time zone of a workspace: where its days begin, which its reports are grouped by."""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE workspaces ADD COLUMN time_zone varchar(64) NOT NULL DEFAULT 'UTC';

        CREATE FUNCTION relevo_day_begins(day date, zone text) RETURNS timestamptz
            LANGUAGE sql STABLE PARALLEL SAFE AS $$
            -- Where midnight comes twice PostgreSQL takes the second, and a day begins with the
            -- first; where it never comes, the day begins with the instant after it.
            SELECT coalesce(min(t.at) FILTER (WHERE (t.at AT TIME ZONE zone)::date = day), max(t.at))
            FROM (VALUES (day::timestamp AT TIME ZONE zone),
                         (day::timestamp AT TIME ZONE zone - interval '1 hour')) AS t(at)
        $$;
        COMMENT ON FUNCTION relevo_day_begins IS 'The first instant of a day in a time zone.';
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP FUNCTION relevo_day_begins;
        ALTER TABLE workspaces DROP COLUMN time_zone;
    """
