"""The desk itself: who waits where, who may be given what, and how queues are given out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from models.base import Line
from models.decision import Availability, Distribution
from tests.desk.rows import (
    HOLDERS,
    Caller,
    Channel,
    Customer,
    Person,
    Refused,
    Settings,
    Talk,
    Team,
)

MICROSECOND = timedelta(microseconds=1)
LEASE = timedelta(seconds=60)


@dataclass
class Desk:
    """A workspace as the page of the domain describes it; `now` moves by hand only."""

    now: datetime
    people: dict[UUID, Person]
    teams: dict[UUID, Team]
    channels: dict[UUID, Channel]
    customers: dict[tuple[UUID, str], Customer]
    talks: list[Talk] = field(default_factory=list)
    settings: Settings = field(default_factory=Settings)

    # -- Who is where

    def todos(self, line: Line) -> UUID:
        return next(t.id for t in self.teams.values() if t.is_todos and t.line is line)

    def members(self, team: Team) -> list[tuple[int, Person]]:
        """In their order; a Todos without listed members has everybody who holds conversations."""
        if not team.places and team.is_todos:
            everybody = enumerate(self.people.values(), start=1)
            return [(place, person) for place, person in everybody if person.role in HOLDERS]
        return sorted((place, self.people[id]) for id, place in team.places.items())

    def load(self, person: UUID) -> int:
        return sum(talk.status == "ASSIGNED" and talk.holder == person for talk in self.talks)

    def is_connected(self, person: Person) -> bool:
        return any(self.now < end for end in person.leases.values())

    def absence(self, person: Person) -> str | None:
        if not self.is_connected(person) or person.availability is Availability.OFFLINE:
            return "OFFLINE"
        return "AWAY" if person.availability is Availability.AWAY else None

    def is_eligible(self, person: Person, team: Team) -> bool:
        limits = [person.capacity] + ([] if team.max_open is None else [team.max_open])
        return (
            person.accepts_new
            and all(self.load(person.id) < limit for limit in limits)
            and not (team.online_only and self.absence(person))
        )

    def sees(self, by: Caller, talk: Talk) -> bool:
        """An agent its own, also what closed while it held it, those of its teams and of the groups
        below, and those of Todos.
        """
        if by.sees_all:
            return True
        if not by.holds:
            return False
        own = talk.holder if talk.is_open or not talk.closings else talk.closings[-1].holder
        return own == by.person or self._sees_team(by, talk.team)

    def _sees_team(self, by: Caller, id: UUID | None) -> bool:
        while id is not None:
            team = self.teams[id]
            if team.is_todos or by.person in team.places:
                return True
            id = team.parent
        return False

    # -- Who waits

    def waiting(self, team: UUID) -> list[Talk]:
        """A queue in its order."""
        queue = [talk for talk in self.talks if talk.status == "QUEUED" and talk.team == team]
        return sorted(queue, key=_since)

    def home(self, talk: Talk) -> UUID:
        """The team whose queue a conversation belongs to."""
        return talk.team or talk.channel.teams.get(talk.line) or self.todos(talk.line)

    def open_of(self, customer: Customer, channel: Channel) -> Talk | None:
        own = [t for t in self.talks if t.customer is customer and t.channel is channel]
        return next((talk for talk in own if talk.is_open), None)

    # -- How conversations move

    def hold(self, talk: Talk, person: UUID, at: datetime | None = None) -> None:
        talk.status, talk.holder = "ASSIGNED", person
        talk.was_support |= talk.line is Line.SUPPORT
        talk.reserved_for = talk.reserved_until = talk.snoozed_until = None
        talk.active_at = self.people[person].last_given = at or self.now

    def queue(self, talk: Talk, team: UUID) -> None:
        talk.status, talk.holder, talk.team = "QUEUED", None, team
        talk.line = self.teams[team].line
        talk.reserved_for = talk.reserved_until = talk.snoozed_until = None
        talk.queued_at = talk.queued_at or self.now
        talk.active_at = self.now

    def give_out(self) -> None:
        """Nobody waits in an automatic queue while somebody eligible has room: larger priorities
        first, then whoever waits longest.
        """
        instants = (self.now + number * MICROSECOND for number in count())
        for talk in list(self._in_line()):
            assert talk.team is not None
            team = self.teams[talk.team]
            chosen = self._chosen(team)
            if chosen is not None:
                place, person = chosen
                if team.distribution is Distribution.ROUND_ROBIN:
                    team.served = place
                self.hold(talk, person.id, next(instants))

    def _in_line(self) -> Iterator[Talk]:
        automatic = [team for team in self.teams.values() if team.distributes]
        lines = {level: [t for t in automatic if t.priority == level] for level in range(11)}
        for level in sorted(lines, reverse=True):
            waiting = [talk for team in lines[level] for talk in self.waiting(team.id)]
            yield from (t for t in sorted(waiting, key=_since) if not t.is_reserved(self.now))

    def _chosen(self, team: Team) -> tuple[int, Person] | None:
        eligible = [(n, p) for n, p in self.members(team) if self.is_eligible(p, team)]
        if not eligible:
            return None
        if team.distribution is Distribution.ROUND_ROBIN:
            return next(((n, p) for n, p in eligible if n > team.served), eligible[0])
        return min(eligible, key=lambda member: self._burden(member[1]))

    def _burden(self, person: Person) -> tuple[int, bool, datetime | None, UUID]:
        last = person.last_given
        return self.load(person.id), last is not None, last or self.now, person.id

    # -- Who may

    def seen(self, by: Caller, talk: Talk, stale: bool = False) -> None:
        if not self.sees(by, talk):
            raise Refused("NOT_FOUND")
        if stale:
            raise Refused("CONVERSATION_CHANGED", holderId=talk.holder, status=talk.status)

    def workable(self, by: Caller, talk: Talk) -> None:
        """An agent works what it holds and what it may pick, supervisors everything."""
        if by.works_all or (by.person is not None and by.person == talk.holder):
            return
        if not by.holds or talk.status != "QUEUED" or talk.team is None:
            raise Refused("FORBIDDEN")
        if self.teams[talk.team].distributes:
            raise Refused("FORBIDDEN")

    def holder(self, id: UUID) -> Person:
        """Somebody whom conversations are given to."""
        person = self.people[id]
        if person.role not in HOLDERS:
            raise Refused("ROLE_CANNOT_HOLD", role=person.role)
        return person


def _since(talk: Talk) -> datetime:
    assert talk.queued_at is not None
    return talk.queued_at
