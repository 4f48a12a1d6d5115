"""Two more roles, who may set owners, and invitations: tokens that let a person choose a password."""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


def _known(roles: str, kinds: str, of_agents: str) -> str:
    return f"""
        ALTER TABLE agents DROP CONSTRAINT agents_role_known,
            ADD CONSTRAINT agents_role_known CHECK (role IN ({roles}));
        ALTER TABLE tokens DROP CONSTRAINT tokens_kind_known,
            DROP CONSTRAINT tokens_session_of_agent,
            ADD CONSTRAINT tokens_kind_known CHECK (kind IN ({kinds})),
            ADD CONSTRAINT tokens_session_of_agent CHECK (
                (kind IN ({of_agents})) = (agent_id IS NOT NULL));
    """


async def upgrade(db: BaseDBAsyncClient) -> str:
    return f"""
        {
        _known(
            "'AGENT', 'OPERATOR', 'AUDITOR', 'MARKETING', 'ADMIN'",
            "'SESSION', 'INTEGRATION', 'INVITATION'",
            "'SESSION', 'INVITATION'",
        )
    }
        CREATE UNIQUE INDEX tokens_one_invitation ON tokens (agent_id)
            WHERE kind = 'INVITATION' AND revoked_at IS NULL;
        ALTER TABLE workspaces ADD COLUMN owner_setters jsonb NOT NULL DEFAULT '[]';
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    return f"""
        ALTER TABLE workspaces DROP COLUMN owner_setters;
        DROP INDEX tokens_one_invitation;
        DELETE FROM tokens WHERE kind = 'INVITATION';
        {_known("'AGENT', 'OPERATOR', 'ADMIN'", "'SESSION', 'INTEGRATION'", "'SESSION'")}
    """
