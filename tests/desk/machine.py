"""Doing the same on both desks and comparing them: what every action of the machine needs."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from models import database, queue
from models.access import Role
from models.base import Line
from models.errors import DomainError
from tests.desk import office
from tests.desk.office import Office
from tests.desk.queues import MICROSECOND, Desk
from tests.desk.rows import Caller, Refused, Talk, Team

BATCH = 50
# Of ten, eight are of those that the verb is meant for, and two may be any.
WHICH = st.integers(0, 9)
ANY_FROM = 8
# Whoever holds the conversation, most of the time: or else little but refusals would be tried.
OTHERS = ["boss", "bridge", "root", "ann", "ben", "cleo", "eve", "mark"]
WHO = st.sampled_from(["holder"] * 24 + OTHERS)
SUPERVISOR = st.sampled_from(["boss", "bridge", "root"] * 6 + OTHERS)
ADMIN = st.sampled_from(["root"] * 24 + ["boss", "ann", "bridge", "eve"])
PERSON = st.sampled_from(["ann", "ben", "cleo", "boss", "ann", "ben", "cleo", "root", "eve"])
OWNER = st.sampled_from(["cleo", "cleo", "ann", "ben", "boss"])
TEAM = st.sampled_from(["north", "south", "help", "care", "todos", "support"])
CHANNEL = st.sampled_from(["phone", "hotline", "mail", "web"])
LINE = st.none() | st.none() | st.sampled_from(Line)
OPEN = ("BOT", "QUEUED", "ASSIGNED")
EDGE = st.sampled_from([-1, 0, 1])
STALE = st.sampled_from([False] * 9 + [True])
PERIOD = st.sampled_from([None, 0, 1, 3])
SOME_TIME = st.sampled_from(
    [
        timedelta(seconds=1),
        timedelta(seconds=59),
        timedelta(seconds=60),
        timedelta(minutes=1),
        timedelta(minutes=30),
        timedelta(hours=1),
        timedelta(hours=23),
        timedelta(days=1),
        timedelta(days=4),
    ]
)


@dataclass(frozen=True)
class Action:
    """Something that happens `often` in comparison with others, when it can."""

    often: int
    when: Callable[["Machine"], object]
    arguments: st.SearchStrategy[dict[str, Any]]


ACTIONS: dict[str, Action] = {}


def does(
    often: int, when: Callable[["Machine"], object] = bool, **arguments: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add an action. Not rules: hypothesis leaves most of them out of each example, and what
    takes five of them together would hardly ever happen.
    """

    def add(method: Callable[..., None]) -> Callable[..., None]:
        ACTIONS[method.__name__] = Action(often, when, st.fixed_dictionaries(arguments))
        return method

    return add


def somebody_wrote(machine: "Machine") -> bool:
    return bool(machine.desk.talks)


def there_is(status: str) -> Callable[["Machine"], bool]:
    """Whether a conversation is in the state that an action is meant for."""
    return lambda machine: any(talk.status == status for talk in machine.desk.talks)


class Machine(RuleBasedStateMachine):
    """Each action does the same on both sides; one more is a method more, with `does`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, office: Office, put_back: str, steps: list[str]
    ) -> None:
        super().__init__()
        self.loop = loop
        self.office = office
        self.steps = steps
        self.versions: dict[UUID, int] = {}
        self.await_(self._begin(put_back))

    async def _begin(self, put_back: str) -> None:
        async with database._connection() as connection:
            await connection.execute(put_back)
        self.desk: Desk = await self.office.desk()
        self.start = self.desk.now

    def await_(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do something in the loop of the session, which has the pool."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=30)

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        names = [
            name
            for name, action in ACTIONS.items()
            if action.when(self)
            for _ in range(action.often)
        ]
        name = data.draw(st.sampled_from(names), label="what")
        getattr(self, name)(**data.draw(ACTIONS[name].arguments, label=name))

    # -- What every step does

    def both(self, here: Callable[[], Any], there: Callable[[], Awaitable[Any]]) -> Any:
        """Do it on both sides, a microsecond later, and compare."""
        self.steps.append("step")
        self.desk.now += MICROSECOND
        self.desk.give_out()
        expected, refused = None, None
        try:
            expected = here()
        except Refused as error:
            refused = error
        got = self.await_(self._there(there, refused))
        if expected is not None and refused is None:
            self._recognise(*expected, got)
        self._compare()
        return got

    async def _there(self, there: Callable[[], Awaitable[Any]], refused: Refused | None) -> Any:
        await office.set_clock(self.desk.now - self.start)
        # What workers look for: reservations that ran out meanwhile.
        await queue.drain_all(BATCH)
        got, error = None, None
        try:
            got = await there()
        except DomainError as refusal:
            error = refusal
        assert (error and error.code) == (refused and refused.code), error and error.facts
        for name, fact in refused.facts.items() if error and refused else ():
            assert error.facts.get(name) == fact
        return got

    def _recognise(self, talk: Talk, is_new: bool, received: Any) -> None:
        """The other side names what it has opened."""
        assert received.opened == is_new
        if is_new:
            talk.id = received.conversation_id
        assert received.conversation_id == talk.id

    def _compare(self) -> None:
        broken, talks, loads = self.await_(office.look())
        assert broken == []
        self.versions = {row["id"]: row["version"] for row in talks}
        columns = ("status", "holder", "team", "line", "reserved_for", "place")
        columns += ("has_ticket", "actions")
        rows = {row["id"]: tuple(row[column] for column in columns) for row in talks}
        assert rows == {talk.id: self._row(talk) for talk in self.desk.talks}
        assert loads == {id: self.desk.load(id) for id in self.desk.people}

    def _row(self, talk: Talk) -> tuple[object, ...]:
        kept = talk.reserved_for if talk.is_reserved(self.desk.now) else None
        place = None
        if talk.status == "QUEUED" and talk.team is not None:
            place = self.desk.waiting(talk.team).index(talk) + 1
        ticketed = (talk.has_ticket, talk.actions)
        return (talk.status, talk.holder, talk.team, talk.line, kept, place, *ticketed)

    # -- Whom and what a rule means

    def talk(self, which: int, *statuses: str) -> Talk:
        """The newest first, and those that the verb is meant for before all others."""
        newest = list(reversed(self.desk.talks))
        meant = [talk for talk in newest if talk.status in (statuses or OPEN)]
        if which >= ANY_FROM or not meant:
            return newest[which % len(newest)]
        return meant[which % len(meant)]

    def closed(self, which: int, is_meant: Callable[[Talk], bool] | None = None) -> Talk:
        """The newest first, and before all others those that the action is meant for: whose
        customer is not writing again, unless it says otherwise.
        """
        closed = [talk for talk in reversed(self.desk.talks) if not talk.is_open]
        meant = list(filter(is_meant or self._is_alone, closed))
        if which >= ANY_FROM or not meant:
            meant = closed
        return meant[which % len(meant)]

    def _is_alone(self, talk: Talk) -> bool:
        return self.desk.open_of(talk.customer, talk.channel) is None

    def caller(self, name: str, talk: Talk | None = None) -> Caller:
        if name == "bridge":
            return Caller(Role.INTEGRATION)
        id = self.office.people.get(name)
        if id is None:
            last = talk.closings[-1].holder if talk and talk.closings else None
            members = self.desk.teams[talk.team].places if talk and talk.team else {}
            id = (talk and talk.holder) or last or next(iter(members), self.office.people["ann"])
        return Caller(self.desk.people[id].role, id)

    def team(self, name: str) -> Team:
        return self.desk.teams[self.office.teams[name]]

    def version(self, talk: Talk, stale: bool) -> int | None:
        assert talk.id is not None
        return self.versions[talk.id] - 1 if stale else None

    def works(self, talk: Talk, who: str, stale: bool, here: Any, there: Any, **what: Any) -> None:
        """A verb of one conversation."""
        by = self.caller(who, talk)
        actor = self.office.actor(by)
        version = self.version(talk, stale)
        assert talk.id is not None
        self.both(
            lambda: here(self.desk, talk, by=by, stale=stale, **what),
            partial(self.office.work, talk.id, there, by=actor, version=version),
        )

    # -- Time

    def go_to(self, instant: Any, staying: list[UUID] | None = None) -> None:
        """Let time pass on both sides, never back; some stay connected all the while."""
        if instant <= self.desk.now:
            return
        self.desk.now = instant
        for id in staying or []:
            person = self.desk.people[id]
            person.leases = dict.fromkeys(person.leases, instant + office.LEASE)
        self.await_(self._go(instant - self.start, staying or []))

    async def _go(self, passed: timedelta, staying: list[UUID]) -> None:
        await office.set_clock(passed)
        if staying:
            await office.stay_connected(staying)
