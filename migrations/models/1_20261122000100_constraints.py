"""What the verbs promise, held by the database too.

References are composite with the workspace, so that no row can point into another company.
Partial unique indexes hold the rules that speak of "at most one at a time".
"""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True

_ENUMS = {
    ("agents", "role"): "AGENT OPERATOR ADMIN",
    ("agents", "availability"): "ONLINE AWAY OFFLINE",
    ("teams", "line"): "SALES SUPPORT",
    ("teams", "distribution"): "MANUAL ROUND_ROBIN LEAST_OPEN",
    (
        "channels",
        "kind",
    ): "WHATSAPP WEBCHAT MESSENGER INSTAGRAM RCS TELEGRAM EMAIL SMS GOOGLE_BUSINESS",
    ("channels", "status"): "CONNECTED PENDING DISCONNECTED",
    ("channels", "default_line"): "SALES SUPPORT",
    ("conversations", "line"): "SALES SUPPORT",
    ("conversations", "status"): "BOT QUEUED ASSIGNED SNOOZED CLOSED",
    ("messages", "direction"): "INBOUND OUTBOUND NOTE",
    ("closures", "cause"): "AGENT INTEGRATION INACTIVE",
    ("tokens", "kind"): "SESSION INTEGRATION",
}
_IDLE_PERIODS = "(0, 1, 3, 7, 14, 30)"
_ROOTS = ("agents", "teams", "channels", "contacts", "tokens", "closing_reasons")
_REFERENCED = (*_ROOTS[:4], "closing_reasons", "conversations", "messages")
_REFERENCES = {
    "teams": {"parent_id": "teams"},
    "memberships": {"team_id": "teams", "agent_id": "agents"},
    "channels": {
        "sales_team_id": "teams",
        "sales_agent_id": "agents",
        "support_team_id": "teams",
    },
    "contact_identities": {"contact_id": "contacts", "channel_id": "channels"},
    "conversations": {
        "contact_id": "contacts",
        "channel_id": "channels",
        "team_id": "teams",
        "assignee_id": "agents",
    },
    "messages": {"conversation_id": "conversations", "author_agent_id": "agents"},
    "assignments": {
        "conversation_id": "conversations",
        "agent_id": "agents",
        "team_id": "teams",
    },
    "closures": {
        "conversation_id": "conversations",
        "agent_id": "agents",
        "reason_id": "closing_reasons",
    },
    "tokens": {"agent_id": "agents"},
}


def _checks() -> str:
    return "".join(
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_known "
        f"CHECK ({column} IN ({', '.join(repr(value) for value in values.split())}));\n"
        for (table, column), values in _ENUMS.items()
    )


def _foreign_keys() -> str:
    roots = "".join(
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_workspace "
        f"FOREIGN KEY (workspace_id) REFERENCES workspaces (id);\n"
        for table in _ROOTS
    )
    targets = "".join(
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_of_workspace UNIQUE (workspace_id, id);\n"
        for table in _REFERENCED
    )
    references = "".join(
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_{column.removesuffix('_id')} "
        f"FOREIGN KEY (workspace_id, {column}) REFERENCES {target} (workspace_id, id);\n"
        for table, columns in _REFERENCES.items()
        for column, target in columns.items()
    )
    return roots + targets + references


async def upgrade(db: BaseDBAsyncClient) -> str:
    return f"""
        {_checks()}
        {_foreign_keys()}

        ALTER TABLE workspaces ADD CONSTRAINT workspaces_idle_period_known
            CHECK (idle_period_days IN {_IDLE_PERIODS});

        ALTER TABLE agents
            ADD CONSTRAINT agents_idle_period_known CHECK (idle_period_days IN {_IDLE_PERIODS}),
            ADD CONSTRAINT agents_load_not_negative CHECK (load >= 0),
            ADD CONSTRAINT agents_capacity_not_negative CHECK (capacity >= 0),
            ADD CONSTRAINT agents_email_in_lower_case CHECK (email = lower(email)),
            ADD CONSTRAINT agents_email_once UNIQUE (email);
        CREATE INDEX agents_connected ON agents (id) WHERE is_connected;

        ALTER TABLE teams
            ADD CONSTRAINT teams_idle_period_known CHECK (idle_period_days IN {_IDLE_PERIODS}),
            ADD CONSTRAINT teams_priority_in_range CHECK (priority BETWEEN 0 AND 10),
            ADD CONSTRAINT teams_groups_have_no_priority CHECK (line = 'SUPPORT' OR priority = 0),
            ADD CONSTRAINT teams_only_groups_nest CHECK (
                parent_id IS NULL OR (line = 'SALES' AND NOT is_todos AND parent_id <> id)),
            ADD CONSTRAINT teams_max_open_positive CHECK (max_open > 0),
            ADD CONSTRAINT teams_todos_stay CHECK (NOT is_todos OR (is_active AND name = 'Todos'));
        CREATE UNIQUE INDEX teams_one_todos_per_line ON teams (workspace_id, line) WHERE is_todos;
        CREATE INDEX teams_below ON teams (parent_id) WHERE parent_id IS NOT NULL;

        ALTER TABLE memberships
            ADD CONSTRAINT memberships_once UNIQUE (team_id, agent_id),
            ADD CONSTRAINT memberships_one_position UNIQUE (team_id, position)
                DEFERRABLE INITIALLY IMMEDIATE;
        CREATE INDEX memberships_of_agent ON memberships (agent_id);

        ALTER TABLE channels
            ADD CONSTRAINT channels_one_sales_target CHECK (
                sales_team_id IS NULL OR sales_agent_id IS NULL),
            ADD CONSTRAINT channels_support_where_served CHECK (
                (support_team_id IS NULL AND default_line = 'SALES')
                OR kind IN ('WHATSAPP', 'TELEGRAM', 'EMAIL', 'SMS'));
        CREATE UNIQUE INDEX channels_one_per_group ON channels (sales_team_id)
            WHERE sales_team_id IS NOT NULL;

        ALTER TABLE contact_identities
            ADD CONSTRAINT contact_identities_once UNIQUE (channel_id, external_id);
        CREATE INDEX contact_identities_of_contact ON contact_identities (contact_id);
        CREATE INDEX contacts_in_order ON contacts (workspace_id, created_at, id);

        ALTER TABLE conversations
            ADD CONSTRAINT conversations_assigned_to_somebody CHECK (
                status <> 'ASSIGNED' OR assignee_id IS NOT NULL),
            ADD CONSTRAINT conversations_held_only_when_worked CHECK (
                assignee_id IS NULL OR status IN ('ASSIGNED', 'SNOOZED')),
            ADD CONSTRAINT conversations_queued_somewhere CHECK (
                status <> 'QUEUED' OR (team_id IS NOT NULL AND queued_at IS NOT NULL)),
            ADD CONSTRAINT conversations_closed_at_a_time CHECK (
                (status = 'CLOSED') = (closed_at IS NOT NULL));
        CREATE UNIQUE INDEX conversations_one_open_per_contact_and_channel
            ON conversations (contact_id, channel_id) WHERE status <> 'CLOSED';
        CREATE INDEX conversations_waiting ON conversations (team_id, queued_at, id)
            WHERE status = 'QUEUED';
        CREATE INDEX conversations_held ON conversations (assignee_id, last_activity_at, id)
            WHERE assignee_id IS NOT NULL;
        CREATE INDEX conversations_idle ON conversations (last_activity_at, id)
            WHERE status IN ('BOT', 'QUEUED', 'ASSIGNED');
        CREATE INDEX conversations_by_activity
            ON conversations (workspace_id, last_activity_at DESC, id DESC);
        CREATE INDEX conversations_of_contact ON conversations (contact_id);
        CREATE INDEX conversations_of_team
            ON conversations (team_id, last_activity_at DESC, id DESC);

        ALTER TABLE messages
            ADD CONSTRAINT messages_not_empty CHECK (text <> ''),
            ADD CONSTRAINT messages_not_too_long CHECK (octet_length(text) <= 65536);
        CREATE UNIQUE INDEX messages_inbound_once ON messages (channel_id, external_id)
            WHERE direction = 'INBOUND';
        CREATE INDEX messages_in_order ON messages (conversation_id, created_at, id);

        CREATE UNIQUE INDEX assignments_one_open_per_conversation
            ON assignments (conversation_id) WHERE ended_at IS NULL;
        CREATE INDEX assignments_of_conversation ON assignments (conversation_id, started_at);
        CREATE INDEX assignments_of_agent ON assignments (agent_id, started_at);
        ALTER TABLE assignments ADD CONSTRAINT assignments_end_in_some_way CHECK (
            (ended_at IS NULL) = (ending IS NULL));

        CREATE INDEX closures_of_conversation ON closures (conversation_id, closed_at);
        CREATE UNIQUE INDEX closing_reasons_name_once
            ON closing_reasons (workspace_id, lower(name));
        CREATE UNIQUE INDEX tokens_digest_once ON tokens (digest);
        ALTER TABLE tokens ADD CONSTRAINT tokens_session_of_agent CHECK (
            (kind = 'SESSION') = (agent_id IS NOT NULL));
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    enums = "".join(
        f"ALTER TABLE {table} DROP CONSTRAINT {table}_{column}_known;\n" for table, column in _ENUMS
    )
    references = "".join(
        f"ALTER TABLE {table} DROP CONSTRAINT {table}_{column.removesuffix('_id')};\n"
        for table, columns in _REFERENCES.items()
        for column in columns
    )
    roots = "".join(f"ALTER TABLE {t} DROP CONSTRAINT {t}_workspace;\n" for t in _ROOTS)
    targets = "".join(f"ALTER TABLE {t} DROP CONSTRAINT {t}_of_workspace;\n" for t in _REFERENCED)
    return f"""
        {enums} {references} {roots} {targets}
        ALTER TABLE workspaces DROP CONSTRAINT workspaces_idle_period_known;
        ALTER TABLE agents
            DROP CONSTRAINT agents_idle_period_known, DROP CONSTRAINT agents_load_not_negative,
            DROP CONSTRAINT agents_capacity_not_negative,
            DROP CONSTRAINT agents_email_in_lower_case, DROP CONSTRAINT agents_email_once;
        ALTER TABLE teams
            DROP CONSTRAINT teams_idle_period_known, DROP CONSTRAINT teams_priority_in_range,
            DROP CONSTRAINT teams_groups_have_no_priority, DROP CONSTRAINT teams_only_groups_nest,
            DROP CONSTRAINT teams_max_open_positive, DROP CONSTRAINT teams_todos_stay;
        ALTER TABLE memberships
            DROP CONSTRAINT memberships_once, DROP CONSTRAINT memberships_one_position;
        ALTER TABLE channels
            DROP CONSTRAINT channels_one_sales_target,
            DROP CONSTRAINT channels_support_where_served;
        ALTER TABLE contact_identities DROP CONSTRAINT contact_identities_once;
        ALTER TABLE conversations
            DROP CONSTRAINT conversations_assigned_to_somebody,
            DROP CONSTRAINT conversations_held_only_when_worked,
            DROP CONSTRAINT conversations_queued_somewhere,
            DROP CONSTRAINT conversations_closed_at_a_time;
        ALTER TABLE messages
            DROP CONSTRAINT messages_not_empty, DROP CONSTRAINT messages_not_too_long;
        ALTER TABLE assignments DROP CONSTRAINT assignments_end_in_some_way;
        ALTER TABLE tokens DROP CONSTRAINT tokens_session_of_agent;
        DROP INDEX agents_connected, teams_one_todos_per_line, teams_below, memberships_of_agent,
            channels_one_per_group, contact_identities_of_contact, contacts_in_order,
            conversations_one_open_per_contact_and_channel, conversations_waiting,
            conversations_held, conversations_idle, conversations_by_activity,
            conversations_of_contact, conversations_of_team, messages_inbound_once,
            messages_in_order, assignments_one_open_per_conversation,
            assignments_of_conversation, assignments_of_agent, closures_of_conversation,
            closing_reasons_name_once, tokens_digest_once;
    """
