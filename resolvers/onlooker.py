"""Whoever an answer is given to that several subscribers share: nobody in particular.

It has the rights and the teams of its sight, holds nothing, and notes for whom the answer would
be another one: for those who see more than their sight because they hold it, or for everybody,
when a resolver asks who exactly is asking.
"""

from functools import cached_property
from typing import NoReturn
from uuid import UUID

from strawberry.dataloader import DataLoader

from models.access import Actor, Right
from models.database import Row as Record
from models.database import fetch
from models.sight import Sight
from resolvers import projections
from resolvers.loaders import Loaders, Row


class Personal(AttributeError):
    """The answer depends on who exactly asks, so nobody shares it."""


class Notes:
    """For whom a shared answer would be another one."""

    def __init__(self) -> None:
        self.is_personal = False
        self.agent_ids: set[UUID] = set()

    def suits(self, agent_id: UUID | None) -> bool:
        return not self.is_personal and agent_id not in self.agent_ids


class Onlooker(Actor):
    """Somebody of a sight; to ask who ends the sharing of this answer."""

    __slots__ = ("notes",)
    notes: Notes

    def __init__(self, sight: Sight, notes: Notes) -> None:
        given = {
            "kind": sight.kind,
            "workspace_id": sight.workspace_id,
            "role": sight.role,
            "scopes": sight.scopes,
            "notes": notes,
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def _tell(self) -> NoReturn:
        self.notes.is_personal = True
        raise Personal

    # Read-only where the base has fields: whoever reads them must not get an answer.
    id = property(_tell)
    token_id = property(_tell)


class OnlookerLoaders(Loaders):
    """What depends on teams comes from the sight; what else is personal asks the onlooker."""

    def __init__(self, sight: Sight, notes: Notes) -> None:
        super().__init__(Onlooker(sight, notes))
        self._sight = sight
        self._notes = notes

    @cached_property
    def conversations(self) -> "DataLoader[UUID, Row | None]":
        by = self.actor
        if by.may(Right.SEE_ALL) or not by.may(Right.HOLD_CONVERSATIONS):
            return super().conversations

        async def load(keys: list[UUID]) -> list[Row | None]:
            rows = await fetch(
                projections.CONVERSATION_OF_ANYBODY, by.workspace_id, list(set(keys))
            )
            found: dict[UUID, Row] = {row["id"]: dict(row) for row in rows if self._sees(row)}
            return [found.get(key) for key in keys]

        return DataLoader(load, cache=False)

    def _sees(self, row: Record) -> bool:
        if row["team_id"] in self._sight.team_ids:
            return True
        self._notes.agent_ids.update(row["seen_by"])
        return False

    @cached_property
    def queues_seen(self) -> "DataLoader[UUID, bool]":
        if self.actor.may(Right.SEE_ALL):
            return super().queues_seen

        async def load(keys: list[UUID]) -> list[bool]:
            return [key in self._sight.team_ids for key in keys]

        return DataLoader(load, cache=False)
