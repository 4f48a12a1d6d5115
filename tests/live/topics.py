"""What can be followed: how it is asked for, and what belongs to it in the log's own terms."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

DOCUMENT = """
    subscription ({declared}) {{
        {field}({arguments}) {{
            __typename
            ... on StreamSnapshot {{ cursor conversations {{ id status }} }}
            ... on StreamResumed {{ cursor }}
            ... on StreamReset {{ cursor reason }}
            ... on LoggedEvent {{ seq cursor occurredAt kind }}
            ... on ConversationEvent {{ conversation {{ id status version }} }}
        }}
    }}
"""


@dataclass(frozen=True)
class Topic:
    """One field of the subscriptions; `about` is the company's list of what it can be about."""

    field: str
    about: str
    belongs: str  # $2 is what it is about
    argument: str | None = None

    def subscription(self, company: dict[str, Any], turn: int) -> dict[str, Any]:
        """A subscriber of this kind; those of different turns follow different things."""
        about = company[self.about][turn % len(company[self.about])]
        declared, arguments, variables = "$after: String", "after: $after", {}
        token = company["watchers"][turn % len(company["watchers"])]
        if self.argument:
            declared, arguments = (
                f"$about: ID!, {declared}",
                f"{self.argument}: $about, {arguments}",
            )
            variables = {"about": about["id"]}
        else:
            token = about["token"]
        document = DOCUMENT.format(field=self.field, declared=declared, arguments=arguments)
        return {"document": document, "variables": variables, "token": token}

    def uuid(self, company: dict[str, Any], turn: int) -> UUID:
        return UUID(company[self.about][turn % len(company[self.about])]["uuid"])


TOPICS = (
    Topic("queueChanged", "queues", "$2 IN (from_queue_id, to_queue_id)", "queueId"),
    Topic("conversationChanged", "conversations", "conversation_id = $2", "conversationId"),
    Topic("inboxChanged", "agents", "$2 IN (from_agent_id, to_agent_id)"),
)
