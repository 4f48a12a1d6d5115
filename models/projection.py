"""Which columns of conversations and of agents are shown: in lists, by their ids, in snapshots."""

CONVERSATION_COLUMNS = (
    "id",
    "workspace_id",
    "line",
    "status",
    "contact_id",
    "channel_id",
    "team_id",
    "assignee_id",
    "queued_at",
    "decision",
    "last_message_id",
    "reserved_for_id",
    "snoozed_until",
    "ticket_id",
    "ticket_link",
    "opened_at",
    "last_activity_at",
    "closed_at",
    "version",
    "now",
)
# Of an agent `a`.
AGENT_COLUMNS = """a.id, a.name, a.email, a.role, a.is_active, a.availability, a.accepts_new,
    a.capacity, a.load, a.idle_period_days, a.business_hours, EXISTS (
        SELECT FROM presence_leases l
        WHERE l.agent_id = a.id AND l.expires_at > relevo_now()) AS is_connected"""
