"""What routing did ahead of the runs of an opening: it placed by a step that a run is yet to come
to, and made the line what it is by then.

Until that step was taken, the runs of that opening do not do these things again, and ask what
routing asked: so they come to where it looked.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from models import precedence
from models.base import Line
from models.database import Transaction
from models.decision import Rule
from models.precedence import Directed
from models.workflow.definition import Trigger
from models.workflow.run import WorkflowRun


@dataclass(frozen=True, slots=True)
class Ahead:
    """The step that routing placed by, when it did, and the line as it is before that step."""

    step: Directed
    at: datetime
    line: Line

    def is_way_of(self, run: WorkflowRun) -> bool:
        """Whether it is this run that comes to the step."""
        return run.workflow_id == self.step.workflow_id


async def placed_by(
    transaction: Transaction, conversation_id: UUID
) -> tuple[Directed, datetime, Line] | None:
    """The step that routing placed a conversation by, if it did and nothing moved it since; when,
    and the line that it asked with.
    """
    stored = await transaction.fetchval(
        """
        SELECT coalesce(c.decision, a.decision) FROM conversations c
        LEFT JOIN assignments a ON a.conversation_id = c.id AND a.ended_at IS NULL
        WHERE c.id = $1
        """,
        conversation_id,
    )
    made = orjson.loads(stored) if stored else {}
    if made.get("rule") != Rule.WORKFLOW or not made.get("routed"):
        return None
    facts = precedence.recall(made["routed"]["facts"])
    step = precedence.place(facts).step
    return (step, facts.now, facts.line) if step is not None else None


async def ahead_of(transaction: Transaction, run: WorkflowRun) -> Ahead | None:
    """What routing did ahead of this run, if its conversation is not there yet."""
    if run.trigger is not Trigger.CONVERSATION_OPENED or run.conversation_id is None:
        return None
    placed = await placed_by(transaction, run.conversation_id)
    if placed is None or run.created_at < placed[1]:
        return None
    step, at, line = placed
    row = await transaction.fetchrow(_STANDING, run.conversation_id, at, step.workflow_id, step.key)
    if row is None or not row["is_to_come"]:
        return None
    return Ahead(step, at, Line(row["line"] or line))


# Whether the run that comes to the step is going and has not come there; and the line that the
# steps of this opening have set so far.
_STANDING = """
    WITH opening AS (
        SELECT * FROM workflow_runs
        WHERE conversation_id = $1 AND trigger = 'CONVERSATION_OPENED' AND created_at >= $2)
    SELECT EXISTS (
               SELECT FROM opening o WHERE o.workflow_id = $3 AND o.due_at IS NOT NULL
                 AND NOT EXISTS (SELECT FROM workflow_run_steps s
                                 WHERE s.run_id = o.id AND s.key = $4)) AS is_to_come,
           (SELECT d ->> 'line' FROM opening o JOIN workflow_run_steps s ON s.run_id = o.id
            JOIN workflow_revisions v ON v.id = o.revision_id
            CROSS JOIN jsonb_array_elements(v.definition -> 'steps') d
            WHERE s.kind = 'SET_LINE' AND s.outcome = 'DONE' AND d ->> 'key' = s.key
            ORDER BY s.at DESC, o.position DESC, s.place DESC LIMIT 1) AS line
"""
