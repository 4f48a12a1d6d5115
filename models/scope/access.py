"""What viewers may see now, asked for all who want to know in the same moment at once."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from models.access import Actor
from models.database import fetch
from models.errors import Unauthenticated
from models.event_key import TREE, Key
from models.scope.base import Scope
from models.sight import Coalesced, Viewer, viewers_of
from models.visibility import sees_by_team


class Access:
    """Asks again what was asked when a stream began."""

    def __init__(self) -> None:
        self._viewers: Coalesced[Actor, Viewer | None] = Coalesced(viewers_of)
        self._seen: Coalesced[tuple[Scope, Viewer], bool] = Coalesced(_seen)

    async def renewed(self, viewer: Viewer) -> Viewer:
        """The viewer with the rights of this moment; raises Unauthenticated."""
        found = await self._viewers.ask(viewer.actor)
        if found is None:
            raise Unauthenticated
        return found

    async def is_seen(self, scope: Scope, viewer: Viewer) -> bool:
        return await self._seen.ask((scope, viewer))


async def _seen(asked: Sequence[tuple[Scope, Viewer]]) -> list[bool]:
    kinds: defaultdict[type[Any], list[tuple[Any, Viewer]]] = defaultdict(list)
    for scope, viewer in asked:
        kinds[type(scope)].append((scope, viewer))
    found: dict[tuple[Any, Viewer], bool] = {}
    for kind, these in kinds.items():
        found.update(zip(these, await kind.seen(these, read=fetch), strict=True))
    return [found[each] for each in asked]


def keys_of_viewer(viewer: Viewer) -> frozenset[Key]:
    """What is filed under these may change what a viewer may see."""
    actor = viewer.actor
    own: set[Key] = {("access", id) for id in (actor.agent_id, actor.token_id) if id}
    return frozenset({TREE, *own} if sees_by_team(actor) else own)
