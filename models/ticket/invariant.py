"""What must hold of tickets, and of closings with them; `relevo verify` asks for it."""

from models.invariant import TOLD_SINCE, Invariant

CLOSED_WITH_ITS_HISTORY = Invariant(
    "A closed conversation's ticket is its own, and has the history of that closing",
    """
    SELECT format('conversation %s closed with ticket %s, %s', c.id, c.ticket_id, c.ticket_link)
    FROM conversations c
    WHERE c.status = 'CLOSED' AND c.ticket_id IS NOT NULL
      AND (c.ticket_link <> 'CONFIRMED' OR NOT EXISTS (
          SELECT FROM closures x JOIN ticket_actions a ON a.closure_id = x.id
          WHERE x.conversation_id = c.id AND x.closed_at = c.closed_at
            AND a.conversation_id = c.id AND a.ticket_id = c.ticket_id))
    """,
)
SUPPORT_CLOSED_WITH_A_TICKET = Invariant(
    "What is or was once of the support desk closes with a ticket, since there are any",
    """
    SELECT format('conversation %s closed at %s without a ticket', c.id, x.closed_at)
    FROM (SELECT workspace_id, min(created_at) AS since FROM tickets GROUP BY 1) t
    JOIN closures x ON x.workspace_id = t.workspace_id AND x.closed_at > t.since
    JOIN conversations c ON c.id = x.conversation_id
    WHERE NOT EXISTS (SELECT FROM ticket_actions a WHERE a.closure_id = x.id)
      AND ((c.line = 'SUPPORT' AND c.closed_at = x.closed_at) OR EXISTS (
          SELECT FROM assignments s WHERE s.conversation_id = c.id AND s.line = 'SUPPORT'
            AND s.started_at < x.closed_at))
    """,
)
PARTS_APART = Invariant(
    "Each part of a conversation's history begins where the one before it ends",
    """
    SELECT format('action %s is of %s to %s, after one until %s',
                  id, messages_after, messages_until, before)
    FROM (SELECT id, messages_after, messages_until, lag(messages_until) OVER (
              PARTITION BY conversation_id ORDER BY messages_until, messages_after NULLS FIRST)
              AS before
          FROM ticket_actions WHERE kind = 'HISTORY') a
    WHERE messages_after IS DISTINCT FROM before
    """,
)
TICKETS_WITHOUT_HOLES = Invariant(
    "Tickets are numbered 1, 2, 3 ... in each workspace, without holes",
    """
    SELECT format('workspace %s has %s tickets from %s to %s', workspace_id, tickets, first, last)
    FROM (SELECT workspace_id, count(*) AS tickets, count(DISTINCT number) AS numbers,
                 min(number) AS first, max(number) AS last
          FROM tickets GROUP BY 1) t
    WHERE first <> 1 OR last <> tickets OR numbers <> tickets
    """,
)
TICKET_HAS_AN_EVENT = Invariant(
    "Every ticket has exactly one event of its opening, as far back as the log tells",
    f"""
    SELECT format('ticket %s has %s events of its opening', id, coalesce(events, 0))
    FROM (SELECT t.id, t.created_at > l.since AS is_told
          FROM tickets t JOIN ({TOLD_SINCE}) l USING (workspace_id)) t
    FULL JOIN (SELECT ticket_id AS id, count(*) AS events FROM events
               WHERE kind = 'TICKET_CREATED' GROUP BY 1) e USING (id)
    WHERE is_told IS NULL OR events > 1 OR (is_told AND events IS NULL)
    """,  # noqa: S608 - constants
)
ALWAYS = (
    CLOSED_WITH_ITS_HISTORY,
    SUPPORT_CLOSED_WITH_A_TICKET,
    PARTS_APART,
    TICKETS_WITHOUT_HOLES,
    TICKET_HAS_AN_EVENT,
)
