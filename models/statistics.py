"""What the planner believes of tables that grow faster than PostgreSQL's own housekeeping looks.

That looks once a minute, where nobody set it otherwise. PostgreSQL keeps the plans of statements
and of foreign keys for as long as it believes what they were made by: a table that was small a
moment ago is read from end to end for every row, and closing ten thousand conversations with
tickets took longer with every batch until the minute had passed. Looking blocks no command: it
keeps out only others that look, and changes of the schema. Where the tables are somebody else's,
it stays with the housekeeping.
"""

from models.database import fetch

# Below that reading all of it is no loss, and beyond that a minute's growth changes no plan.
PAGES_MIN = 8
PAGES_MAX = 20_000
TABLES_MAX = 5
# One that somebody looks at, or changes, is not even measured: that would wait for them.
_OUTGROWN = """
    SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
      AND pg_has_role(c.relowner, 'USAGE')
      AND CASE WHEN c.oid IN (
              SELECT l.relation FROM pg_locks l
              WHERE l.locktype = 'relation' AND l.mode NOT IN (
                  'AccessShareLock', 'RowShareLock', 'RowExclusiveLock'))
          THEN false
          ELSE pg_relation_size(c.oid) / current_setting('block_size')::int
              BETWEEN 2 * c.relpages + $1 AND $2 END
    ORDER BY c.relname LIMIT $3
"""


async def look_again(tables_max: int = TABLES_MAX) -> int:
    """Let PostgreSQL look again at tables that doubled since it last did; returns how many.

    Plans that were made before are made anew, in every connection. What somebody else looks at is
    left to them.
    """
    rows = await fetch(_OUTGROWN, PAGES_MIN, PAGES_MAX, tables_max)
    for row in rows:
        await fetch(f'ANALYZE (SKIP_LOCKED) "{row["relname"]}"')
    return len(rows)
