"""Everything a desk does, in whatever order hypothesis thinks of, beside a desk in plain Python.

After every step the rows are what the plain desk says, and every promise of `verify` holds.
`RELEVO_MACHINE_EXAMPLES` and `RELEVO_MACHINE_SEED` make a long hunt of it.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.internal.conjecture.engine import ConjectureRunner
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from models import (
    Agent,
    Channel,
    Conversation,
    Membership,
    Team,
    Workspace,
    agent,
    database,
    idle,
    queue,
    routing,
)
from models.access import Role
from models.base import IdlePeriod, Line
from models.channel import Target
from models.contact import set_owner
from models.decision import Availability, Distribution
from models.errors import DomainError
from tests.conftest import ConnectedTo, CopyOfDatabase
from tests.desk import office, setting, working
from tests.desk import routing as desk_routing
from tests.desk.office import CUSTOMERS, Office
from tests.desk.queues import MICROSECOND, Desk
from tests.desk.rows import Caller, Refused, Talk
from tests.desk.rows import Team as DeskTeam

EXAMPLES = int(os.environ.get("RELEVO_MACHINE_EXAMPLES", "60"))
SEED = os.environ.get("RELEVO_MACHINE_SEED")
STEPS = int(os.environ.get("RELEVO_MACHINE_STEPS", "40"))
STEPS_MIN = 2_000
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
    when: Callable[["DeskMachine"], object]
    arguments: st.SearchStrategy[dict[str, Any]]


ACTIONS: dict[str, Action] = {}


def does(
    often: int, when: Callable[["DeskMachine"], object] = bool, **arguments: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add an action. Not rules: hypothesis leaves most of them out of each example, and what
    takes five of them together would hardly ever happen.
    """

    def add(method: Callable[..., None]) -> Callable[..., None]:
        ACTIONS[method.__name__] = Action(often, when, st.fixed_dictionaries(arguments))
        return method

    return add


def somebody_wrote(machine: "DeskMachine") -> bool:
    return bool(machine.desk.talks)


def there_is(status: str) -> Callable[["DeskMachine"], bool]:
    """Whether a conversation is in the state that an action is meant for."""
    return lambda machine: any(talk.status == status for talk in machine.desk.talks)


class DeskMachine(RuleBasedStateMachine):
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
        rows = {row["id"]: tuple(row[column] for column in columns) for row in talks}
        assert rows == {talk.id: self._row(talk) for talk in self.desk.talks}
        assert loads == {id: self.desk.load(id) for id in self.desk.people}

    def _row(self, talk: Talk) -> tuple[object, ...]:
        kept = talk.reserved_for if talk.is_reserved(self.desk.now) else None
        place = None
        if talk.status == "QUEUED" and talk.team is not None:
            place = self.desk.waiting(talk.team).index(talk) + 1
        return (talk.status, talk.holder, talk.team, talk.line, kept, place)

    # -- Whom and what a rule means

    def talk(self, which: int, *statuses: str) -> Talk:
        """The newest first, and those that the verb is meant for before all others."""
        newest = list(reversed(self.desk.talks))
        meant = [talk for talk in newest if talk.status in (statuses or OPEN)]
        if which >= ANY_FROM or not meant:
            return newest[which % len(newest)]
        return meant[which % len(meant)]

    def closed(self, which: int) -> Talk:
        """The newest first, and those whose customer is not writing again before all others."""
        closed = [talk for talk in reversed(self.desk.talks) if not talk.is_open]
        alone = [t for t in closed if self.desk.open_of(t.customer, t.channel) is None]
        meant = closed if which >= ANY_FROM or not alone else alone
        return meant[which % len(meant)]

    def caller(self, name: str, talk: Talk | None = None) -> Caller:
        if name == "bridge":
            return Caller(Role.INTEGRATION)
        id = self.office.people.get(name)
        if id is None:
            last = talk.closings[-1].holder if talk and talk.closings else None
            members = self.desk.teams[talk.team].places if talk and talk.team else {}
            id = (talk and talk.holder) or last or next(iter(members), self.office.people["ann"])
        return Caller(self.desk.people[id].role, id)

    def team(self, name: str) -> DeskTeam:
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

    @initialize(
        skips=st.booleans(),
        waits=st.sampled_from([None, 1, 30]),
        falls=st.booleans(),
        hours=st.sampled_from([None, 1, 1, 24]),
        days=st.sampled_from([0, 1, 3]),
        channel=CHANNEL,
        bot=st.none() | CHANNEL,
    )
    def workspace_is_set_up(
        self,
        skips: bool,
        waits: int | None,
        falls: bool,
        hours: int | None,
        days: int,
        channel: str,
        bot: str | None,
    ) -> None:
        """Somehow: what nobody sets is hardly tried otherwise."""
        by = self.caller("root")
        changes: dict[str, Any] = {
            "owned_skips_bot": skips,
            "owner_wait_minutes": waits,
            "sticky_falls_through": falls,
            "reassignment_window_hours": hours,
            "idle_period_days": days,
        }
        self.both(
            lambda: setting.change_settings(self.desk, by=by, **changes),
            lambda: Workspace.change(by=self.office.actor(by), **changes),
        )
        if bot is not None:
            self.channel_gets_a_bot(bot, True, "root")
        self.stranger_writes(channel, 0)

    # -- Customers

    @does(
        8,
        name=st.sampled_from(CUSTOMERS),
        channel=CHANNEL,
        line=LINE,
        who=st.sampled_from(["bridge"] * 24 + ["root", "boss", "ann"]),
    )
    def customer_writes(self, name: str, channel: str, line: Line | None, who: str) -> None:
        id = self.office.channels[channel]
        by = self.caller(who)
        self.both(
            lambda: desk_routing.write(self.desk, self.desk.channels[id], name, by=by, line=line),
            partial(self.office.write, id, name, by=by, line=line),
        )

    @does(4, channel=CHANNEL, number=st.integers(1, 9))
    def stranger_writes(self, channel: str, number: int) -> None:
        self.customer_writes(f"stranger {number}", channel, None, "bridge")

    @does(3, names=st.lists(st.sampled_from(CUSTOMERS), unique=True, min_size=2), channel=CHANNEL)
    def customers_write(self, names: list[str], channel: str) -> None:
        for name in names:
            self.customer_writes(name, channel, None, "bridge")

    @does(6, when=there_is("CLOSED"), which=WHICH, edge=EDGE, elsewhere=st.none() | CHANNEL)
    def customer_returns_at_the_edge(self, which: int, edge: int, elsewhere: str | None) -> None:
        """Of the reassignment window, if there is one."""
        talk = self.closed(which)
        closing = talk.closings[-1]
        lasts = desk_routing.window_end(self.desk, closing)
        if lasts is not None:
            # The step itself comes a microsecond later.
            self.go_to(closing.at + lasts + (edge - 1) * MICROSECOND)
        channel = self.office.channels[elsewhere] if elsewhere else talk.channel.id
        by = Caller(Role.INTEGRATION)
        line = talk.line if talk.line in self.desk.channels[channel].lines else None
        self.both(
            lambda: desk_routing.write(
                self.desk, self.desk.channels[channel], talk.customer.name, by=by, line=line
            ),
            partial(self.office.write, channel, talk.customer.name, by=by, line=line),
        )

    # -- The bot

    @does(
        3,
        when=there_is("BOT"),
        which=WHICH,
        who=st.sampled_from(["bridge"] * 9 + ["root", "boss", "ann"]),
        team=st.none() | TEAM,
        line=LINE,
        stale=STALE,
    )
    def bot_hands_off(
        self, which: int, who: str, team: str | None, line: Line | None, stale: bool
    ) -> None:
        talk = self.talk(which, "BOT")
        by = self.caller(who)
        to = self.office.teams[team] if team else None
        assert talk.id is not None
        self.both(
            lambda: desk_routing.hand_off(self.desk, talk, by=by, stale=stale, team=to, line=line),
            partial(
                routing.hand_off,
                talk.id,
                by=self.office.actor(by),
                team_id=to,
                line=line,
                expected_version=self.version(talk, stale),
            ),
        )

    @does(2, when=there_is("BOT"), which=WHICH, who=WHO, stale=STALE)
    def bot_is_paused(self, which: int, who: str, stale: bool) -> None:
        self.works(self.talk(which, "BOT"), who, stale, working.pause_bot, Conversation.pause_bot)

    @does(1, when=somebody_wrote, which=WHICH, who=WHO, stale=STALE)
    def bot_is_resumed(self, which: int, who: str, stale: bool) -> None:
        self.works(
            self.talk(which, "ASSIGNED"), who, stale, working.resume_bot, Conversation.resume_bot
        )

    # -- People

    @does(5, when=there_is("QUEUED"), which=WHICH, who=WHO, stale=STALE)
    def pick(self, which: int, who: str, stale: bool) -> None:
        self.works(self.talk(which, "QUEUED"), who, stale, working.pick, Conversation.pick)

    @does(2, when=somebody_wrote, which=WHICH, who=SUPERVISOR, to=PERSON, stale=STALE)
    def assign(self, which: int, who: str, to: str, stale: bool) -> None:
        id = self.office.people[to]

        async def there(conversation: Conversation, *, by: Any) -> None:
            await conversation.assign(id, by=by)

        self.works(self.talk(which), who, stale, working.assign, there, to=id)

    @does(5, when=there_is("ASSIGNED"), which=WHICH, who=WHO, stale=STALE)
    def unassign(self, which: int, who: str, stale: bool) -> None:
        self.works(
            self.talk(which, "ASSIGNED"), who, stale, working.unassign, Conversation.unassign
        )

    @does(6, when=somebody_wrote, which=WHICH, who=WHO, to=PERSON | TEAM, stale=STALE)
    def transfer(self, which: int, who: str, to: str, stale: bool) -> None:
        talk = self.talk(which)
        by = self.caller(who, talk)
        team, person = self.office.teams.get(to), self.office.people.get(to)
        assert talk.id is not None
        self.both(
            lambda: working.transfer(
                self.desk, talk, team or self.office.people[to], by=by, stale=stale
            ),
            partial(
                Conversation.transfer,
                talk.id,
                by=self.office.actor(by),
                to_agent=person,
                to_team=team,
                expected_version=self.version(talk, stale),
            ),
        )

    @does(
        7,
        when=somebody_wrote,
        which=WHICH,
        who=WHO,
        has_reason=st.sampled_from([True, True, False]),
        stale=STALE,
    )
    def close(self, which: int, who: str, has_reason: bool, stale: bool) -> None:
        reason = self.office.reason if has_reason else None

        async def there(conversation: Conversation, *, by: Any) -> None:
            await conversation.close(by=by, reason_id=reason)

        self.works(self.talk(which), who, stale, working.close, there, has_reason=has_reason)

    @does(2, when=there_is("CLOSED"), which=WHICH, who=WHO, stale=STALE)
    def reopen(self, which: int, who: str, stale: bool) -> None:
        talk = self.closed(which)
        by = self.caller(who, talk)
        assert talk.id is not None
        self.both(
            lambda: working.reopen(self.desk, talk, by=by, stale=stale),
            partial(
                Conversation.reopen,
                talk.id,
                by=self.office.actor(by),
                expected_version=self.version(talk, stale),
            ),
        )

    @does(1, when=somebody_wrote, which=WHICH, who=WHO, stale=STALE)
    def send(self, which: int, who: str, stale: bool) -> None:
        async def there(conversation: Conversation, *, by: Any) -> None:
            await conversation.send("Hello!", by=by)

        self.works(self.talk(which), who, stale, working.send, there)

    @does(1, when=somebody_wrote, which=WHICH, who=WHO)
    def note(self, which: int, who: str) -> None:
        async def there(conversation: Conversation, *, by: Any) -> None:
            await conversation.note("A regular.", by=by)

        self.works(self.talk(which), who, False, working.note, there)

    # -- Presence

    @does(
        3,
        name=PERSON,
        who=st.sampled_from(["self"] * 6 + ["boss", "root", "ann", "eve"]),
        availability=st.none() | st.sampled_from(Availability),
        accepts_new=st.none() | st.booleans(),
    )
    def set_availability(
        self, name: str, who: str, availability: Availability | None, accepts_new: bool | None
    ) -> None:
        id = self.office.people[name]
        by = self.caller(name if who == "self" else who)
        changes = {"availability": availability, "accepts_new": accepts_new}
        given = {name: to for name, to in changes.items() if to is not None}
        self.both(
            lambda: working.set_availability(self.desk, id, by=by, **given),
            lambda: Agent.set_availability(id, by=self.office.actor(by), **given),
        )

    @does(3, name=PERSON, device=st.sampled_from(["browser", "phone"]))
    def beat(self, name: str, device: str) -> None:
        id = self.office.people[name]
        by = self.caller(name)
        self.both(
            lambda: working.beat(self.desk, id, device, by=by),
            lambda: Agent.beat(id, by=self.office.actor(by), device=device),
        )

    # -- Setting up

    @does(2, name=PERSON, who=ADMIN, capacity=st.integers(0, 4), idle_days=PERIOD)
    def change_person(self, name: str, who: str, capacity: int, idle_days: int | None) -> None:
        id = self.office.people[name]
        by = self.caller(who)
        self.both(
            lambda: setting.change_person(
                self.desk, id, by=by, capacity=capacity, idle_days=idle_days
            ),
            lambda: Agent.change(
                id,
                by=self.office.actor(by),
                capacity=capacity,
                idle_period_days=None if idle_days is None else IdlePeriod(idle_days),
            ),
        )

    @does(
        4,
        name=TEAM,
        who=ADMIN,
        distribution=st.sampled_from(Distribution),
        online_only=st.booleans(),
        max_open=st.sampled_from([None, 1, 2]),
    )
    def change_distribution(
        self,
        name: str,
        who: str,
        distribution: Distribution,
        online_only: bool,
        max_open: int | None,
    ) -> None:
        self.changes_team(
            name, who, distribution=distribution, online_only=online_only, max_open=max_open
        )

    @does(2, name=TEAM, who=ADMIN, priority=st.sampled_from([0, 1, 5, 10, 0, 1, 5, 10, 11, -1]))
    def change_priority(self, name: str, who: str, priority: int) -> None:
        self.changes_team(name, who, priority=priority)

    @does(
        3,
        name=TEAM,
        window_hours=st.sampled_from([None, 0, 1, 24]),
        lets_go=st.booleans(),
        idle_days=PERIOD,
    )
    def change_endings(
        self, name: str, window_hours: int | None, lets_go: bool, idle_days: int | None
    ) -> None:
        self.changes_team(
            name,
            "root",
            {
                "reassignment_window_hours": window_hours,
                "unassign_on_close": lets_go,
                "idle_period_days": None if idle_days is None else IdlePeriod(idle_days),
            },
            window_hours=window_hours,
            lets_go=lets_go,
            idle_days=idle_days,
        )

    def changes_team(
        self, name: str, who: str, there: dict[str, Any] | None = None, **here: Any
    ) -> None:
        by = self.caller(who)
        self.both(
            lambda: setting.change_team(self.desk, self.team(name), by=by, **here),
            lambda: Team.change(
                self.office.teams[name], by=self.office.actor(by), **(there or here)
            ),
        )

    @does(2, team=TEAM, name=PERSON, who=ADMIN)
    def member_joins(self, team: str, name: str, who: str) -> None:
        id, by = self.office.people[name], self.caller(who)
        self.both(
            lambda: setting.add_member(self.desk, self.team(team), id, by=by),
            lambda: Membership.add(
                by=self.office.actor(by), team=Team(id=self.office.teams[team]), agent_id=id
            ),
        )

    @does(2, team=TEAM, name=PERSON, who=ADMIN)
    def member_leaves(self, team: str, name: str, who: str) -> None:
        id, by = self.office.people[name], self.caller(who)
        self.both(
            lambda: setting.remove_member(self.desk, self.team(team), id, by=by),
            lambda: Membership.remove(
                by=self.office.actor(by), team=Team(id=self.office.teams[team]), agent_id=id
            ),
        )

    @does(2, team=TEAM, order=st.randoms(use_true_random=False), who=ADMIN)
    def members_are_reordered(self, team: str, order: Any, who: str) -> None:
        by = self.caller(who)
        ids = sorted(self.team(team).places)
        order.shuffle(ids)
        self.both(
            lambda: setting.reorder_members(self.desk, self.team(team), ids, by=by),
            lambda: Membership.reorder(
                by=self.office.actor(by), team=Team(id=self.office.teams[team]), agent_ids=ids
            ),
        )

    @does(
        3,
        channel=st.sampled_from(["phone", "hotline", "mail", "web", "new"]),
        line=st.sampled_from(Line),
        to=st.none() | TEAM | PERSON,
        replace=st.booleans(),
        who=ADMIN,
    )
    def channel_is_assigned(
        self, channel: str, line: Line, to: str | None, replace: bool, who: str
    ) -> None:
        id, by = self.office.channels[channel], self.caller(who)
        team, person = self.office.teams.get(to or ""), self.office.people.get(to or "")

        async def there() -> None:
            found = await Channel.get(id=id)
            actor = self.office.actor(by)
            await found.assign(line, Target(team, person), by=actor, replace=replace)

        self.both(
            lambda: setting.set_target(
                self.desk,
                self.desk.channels[id],
                line,
                by=by,
                team=team,
                person=person,
                replace=replace,
            ),
            there,
        )

    @does(2, channel=CHANNEL, is_on=st.booleans(), who=ADMIN)
    def channel_gets_a_bot(self, channel: str, is_on: bool, who: str) -> None:
        id, by = self.office.channels[channel], self.caller(who)
        self.both(
            lambda: setting.set_bot(self.desk.channels[id], by=by, is_on=is_on),
            lambda: Channel.set_bot(id, by=self.office.actor(by), is_on=is_on),
        )

    @does(
        4,
        name=st.sampled_from(CUSTOMERS),
        who=st.sampled_from(["boss"] * 6 + ["root", "ann", "bridge"]),
        owner=st.none() | OWNER | OWNER | TEAM,
    )
    def contact_gets_an_owner(self, name: str, who: str, owner: str | None) -> None:
        by = self.caller(who)
        team, person = self.office.teams.get(owner or ""), self.office.people.get(owner or "")
        customer = next(c for c in self.desk.customers.values() if c.name == name)
        assert customer.id is not None
        self.both(
            lambda: setting.set_owner(self.desk, customer, by=by, person=person, team=team),
            partial(
                set_owner,
                customer.id,
                by=self.office.actor(by),
                agent_id=person,
                team_id=team,
            ),
        )

    @does(
        2,
        who=ADMIN,
        change=st.one_of(
            st.sampled_from(
                [
                    "closing_reason_required",
                    "transfers_to_unavailable",
                    "owned_skips_bot",
                    "sticky_falls_through",
                ]
            ).flatmap(lambda name: st.tuples(st.just(name), st.booleans())),
            st.tuples(st.just("owner_wait_minutes"), st.sampled_from([None, 1, 30])),
            st.tuples(st.just("reassignment_window_hours"), st.sampled_from([None, 1, 24])),
            st.tuples(st.just("idle_period_days"), st.sampled_from([0, 1, 3])),
        ),
    )
    def settings_change(self, who: str, change: tuple[str, Any]) -> None:
        name, to = change
        by = self.caller(who)
        self.both(
            lambda: setting.change_settings(self.desk, by=by, **{name: to}),
            lambda: Workspace.change(by=self.office.actor(by), **{name: to}),
        )

    # -- Time

    @does(3, time=SOME_TIME, staying=st.sampled_from(["everybody", "nobody", "ann", "ben"]))
    def time_passes(self, time: timedelta, staying: str) -> None:
        """What the workers do at its end is part of the step."""
        people = list(self.desk.people.values())
        there = [
            person.id
            for person in people
            if self.desk.is_connected(person)
            and staying
            in ("everybody", *(n for n, id in self.office.people.items() if id == person.id))
        ]
        self.go_to(self.desk.now + time, there)
        self.both(lambda: None, partial(agent.lapse_presence, BATCH))

    @does(3, when=lambda self: self.ends_of_waits(), which=WHICH, edge=EDGE)
    def wait_runs_out(self, which: int, edge: int) -> None:
        """For an owner: just before, at, or just after its end."""
        ends = self.ends_of_waits()
        self.go_to(ends[which % len(ends)] + (edge - 1) * MICROSECOND)
        self.both(lambda: None, partial(agent.lapse_presence, BATCH))

    @does(
        3,
        when=lambda self: any(working.idle_at(self.desk, t) for t in self.desk.talks),
        which=WHICH,
        edge=EDGE,
    )
    def grows_idle(self, which: int, edge: int) -> None:
        """Just before, at, or just after the end of the period."""
        ends = [at for t in self.desk.talks if (at := working.idle_at(self.desk, t))]
        self.go_to(ends[which % len(ends)] + (edge - 1) * MICROSECOND)
        self.idle_ones_close()

    @does(
        2,
        when=lambda self: working.idle(self.desk),
    )
    def idle_ones_close(self) -> None:
        """In one batch, or one by one where the order would be open."""
        for _ in range(len(self.desk.talks) + 1):
            due: list[Talk] = []
            self.both(
                lambda due=due: due.extend(self._close_idle()),
                lambda: idle.close_idle(self._batch),
            )
            if not due:
                break

    def _close_idle(self) -> list[Talk]:
        due = working.idle(self.desk)
        of_customers = {(talk.customer, talk.line) for talk in due}
        # Two that close at the same instant would leave open which of them was the last.
        self._batch = BATCH if len(of_customers) == len(due) else 1
        closed = due[: self._batch]
        working.close_idle(self.desk, closed)
        return closed

    def ends_of_waits(self) -> list[Any]:
        kept = [talk for talk in self.desk.talks if talk.is_reserved(self.desk.now)]
        return [talk.reserved_until for talk in kept if talk.reserved_until]

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


@pytest.mark.timeout(24 * 3_600 if SEED else 600)
async def test_the_desk_does_what_its_page_says(
    copy_of_database: CopyOfDatabase,
    connected_to: ConnectedTo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Else five examples of six are near copies of the one before.
    monkeypatch.setattr(ConjectureRunner, "generate_mutations_from", lambda *_: None)
    steps: list[str] = []
    async with copy_of_database("machine") as url, connected_to(url):
        found = await office.founded()
        put_back = await office.putting_back()
        loop = asyncio.get_running_loop()
        machine = partial(DeskMachine, loop, found, put_back, steps)
        await asyncio.to_thread(_hunt, machine)

    assert len(steps) >= STEPS_MIN


def _hunt(machine: Callable[[], DeskMachine]) -> None:
    """In a thread of its own: hypothesis calls rules, and rules wait for the loop."""
    profile = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        derandomize=SEED is None,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    if SEED is not None:
        machine = seeded(int(SEED))(machine)
    run_state_machine_as_test(machine, settings=profile)
