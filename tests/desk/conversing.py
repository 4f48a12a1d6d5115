"""What customers, bots and people do with conversations, on both desks."""

from datetime import timedelta
from functools import partial
from typing import Any

from hypothesis import strategies as st

from models import Conversation, bot, routing, snooze
from models.access import Role
from models.base import Line
from models.closing import close
from models.reopening import reopen
from models.transfer import transfer
from tests.desk import routing as desk_routing
from tests.desk import working
from tests.desk.machine import (
    CHANNEL,
    EDGE,
    LINE,
    PERSON,
    STALE,
    SUPERVISOR,
    TEAM,
    WHICH,
    WHO,
    Machine,
    does,
    somebody_wrote,
    there_is,
)
from tests.desk.office import CUSTOMERS
from tests.desk.queues import MICROSECOND
from tests.desk.rows import Caller, Talk
from tests.factories import A_TICKET

NAP = st.sampled_from([None, timedelta(minutes=10), timedelta(hours=5), timedelta(days=2)])


class Conversing(Machine):
    """Customers write, bots hand off, people work."""

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

    @does(
        6,
        when=there_is("CLOSED"),
        which=WHICH,
        edge=EDGE,
        elsewhere=st.none() | st.none() | CHANNEL,
    )
    def customer_returns_at_the_edge(self, which: int, edge: int, elsewhere: str | None) -> None:
        """Of the reassignment window, if there is one."""
        talk = self.closed(which, self.has_window)
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

    def has_window(self, talk: Talk) -> bool:
        """Whose end is still to come, and whose customer has nothing else open there."""
        closing = talk.closings[-1]
        lasts = desk_routing.window_end(self.desk, closing)
        is_alone = self._is_alone(talk)
        return lasts is not None and closing.at + lasts > self.desk.now and is_alone

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
        self.works(self.talk(which, "BOT"), who, stale, working.pause_bot, bot.pause)

    @does(1, when=somebody_wrote, which=WHICH, who=WHO, stale=STALE)
    def bot_is_resumed(self, which: int, who: str, stale: bool) -> None:
        self.works(self.talk(which, "ASSIGNED"), who, stale, working.resume_bot, bot.resume)

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
                transfer,
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
        has_summary=st.sampled_from([True, True, False]),
        has_ticket=st.sampled_from([True, True, False]),
        stale=STALE,
    )
    def close(self, which: int, who: str, stale: bool, **has: bool) -> None:
        reason = self.office.reason if has["has_reason"] else None
        summary = "A new bulb." if has["has_summary"] else None
        ticket = A_TICKET if has["has_ticket"] else None

        async def there(conversation: Conversation, *, by: Any) -> None:
            await close(conversation, by=by, reason_id=reason, summary=summary, ticket=ticket)

        self.works(self.talk(which), who, stale, working.close, there, **has)

    @does(2, when=there_is("CLOSED"), which=WHICH, who=WHO, stale=STALE)
    def reopen(self, which: int, who: str, stale: bool) -> None:
        talk = self.closed(which)
        by = self.caller(who, talk)
        assert talk.id is not None
        self.both(
            lambda: working.reopen(self.desk, talk, by=by, stale=stale),
            partial(
                reopen,
                talk.id,
                by=self.office.actor(by),
                expected_version=self.version(talk, stale),
            ),
        )

    @does(4, when=there_is("ASSIGNED"), which=WHICH, who=WHO, time=NAP, stale=STALE)
    def snooze(self, which: int, who: str, time: timedelta | None, stale: bool) -> None:
        until = None if time is None else self.desk.now + time

        async def there(conversation: Conversation, *, by: Any) -> None:
            await snooze.begin(conversation, by=by, until=until)

        self.works(self.talk(which, "ASSIGNED"), who, stale, working.snooze, there, until=until)

    @does(1, when=there_is("SNOOZED"), which=WHICH, who=WHO, stale=STALE)
    def wake(self, which: int, who: str, stale: bool) -> None:
        self.works(self.talk(which, "SNOOZED"), who, stale, working.wake, snooze.wake)

    @does(2, when=there_is("SNOOZED"), which=WHICH)
    def customer_writes_to_a_snoozed_one(self, which: int) -> None:
        talk = self.talk(which, "SNOOZED")
        by = Caller(Role.INTEGRATION)
        self.both(
            lambda: desk_routing.write(
                self.desk, talk.channel, talk.customer.name, by=by, line=talk.line
            ),
            partial(self.office.write, talk.channel.id, talk.customer.name, by=by, line=talk.line),
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
