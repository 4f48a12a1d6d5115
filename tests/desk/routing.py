"""Where a customer's message goes on the desk, by the precedence of the domain's page."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from models.access import Role
from models.base import Line
from models.decision import Availability
from tests.desk.queues import Desk
from tests.desk.rows import Caller, Channel, Closing, Customer, Refused, Talk


@dataclass(frozen=True)
class Place:
    """One of: the bot (seen by a team), an agent, a team's queue (perhaps kept for the owner)."""

    team: UUID | None = None
    person: UUID | None = None
    bot: bool = False
    kept_for: UUID | None = None
    reopens: Talk | None = None


def write(
    desk: Desk, channel: Channel, name: str, *, by: Caller, line: Line | None = None
) -> tuple[Talk, bool]:
    """A customer writes: the conversation it comes to, and whether it is a new one."""
    by.must_be(Role.ADMIN, Role.INTEGRATION)
    line = line or channel.default_line
    channel.must_serve(line)
    customer = desk.customers.setdefault((channel.id, name), Customer(name))
    talk = desk.open_of(customer, channel)
    if talk is not None:
        if talk.status == "SNOOZED":
            wake(talk)
        talk.active_at = desk.now
        return talk, False
    place = _precedence(desk, customer, channel, line)
    talk = place.reopens
    if talk is not None:
        assert place.person is not None
        open_again(desk, talk)
        desk.hold(talk, place.person)
        return talk, False
    talk = Talk(customer, channel, line, "OPENING", desk.now)
    desk.talks.append(talk)
    put(desk, talk, place)
    desk.give_out()
    return talk, True


def wake(talk: Talk) -> None:
    """It counts again, whatever the load of whoever holds it."""
    talk.status, talk.snoozed_until = "ASSIGNED", None


def hand_off(
    desk: Desk,
    talk: Talk,
    *,
    by: Caller,
    stale: bool,
    team: UUID | None = None,
    line: Line | None = None,
) -> None:
    """The bot gives a conversation to people: a named line and team win."""
    by.must_be(Role.ADMIN, Role.INTEGRATION)
    desk.seen(Caller(Role.ADMIN), talk, stale)
    if talk.status != "BOT":
        raise Refused("CONVERSATION_NOT_WITH_BOT", status=talk.status)
    to = desk.teams[team].line if team else line or talk.line
    talk.channel.must_serve(to)
    talk.line = to
    if team is not None:
        place = Place(team=team)
    else:
        place = _of_owner(desk, talk.customer, talk.channel, to) or _of_channel(
            desk, talk.channel, to
        )
    put(desk, talk, place)
    desk.give_out()


def put(desk: Desk, talk: Talk, place: Place) -> None:
    talk.team = place.team
    if place.bot:
        talk.status = "BOT"
    elif place.person is not None:
        desk.hold(talk, place.person)
    elif place.team is not None:
        desk.queue(talk, place.team)
    if place.kept_for is not None:
        wait = desk.settings.owner_wait_minutes
        talk.reserved_for = place.kept_for
        talk.reserved_until = None if wait is None else desk.now + timedelta(minutes=wait)


def open_again(desk: Desk, talk: Talk) -> None:
    talk.status, talk.team = "QUEUED", desk.home(talk)
    talk.queued_at = talk.active_at = desk.now


def window_end(desk: Desk, closing: Closing) -> timedelta | None:
    """How long the sticky agent is in force after a closing; None is for ever."""
    if not (closing.by_person and closing.has_reason):
        return None
    hours = desk.teams[closing.team].window_hours if closing.team else None
    if hours is None:
        hours = desk.settings.reassignment_window_hours
    return timedelta(hours=hours) if hours else None


def _precedence(desk: Desk, customer: Customer, channel: Channel, line: Line) -> Place:
    owned = _of_owner(desk, customer, channel, line)
    with_bot = Place(team=channel.teams.get(line) or desk.todos(line), bot=True)
    if owned is not None:
        bot_first = channel.bot and not desk.settings.owned_skips_bot
        return with_bot if bot_first else owned
    sticky = _of_sticky(desk, customer, channel, line)
    if sticky is not None:
        return sticky
    return with_bot if channel.bot else _of_channel(desk, channel, line)


def _of_owner(desk: Desk, customer: Customer, channel: Channel, line: Line) -> Place | None:
    if customer.owner is not None:
        if desk.is_connected(desk.people[customer.owner]):
            return Place(person=customer.owner)
        team = channel.teams.get(line) or desk.todos(line)
        return Place(team=team, kept_for=customer.owner)
    if customer.owner_team is not None and desk.teams[customer.owner_team].line is line:
        return Place(team=customer.owner_team)
    return None


def _of_sticky(desk: Desk, customer: Customer, channel: Channel, line: Line) -> Place | None:
    own = [talk for talk in desk.talks if talk.customer is customer and talk.line is line]
    endings = [(talk.closings[-1].at, talk) for talk in own if talk.closings]
    if not endings:
        return None
    _, talk = max(endings, key=lambda ending: ending[0])
    closing = talk.closings[-1]
    if closing.holder is None or not closing.is_sticky:
        return None
    lasts = window_end(desk, closing)
    if lasts is not None and desk.now - closing.at > lasts:
        return None
    person = desk.people[closing.holder]
    present = desk.is_connected(person) and person.availability is Availability.ONLINE
    if desk.settings.sticky_falls_through and not present:
        return None
    return Place(person=person.id, reopens=talk if talk.channel is channel else None)


def _of_channel(desk: Desk, channel: Channel, line: Line) -> Place:
    team = channel.teams.get(line)
    if team is not None:
        return Place(team=team)
    if line is Line.SALES and channel.agent is not None:
        return Place(person=channel.agent)
    return Place(team=desk.todos(line))
