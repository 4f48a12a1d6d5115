"""What a definition names by its id, and whether that is there."""

from collections import defaultdict
from collections.abc import Iterator
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson

from models import base
from models.database import fetch
from models.errors import BadUserInput, NotFound
from models.workflow.definition import (
    AssignStep,
    ChannelCondition,
    CloseStep,
    Condition,
    ContactFieldCondition,
    ContactTagCondition,
    Definition,
    HoursCondition,
    Step,
)

# Of a draft as it is stored; what is too much of anything inside is a defect.
DEFINITION_BYTES_MAX = 128 * 1024


class Noun(StrEnum):
    """The tables of what a definition can name."""

    AGENTS = "agents"
    TEAMS = "teams"
    CHANNELS = "channels"
    TAGS = "tags"
    FIELDS = "contact_fields"
    REASONS = "closing_reasons"


_SINGULAR = {
    Noun.AGENTS: "agent",
    Noun.TEAMS: "team",
    Noun.CHANNELS: "channel",
    Noun.TAGS: "tag",
    Noun.FIELDS: "contact field",
    Noun.REASONS: "closing reason",
}
_ABSENT = " UNION ALL ".join(
    f"""
    SELECT '{noun}' AS noun, n.id FROM unnest(${place}::uuid[]) n(id)
    WHERE NOT EXISTS (SELECT FROM {noun} x WHERE x.workspace_id = $1 AND x.id = n.id)
    """  # noqa: S608 - constants
    for place, noun in enumerate(Noun, start=2)
)


def named_by(*definitions: Definition) -> dict[Noun, set[UUID]]:
    """The ids that these definitions name, by what they are of."""
    found: defaultdict[Noun, set[UUID]] = defaultdict(set)
    for definition in definitions:
        for step in definition.steps:
            for noun, id in _of_step(step):
                found[noun].add(id)
        for condition in definition.all_conditions:
            for noun, id in _of_condition(condition):
                found[noun].add(id)
    return dict(found)


async def require_there(
    definition: Definition, *, workspace_id: UUID, besides: Definition | None = None
) -> None:
    """Raise NotFound when it names what the workspace has not, besides what another names too."""
    named = named_by(definition)
    before = named_by(besides) if besides else {}
    wanted = [sorted(named.get(noun, set()) - before.get(noun, set())) for noun in Noun]
    if any(wanted):
        for row in await fetch(_ABSENT, workspace_id, *wanted):
            raise NotFound(_SINGULAR[Noun(row["noun"])], path="input.definition")


def require_storable(definition: Definition) -> None:
    """Raise BadUserInput for what the database does not keep, and for what is too long to."""
    stored = definition.stored
    for text in _texts(stored):
        base.require_storable(text, path="input")
    if len(orjson.dumps(stored)) > DEFINITION_BYTES_MAX:
        raise BadUserInput(
            f"The workflow is longer than {DEFINITION_BYTES_MAX} bytes.", path="input"
        )


def _texts(stored: Any) -> Iterator[str]:
    if isinstance(stored, str):
        yield stored
    elif isinstance(stored, dict):
        for part in stored.values():
            yield from _texts(part)
    elif isinstance(stored, list):
        for part in stored:
            yield from _texts(part)


def _of_step(step: Step) -> Iterator[tuple[Noun, UUID]]:
    if isinstance(step, AssignStep):
        yield from _maybe(Noun.AGENTS, step.agent_id)
        yield from _maybe(Noun.TEAMS, step.team_id)
    if isinstance(step, CloseStep):
        yield from _maybe(Noun.REASONS, step.reason_id)


def _of_condition(condition: Condition) -> Iterator[tuple[Noun, UUID]]:
    if isinstance(condition, ChannelCondition):
        yield from ((Noun.CHANNELS, id) for id in condition.channel_ids)
    if isinstance(condition, ContactTagCondition):
        yield from ((Noun.TAGS, id) for id in condition.tag_ids)
    if isinstance(condition, ContactFieldCondition):
        yield Noun.FIELDS, condition.field_id
    if isinstance(condition, HoursCondition):
        yield from _maybe(Noun.TEAMS, condition.team_id)


def _maybe(noun: Noun, id: UUID | None) -> Iterator[tuple[Noun, UUID]]:
    if id is not None:
        yield noun, id
