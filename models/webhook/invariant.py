"""What must hold of webhooks; `relevo verify` asks for it."""

from models.invariant import Invariant

WITHIN_THE_LOG = Invariant(
    "No webhook has got further than its log",
    """
    SELECT format('webhook %s is at %s of %s', w.id, w.delivered_seq, l.last)
    FROM webhooks w CROSS JOIN LATERAL (
        SELECT coalesce((SELECT max(seq) FROM events WHERE workspace_id = w.workspace_id),
                        l.floor_seq) AS last
        FROM logs l WHERE l.workspace_id = w.workspace_id) l
    WHERE w.delivered_seq > l.last
    """,
)
WEBHOOK_HAS_AN_EVENT = Invariant(
    "Every webhook has exactly one event of its creation",
    """
    SELECT format('webhook %s has %s events of its creation', w.id, count(e.seq))
    FROM webhooks w LEFT JOIN events e ON e.workspace_id = w.workspace_id
        AND e.kind = 'WEBHOOK_CREATED' AND e.data ->> 'webhook' = w.id::text
    GROUP BY w.id HAVING count(e.seq) <> 1
    """,
)
ALWAYS = (WITHIN_THE_LOG, WEBHOOK_HAS_AN_EVENT)
