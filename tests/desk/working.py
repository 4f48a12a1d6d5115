"""What people and integrations do with conversations on the desk."""

from datetime import datetime, timedelta
from uuid import UUID

from models.access import Role
from tests.desk import routing
from tests.desk.queues import LEASE, Desk
from tests.desk.rows import SUPERVISORS, Caller, Closing, Refused, Talk


def pick(desk: Desk, talk: Talk, *, by: Caller, stale: bool) -> None:
    desk.seen(by, talk, stale)
    if by.person is None or not by.holds:
        raise Refused("FORBIDDEN")
    if talk.status != "QUEUED" or talk.team is None:
        raise Refused("CONVERSATION_NOT_QUEUED", holderId=talk.holder, status=talk.status)
    if desk.teams[talk.team].distributes and by.role is Role.AGENT:
        raise Refused("TEAM_DISTRIBUTES_AUTOMATICALLY")
    person = desk.people[by.person]
    if desk.load(person.id) >= person.capacity:
        raise Refused("AGENT_AT_CAPACITY", load=desk.load(person.id), limit=person.capacity)
    desk.hold(talk, person.id)


def assign(desk: Desk, talk: Talk, to: UUID, *, by: Caller, stale: bool) -> None:
    desk.seen(by, talk, stale)
    by.must_be(*SUPERVISORS, Role.INTEGRATION)
    _give(desk, talk, to)


def unassign(desk: Desk, talk: Talk, *, by: Caller, stale: bool) -> None:
    _held_and_workable(desk, talk, by, stale)
    desk.queue(talk, desk.home(talk))
    desk.give_out()


def transfer(desk: Desk, talk: Talk, to: UUID, *, by: Caller, stale: bool) -> None:
    """To an agent, whatever its load, if it is there; or to a team, its line, its queue."""
    desk.seen(by, talk, stale)
    desk.workable(by, talk)
    _must_be_open(talk)
    if to in desk.teams:
        talk.channel.must_serve(desk.teams[to].line)
        desk.queue(talk, to)
        desk.give_out()
        return
    person = desk.people[to]
    verdict = desk.absence(person) or (None if person.accepts_new else "NOT_ACCEPTING")
    if verdict and not desk.settings.transfers_to_unavailable:
        raise Refused("TARGET_UNAVAILABLE", verdict=verdict)
    _give(desk, talk, to)


def close(
    desk: Desk,
    talk: Talk,
    *,
    by: Caller,
    stale: bool,
    has_reason: bool,
    has_summary: bool,
    has_ticket: bool,
) -> None:
    """What is or was of the support desk with a ticket, which may come with the closing."""
    desk.seen(by, talk, stale)
    _must_be_open(talk)
    desk.workable(by, talk)
    if talk.needs_ticket and not (talk.has_ticket or has_ticket):
        raise Refused("TICKET_REQUIRED")
    if desk.settings.closing_reason_required and not has_reason:
        raise Refused("CLOSING_REASON_REQUIRED")
    if desk.settings.summary_required and not has_summary:
        raise Refused("SUMMARY_REQUIRED")
    talk.has_ticket |= has_ticket
    end(desk, talk, by_person=by.person is not None, has_reason=has_reason)
    desk.give_out()


def end(desk: Desk, talk: Talk, *, by_person: bool, has_reason: bool) -> None:
    """Out of every queue and load; who held it is the sticky agent, unless its team lets go. What
    was said goes to the ticket.
    """
    talk.actions += talk.has_ticket
    lets_go = talk.team is not None and desk.teams[talk.team].lets_go
    talk.closings.append(
        Closing(desk.now, talk.holder, talk.team, by_person, has_reason, not lets_go)
    )
    talk.status, talk.holder, talk.queued_at = "CLOSED", None, None
    talk.reserved_for = talk.reserved_until = talk.snoozed_until = None


def reopen(desk: Desk, talk: Talk, *, by: Caller, stale: bool) -> None:
    """For who held it, whatever its load, else in its queue."""
    desk.seen(by, talk, stale)
    if talk.is_open:
        raise Refused("CONVERSATION_NOT_CLOSED")
    last = talk.closings[-1].holder
    if not by.works_all and (last is None or last != by.person):
        raise Refused("FORBIDDEN")
    other = desk.open_of(talk.customer, talk.channel)
    if other is not None:
        raise Refused("CONVERSATION_ALREADY_OPEN", conversationId=other.id)
    routing.open_again(desk, talk)
    if last is not None:
        desk.hold(talk, last)
    else:
        desk.queue(talk, desk.home(talk))
    desk.give_out()


def pause_bot(desk: Desk, talk: Talk, *, by: Caller, stale: bool) -> None:
    desk.seen(by, talk, stale)
    if by.person is None or not by.holds:
        raise Refused("FORBIDDEN")
    if talk.status != "BOT":
        raise Refused("CONVERSATION_NOT_WITH_BOT", status=talk.status)
    desk.hold(talk, by.person)


def resume_bot(desk: Desk, talk: Talk, *, by: Caller, stale: bool) -> None:
    _held_and_workable(desk, talk, by, stale)
    talk.team = desk.home(talk)
    talk.status, talk.holder, talk.active_at = "BOT", None, desk.now
    talk.snoozed_until = None
    desk.give_out()


def snooze(desk: Desk, talk: Talk, *, by: Caller, stale: bool, until: datetime | None) -> None:
    """Its agent keeps it and has room for another."""
    _held_and_workable(desk, talk, by, stale)
    if talk.status != "ASSIGNED":
        raise Refused("CONVERSATION_NOT_ASSIGNED", status=talk.status)
    talk.status, talk.snoozed_until, talk.active_at = "SNOOZED", until, desk.now
    desk.give_out()


def wake(desk: Desk, talk: Talk, *, by: Caller, stale: bool) -> None:
    desk.seen(by, talk, stale)
    desk.workable(by, talk)
    if talk.status != "SNOOZED":
        raise Refused("CONVERSATION_NOT_SNOOZED", status=talk.status)
    routing.wake(talk)
    talk.active_at = desk.now


def wake_due(desk: Desk) -> None:
    for talk in desk.talks:
        if talk.snoozed_until is not None and talk.snoozed_until <= desk.now:
            routing.wake(talk)
            talk.active_at = desk.now


def send(desk: Desk, talk: Talk, *, by: Caller, stale: bool) -> None:
    desk.seen(by, talk, stale)
    _must_be_open(talk)
    desk.workable(by, talk)
    talk.active_at = desk.now


def note(desk: Desk, talk: Talk, *, by: Caller, stale: bool) -> None:
    """Whoever sees it may add one."""
    desk.seen(by, talk, stale)
    talk.active_at = desk.now


# -- Presence and time


def beat(desk: Desk, id: UUID, device: str, *, by: Caller) -> None:
    """A device says that it is there; who comes back is given what was kept for its return."""
    _must_be_oneself(by, id)
    person = desk.people[id]
    was_here = desk.is_connected(person)
    person.leases[device] = desk.now + LEASE
    if was_here:
        return
    for talk in desk.talks:
        if talk.reserved_for == id and talk.is_reserved(desk.now):
            desk.hold(talk, id)
    desk.give_out()


def set_availability(desk: Desk, id: UUID, *, by: Caller, **changes: object) -> None:
    _must_be_oneself(by, id)
    for name, to in changes.items():
        setattr(desk.people[id], name, to)
    desk.give_out()


def close_idle(desk: Desk, talks: list[Talk]) -> None:
    for talk in talks:
        talk.has_ticket |= talk.needs_ticket
        end(desk, talk, by_person=False, has_reason=False)
    desk.give_out()


def idle_at(desk: Desk, talk: Talk) -> datetime | None:
    """When it closes by itself, if nothing happens in it."""
    days = desk.settings.idle_period_days
    if talk.team is not None and desk.teams[talk.team].idle_days is not None:
        days = desk.teams[talk.team].idle_days or 0
    if talk.holder is not None and desk.people[talk.holder].idle_days is not None:
        days = desk.people[talk.holder].idle_days or 0
    counts = talk.status in ("BOT", "QUEUED", "ASSIGNED")
    return talk.active_at + timedelta(days=days) if days and counts else None


def idle(desk: Desk) -> list[Talk]:
    """Those whose time is up, in the order in which it was."""
    due = [(at, talk) for talk in desk.talks if (at := idle_at(desk, talk)) and at <= desk.now]
    return [talk for _, talk in sorted(due, key=lambda found: (found[0], found[1].id))]


def _give(desk: Desk, talk: Talk, to: UUID) -> None:
    _must_be_open(talk)
    if talk.status == "ASSIGNED" and talk.holder == to:
        raise Refused("ALREADY_ASSIGNED", holderId=to)
    desk.hold(talk, desk.holder(to).id)
    desk.give_out()


def _held_and_workable(desk: Desk, talk: Talk, by: Caller, stale: bool) -> None:
    desk.seen(by, talk, stale)
    desk.workable(by, talk)
    if talk.holder is None:
        raise Refused("CONVERSATION_NOT_ASSIGNED", status=talk.status)


def _must_be_open(talk: Talk) -> None:
    if not talk.is_open:
        raise Refused("CONVERSATION_CLOSED")


def _must_be_oneself(by: Caller, id: UUID) -> None:
    """One's own presence is one's own, for whoever holds conversations."""
    if by.person != id or not by.holds:
        by.must_be(*SUPERVISORS)
