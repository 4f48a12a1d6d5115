"""Workflows: what is published and never changes, each run of it, and each step of a run.

Whatever starts a run is a fact of the log, so runs begin in the transaction of that fact: directly
before its commit `begin_runs` looks which workflows wait for such facts. Nothing is started twice
and nothing is lost, whoever dies when.
"""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True

# What runs cause starts the same workflow again this often for one conversation in an hour.
_ECHOES_MAX = 10


async def upgrade(db: BaseDBAsyncClient) -> str:
    return f"""
        CREATE TABLE workflows (
            id uuid PRIMARY KEY,
            workspace_id uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT relevo_now(),
            name varchar(200) NOT NULL,
            position int NOT NULL,
            status varchar(16) NOT NULL,
            draft jsonb NOT NULL,
            revision_id uuid,
            version int NOT NULL,
            CONSTRAINT workflows_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id),
            CONSTRAINT workflows_of_workspace UNIQUE (workspace_id, id),
            CONSTRAINT workflows_status_known CHECK (status IN ('DRAFT', 'ACTIVE', 'ARCHIVED')),
            CONSTRAINT workflows_active_when_published CHECK (
                status <> 'ACTIVE' OR revision_id IS NOT NULL)
        );
        COMMENT ON TABLE workflows IS 'An ordered list of steps started by a trigger.';
        CREATE UNIQUE INDEX workflows_name_once ON workflows (workspace_id, lower(name))
            WHERE status <> 'ARCHIVED';
        CREATE INDEX workflows_in_order ON workflows (workspace_id, position, created_at, id);

        CREATE TABLE workflow_revisions (
            id uuid PRIMARY KEY,
            workspace_id uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT relevo_now(),
            workflow_id uuid NOT NULL,
            number int NOT NULL,
            trigger varchar(32) NOT NULL,
            is_once bool NOT NULL,
            definition jsonb NOT NULL,
            CONSTRAINT workflow_revisions_workflow FOREIGN KEY (workspace_id, workflow_id)
                REFERENCES workflows (workspace_id, id),
            CONSTRAINT workflow_revisions_of_workspace UNIQUE (workspace_id, id),
            CONSTRAINT workflow_revisions_number_once UNIQUE (workflow_id, number),
            CONSTRAINT workflow_revisions_trigger_known CHECK (trigger IN (
                'CONVERSATION_OPENED', 'CONVERSATION_CLOSED', 'MESSAGE_RECEIVED', 'CONTACT_TAGGED',
                'AGENT_ASSIGNED', 'NOBODY_ELIGIBLE', 'IDLE_REMINDER', 'MANUAL'))
        );
        COMMENT ON TABLE workflow_revisions IS 'A workflow as it was published once; immutable.';
        CREATE TRIGGER workflow_revisions_never_change
            BEFORE UPDATE OR DELETE ON workflow_revisions
            FOR EACH ROW EXECUTE FUNCTION refuse_change();
        ALTER TABLE workflows ADD CONSTRAINT workflows_revision
            FOREIGN KEY (workspace_id, revision_id)
            REFERENCES workflow_revisions (workspace_id, id);

        CREATE TABLE workflow_runs (
            id uuid PRIMARY KEY,
            workspace_id uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT relevo_now(),
            workflow_id uuid NOT NULL,
            revision_id uuid NOT NULL,
            position int NOT NULL,
            trigger varchar(32) NOT NULL,
            source varchar(16),
            is_once bool NOT NULL,
            is_echo bool NOT NULL,
            contact_id uuid NOT NULL,
            conversation_id uuid,
            message_id uuid,
            status varchar(16) NOT NULL,
            next_key varchar(50),
            steps_taken int NOT NULL DEFAULT 0,
            due_at timestamptz,
            failure varchar(64),
            ended_at timestamptz,
            CONSTRAINT workflow_runs_of_workspace UNIQUE (workspace_id, id),
            CONSTRAINT workflow_runs_workflow FOREIGN KEY (workspace_id, workflow_id)
                REFERENCES workflows (workspace_id, id),
            CONSTRAINT workflow_runs_revision FOREIGN KEY (workspace_id, revision_id)
                REFERENCES workflow_revisions (workspace_id, id),
            CONSTRAINT workflow_runs_contact FOREIGN KEY (workspace_id, contact_id)
                REFERENCES contacts (workspace_id, id),
            CONSTRAINT workflow_runs_conversation FOREIGN KEY (workspace_id, conversation_id)
                REFERENCES conversations (workspace_id, id),
            CONSTRAINT workflow_runs_status_known CHECK (
                status IN ('STARTING', 'RUNNING', 'WAITING', 'ENDED', 'FAILED')),
            CONSTRAINT workflow_runs_due_until_ended CHECK (
                (status IN ('ENDED', 'FAILED')) = (due_at IS NULL)
                AND (status IN ('ENDED', 'FAILED')) = (ended_at IS NOT NULL)),
            CONSTRAINT workflow_runs_fail_for_a_reason CHECK (
                (status = 'FAILED') = (failure IS NOT NULL))
        );
        COMMENT ON TABLE workflow_runs IS 'One going through the steps of a published workflow.';
        COMMENT ON COLUMN workflow_runs.is_echo IS
            'Whether another run, or what was given out automatically, caused it.';
        COMMENT ON COLUMN workflow_runs.due_at IS
            'When to go on; of one that waits, when its waiting limit passes.';
        CREATE UNIQUE INDEX workflow_runs_once_per_contact ON workflow_runs (workflow_id, contact_id)
            WHERE is_once AND status <> 'STARTING';
        CREATE INDEX workflow_runs_due ON workflow_runs (due_at, position, id)
            WHERE due_at IS NOT NULL;
        CREATE INDEX workflow_runs_going ON workflow_runs (conversation_id)
            WHERE due_at IS NOT NULL AND conversation_id IS NOT NULL;
        CREATE INDEX workflow_runs_going_of_contact ON workflow_runs (contact_id)
            WHERE due_at IS NOT NULL;
        CREATE INDEX workflow_runs_of_conversation
            ON workflow_runs (conversation_id, workflow_id, created_at);
        CREATE INDEX workflow_runs_of_workflow ON workflow_runs (workflow_id, created_at, id);
        CREATE INDEX workflow_runs_in_order ON workflow_runs (workspace_id, created_at, id);

        CREATE TABLE workflow_run_steps (
            run_id uuid NOT NULL,
            place int NOT NULL,
            workspace_id uuid NOT NULL,
            key varchar(50) NOT NULL,
            kind varchar(16) NOT NULL,
            outcome varchar(16) NOT NULL,
            failure varchar(64),
            next_key varchar(50),
            at timestamptz NOT NULL DEFAULT relevo_now(),
            PRIMARY KEY (run_id, place),
            CONSTRAINT workflow_run_steps_run FOREIGN KEY (workspace_id, run_id)
                REFERENCES workflow_runs (workspace_id, id),
            CONSTRAINT workflow_run_steps_outcome_known CHECK (
                outcome IN ('DONE', 'SKIPPED', 'WAITING', 'TIMED_OUT', 'FAILED')),
            CONSTRAINT workflow_run_steps_fail_for_a_reason CHECK (
                (outcome = 'FAILED') = (failure IS NOT NULL))
        );
        COMMENT ON TABLE workflow_run_steps IS 'What one step of a run came to, in their order.';

        ALTER TABLE closures DROP CONSTRAINT closures_cause_known,
            ADD CONSTRAINT closures_cause_known CHECK (
                cause IN ('AGENT', 'INTEGRATION', 'INACTIVE', 'WORKFLOW'));

        ALTER TABLE conversations
            ADD COLUMN distribution jsonb,
            ADD CONSTRAINT conversations_distributed_while_waiting CHECK (
                distribution IS NULL OR status = 'QUEUED');
        COMMENT ON COLUMN conversations.distribution IS
            'How a workflow has it given out while it waits, instead of its team''s own way.';
        CREATE INDEX conversations_distributed
            ON conversations (team_id, distribution, queued_at, id)
            WHERE status = 'QUEUED' AND distribution IS NOT NULL;

        CREATE FUNCTION relevo_merged(contact uuid) RETURNS uuid[] LANGUAGE sql STABLE AS $$
            WITH RECURSIVE found AS (
                SELECT contact AS id
                UNION
                SELECT c.id FROM found f JOIN contacts c ON c.merged_into_id = f.id)
            SELECT array_agg(id) FROM found
        $$;
        COMMENT ON FUNCTION relevo_merged IS 'A contact and those that were merged into it.';

        CREATE FUNCTION begin_runs(pending jsonb) RETURNS bool LANGUAGE plpgsql AS $$
        DECLARE
            stopped jsonb;
        BEGIN
            PERFORM set_config('relevo.pending', pending::text, true);
            IF NOT EXISTS (SELECT FROM workflows w WHERE w.workspace_id IN (
                    SELECT (e ->> 'workspace_id')::uuid FROM jsonb_array_elements(pending) e)) THEN
                RETURN false;
            END IF;
            WITH clock AS MATERIALIZED (SELECT relevo_now() AS now),
            begun AS (
                INSERT INTO workflow_runs (
                    id, workspace_id, workflow_id, revision_id, position, trigger, source, is_once,
                    is_echo, contact_id, conversation_id, message_id, status, due_at, failure,
                    ended_at)
                SELECT gen_random_uuid(), w.workspace_id, w.id, r.id, w.position, r.trigger,
                       CASE WHEN t.trigger = 'CONVERSATION_OPENED' AND b.is_after_bot THEN 'CONTACT'
                            WHEN e.actor_kind IN ('CONTACT', 'WORKFLOW') THEN e.actor_kind
                            WHEN e.actor_kind <> 'SYSTEM' THEN 'AGENT' END,
                       r.is_once, f.is_echo, e.contact_id, c.id, e.message_id,
                       CASE WHEN g.stops THEN 'FAILED' ELSE 'STARTING' END,
                       -- What happened first goes first, whatever the order of the workflows.
                       CASE WHEN NOT g.stops THEN
                           clock.now - jsonb_array_length(pending) * interval '1 microsecond'
                               + p.place * interval '1 microsecond' END,
                       CASE WHEN g.stops THEN 'TOO_MANY_ECHOES' END,
                       CASE WHEN g.stops THEN clock.now END
                FROM clock
                CROSS JOIN jsonb_array_elements(pending) WITH ORDINALITY AS p(fact, place)
                CROSS JOIN jsonb_to_record(p.fact) AS e(
                    workspace_id uuid, kind text, actor_kind text, actor_id uuid, contact_id uuid,
                    conversation_id uuid, message_id uuid, from_queue_id uuid, from_agent_id uuid,
                    data jsonb)
                CROSS JOIN LATERAL (SELECT e.actor_kind IN ('SYSTEM', 'WORKFLOW') AS is_echo) f
                -- Whoever had it neither waiting nor from anybody took it from the bot.
                CROSS JOIN LATERAL (SELECT e.kind IN ('CONVERSATION_HANDED_OFF', 'BOT_PAUSED') OR (
                    e.kind IN ('CONVERSATION_ASSIGNED', 'CONVERSATION_TRANSFERRED')
                    AND e.data ->> 'rule' IN ('ASSIGNED_BY_HAND', 'TRANSFERRED')
                    AND e.from_queue_id IS NULL AND e.from_agent_id IS NULL) AS is_after_bot) b
                CROSS JOIN unnest(ARRAY[
                    CASE WHEN e.kind = 'CONVERSATION_OPENED' AND e.data ->> 'rule' <> 'BOT'
                         OR e.kind = 'CONVERSATION_REOPENED' OR b.is_after_bot
                         THEN 'CONVERSATION_OPENED' END,
                    CASE e.kind WHEN 'CONVERSATION_STRANDED' THEN 'NOBODY_ELIGIBLE'
                                WHEN 'IDLE_REMINDED' THEN 'IDLE_REMINDER'
                                WHEN 'CONVERSATION_CLOSED' THEN e.kind
                                WHEN 'MESSAGE_RECEIVED' THEN e.kind
                                WHEN 'CONTACT_TAGGED' THEN e.kind END,
                    CASE WHEN e.data ? 'assignment' THEN 'AGENT_ASSIGNED' END]) AS t(trigger)
                JOIN workflows w ON w.workspace_id = e.workspace_id AND w.status = 'ACTIVE'
                JOIN workflow_revisions r ON r.id = w.revision_id AND r.trigger = t.trigger
                -- A union, because no index serves a condition that says which column counts.
                LEFT JOIN LATERAL (
                    SELECT k.id, k.opened_at, k.queued_at FROM conversations k
                    WHERE k.id = e.conversation_id
                    UNION ALL
                    SELECT k.id, k.opened_at, k.queued_at FROM conversations k
                    WHERE e.conversation_id IS NULL AND k.contact_id = e.contact_id
                      AND k.status <> 'CLOSED') c ON true
                CROSS JOIN LATERAL (SELECT CASE WHEN f.is_echo THEN (
                    SELECT count(*) FROM workflow_runs o
                    WHERE o.conversation_id = c.id AND o.workflow_id = w.id AND o.is_echo
                      AND o.created_at > clock.now - interval '1 hour') ELSE 0 END AS echoes) h
                CROSS JOIN LATERAL (SELECT h.echoes = {_ECHOES_MAX} AS stops) g
                WHERE e.contact_id IS NOT NULL AND h.echoes <= {_ECHOES_MAX}
                  AND NOT (r.is_once AND EXISTS (
                      SELECT FROM workflow_runs o
                      WHERE o.workflow_id = w.id AND o.is_once AND o.status <> 'STARTING'
                        AND o.contact_id = ANY(relevo_merged(e.contact_id))))
                  -- After the bot once for each opening, however often the bot came back.
                  AND NOT (b.is_after_bot AND EXISTS (
                      SELECT FROM workflow_runs o
                      WHERE o.conversation_id = c.id AND o.workflow_id = w.id
                        AND t.trigger = 'CONVERSATION_OPENED'
                        AND o.trigger = 'CONVERSATION_OPENED'
                        AND o.created_at >= coalesce(
                            (SELECT max(s.closed_at) FROM closures s
                             WHERE s.conversation_id = c.id),
                            c.opened_at)))
                  -- Once for each wait, however often it is decided on.
                  AND NOT (t.trigger = 'NOBODY_ELIGIBLE' AND EXISTS (
                      SELECT FROM workflow_runs o
                      WHERE o.conversation_id = c.id AND o.workflow_id = w.id
                        AND o.trigger = 'NOBODY_ELIGIBLE'
                        AND o.created_at >= greatest(c.queued_at, (
                            SELECT max(a.ended_at) FROM assignments a
                            WHERE a.conversation_id = c.id))))
                ORDER BY p.place, w.position, w.created_at, w.id
                ON CONFLICT DO NOTHING
                RETURNING id, workspace_id, workflow_id, contact_id, conversation_id, failure
            )
            SELECT jsonb_agg(jsonb_build_object(
                'workspace_id', workspace_id, 'kind', 'WORKFLOW_RUN_FAILED',
                'actor_kind', 'WORKFLOW', 'actor_id', workflow_id, 'contact_id', contact_id,
                'conversation_id', conversation_id,
                'data', jsonb_build_object('run', id, 'failure', failure)))
            INTO stopped FROM begun WHERE failure IS NOT NULL;
            IF stopped IS NOT NULL THEN
                PERFORM set_config('relevo.pending', (pending || stopped)::text, true);
            END IF;
            RETURN EXISTS (
                SELECT FROM workflow_runs o WHERE o.due_at IS NOT NULL AND o.conversation_id IN (
                    SELECT (e ->> 'conversation_id')::uuid FROM jsonb_array_elements(pending) e)
            ) OR EXISTS (
                SELECT FROM workflow_runs o WHERE o.due_at IS NOT NULL AND o.contact_id IN (
                    SELECT (e ->> 'contact_id')::uuid FROM jsonb_array_elements(pending) e
                    WHERE e ->> 'kind' = 'CONTACT_TAGGED'));
        END $$;
        COMMENT ON FUNCTION begin_runs IS
            'Starts the runs that these facts trigger; whether there is a run to go on with.';
    """


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP FUNCTION begin_runs;
        DROP FUNCTION relevo_merged;
        ALTER TABLE conversations DROP COLUMN distribution;
        UPDATE closures SET cause = 'INACTIVE' WHERE cause = 'WORKFLOW';
        ALTER TABLE closures DROP CONSTRAINT closures_cause_known,
            ADD CONSTRAINT closures_cause_known CHECK (cause IN ('AGENT', 'INTEGRATION', 'INACTIVE'));
        DROP TABLE workflow_run_steps, workflow_runs;
        ALTER TABLE workflows DROP CONSTRAINT workflows_revision;
        DROP TABLE workflow_revisions, workflows;
    """
