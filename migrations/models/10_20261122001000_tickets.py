"""Tickets: numbered cases that conversations link to, their actions, and canned replies.

Numbers have no holes and actions never change; both hold here too. Of what a closing appended, each
message of a conversation is in one action, which says from when to when.
"""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE workspaces ADD COLUMN summary_required bool NOT NULL DEFAULT false;

        CREATE TABLE tickets (
            id uuid PRIMARY KEY,
            workspace_id uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT relevo_now(),
            number int NOT NULL CHECK (number > 0),
            subject varchar(200) NOT NULL,
            description text,
            requester_id uuid NOT NULL,
            assignee_id uuid,
            department_id uuid,
            status varchar(16) NOT NULL,
            priority varchar(16) NOT NULL,
            opened_by_id uuid,
            updated_at timestamptz NOT NULL DEFAULT relevo_now(),
            version int NOT NULL,
            words tsvector NOT NULL GENERATED ALWAYS AS (
                to_tsvector('simple', subject || ' ' || coalesce(description, ''))
                || array_to_tsvector(ARRAY['#' || workspace_id::text])) STORED,
            CONSTRAINT tickets_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id),
            CONSTRAINT tickets_of_workspace UNIQUE (workspace_id, id),
            CONSTRAINT tickets_number_once UNIQUE (workspace_id, number),
            CONSTRAINT tickets_requester FOREIGN KEY (workspace_id, requester_id)
                REFERENCES contacts (workspace_id, id),
            CONSTRAINT tickets_assignee FOREIGN KEY (workspace_id, assignee_id)
                REFERENCES agents (workspace_id, id),
            CONSTRAINT tickets_department FOREIGN KEY (workspace_id, department_id)
                REFERENCES teams (workspace_id, id),
            CONSTRAINT tickets_status_known CHECK (
                status IN ('OPEN', 'PENDING', 'RESOLVED', 'CLOSED')),
            CONSTRAINT tickets_priority_known CHECK (
                priority IN ('LOW', 'NORMAL', 'HIGH', 'URGENT'))
        );
        COMMENT ON TABLE tickets IS 'A numbered case with a requester; conversations link to it.';
        COMMENT ON COLUMN tickets.words IS
            'What the ticket is found by: its words, and its workspace as a word that no text has.';
        CREATE INDEX tickets_by_update ON tickets (workspace_id, updated_at DESC, id DESC);
        CREATE INDEX tickets_by_number_prefix
            ON tickets (workspace_id, (number::text) text_pattern_ops);
        CREATE INDEX tickets_by_word ON tickets USING gin (words);
        CREATE INDEX tickets_of_requester ON tickets (requester_id);
        CREATE INDEX tickets_of_assignee ON tickets (assignee_id) WHERE assignee_id IS NOT NULL;
        CREATE INDEX tickets_of_department ON tickets (department_id)
            WHERE department_id IS NOT NULL;

        CREATE TABLE ticket_tags (
            workspace_id uuid NOT NULL,
            ticket_id uuid NOT NULL,
            tag_id uuid NOT NULL,
            PRIMARY KEY (ticket_id, tag_id),
            CONSTRAINT ticket_tags_ticket FOREIGN KEY (workspace_id, ticket_id)
                REFERENCES tickets (workspace_id, id),
            CONSTRAINT ticket_tags_tag FOREIGN KEY (workspace_id, tag_id)
                REFERENCES tags (workspace_id, id)
        );
        COMMENT ON TABLE ticket_tags IS 'Which ticket has which tag.';
        CREATE INDEX ticket_tags_of_tag ON ticket_tags (tag_id, ticket_id);

        ALTER TABLE closures ADD CONSTRAINT closures_of_workspace UNIQUE (workspace_id, id);
        CREATE TABLE ticket_actions (
            id uuid PRIMARY KEY,
            workspace_id uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT relevo_now(),
            ticket_id uuid NOT NULL,
            kind varchar(16) NOT NULL,
            author_kind varchar(16) NOT NULL,
            author_id uuid,
            text text,
            conversation_id uuid,
            closure_id uuid,
            messages_after timestamptz,
            messages_until timestamptz,
            CONSTRAINT ticket_actions_ticket FOREIGN KEY (workspace_id, ticket_id)
                REFERENCES tickets (workspace_id, id),
            CONSTRAINT ticket_actions_conversation FOREIGN KEY (workspace_id, conversation_id)
                REFERENCES conversations (workspace_id, id),
            CONSTRAINT ticket_actions_closure FOREIGN KEY (workspace_id, closure_id)
                REFERENCES closures (workspace_id, id),
            CONSTRAINT ticket_actions_once_per_closing UNIQUE (closure_id),
            CONSTRAINT ticket_actions_kind_known CHECK (kind IN ('HISTORY', 'PUBLIC', 'INTERNAL')),
            CONSTRAINT ticket_actions_say_something CHECK (
                (kind = 'HISTORY') = (text IS NULL)
                AND (kind = 'HISTORY') = (closure_id IS NOT NULL AND conversation_id IS NOT NULL
                                          AND messages_until IS NOT NULL))
        );
        COMMENT ON TABLE ticket_actions IS 'What was done about a ticket; immutable.';
        COMMENT ON COLUMN ticket_actions.messages_after IS
            'A closing''s history: messages after this instant (all, where empty) ...';
        COMMENT ON COLUMN ticket_actions.messages_until IS '... and until this one.';
        CREATE INDEX ticket_actions_in_order ON ticket_actions (ticket_id, created_at, id);
        CREATE INDEX ticket_actions_of_conversation
            ON ticket_actions (conversation_id, messages_until) WHERE conversation_id IS NOT NULL;
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% never change', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
        END $$;
        CREATE TRIGGER ticket_actions_never_change BEFORE UPDATE OR DELETE ON ticket_actions
            FOR EACH ROW EXECUTE FUNCTION refuse_change();

        ALTER TABLE conversations
            ADD COLUMN ticket_id uuid,
            ADD COLUMN ticket_link varchar(16),
            ADD CONSTRAINT conversations_ticket FOREIGN KEY (workspace_id, ticket_id)
                REFERENCES tickets (workspace_id, id),
            ADD CONSTRAINT conversations_ticket_link_known CHECK (
                ticket_link IN ('PROPOSED', 'CONFIRMED')),
            ADD CONSTRAINT conversations_linked_in_some_way CHECK (
                (ticket_id IS NULL) = (ticket_link IS NULL));
        CREATE INDEX conversations_of_ticket ON conversations (ticket_id, opened_at, id)
            WHERE ticket_id IS NOT NULL;

        ALTER TABLE events ADD COLUMN ticket_id uuid;
        CREATE INDEX events_of_ticket ON events (ticket_id, seq) WHERE ticket_id IS NOT NULL;

        CREATE TABLE snippets (
            id uuid PRIMARY KEY,
            workspace_id uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT relevo_now(),
            name varchar(200) NOT NULL,
            text text NOT NULL,
            CONSTRAINT snippets_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id),
            CONSTRAINT snippets_of_workspace UNIQUE (workspace_id, id)
        );
        COMMENT ON TABLE snippets IS 'A canned reply, with variables in it.';
        CREATE UNIQUE INDEX snippets_name_once ON snippets (workspace_id, lower(name));
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP TABLE snippets;
        ALTER TABLE events DROP COLUMN ticket_id;
        ALTER TABLE conversations DROP COLUMN ticket_id, DROP COLUMN ticket_link;
        DROP TABLE ticket_actions, ticket_tags, tickets;
        DROP FUNCTION refuse_change();
        ALTER TABLE closures DROP CONSTRAINT closures_of_workspace;
        ALTER TABLE workspaces DROP COLUMN summary_required;
    """
