"""What a workspace sets up while people work: members, teams, targets, owners."""

from typing import Any
from uuid import UUID

from models.access import Role
from models.base import Line
from tests.desk.queues import Desk
from tests.desk.rows import SUPERVISORS, Caller, Channel, Customer, Refused, Team


def change_person(desk: Desk, id: UUID, *, by: Caller, **changes: object) -> None:
    by.must_be(Role.ADMIN)
    _set(desk.people[id], changes)
    desk.give_out()


def change_team(desk: Desk, team: Team, *, by: Caller, **changes: Any) -> None:
    by.must_be(Role.ADMIN)
    if team.line is Line.SALES and changes.get("priority"):
        raise Refused("PRIORITY_OUT_OF_RANGE")
    if not 0 <= changes.get("priority", 0) <= 10:
        raise Refused("PRIORITY_OUT_OF_RANGE")
    _set(team, changes)
    desk.give_out()


def add_member(desk: Desk, team: Team, id: UUID, *, by: Caller) -> None:
    """At the end of the order, and behind whoever was served last."""
    by.must_be(Role.ADMIN)
    desk.holder(id)
    if id in team.places:
        raise Refused("ALREADY_MEMBER")
    team.places[id] = max([team.served, *team.places.values()]) + 1
    desk.give_out()


def remove_member(desk: Desk, team: Team, id: UUID, *, by: Caller) -> None:
    by.must_be(Role.ADMIN)
    if id not in team.places:
        raise Refused("NOT_MEMBER")
    del team.places[id]
    desk.give_out()


def reorder_members(desk: Desk, team: Team, ids: list[UUID], *, by: Caller) -> None:
    """Round robin goes on after whoever it served last, wherever that one is now."""
    by.must_be(Role.ADMIN)
    if set(ids) != set(team.places):
        raise Refused("NOT_MEMBER")
    if not ids:
        return
    before = [id for id, place in team.places.items() if place <= team.served]
    last = max(before, key=team.places.__getitem__, default=None)
    team.places = {id: place for place, id in enumerate(ids, start=max(team.places.values()) + 1)}
    team.served = team.places[last] if last else 0


def set_target(
    desk: Desk,
    channel: Channel,
    line: Line,
    *,
    by: Caller,
    team: UUID | None = None,
    person: UUID | None = None,
    replace: bool = False,
) -> None:
    """At most one target per channel and line; a group has at most one channel."""
    by.must_be(Role.ADMIN)
    if team or person:
        _must_be_assignable(desk, channel, line, team, person)
    if team is not None and line is Line.SALES:
        others = [c for c in desk.channels.values() if c is not channel]
        holder = next((c for c in others if c.teams.get(line) == team), None)
        if holder is not None and not replace:
            raise Refused("TEAM_HAS_CHANNEL", channelId=holder.id)
        if holder is not None:
            holder.teams[line] = None
    channel.teams[line] = team
    if line is Line.SALES:
        channel.agent = person


def _must_be_assignable(
    desk: Desk, channel: Channel, line: Line, team: UUID | None, person: UUID | None
) -> None:
    if not channel.is_connected:
        raise Refused("CHANNEL_NOT_CONNECTED")
    channel.must_serve(line)
    if person is not None:
        if line is Line.SUPPORT:
            raise Refused("TARGET_NOT_ALLOWED")
        desk.holder(person)
    elif team is not None and (desk.teams[team].line is not line or desk.teams[team].is_todos):
        raise Refused("TARGET_NOT_ALLOWED")


def set_bot(channel: Channel, *, by: Caller, is_on: bool) -> None:
    by.must_be(Role.ADMIN)
    channel.bot = is_on


def set_owner(
    desk: Desk,
    customer: Customer,
    *,
    by: Caller,
    person: UUID | None = None,
    team: UUID | None = None,
) -> None:
    """It moves no conversation."""
    by.must_be(*SUPERVISORS)
    if person is not None:
        desk.holder(person)
    if (customer.owner, customer.owner_team) == (person, team):
        return
    customer.owner, customer.owner_team = person, team
    for talk in desk.talks:
        if talk.customer is customer:
            talk.reserved_for = talk.reserved_until = None
    desk.give_out()


def change_settings(desk: Desk, *, by: Caller, **changes: object) -> None:
    by.must_be(Role.ADMIN)
    _set(desk.settings, changes)


def _set(record: object, changes: dict[str, Any]) -> None:
    for name, to in changes.items():
        setattr(record, name, to)
