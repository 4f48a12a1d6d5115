"""What must be known of a workspace to tell whether its workflows can run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

import orjson

from models.access import HOLDERS, IS_HOLDER
from models.base import Line
from models.channel import SERVE_SUPPORT, ChannelKind
from models.contact_field import ContactField, FieldKind
from models.database import Transaction, fetchrow
from models.team_tree import TREE_DEPTH_MAX
from models.workflow.definition import Definition
from models.workflow.naming import Noun, named_by


@dataclass(frozen=True, slots=True)
class TeamFact:
    """A team that a workflow names; `has_members` when anybody could be given its conversations."""

    line: Line
    is_active: bool = True
    has_members: bool = True


@dataclass(frozen=True, slots=True)
class AgentFact:
    """An agent whom a workflow names; `can_hold` when its role holds conversations."""

    is_active: bool = True
    can_hold: bool = True


@dataclass(frozen=True, slots=True)
class Facts:
    """What is there of what workflows name; what is gone is left out."""

    teams: Mapping[UUID, TeamFact] = field(default_factory=dict)
    agents: Mapping[UUID, AgentFact] = field(default_factory=dict)
    # Whether a channel serves the support desk too.
    channels: Mapping[UUID, bool] = field(default_factory=dict)
    tags: frozenset[UUID] = frozenset()
    fields: Mapping[UUID, ContactField] = field(default_factory=dict)
    # Whether a closing reason is offered.
    reasons: Mapping[UUID, bool] = field(default_factory=dict)


async def facts_of(definitions: Iterable[Definition], *, workspace_id: UUID) -> Facts:
    """The facts about whatever these definitions name, in one statement."""
    named = named_by(*definitions)
    if not named:
        return Facts()
    row = await fetchrow(_FACTS, workspace_id, *(sorted(named.get(noun, ())) for noun in Noun))
    assert row is not None  # noqa: S101 - a statement of aggregates has one row
    found = {noun: orjson.loads(row[noun] or "[]") for noun in Noun}
    return Facts(
        agents={
            UUID(it["id"]): AgentFact(it["is_active"], it["role"] in HOLDERS)
            for it in found[Noun.AGENTS]
        },
        teams={
            UUID(it["id"]): TeamFact(Line(it["line"]), it["is_active"], it["has_members"])
            for it in found[Noun.TEAMS]
        },
        channels={
            UUID(it["id"]): ChannelKind(it["kind"]) in SERVE_SUPPORT for it in found[Noun.CHANNELS]
        },
        tags=frozenset(UUID(it["id"]) for it in found[Noun.TAGS]),
        fields={
            UUID(it["id"]): ContactField(
                id=UUID(it["id"]),
                name=it["name"],
                kind=FieldKind(it["kind"]),
                choices=it["choices"],
            )
            for it in found[Noun.FIELDS]
        },
        reasons={UUID(it["id"]): it["is_active"] for it in found[Noun.REASONS]},
    )


async def hold_targets(
    transaction: Transaction, definition: Definition, *, workspace_id: UUID
) -> None:
    """Lock the teams and the agents that it names, so that none of them goes before the commit."""
    named = named_by(definition)
    for noun in (Noun.TEAMS, Noun.AGENTS):
        if noun in named:
            await transaction.execute(
                f"""
                SELECT FROM {noun} WHERE workspace_id = $1 AND id = ANY($2)
                ORDER BY id FOR NO KEY UPDATE
                """,
                workspace_id,
                sorted(named[noun]),
            )


# A group that includes those below gives to their members too; Todos without a list to everybody.
_FACTS = f"""
    WITH RECURSIVE below AS (
        SELECT t.id AS above, t.id, t.include_descendants, 1 AS depth
        FROM teams t WHERE t.workspace_id = $1 AND t.id = ANY($3)
        UNION ALL
        SELECT b.above, t.id, b.include_descendants, b.depth + 1
        FROM teams t JOIN below b ON t.parent_id = b.id
        WHERE b.include_descendants AND t.is_active AND b.depth < {TREE_DEPTH_MAX}
    )
    SELECT (SELECT jsonb_agg(jsonb_build_object(
                'id', a.id, 'is_active', a.is_active, 'role', a.role))
            FROM agents a WHERE a.workspace_id = $1 AND a.id = ANY($2)) AS agents,
           (SELECT jsonb_agg(jsonb_build_object(
                'id', t.id, 'is_active', t.is_active, 'line', t.line, 'has_members', CASE
                    WHEN t.is_todos AND NOT EXISTS (
                        SELECT FROM memberships m WHERE m.team_id = t.id)
                    THEN EXISTS (SELECT FROM agents a WHERE a.workspace_id = $1 AND a.is_active
                        AND {IS_HOLDER})
                    ELSE EXISTS (
                        SELECT FROM below b JOIN memberships m ON m.team_id = b.id
                        JOIN agents a ON a.id = m.agent_id
                        WHERE b.above = t.id AND a.is_active AND {IS_HOLDER}) END))
            FROM teams t WHERE t.workspace_id = $1 AND t.id = ANY($3)) AS teams,
           (SELECT jsonb_agg(jsonb_build_object('id', c.id, 'kind', c.kind))
            FROM channels c WHERE c.workspace_id = $1 AND c.id = ANY($4)) AS channels,
           (SELECT jsonb_agg(jsonb_build_object('id', g.id))
            FROM tags g WHERE g.workspace_id = $1 AND g.id = ANY($5)) AS tags,
           (SELECT jsonb_agg(jsonb_build_object(
                'id', f.id, 'name', f.name, 'kind', f.kind, 'choices', f.choices))
            FROM contact_fields f WHERE f.workspace_id = $1 AND f.id = ANY($6)) AS contact_fields,
           (SELECT jsonb_agg(jsonb_build_object('id', r.id, 'is_active', r.is_active))
            FROM closing_reasons r WHERE r.workspace_id = $1 AND r.id = ANY($7)) AS closing_reasons
"""  # noqa: S608 - constants
