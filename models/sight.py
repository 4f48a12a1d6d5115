"""What decides what an actor sees, and asking for it again, for all who ask at once in one go."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from uuid import UUID

from models.access import Actor, ActorKind, Right, Role
from models.database import Read, fetch
from models.errors import Unauthenticated
from models.team import seen_by_agents
from models.token import actors_of_tokens
from models.visibility import Visibility, sees_by_team

BATCH_SIZE_MAX = 1_000

Asked = TypeVar("Asked", bound=Hashable)
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Sight:
    """What decides what an actor sees, apart from what is its own: equal sights see the same."""

    workspace_id: UUID
    kind: ActorKind
    role: Role | None
    scopes: frozenset[str]
    # The teams that an agent sees the conversations of; empty for who sees all, or none.
    team_ids: frozenset[UUID]

    @classmethod
    async def of(cls, actor: Actor) -> "Sight":
        return (await _sights([actor]))[0]

    @classmethod
    def through(cls, actor: Actor, team_ids: Sequence[UUID]) -> "Sight":
        """The sight of an actor who sees these teams."""
        return cls(actor.workspace_id, actor.kind, actor.role, actor.scopes, frozenset(team_ids))

    def may(self, right: Right) -> bool:
        actor = Actor(self.kind, self.workspace_id, role=self.role, scopes=self.scopes)
        return actor.may(right)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who follows a stream, with the rights of one moment."""

    actor: Actor
    sight: Sight
    # When its token ends by itself, by the clock of the event loop.
    ends_at: float | None = field(default=None, compare=False)

    @property
    def visibility(self) -> Visibility:
        return Visibility.through(self.actor, self.sight.team_ids)


async def viewers_of(actors: Sequence[Actor], *, read: Read = fetch) -> list[Viewer | None]:
    """These actors with the rights that they have now; None where its token ended."""
    token_ids = {actor.token_id for actor in actors if actor.token_id is not None}
    live = await actors_of_tokens(token_ids, read=read) if token_ids else {}
    present = [
        (actor, None) if actor.token_id is None else live.get(actor.token_id) for actor in actors
    ]
    sights = iter(await _sights([found[0] for found in present if found], read=read))
    now = asyncio.get_running_loop().time()
    return [
        found and Viewer(found[0], next(sights), None if found[1] is None else now + found[1])
        for found in present
    ]


async def viewer_of(actor: Actor, *, read: Read = fetch) -> Viewer:
    """An actor with the rights that it has now; raises Unauthenticated when its token ended."""
    [viewer] = await viewers_of([actor], read=read)
    if viewer is None:
        raise Unauthenticated
    return viewer


async def _sights(actors: Sequence[Actor], *, read: Read = fetch) -> list[Sight]:
    agents: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for actor in actors:
        if actor.agent_id is not None and sees_by_team(actor):
            agents[actor.workspace_id].add(actor.agent_id)
    seen: dict[UUID, list[UUID]] = {}
    for workspace_id, ids in agents.items():
        seen.update(await seen_by_agents(workspace_id, list(ids), read=read))
    return [Sight.through(actor, seen.get(actor.agent_id or UUID(int=0), [])) for actor in actors]


class Coalesced(Generic[Asked, Answer]):
    """Answers all that is asked in one moment at once, and what is equal once.

    An answer is begun after its question: what was committed before somebody asked is in it.
    """

    def __init__(self, answer: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer]]]) -> None:
        self._answer = answer
        self._waiting: dict[Asked, asyncio.Future[Answer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, asked: Asked) -> Answer:
        if not self._waiting:
            task = asyncio.create_task(self._answer_all())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        future = self._waiting.get(asked)
        if future is None:
            future = self._waiting[asked] = asyncio.get_running_loop().create_future()
            # Whoever asked may have gone by the time that it fails.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
        # Others wait for it too.
        return await asyncio.shield(future)

    async def _answer_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        asked = list(waiting)
        for start in range(0, len(asked), BATCH_SIZE_MAX):
            batch = asked[start : start + BATCH_SIZE_MAX]
            try:
                answers = await self._answer(batch)
            except Exception as error:  # noqa: BLE001 - each of them is told
                for each in batch:
                    waiting[each].set_exception(error)
            else:
                for each, answer in zip(batch, answers, strict=True):
                    waiting[each].set_result(answer)
