"""Business hours: of a workspace, over them a team's, over those an agent's; none is always open.

One function answers everywhere whether hours are open at an instant, daylight saving included.
"""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True

_TABLES = ("workspaces", "teams", "agents")


async def upgrade(db: BaseDBAsyncClient) -> str:
    columns = "".join(
        f"ALTER TABLE {table} ADD COLUMN business_hours jsonb;\n" for table in _TABLES
    )
    return f"""
        {columns}
        CREATE FUNCTION relevo_is_open(hours jsonb, instant timestamptz) RETURNS bool
            LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
        DECLARE
            at timestamp;
            since interval;
        BEGIN
            -- Not plain SQL: inlined, it would be planned with every statement that asks.
            IF hours IS NULL THEN
                RETURN true;
            END IF;
            at := instant AT TIME ZONE (hours ->> 'time_zone');
            since := at - date_trunc('day', at);
            RETURN NOT hours -> 'holidays' ? to_char(at, 'YYYY-MM-DD') AND EXISTS (
                SELECT FROM jsonb_array_elements(hours -> 'weekly') AS i
                WHERE (i ->> 'day')::int = extract(isodow FROM at)
                  AND since >= make_interval(mins => (i ->> 'opens')::int)
                  AND since < make_interval(mins => (i ->> 'closes')::int));
        END $$;
        COMMENT ON FUNCTION relevo_is_open IS
            'Whether business hours are open; days are 1 (Monday) to 7, times minutes of the day.';
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    columns = "".join(f"ALTER TABLE {table} DROP COLUMN business_hours;\n" for table in _TABLES)
    return f"DROP FUNCTION relevo_is_open; {columns}"
