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
            LANGUAGE sql STABLE PARALLEL SAFE AS $$
            SELECT hours IS NULL OR EXISTS (
                SELECT FROM (SELECT instant AT TIME ZONE (hours ->> 'time_zone') AS at) l
                CROSS JOIN jsonb_array_elements(hours -> 'weekly') AS i
                WHERE NOT hours -> 'holidays' ? to_char(l.at, 'YYYY-MM-DD')
                  AND (i ->> 'day')::int = extract(isodow FROM l.at)
                  AND l.at - date_trunc('day', l.at)
                      >= make_interval(mins => (i ->> 'opens')::int)
                  AND l.at - date_trunc('day', l.at)
                      < make_interval(mins => (i ->> 'closes')::int))
        $$;
        COMMENT ON FUNCTION relevo_is_open IS
            'Whether business hours are open; days are 1 (Monday) to 7, times minutes of the day.';
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    columns = "".join(f"ALTER TABLE {table} DROP COLUMN business_hours;\n" for table in _TABLES)
    return f"DROP FUNCTION relevo_is_open; {columns}"
