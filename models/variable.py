"""Variables in texts that are written once and sent often: snippets, and messages of workflows.

A text says `{{contact.name}}`, or `{{contact.name|there}}` for what to say where there is none. A
field of the contact is named by its name, spelled the same: `{{contact.field.Plan}}`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

import orjson

from models.database import fetch
from models.errors import NotFound, VariableUnknown

NAMES = (
    "agent.name",
    "channel.name",
    "contact.email",
    "contact.name",
    "contact.phone",
    "team.name",
    "ticket.number",
    "ticket.subject",
    "workspace.name",
)
FIELD_PREFIX = "contact.field."
# Nothing in it can match in two ways: a text of nothing but spaces is read in one go.
_variable = re.compile(r"\{\{([^{}|]*)(?:\|([^{}]*))?\}\}")
Values = Mapping[str, str | None]


def require_known(text: str, *, path: str = "input.text") -> None:
    """Raise VariableUnknown unless every variable of the text is one."""
    if unknown := unknown_in(text):
        raise VariableUnknown(names=unknown, known=(*NAMES, f"{FIELD_PREFIX}..."), path=path)


def unknown_in(text: str) -> list[str]:
    """What the text has in braces and is no variable; fields are looked up when it is sent."""
    return sorted({name for name in _named(text) if not _is_known(name)})


async def fill(
    text: str, *, workspace_id: UUID, conversation_id: UUID, agent_id: UUID | None = None
) -> str:
    """The text with what its variables stand for; nothing where nothing is known.

    The agent is who holds the conversation, unless another is named. Raises NotFound.
    """
    if not _variable.search(text):
        return text
    found = await values_of([conversation_id], workspace_id=workspace_id, agent_id=agent_id)
    if conversation_id not in found:
        raise NotFound("conversation", path="conversationId")
    return filled(text, found[conversation_id])


async def values_of(
    conversation_ids: Iterable[UUID], *, workspace_id: UUID, agent_id: UUID | None = None
) -> dict[UUID, Values]:
    """What the variables stand for in each of these conversations of the workspace."""
    rows = await fetch(_VALUES, list(conversation_ids), workspace_id, agent_id)
    return {row["id"]: orjson.loads(row["values"]) for row in rows}


def filled(text: str, values: Values) -> str:
    """The text with these values; what they say is never taken for a variable itself."""

    def said(match: re.Match[str]) -> str:
        return values.get(match[1].strip()) or (match[2] or "").strip()

    return _variable.sub(said, text)


def _named(text: str) -> Iterator[str]:
    return (match[1].strip() for match in _variable.finditer(text))


def _is_known(name: str) -> bool:
    return name in NAMES or (name.startswith(FIELD_PREFIX) and name != FIELD_PREFIX)


_VALUES = f"""
    SELECT c.id, jsonb_build_object(
        'agent.name', a.name, 'channel.name', h.name, 'contact.email', o.email,
        'contact.name', CASE WHEN NOT EXISTS (
            -- Whoever never said a name is called what the channel calls it.
            SELECT FROM contact_identities i WHERE i.contact_id = o.id AND i.external_id = o.name
        ) THEN o.name END, 'contact.phone', o.phone, 'team.name', t.name,
        'ticket.number', k.number::text, 'ticket.subject', k.subject, 'workspace.name', w.name
    ) || coalesce((
        SELECT jsonb_object_agg('{FIELD_PREFIX}' || btrim(f.name), o.field_values ->> f.id::text)
        FROM contact_fields f WHERE f.workspace_id = w.id AND o.field_values ? f.id::text
    ), '{{}}') AS values
    FROM conversations c
    JOIN workspaces w ON w.id = c.workspace_id
    JOIN contacts o ON o.id = c.contact_id
    JOIN channels h ON h.id = c.channel_id
    LEFT JOIN teams t ON t.id = c.team_id
    LEFT JOIN agents a ON a.id = coalesce($3, c.assignee_id) AND a.workspace_id = c.workspace_id
    LEFT JOIN tickets k ON k.id = c.ticket_id AND c.ticket_link = 'CONFIRMED'
    WHERE c.id = ANY($1) AND c.workspace_id = $2
"""  # noqa: S608 - a constant
