"""What followers of teams and of tickets read when they catch up: by an index, not by a scan."""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE INDEX events_about_team ON events (to_team_id, seq)
            WHERE conversation_id IS NULL AND to_team_id IS NOT NULL;
        CREATE INDEX events_leaving_team ON events (from_team_id, seq)
            WHERE conversation_id IS NULL AND from_team_id IS NOT NULL;
        CREATE INDEX events_leaving_ticket ON events (((data ->> 'from_ticket')::uuid), seq)
            WHERE data ? 'from_ticket';
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP INDEX events_leaving_ticket;
        DROP INDEX events_leaving_team;
        DROP INDEX events_about_team;
    """
