"""Somebody's own part of the log: what an agent did that was not about itself.

What was about itself has indexes of its own, which this one leaves out: together they have each of
its events once.
"""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE INDEX events_done_by_agent ON events (actor_id, seq)
            WHERE actor_kind = 'AGENT' AND from_agent_id IS DISTINCT FROM actor_id
              AND to_agent_id IS DISTINCT FROM actor_id;
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    return "DROP INDEX events_done_by_agent;"
