"""What must hold of workflows and their runs; `relevo verify` asks for it."""

from models.access import IS_HOLDER
from models.invariant import Invariant

WORKFLOWS_GIVE_TO_WHO_IS_THERE = Invariant(
    "No active workflow gives conversations to a team or an agent that is gone",
    f"""
    SELECT format('workflow %s gives to team %s or agent %s, which is gone',
                  w.id, s ->> 'team_id', s ->> 'agent_id')
    FROM workflows w JOIN workflow_revisions r ON r.id = w.revision_id
    CROSS JOIN LATERAL jsonb_array_elements(r.definition -> 'steps') AS s
    LEFT JOIN teams t ON t.id = (s ->> 'team_id')::uuid AND t.workspace_id = w.workspace_id
    LEFT JOIN agents a ON a.id = (s ->> 'agent_id')::uuid AND a.workspace_id = w.workspace_id
    WHERE w.status = 'ACTIVE'
      AND ((s ->> 'team_id' IS NOT NULL AND t.is_active IS NOT TRUE)
           OR (s ->> 'agent_id' IS NOT NULL AND (a.is_active AND {IS_HOLDER}) IS NOT TRUE))
    """,  # noqa: S608 - a constant
)
RUNS_KNOW_THEIR_NEXT_STEP = Invariant(
    "A run that is going has a step of its revision before it, unless it has yet to begin",
    """
    SELECT format('run %s is %s before %s', r.id, r.status, r.next_key)
    FROM workflow_runs r JOIN workflow_revisions v ON v.id = r.revision_id
    WHERE r.due_at IS NOT NULL AND (r.status = 'STARTING') = (r.next_key IS NOT NULL AND EXISTS (
        SELECT FROM jsonb_array_elements(v.definition -> 'steps') s
        WHERE s ->> 'key' = r.next_key))
    """,
)
RUNS_ARE_RECORDED = Invariant(
    "Every step that a run took is recorded, in its place",
    """
    SELECT format('run %s took %s steps, of which %s are recorded up to %s',
                  r.id, r.steps_taken, coalesce(s.steps, 0), s.last)
    FROM workflow_runs r LEFT JOIN (
        SELECT run_id, count(*) AS steps, max(place) AS last FROM workflow_run_steps
        GROUP BY 1) s ON s.run_id = r.id
    WHERE r.steps_taken <> coalesce(s.steps, 0) OR r.steps_taken <> coalesce(s.last, 0)
    """,
)
WORKFLOWS_IN_ORDER = Invariant(
    "Workflows that are not archived have places of their own",
    """
    SELECT format('%s workflows of %s have place %s', count(*), workspace_id, position)
    FROM workflows WHERE status <> 'ARCHIVED' GROUP BY workspace_id, position HAVING count(*) > 1
    """,
)
RUNS_AS_PUBLISHED_LAST = Invariant(
    "A workflow runs as the last of its own revisions, which says what its definition says",
    """
    SELECT format('workflow %s runs as revision %s of %s', w.id, r.number, r.workflow_id)
    FROM workflows w JOIN workflow_revisions r ON r.id = w.revision_id
    WHERE r.workflow_id <> w.id
       OR r.number < (SELECT max(o.number) FROM workflow_revisions o WHERE o.workflow_id = w.id)
       OR (r.trigger, r.is_once) IS DISTINCT FROM
          (r.definition ->> 'trigger', (r.definition ->> 'is_once')::bool)
    """,
)
WAITS_HAVE_RUNS = Invariant(
    "What waits by a workflow's settings has a going run of it",
    """
    SELECT format('conversation %s waits as workflow %s says, of which no run is going',
                  c.id, c.distribution ->> 'workflow')
    FROM conversations c
    WHERE c.status = 'QUEUED' AND c.distribution IS NOT NULL AND NOT EXISTS (
        SELECT FROM workflow_runs r
        WHERE r.conversation_id = c.id AND r.due_at IS NOT NULL
          AND r.workflow_id = (c.distribution ->> 'workflow')::uuid)
    """,
)
ALWAYS = (
    WORKFLOWS_GIVE_TO_WHO_IS_THERE,
    RUNS_KNOW_THEIR_NEXT_STEP,
    RUNS_ARE_RECORDED,
    WORKFLOWS_IN_ORDER,
    RUNS_AS_PUBLISHED_LAST,
    WAITS_HAVE_RUNS,
)
