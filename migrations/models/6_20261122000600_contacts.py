"""Knowing a customer: tags, typed fields, segments, several identities, merging and splitting."""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True

_NAMED = {"tags": 50, "contact_fields": 200, "segments": 200}


def _tags_of(noun: str) -> str:
    return f"""
        CREATE TABLE {noun}_tags (
            workspace_id uuid NOT NULL,
            {noun}_id uuid NOT NULL,
            tag_id uuid NOT NULL,
            PRIMARY KEY ({noun}_id, tag_id),
            CONSTRAINT {noun}_tags_{noun} FOREIGN KEY (workspace_id, {noun}_id)
                REFERENCES {noun}s (workspace_id, id),
            CONSTRAINT {noun}_tags_tag FOREIGN KEY (workspace_id, tag_id)
                REFERENCES tags (workspace_id, id)
        );
        COMMENT ON TABLE {noun}_tags IS 'Which {noun} has which tag.';
        CREATE INDEX {noun}_tags_of_tag ON {noun}_tags (tag_id, {noun}_id);
    """


async def upgrade(db: BaseDBAsyncClient) -> str:
    named = "".join(
        f"""
        CREATE TABLE {table} (
            id uuid PRIMARY KEY,
            workspace_id uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT relevo_now(),
            name varchar({length}) NOT NULL,
            CONSTRAINT {table}_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id),
            CONSTRAINT {table}_of_workspace UNIQUE (workspace_id, id)
        );
        CREATE UNIQUE INDEX {table}_name_once ON {table} (workspace_id, lower(name));
        """
        for table, length in _NAMED.items()
    )
    return f"""
        {named}
        COMMENT ON TABLE tags IS 'A word that contacts and conversations are marked with.';
        {_tags_of("contact")} {_tags_of("conversation")}

        ALTER TABLE contact_fields
            ADD COLUMN kind varchar(16) NOT NULL,
            ADD COLUMN choices jsonb NOT NULL,
            ADD CONSTRAINT contact_fields_kind_known CHECK (
                kind IN ('TEXT', 'NUMBER', 'DATE', 'CHOICE')),
            ADD CONSTRAINT contact_fields_choices_of_a_choice CHECK (
                (kind = 'CHOICE') = (choices <> '[]'));
        COMMENT ON TABLE contact_fields IS 'What a workspace wants to know of its contacts.';

        ALTER TABLE segments ADD COLUMN filter jsonb NOT NULL;
        COMMENT ON TABLE segments IS 'A saved filter of contacts.';

        ALTER TABLE contacts
            ADD COLUMN field_values jsonb NOT NULL DEFAULT '{{}}',
            ADD COLUMN merged_into_id uuid,
            ADD CONSTRAINT contacts_merged_into FOREIGN KEY (workspace_id, merged_into_id)
                REFERENCES contacts (workspace_id, id),
            ADD CONSTRAINT contacts_merged_into_another CHECK (merged_into_id <> id);
        CREATE INDEX contacts_by_word ON contacts USING gin (to_tsvector('simple', name));
        CREATE INDEX contacts_by_phone ON contacts (workspace_id, phone text_pattern_ops)
            WHERE phone IS NOT NULL;
        CREATE INDEX contacts_by_email ON contacts (workspace_id, lower(email) text_pattern_ops)
            WHERE email IS NOT NULL;
        CREATE INDEX contacts_by_field ON contacts USING gin (field_values jsonb_path_ops);
        CREATE INDEX contacts_merged ON contacts (merged_into_id) WHERE merged_into_id IS NOT NULL;
        CREATE INDEX contact_identities_by_external_id
            ON contact_identities (workspace_id, external_id);

        CREATE TABLE contact_merges (
            id uuid PRIMARY KEY,
            workspace_id uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT relevo_now(),
            survivor_id uuid NOT NULL,
            merged_id uuid NOT NULL,
            moved jsonb NOT NULL,
            split_at timestamptz,
            CONSTRAINT contact_merges_survivor FOREIGN KEY (workspace_id, survivor_id)
                REFERENCES contacts (workspace_id, id),
            CONSTRAINT contact_merges_merged FOREIGN KEY (workspace_id, merged_id)
                REFERENCES contacts (workspace_id, id),
            CONSTRAINT contact_merges_two CHECK (survivor_id <> merged_id)
        );
        COMMENT ON TABLE contact_merges IS 'What a merge moved, so that it can be split again.';
        CREATE UNIQUE INDEX contact_merges_one_in_force ON contact_merges (merged_id)
            WHERE split_at IS NULL;
        CREATE INDEX contact_merges_of_survivor ON contact_merges (survivor_id);
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP TABLE contact_merges, segments, contact_fields, conversation_tags, contact_tags, tags;
        DROP INDEX contact_identities_by_external_id, contacts_by_word, contacts_by_phone,
            contacts_by_email;
        ALTER TABLE contacts DROP COLUMN field_values, DROP COLUMN merged_into_id;
    """
