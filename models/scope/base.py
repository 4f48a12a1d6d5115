"""What every scope says of itself, so that following is the same for all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from models.database import Read
from models.event_key import Key
from models.log import Arms, Event
from models.projection import CONVERSATION_COLUMNS
from models.sight import Viewer
from models.visibility import VISIBLE

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """The state of a scope, in the columns of its records; at most one more than was asked for."""

    conversations: list[Row] = field(default_factory=list)
    agents: list[Row] = field(default_factory=list)
    tickets: list[Row] = field(default_factory=list)


class Course(Protocol):
    """What belongs to a scope from one position of the log on."""

    @property
    def keys(self) -> frozenset[Key]:
        """What its events, and those that move access to it, are filed under."""

    @property
    def arms(self) -> Arms:
        """How its events are found in the database; others may be among them."""

    def concerns(self, event: Event) -> bool:
        """Whether an event belongs to it."""

    def moves_access(self, event: Event) -> bool:
        """Whether an event can change who sees it, though nobody's rights changed."""

    def after(self, event: Event) -> "Course":
        """What belongs to the scope after an event: mostly the same."""

    async def shown_to(self, viewer: Viewer, *, read: Read) -> "Course":
        """The same, for a viewer who may see it in another way than before."""


class Scope(Protocol):
    """What one subscription is about; equal scopes are about the same."""

    def __hash__(self) -> int: ...

    async def course(self, seq: int, viewer: Viewer, *, read: Read) -> Course:
        """What belongs to it after a number of the log, read at one instant."""

    @classmethod
    async def seen(cls, asked: Sequence[tuple[Self, Viewer]], *, read: Read) -> Sequence[bool]:
        """Whether each of these scopes is visible to its viewer, in few statements."""

    async def rows(self, viewer: Viewer, *, limit: int, read: Read) -> Rows:
        """What the viewer sees of its state; with the rest of a snapshot, of one instant."""


class Steady:
    """A scope to which the same belongs always: it is its own course."""

    async def course(self, _seq: int, _viewer: Viewer, *, read: Read) -> Any:  # noqa: ARG002 - the scope says
        return self

    def moves_access(self, _event: Event) -> bool:
        return False

    def after(self, _event: Event) -> Any:
        return self

    async def shown_to(self, _viewer: Viewer, *, read: Read) -> Any:  # noqa: ARG002 - the scope says
        return self


async def conversations(
    condition: str, argument: object, *, viewer: Viewer, limit: int, read: Read
) -> list[Row]:
    """The conversations that a viewer sees and that meet a condition on `$5`, in its order."""
    rows = await read(
        f"""
        SELECT {", ".join(CONVERSATION_COLUMNS)} FROM conversations, relevo_now() AS now
        WHERE {VISIBLE} AND {condition} LIMIT $6
        """,  # noqa: S608 - constants
        *viewer.visibility.arguments,
        argument,
        limit,
    )
    return [dict(row) for row in rows]
