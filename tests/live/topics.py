"""What can be followed: how it is asked for, and what belongs to it in the log's own terms."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

DOCUMENT = """
    subscription ({declared}) {{
        {field}({arguments}) {{
            __typename
            ... on StreamSnapshot {{ cursor conversations {{ id status }} agents {{ id load }} }}
            ... on StreamResumed {{ cursor }}
            ... on StreamReset {{ cursor reason }}
            ... on StreamMark {{ cursor }}
            ... on LoggedEvent {{ seq cursor occurredAt kind }}
            ... on ConversationEvent {{ conversation {{ id status version }} }}
        }}
    }}
"""


@dataclass(frozen=True)
class Topic:
    """One way to follow something."""

    field: str
    about: str  # a list of the company, one of which `$about` is
    belongs: str  # a condition on the table of events; $1 is the workspace, $2 what it is about
    arguments: tuple[str, ...] = ()
    is_own: bool = False  # of the agent that it is about, by its own token

    def subscription(self, company: dict[str, Any], turn: int) -> dict[str, Any]:
        """A subscriber of this kind; those of different turns follow different things."""
        about, watchers = self._about(company, turn), company["watchers"]
        asks = any("$about" in argument for argument in self.arguments)
        return {
            "document": DOCUMENT.format(
                field=self.field,
                declared="$about: ID!, $after: String" if asks else "$after: String",
                arguments=", ".join((*self.arguments, "after: $after")),
            ),
            "variables": {"about": about["id"]} if asks else {},
            "token": about["token"] if self.is_own else watchers[turn % len(watchers)],
        }

    def uuid(self, company: dict[str, Any], turn: int) -> UUID:
        return UUID(self._about(company, turn)["uuid"])

    def _about(self, company: dict[str, Any], turn: int) -> dict[str, str]:
        found: dict[str, str] = company[self.about][turn % len(company[self.about])]
        return found


_IS_QUEUES = "$2 IN (from_queue_id, to_queue_id)"
_IS_AGENTS = "$2 IN (from_agent_id, to_agent_id)"
_IS_TICKETS = "$2 IN (ticket_id, (data ->> 'from_ticket')::uuid)"
# A team's members are the same from beginning to end.
_IS_TEAMS = """(conversation_id IS NULL AND $2 IN (from_team_id, to_team_id)) OR (
    EXISTS (SELECT FROM memberships m
            WHERE m.team_id = $2 AND m.agent_id IN (from_agent_id, to_agent_id))
    AND CASE WHEN conversation_id IS NULL
        THEN kind IN ('AGENT_AVAILABILITY_CHANGED', 'AGENT_CONNECTED', 'AGENT_DISCONNECTED')
        ELSE from_agent_id IS DISTINCT FROM to_agent_id
            OR kind IN ('CONVERSATION_CLOSED', 'CONVERSATION_REOPENED') END)"""
_KINDS = ("MESSAGE_RECEIVED", "MESSAGE_SENT", "CONVERSATION_ASSIGNED")

TOPICS = (
    Topic("queueChanged", "queues", _IS_QUEUES, ("queueId: $about",)),
    Topic(
        "conversationChanged",
        "conversations",
        "conversation_id = $2",
        ("conversationId: $about",),
    ),
    Topic("inboxChanged", "agents", _IS_AGENTS, is_own=True),
    Topic("teamChanged", "teams", _IS_TEAMS, ("teamId: $about",)),
    Topic("ticketChanged", "tickets", _IS_TICKETS, ("ticketId: $about",)),
    Topic("workspaceEvents", "teams", "$2::uuid IS NOT NULL"),
    Topic("workspaceEvents", "queues", _IS_QUEUES, ("filter: {queueId: $about}",)),
    Topic(
        "workspaceEvents",
        "teams",
        f"kind IN {_KINDS} AND $2::uuid IS NOT NULL",
        (f"filter: {{kinds: [{', '.join(_KINDS)}]}}",),
    ),
)
