"""The tree of sales groups: who is above and below whom, and how deep it goes."""

from uuid import UUID

from models.database import Transaction, fetch, fetchval

TREE_DEPTH_MAX = 10


async def lock(transaction: Transaction, workspace_id: UUID) -> None:
    """Wait until nobody else adds, moves or removes groups here; taken before any other lock.

    Two moves that each are allowed could make a cycle together, or a tree that is too deep.
    """
    await transaction.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"team_tree {workspace_id}"
    )


async def ancestors(team_ids: list[UUID]) -> set[UUID]:
    """These teams and all groups above them."""
    rows = await fetch(
        """
        WITH RECURSIVE up AS (
            SELECT id, parent_id, 1 AS depth FROM teams WHERE id = ANY($1)
            UNION
            SELECT t.id, t.parent_id, up.depth + 1 FROM teams t JOIN up ON t.id = up.parent_id
            WHERE up.depth < $2
        )
        SELECT DISTINCT id FROM up
        """,
        team_ids,
        TREE_DEPTH_MAX,
    )
    return {row["id"] for row in rows}


async def depth(id: UUID) -> int:
    """How many groups there are from the root down to this one."""
    return len(await ancestors([id]))


async def height(id: UUID) -> int:
    """How many groups there are from this one down to the lowest below it."""
    found: int = await fetchval(
        """
        WITH RECURSIVE down AS (
            SELECT $1::uuid AS id, 1 AS height
            UNION ALL
            SELECT t.id, d.height + 1 FROM teams t JOIN down d ON t.parent_id = d.id
            WHERE d.height <= $2
        )
        SELECT max(height) FROM down
        """,
        id,
        TREE_DEPTH_MAX,
    )
    return found
