"""What a team may say of its distribution: the groups below, answers in time, ageing, transfers.

A team's number never changes: it keeps the members of the groups below in one stable order.
"""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE SEQUENCE team_numbers AS int;
        ALTER TABLE teams
            ADD COLUMN number int NOT NULL DEFAULT nextval('team_numbers'),
            ADD COLUMN include_descendants bool NOT NULL DEFAULT false,
            ADD COLUMN answer_timeout_minutes int,
            ADD COLUMN ageing_minutes int,
            ALTER COLUMN round_robin_position TYPE bigint,
            ADD CONSTRAINT teams_number_once UNIQUE (number),
            ADD CONSTRAINT teams_only_groups_have_descendants CHECK (
                NOT include_descendants OR (line = 'SALES' AND NOT is_todos)),
            ADD CONSTRAINT teams_answer_timeout_positive CHECK (answer_timeout_minutes > 0),
            ADD CONSTRAINT teams_ageing_positive CHECK (ageing_minutes > 0);

        CREATE TABLE transfer_targets (
            workspace_id uuid NOT NULL,
            team_id uuid NOT NULL,
            to_team_id uuid NOT NULL,
            PRIMARY KEY (team_id, to_team_id),
            CONSTRAINT transfer_targets_team
                FOREIGN KEY (workspace_id, team_id) REFERENCES teams (workspace_id, id),
            CONSTRAINT transfer_targets_to_team
                FOREIGN KEY (workspace_id, to_team_id) REFERENCES teams (workspace_id, id),
            CONSTRAINT transfer_targets_others CHECK (team_id <> to_team_id)
        );
        COMMENT ON TABLE transfer_targets IS
            'The departments that a department hands over to; none listed is all.';
        CREATE INDEX transfer_targets_reaching ON transfer_targets (to_team_id);
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP TABLE transfer_targets;
        ALTER TABLE teams
            DROP COLUMN number, DROP COLUMN include_descendants,
            DROP COLUMN answer_timeout_minutes, DROP COLUMN ageing_minutes,
            ALTER COLUMN round_robin_position TYPE int;
        DROP SEQUENCE team_numbers;
    """
