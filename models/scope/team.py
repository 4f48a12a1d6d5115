"""A team: itself, and the presence and load of its members."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self
from uuid import UUID

from models import log
from models.access import IS_HOLDER
from models.database import Read
from models.event import Kind
from models.event_key import STAFF, Key, changes_staff
from models.log import Arms, Event
from models.projection import AGENT_COLUMNS
from models.scope.base import Rows
from models.sight import Viewer
from models.team import Team

_OF_TEAM = (
    "e.conversation_id IS NULL AND e.to_team_id = $5",
    "e.conversation_id IS NULL AND e.from_team_id = $5",
)
_OF_MEMBERS = (
    "e.from_agent_id = ANY($6::uuid[])",
    "e.to_agent_id = ANY($6::uuid[]) AND e.from_agent_id IS DISTINCT FROM e.to_agent_id",
)
_MOVES_MEMBERS = (Kind.MEMBER_ADDED, Kind.MEMBER_REMOVED)
_LISTED = f"""
    SELECT {AGENT_COLUMNS} FROM memberships m JOIN agents a ON a.id = m.agent_id
    WHERE m.workspace_id = $1 AND m.team_id = $2 ORDER BY m.position LIMIT $3
"""  # noqa: S608 - constants
# Where a Todos lists nobody, everybody who holds conversations is a member.
_EVERYBODY = f"""
    SELECT {AGENT_COLUMNS} FROM agents a JOIN teams t ON t.workspace_id = a.workspace_id
    WHERE t.workspace_id = $1 AND t.id = $2 AND t.is_todos AND {IS_HOLDER}
    ORDER BY a.created_at, a.id LIMIT $3
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class TeamCourse:
    """A team with those who are its members from one position of the log on."""

    team_id: UUID
    is_todos: bool
    listed: frozenset[UUID]

    @property
    def has_everybody(self) -> bool:
        return self.is_todos and not self.listed

    @property
    def keys(self) -> frozenset[Key]:
        members: set[Key] = {("staff", id) for id in self.listed}
        if self.has_everybody:
            members = {STAFF}
        return frozenset({("team", self.team_id), *members})

    @property
    def arms(self) -> Arms:
        if self.has_everybody:
            return Arms(())
        return Arms((*_OF_TEAM, *_OF_MEMBERS), (self.team_id, list(self.listed)), windowed=True)

    def concerns(self, event: Event) -> bool:
        return self._is_about_team(event) or (
            changes_staff(event)
            and (
                self.has_everybody
                or event.from_agent_id in self.listed
                or event.to_agent_id in self.listed
            )
        )

    def moves_access(self, _event: Event) -> bool:
        return False

    def after(self, event: Event) -> "TeamCourse":
        """The members after an event: whoever is added belongs from then on."""
        return replace(self, listed=_moved(self.listed, event)) if self.is_moved_by(event) else self

    async def shown_to(self, _viewer: Viewer, *, read: Read) -> "TeamCourse":  # noqa: ARG002 - the scope says
        return self

    def before(self, event: Event) -> "TeamCourse":
        """The members before an event, after which they are these."""
        if not self.is_moved_by(event):
            return self
        match event.kind:
            case Kind.MEMBER_ADDED:
                return replace(self, listed=self.listed - {event.to_agent_id})
            case Kind.MEMBER_REMOVED if event.from_agent_id is not None:
                return replace(self, listed=self.listed | {event.from_agent_id})
            case _:
                gone = map(UUID, event.data.get("members", ()))
                return replace(self, listed=self.listed.union(gone))

    def is_moved_by(self, event: Event) -> bool:
        """Whether an event changes who the members are; a replacement of a team keeps its own."""
        if event.kind is Kind.TEAM_DELETED:
            return event.from_team_id == self.team_id
        return event.kind in _MOVES_MEMBERS and self._is_about_team(event)

    def _is_about_team(self, event: Event) -> bool:
        return event.conversation_id is None and self.team_id in (
            event.from_team_id,
            event.to_team_id,
        )


def _moved(listed: frozenset[UUID], event: Event) -> frozenset[UUID]:
    match event.kind:
        case Kind.MEMBER_ADDED if event.to_agent_id is not None:
            return listed | {event.to_agent_id}
        case Kind.MEMBER_REMOVED:
            return listed - {event.from_agent_id}
        case _:
            return frozenset()


@dataclass(frozen=True, slots=True)
class TeamScope:
    """A team, and the presence and load of its members."""

    team_id: UUID

    async def course(self, seq: int, viewer: Viewer, *, read: Read) -> TeamCourse:
        """The members of now, with what was logged since undone."""
        workspace_id = viewer.actor.workspace_id
        rows = await read(
            """
            SELECT t.is_todos, array_remove(array_agg(m.agent_id), NULL) AS listed
            FROM teams t LEFT JOIN memberships m ON m.team_id = t.id
            WHERE t.workspace_id = $1 AND t.id = $2 GROUP BY t.id
            """,
            workspace_id,
            self.team_id,
        )
        listed = frozenset(rows[0]["listed"]) if rows else frozenset()
        course = TeamCourse(self.team_id, bool(rows and rows[0]["is_todos"]), listed)
        for event in reversed(await self._since(workspace_id, seq, read)):
            course = course.before(event)
        return course

    async def _since(self, workspace_id: UUID, seq: int, read: Read) -> list[Event]:
        """What happened to the team itself after a number."""
        arms = Arms(_OF_TEAM, (self.team_id,))
        found: list[Event] = []
        while seq < log.SEQ_MAX:
            events, seq = await log.read_arms(workspace_id, arms, seq, log.SEQ_MAX, read=read)
            found += events
        return found

    @classmethod
    async def seen(cls, asked: Sequence[tuple[Self, Viewer]], *, read: Read) -> list[bool]:
        known = await teams_of([scope.team_id for scope, _ in asked], read=read)
        return [
            Team.are_visible_to(viewer.actor)
            and known.get(scope.team_id) == viewer.actor.workspace_id
            for scope, viewer in asked
        ]

    async def rows(self, viewer: Viewer, *, limit: int, read: Read) -> Rows:
        given = (viewer.actor.workspace_id, self.team_id, limit)
        rows = await read(_LISTED, *given) or await read(_EVERYBODY, *given)
        return Rows(agents=[dict(row) for row in rows])


async def teams_of(ids: Iterable[UUID], *, read: Read) -> dict[UUID, UUID]:
    """The workspaces of teams."""
    asked = list(set(ids))
    if not asked:
        return {}
    rows = await read("SELECT id, workspace_id FROM teams WHERE id = ANY($1)", asked)
    return {row["id"]: row["workspace_id"] for row in rows}
