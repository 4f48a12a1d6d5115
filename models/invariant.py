"""What must hold of the stored rows at every instant, each as a query for what breaks it."""

from dataclasses import dataclass

from models import candidates, event, reservation


@dataclass(frozen=True, slots=True)
class Invariant:
    """A promise, and the query whose every row is a sentence about a breach of it."""

    promise: str
    breaches: str


LOAD_COUNTS_ASSIGNED = Invariant(
    "An agent's load is the number of conversations assigned to it",
    """
    SELECT format('agent %s has load %s and holds %s', a.id, a.load, coalesce(h.held, 0))
    FROM agents a LEFT JOIN (
        SELECT assignee_id, count(*) AS held FROM conversations
        WHERE status = 'ASSIGNED' GROUP BY 1) h ON h.assignee_id = a.id
    WHERE a.load <> coalesce(h.held, 0)
    """,
)
ONE_OPEN_ASSIGNMENT = Invariant(
    "A held conversation has one open assignment, of its holder; any other has none",
    """
    SELECT format('conversation %s is held by %s and assigned to %s',
                  coalesce(c.id, a.conversation_id), c.assignee_id, a.agents)
    FROM (SELECT id, assignee_id FROM conversations WHERE assignee_id IS NOT NULL) c
    FULL JOIN (SELECT conversation_id, array_agg(agent_id) AS agents FROM assignments
               WHERE ended_at IS NULL GROUP BY 1) a ON a.conversation_id = c.id
    WHERE a.agents IS DISTINCT FROM ARRAY[c.assignee_id]
    """,
)
STATUS_SAYS_WHERE = Invariant(
    "A waiting conversation has a team and a place, an assigned one a holder, a closed one neither",
    """
    SELECT format('conversation %s is %s with team %s, holder %s, queued %s, closed %s',
                  id, status, team_id, assignee_id, queued_at, closed_at)
    FROM conversations
    WHERE (status = 'QUEUED' AND (team_id IS NULL OR queued_at IS NULL OR assignee_id IS NOT NULL))
       OR (status = 'ASSIGNED') > (assignee_id IS NOT NULL)
       OR (status IN ('BOT', 'CLOSED') AND assignee_id IS NOT NULL)
       OR (status = 'CLOSED') <> (closed_at IS NOT NULL)
    """,
)
ONE_OPEN_CONVERSATION = Invariant(
    "A contact has at most one open conversation on a channel",
    """
    SELECT format('contact %s has %s on channel %s', contact_id, array_agg(id), channel_id)
    FROM conversations WHERE status <> 'CLOSED'
    GROUP BY contact_id, channel_id HAVING count(*) > 1
    """,
)
NUMBERS_WITHOUT_HOLES = Invariant(
    "Events are numbered without holes from the floor of their log, and the newest is kept",
    """
    SELECT format('workspace %s has %s events from %s to %s, floor %s', workspace_id, events,
                  first, last, l.floor_seq)
    FROM (SELECT e.workspace_id, count(*) AS events, min(e.seq) AS first, max(e.seq) AS last
          FROM events e LEFT JOIN logs f USING (workspace_id)
          WHERE f.floor_seq IS NULL OR e.seq > f.floor_seq GROUP BY 1) e
    FULL JOIN logs l USING (workspace_id)
    WHERE l.floor_seq IS NULL OR first <> l.floor_seq + 1 OR last <> l.floor_seq + events
       OR (l.floor_seq > 0 AND events IS NULL)
    """,
)
AUDIT_KEPT_BELOW_THE_FLOOR = Invariant(
    "Below the floor of a log only what is kept for ever is left",
    f"""
    SELECT format('event %s of workspace %s is %s, floor %s', e.seq, e.workspace_id, e.kind,
                  l.floor_seq)
    FROM logs l JOIN events e ON e.workspace_id = l.workspace_id AND e.seq <= l.floor_seq
    WHERE e.kind NOT IN ({", ".join(f"'{kind}'" for kind in sorted(event.AUDIT))})
    """,  # noqa: S608 - constants
)
TIME_FOLLOWS_NUMBERS = Invariant(
    "Along its numbers a log never goes back in time",
    """
    SELECT format('event %s of workspace %s is earlier than the one before', seq, workspace_id)
    FROM (SELECT workspace_id, seq, logged_at, lag(logged_at) OVER (
              PARTITION BY workspace_id ORDER BY seq) AS before FROM events) e
    WHERE logged_at < before
    """,
)
CLOSED_BY_A_CLOSURE = Invariant(
    "A closed conversation has the closure that closed it",
    """
    SELECT format('conversation %s closed at %s', c.id, c.closed_at) FROM conversations c
    WHERE c.status = 'CLOSED' AND NOT EXISTS (
        SELECT FROM closures x WHERE x.conversation_id = c.id AND x.closed_at = c.closed_at)
    """,
)
# From when on the log of a workspace tells everything: what is later has its event above the floor.
TOLD_SINCE = """
    SELECT l.workspace_id, coalesce(e.logged_at, '-infinity') AS since
    FROM logs l LEFT JOIN events e
        ON l.floor_seq > 0 AND e.workspace_id = l.workspace_id AND e.seq = l.floor_seq + 1
"""
CLOSURE_HAS_AN_EVENT = Invariant(
    "Every closure has exactly one event, as far back as the log tells",
    f"""
    SELECT format('conversation %s has %s closures, %s of them since the log begins, and %s events',
                  conversation_id, coalesce(closures, 0), coalesce(told, 0), coalesce(events, 0))
    FROM (SELECT x.conversation_id, count(*) AS closures,
                 count(*) FILTER (WHERE x.closed_at > l.since) AS told
          FROM closures x JOIN ({TOLD_SINCE}) l USING (workspace_id) GROUP BY 1) x
    FULL JOIN (SELECT conversation_id, count(*) AS events FROM events
               WHERE kind = 'CONVERSATION_CLOSED' GROUP BY 1) e USING (conversation_id)
    WHERE coalesce(events, 0) NOT BETWEEN coalesce(told, 0) AND coalesce(closures, 0)
    """,  # noqa: S608 - constants
)
ASSIGNMENT_HAS_AN_EVENT = Invariant(
    "Every assignment has exactly one event of its beginning, as far back as the log tells",
    f"""
    SELECT format('assignment %s has %s events', id, coalesce(events, 0))
    FROM (SELECT a.id, a.started_at > l.since AS is_told
          FROM assignments a JOIN ({TOLD_SINCE}) l USING (workspace_id)) a
    FULL JOIN (SELECT (data ->> 'assignment')::uuid AS id, count(*) AS events FROM events
               WHERE data ? 'assignment' GROUP BY 1) e USING (id)
    WHERE is_told IS NULL OR events > 1 OR (is_told AND events IS NULL)
    """,  # noqa: S608 - constants
)
TODOS_PER_LINE = Invariant(
    "A workspace has one log and one Todos for each line",
    """
    SELECT format('workspace %s has Todos of %s', w.id, t.lines)
    FROM workspaces w LEFT JOIN (
        SELECT workspace_id, array_agg(line ORDER BY line) AS lines FROM teams
        WHERE is_todos GROUP BY 1) t ON t.workspace_id = w.id
    WHERE t.lines IS DISTINCT FROM ARRAY['SALES', 'SUPPORT']::varchar[]
       OR NOT EXISTS (SELECT FROM logs l WHERE l.workspace_id = w.id)
    """,
)
MEMBERS_IN_ORDER = Invariant(
    "Nobody is in a team twice, and no two members share a position",
    """
    SELECT format('team %s has positions %s', team_id, array_agg(position)) FROM memberships
    GROUP BY team_id
    HAVING count(DISTINCT position) < count(*) OR count(DISTINCT agent_id) < count(*)
    """,
)
TARGETS_FIT_THEIR_LINE = Invariant(
    "A channel sends each line to a team of that line",
    """
    SELECT format('channel %s sends %s to team %s of %s', c.id, u.line, t.id, t.line)
    FROM channels c
    CROSS JOIN LATERAL (VALUES ('SALES', sales_team_id), ('SUPPORT', support_team_id))
        AS u(line, team_id)
    JOIN teams t ON t.id = u.team_id
    WHERE t.line <> u.line OR t.is_todos OR t.workspace_id <> c.workspace_id
    """,
)
LINE_IS_ITS_TEAMS = Invariant(
    "A conversation is of its team's line, and of its team's and its contact's workspace",
    """
    SELECT format('conversation %s of %s is in team %s of %s', c.id, c.line, t.id, t.line)
    FROM conversations c JOIN contacts o ON o.id = c.contact_id
    LEFT JOIN teams t ON t.id = c.team_id
    WHERE t.line <> c.line OR t.workspace_id <> c.workspace_id OR o.workspace_id <> c.workspace_id
    """,
)
OF_A_TEAM_THAT_IS_THERE = Invariant(
    "No open conversation belongs to a team that is gone",
    """
    SELECT format('conversation %s is %s in team %s, which is gone', c.id, c.status, t.id)
    FROM conversations c JOIN teams t ON t.id = c.team_id
    WHERE c.status <> 'CLOSED' AND NOT t.is_active
    """,
)
ANSWERS_KEPT = Invariant(
    "Whoever repeats a command finds its answer",
    "SELECT format('%s of %s has no answer', mutation, key) FROM idempotency_keys"
    " WHERE answer IS NULL",
)
INBOUND_ONCE = Invariant(
    "A message that a channel delivered is there once",
    """
    SELECT format('channel %s has %s of %s', channel_id, count(*), external_id)
    FROM messages WHERE direction = 'INBOUND' GROUP BY channel_id, external_id HAVING count(*) > 1
    """,
)
GROUPS_FORM_TREES = Invariant(
    "Groups form trees, at most 10 deep",
    """
    WITH RECURSIVE up AS (
        SELECT id, parent_id, 1 AS depth FROM teams WHERE parent_id IS NOT NULL
        UNION ALL
        SELECT up.id, t.parent_id, up.depth + 1 FROM up JOIN teams t ON t.id = up.parent_id
        WHERE up.depth <= 10
    )
    SELECT DISTINCT format('team %s lies below more than 10 groups, or below itself', id)
    FROM up WHERE depth > 10
    """,
)
MESSAGES_BELONG = Invariant(
    "A message is of its conversation's channel and workspace",
    """
    SELECT format('message %s', m.id)
    FROM messages m JOIN conversations c ON c.id = m.conversation_id
    WHERE m.channel_id <> c.channel_id OR m.workspace_id <> c.workspace_id
    """,
)
LAST_MESSAGE_BELONGS = Invariant(
    "A conversation's last message is its own, and no note",
    """
    SELECT format('conversation %s shows message %s', c.id, c.last_message_id)
    FROM conversations c LEFT JOIN messages m ON m.id = c.last_message_id
    WHERE c.last_message_id IS NOT NULL
      AND (m.conversation_id IS DISTINCT FROM c.id OR m.direction = 'NOTE')
    """,
)
RESERVED_WHILE_WAITING = Invariant(
    "Only what waits is reserved, for an agent of its workspace",
    """
    SELECT format('conversation %s is %s and reserved for %s until %s',
                  c.id, c.status, c.reserved_for_id, c.reserved_until)
    FROM conversations c
    WHERE (c.reserved_for_id IS NOT NULL AND (c.status <> 'QUEUED' OR NOT EXISTS (
              SELECT FROM agents a
              WHERE a.id = c.reserved_for_id AND a.workspace_id = c.workspace_id)))
       OR (c.reserved_until IS NOT NULL AND c.reserved_for_id IS NULL)
    """,
)
RESERVED_FOR_THE_OWNER = Invariant(
    "What is reserved waits for its contact's owner",
    """
    SELECT format('conversation %s waits for %s, and the contact belongs to %s',
                  c.id, c.reserved_for_id, coalesce(o.owner_agent_id, o.owner_team_id))
    FROM conversations c JOIN contacts o ON o.id = c.contact_id
    WHERE c.reserved_for_id IS NOT NULL AND c.reserved_for_id IS DISTINCT FROM o.owner_agent_id
    """,
)
VALUES_FIT_THEIR_FIELDS = Invariant(
    "What is known of a contact is of its field's kind, and one of its choices",
    """
    SELECT format('contact %s has no %s in field %s', c.id, f.kind, f.id)
    FROM contacts c CROSS JOIN LATERAL jsonb_each(c.field_values) v(field_id, value)
    JOIN contact_fields f ON f.workspace_id = c.workspace_id AND f.id::text = v.field_id
    WHERE jsonb_typeof(v.value) <> 'string' OR CASE f.kind
        WHEN 'CHOICE' THEN NOT f.choices ? (v.value #>> '{}')
        WHEN 'NUMBER' THEN v.value #>> '{}' !~ '^-?[0-9]{1,18}([.][0-9]{1,9})?$'
        WHEN 'DATE' THEN v.value #>> '{}' !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'
        ELSE v.value = '""' END
    """,
)
BOT_HOLDS_ALONE = Invariant(
    "What the bot has is in nobody's load",
    """
    SELECT format('conversation %s is with the bot and held by %s', c.id,
                  coalesce(c.assignee_id, a.agent_id))
    FROM conversations c
    LEFT JOIN assignments a ON a.conversation_id = c.id AND a.ended_at IS NULL
    WHERE c.status = 'BOT' AND (c.assignee_id IS NOT NULL OR a.id IS NOT NULL)
    """,
)
COUNTED_WHILE_ASSIGNED = Invariant(
    "Who holds a conversation has it in its load exactly while it is not snoozed",
    """
    SELECT format('assignment %s of a conversation in %s counts: %s', a.id, c.status, a.is_counted)
    FROM assignments a JOIN conversations c ON c.id = a.conversation_id
    WHERE a.ended_at IS NULL AND a.is_counted <> (c.status = 'ASSIGNED')
    """,
)
SNOOZED_FOR_A_TIME = Invariant(
    "Only what somebody holds is snoozed, and only what is snoozed wakes at a time",
    """
    SELECT format('conversation %s is %s, held by %s, until %s',
                  id, status, assignee_id, snoozed_until)
    FROM conversations
    WHERE (status = 'SNOOZED' AND assignee_id IS NULL)
       OR (status <> 'SNOOZED' AND snoozed_until IS NOT NULL)
    """,
)
SKIPPED_WHILE_WAITING = Invariant(
    "Whoever did not answer in time is passed over only while the conversation is nobody's",
    """
    SELECT format('conversation %s is %s and passes over %s', id, status, skipped_agent_id)
    FROM conversations
    WHERE skipped_agent_id IS NOT NULL AND status <> 'QUEUED'
    """,
)
MERGED_HAVE_NOTHING = Invariant(
    "What was merged into another contact has no conversation, no identity and no ticket",
    """
    SELECT format('contact %s is merged into %s and has %s', o.id, o.merged_into_id, h.id)
    FROM contacts o JOIN (
        SELECT contact_id, id FROM conversations
        UNION ALL
        SELECT contact_id, id FROM contact_identities
        UNION ALL
        SELECT requester_id, id FROM tickets) h ON h.contact_id = o.id
    WHERE o.merged_into_id IS NOT NULL
    """,
)
MERGED_BY_A_MERGE = Invariant(
    "What was merged into another contact has the one merge in force that did it",
    """
    SELECT format('contact %s is merged into %s and has merges into %s',
                  coalesce(o.id, m.merged_id), o.merged_into_id, m.survivors)
    FROM (SELECT id, merged_into_id FROM contacts WHERE merged_into_id IS NOT NULL) o
    FULL JOIN (SELECT merged_id, array_agg(survivor_id) AS survivors FROM contact_merges
               WHERE split_at IS NULL GROUP BY 1) m ON m.merged_id = o.id
    WHERE m.survivors IS DISTINCT FROM ARRAY[o.merged_into_id]
    """,
)
NO_IDLE_CAPACITY = Invariant(
    "Nobody waits in an automatic queue while an eligible candidate has room",
    f"""
    WITH waiting AS (
        SELECT c.team_id, c.skipped_agent_id, c.skipped_until > relevo_now() AS is_skipping,
               coalesce((c.distribution ->> 'max_open')::int, t.max_open) AS max_open,
               coalesce((c.distribution ->> 'online_only')::bool, t.online_only) AS online_only
        FROM conversations c JOIN teams t ON t.id = c.team_id
        WHERE c.status = 'QUEUED' AND t.is_active
          AND coalesce(c.distribution ->> 'distribution', t.distribution) <> 'MANUAL'
          AND NOT {reservation.IN_FORCE}
    ), member AS ({candidates.OF_TEAMS.replace("ANY($1)", "ANY(SELECT team_id FROM waiting)")})
    SELECT DISTINCT format('team %s has somebody waiting and agent %s free', t.id, a.id)
    FROM teams t JOIN workspaces w ON w.id = t.workspace_id
    JOIN member m ON m.team_id = t.id JOIN agents a ON a.id = m.agent_id
    WHERE EXISTS (SELECT FROM waiting x WHERE x.team_id = t.id
                  AND (x.is_skipping IS NOT TRUE OR x.skipped_agent_id <> a.id)
                  AND a.load < least(a.capacity, x.max_open)
                  AND (NOT x.online_only OR (a.availability = 'ONLINE' AND EXISTS (
                          SELECT FROM presence_leases l
                          WHERE l.agent_id = a.id AND l.expires_at > relevo_now()))))
      AND relevo_is_open({candidates.HOURS}, relevo_now())
      AND a.is_active AND a.accepts_new
    """,  # noqa: S608 - constants
)
ALWAYS = (
    LOAD_COUNTS_ASSIGNED,
    ONE_OPEN_ASSIGNMENT,
    STATUS_SAYS_WHERE,
    ONE_OPEN_CONVERSATION,
    NUMBERS_WITHOUT_HOLES,
    AUDIT_KEPT_BELOW_THE_FLOOR,
    TIME_FOLLOWS_NUMBERS,
    CLOSED_BY_A_CLOSURE,
    CLOSURE_HAS_AN_EVENT,
    ASSIGNMENT_HAS_AN_EVENT,
    TODOS_PER_LINE,
    MEMBERS_IN_ORDER,
    TARGETS_FIT_THEIR_LINE,
    LINE_IS_ITS_TEAMS,
    OF_A_TEAM_THAT_IS_THERE,
    ANSWERS_KEPT,
    INBOUND_ONCE,
    GROUPS_FORM_TREES,
    MESSAGES_BELONG,
    LAST_MESSAGE_BELONGS,
    RESERVED_WHILE_WAITING,
    RESERVED_FOR_THE_OWNER,
    VALUES_FIT_THEIR_FIELDS,
    BOT_HOLDS_ALONE,
    COUNTED_WHILE_ASSIGNED,
    SNOOZED_FOR_A_TIME,
    SKIPPED_WHILE_WAITING,
    MERGED_HAVE_NOTHING,
    MERGED_BY_A_MERGE,
)
