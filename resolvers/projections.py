"""Which columns the schema shows of each record, by ids: `$1` is the workspace, `$2` the ids.

A conversation asks for what `VISIBLE` does, too.
"""

from models import stickiness
from models.idle_policy import CLOSES, PERIOD, POLICIES
from models.projection import AGENT_COLUMNS, CONVERSATION_COLUMNS
from models.visibility import VISIBLE

CONVERSATION = f"""
    SELECT {", ".join(CONVERSATION_COLUMNS)} FROM conversations, relevo_now() AS now
    WHERE id = ANY($5) AND {VISIBLE}
"""  # noqa: S608 - constants
# Whoever may see it; `seen_by` are those who do wherever it is: its holder, or its last one.
CONVERSATION_OF_ANYBODY = f"""
    SELECT {", ".join(CONVERSATION_COLUMNS)},
           array_remove(ARRAY[assignee_id] || ARRAY(
               SELECT s.agent_id FROM closures s
               WHERE conversations.status = 'CLOSED' AND s.conversation_id = conversations.id
                 AND s.closed_at = conversations.closed_at), NULL) AS seen_by
    FROM conversations, relevo_now() AS now WHERE workspace_id = $1 AND id = ANY($2)
"""  # noqa: S608 - constants
AGENT = f"""
    SELECT {AGENT_COLUMNS} FROM agents a WHERE a.workspace_id = $1 AND a.id = ANY($2)
"""  # noqa: S608 - constants
TEAM_COLUMNS = """t.id, t.line, t.name, t.is_todos, t.is_active, t.parent_id, t.priority,
    t.distribution, t.online_only, t.max_open, t.idle_period_days, t.reassignment_window_hours,
    t.unassign_on_close, t.include_descendants, t.answer_timeout_minutes, t.ageing_minutes,
    t.business_hours"""
TEAM = f"""
    SELECT {TEAM_COLUMNS} FROM teams t WHERE t.workspace_id = $1 AND t.id = ANY($2)
"""  # noqa: S608 - constants
CHANNEL = """
    SELECT id, kind, name, status, default_line, sales_team_id, sales_agent_id, support_team_id,
           bot_is_on
    FROM channels WHERE workspace_id = $1 AND id = ANY($2)
"""
CONTACT = """
    SELECT id, name, phone, email, created_at, owner_agent_id, owner_team_id, field_values,
           merged_into_id
    FROM contacts WHERE workspace_id = $1 AND id = ANY($2)
"""
TAG = """
    SELECT id, name, created_at FROM tags WHERE workspace_id = $1 AND id = ANY($2)
"""
TAGS_OF = {
    noun: f"""
        SELECT x.{noun}_id AS key, t.id, t.name, t.created_at
        FROM {noun}_tags x JOIN tags t ON t.id = x.tag_id
        WHERE x.workspace_id = $1 AND x.{noun}_id = ANY($2) ORDER BY lower(t.name)
    """  # noqa: S608 - constants
    for noun in ("contact", "conversation", "ticket")
}
CONTACT_FIELD = """
    SELECT id, name, kind, choices, created_at
    FROM contact_fields WHERE workspace_id = $1 AND id = ANY($2)
"""
SEGMENT = """
    SELECT id, name, filter, created_at FROM segments WHERE workspace_id = $1 AND id = ANY($2)
"""
SNIPPET = """
    SELECT id, name, text, created_at FROM snippets WHERE workspace_id = $1 AND id = ANY($2)
"""
WORKFLOW = """
    SELECT w.id, w.name, w.position, w.status, w.version, w.draft, r.created_at AS published_at,
           r.definition AS published, r.definition IS DISTINCT FROM w.draft
               AS has_unpublished_changes
    FROM workflows w LEFT JOIN workflow_revisions r ON r.id = w.revision_id
    WHERE w.workspace_id = $1 AND w.id = ANY($2)
"""
RUN_COLUMNS = """r.id, r.workflow_id, v.number AS revision, r.trigger, r.source, r.contact_id,
    r.conversation_id, r.status, r.next_key, r.due_at, r.failure, r.created_at, r.ended_at"""
RUN = f"""
    SELECT {RUN_COLUMNS} FROM workflow_runs r JOIN workflow_revisions v ON v.id = r.revision_id
    WHERE r.workspace_id = $1 AND r.id = ANY($2)
"""  # noqa: S608 - constants
RUN_STEPS = """
    SELECT run_id AS key, place, key AS step, kind, outcome, failure, next_key, at
    FROM workflow_run_steps WHERE workspace_id = $1 AND run_id = ANY($2) ORDER BY run_id, place
"""
MESSAGE = """
    SELECT id, conversation_id, direction, author_agent_id, external_id, text, delivery, created_at
    FROM messages WHERE workspace_id = $1 AND id = ANY($2)
"""
WEBHOOK = """
    SELECT id, name, url, filter, status, delivered_seq, missed_count, attempts, failing_since,
           next_attempt_at, failure, status_code, delivered_at, disabled_at, version, created_at,
           CASE WHEN previous_secret_until > relevo_now() THEN previous_secret_until END
               AS previous_secret_until
    FROM webhooks WHERE workspace_id = $1 AND id = ANY($2)
"""
CLOSING_REASON = """
    SELECT id, name, is_active FROM closing_reasons WHERE workspace_id = $1 AND id = ANY($2)
"""
CLOSURE = """
    SELECT DISTINCT ON (conversation_id)
           conversation_id AS key, id, agent_id, team_id, cause, reason_id, summary, closed_at
    FROM closures WHERE workspace_id = $1 AND conversation_id = ANY($2)
    ORDER BY conversation_id, closed_at DESC
"""
ASSIGNMENT = """
    SELECT conversation_id AS key, id, agent_id, team_id, rule, decision, started_at, ended_at,
           ending
    FROM assignments
    WHERE workspace_id = $1 AND conversation_id = ANY($2) AND ended_at IS NULL
"""
# Only the newest closing of a contact's line binds it to anybody.
STICKY = f"""
    SELECT c.id AS key, {stickiness.COLUMNS}
    FROM conversations c
    JOIN workspaces w ON w.id = c.workspace_id
    CROSS JOIN LATERAL (
        SELECT x.* FROM closures x WHERE x.conversation_id = c.id
        ORDER BY x.closed_at DESC LIMIT 1) s
    {stickiness.JOINS}
    WHERE c.workspace_id = $1 AND c.id = ANY($2) AND c.status = 'CLOSED' AND NOT EXISTS (
        SELECT FROM conversations o JOIN closures y ON y.conversation_id = o.id
        WHERE o.contact_id = c.contact_id AND o.line = c.line AND y.closed_at > s.closed_at)
"""  # noqa: S608 - constants
POSITION = """
    SELECT c.id AS key, (
        SELECT count(*) FROM conversations o
        WHERE o.team_id = c.team_id AND o.status = 'QUEUED'
          AND (o.queued_at, o.id) <= (c.queued_at, c.id)) AS position
    FROM conversations c
    WHERE c.workspace_id = $1 AND c.id = ANY($2) AND c.status = 'QUEUED'
"""
CLOSES_AT = f"""
    SELECT c.id AS key, c.last_activity_at + make_interval(days => {PERIOD}) AS closes_at
    FROM conversations c {POLICIES}
    WHERE c.workspace_id = $1 AND c.id = ANY($2) AND {CLOSES} AND {PERIOD} > 0
"""  # noqa: S608 - constants
WAITING = """
    SELECT team_id AS key, count(*) AS waiting, min(queued_at) AS longest_since,
           relevo_now() AS now
    FROM conversations WHERE workspace_id = $1 AND team_id = ANY($2) AND status = 'QUEUED'
    GROUP BY team_id
"""
PARTS = {
    table: f"""
        SELECT id AS key, * FROM {table} WHERE workspace_id = $1 AND id = ANY($2)
    """  # noqa: S608 - constants
    for table in ("assignments", "closures", "messages", "ticket_actions")
}
