"""What must hold of what reports are computed from; `relevo verify` asks for it."""

from models.invariant import Invariant

COUNTED_AS_IT_HAPPENED = Invariant(
    "Reports count what the history keeps, with whom and how, no more and no less",
    """
    SELECT format('%s of %s with %s, %s is counted %s times too often',
                  measure, id, agent_id, detail, sum(times))
    FROM (
        SELECT measure, conversation_id AS id, 1 AS times,
               CASE WHEN measure <> 'UNASSIGNED' OR detail = 'ANSWER_TIMEOUT' THEN detail END
                   AS detail,
               CASE WHEN measure <> 'MESSAGE_RECEIVED' THEN agent_id END AS agent_id
        FROM figures
        WHERE measure IN ('CLOSED', 'ASSIGNED', 'UNASSIGNED', 'MESSAGE_RECEIVED', 'MESSAGE_SENT',
                          'NOTE_ADDED')
        UNION ALL SELECT 'CLOSED', conversation_id, -1, cause, agent_id FROM closures
        UNION ALL SELECT 'ASSIGNED', conversation_id, -1, rule, agent_id FROM assignments
        UNION ALL SELECT 'UNASSIGNED', conversation_id, -1,
                         CASE ending WHEN 'TIMED_OUT' THEN 'ANSWER_TIMEOUT' END, agent_id
                  FROM (SELECT *, lead(agent_id) OVER (
                            PARTITION BY conversation_id ORDER BY started_at, ended_at) AS next_id
                        FROM assignments) a
                  WHERE ending NOT IN ('CLOSED', 'TRANSFERRED')
                    AND (ending <> 'REASSIGNED' OR next_id IS DISTINCT FROM agent_id)
        UNION ALL SELECT CASE direction WHEN 'INBOUND' THEN 'MESSAGE_RECEIVED'
                                        WHEN 'OUTBOUND' THEN 'MESSAGE_SENT' ELSE 'NOTE_ADDED' END,
                         conversation_id, -1, NULL, author_agent_id FROM messages
    ) f
    GROUP BY measure, id, agent_id, detail HAVING sum(times) <> 0
    """,
)
OPENED_ONCE = Invariant(
    "Reports count each conversation's opening once",
    """
    SELECT format('conversation %s is counted %s times', coalesce(c.id, f.id), f.times)
    FROM conversations c
    FULL JOIN (SELECT conversation_id AS id, count(*) AS times FROM figures
               WHERE measure = 'OPENED' GROUP BY 1) f ON f.id = c.id
    WHERE c.id IS NULL OR f.times IS DISTINCT FROM 1
    """,
)
STAYS_WHILE_WAITING = Invariant(
    "What waits has one open stay, in its team's queue; anything else has none",
    """
    SELECT format('conversation %s waits in %s and stays in %s',
                  coalesce(c.id, s.conversation_id), c.team_id, s.team_id)
    FROM (SELECT id, team_id FROM conversations WHERE status = 'QUEUED') c
    FULL JOIN (SELECT conversation_id, team_id FROM queue_stays WHERE left_at IS NULL) s
        ON s.conversation_id = c.id
    WHERE s.team_id IS DISTINCT FROM c.team_id
    """,
)
AVAILABLE_AS_IT_IS = Invariant(
    "An active agent has one open interval of its availability, which is as it is now",
    """
    SELECT format('agent %s is %s and its interval says %s',
                  a.agent_id, a.availability, i.availability)
    FROM present_availability a
    LEFT JOIN availability_intervals i ON i.agent_id = a.agent_id AND i.ended_at IS NULL
    WHERE a.availability IS NOT NULL
      AND (a.availability, a.accepts_new) IS DISTINCT FROM (i.availability, i.accepts_new)
    """,
)
ALWAYS = (
    COUNTED_AS_IT_HAPPENED,
    OPENED_ONCE,
    STAYS_WHILE_WAITING,
    AVAILABLE_AS_IT_IS,
)
