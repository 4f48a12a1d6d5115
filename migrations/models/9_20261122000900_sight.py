"""What an agent held when it was closed stays in its sight: its closings are found by the agent."""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE INDEX closures_of_agent ON closures (agent_id, conversation_id, closed_at)
            WHERE agent_id IS NOT NULL;
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    return "DROP INDEX closures_of_agent;"
