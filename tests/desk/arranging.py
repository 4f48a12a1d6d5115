"""What the workspace sets up and who is there while people work, on both desks."""

from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from models import Agent, Channel, Membership, Team, Workspace
from models.base import IdlePeriod, Line
from models.channel import Target
from models.decision import Availability, Distribution
from models.owner import set_owner
from tests.desk import setting, working
from tests.desk.conversing import Conversing
from tests.desk.machine import (
    ADMIN,
    CHANNEL,
    OWNER,
    PERIOD,
    PERSON,
    TEAM,
    does,
)
from tests.desk.office import CUSTOMERS
from tests.factories import confirmed


class Arranging(Conversing):
    """People come and go; members, teams, channels, owners and settings change."""

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
            lambda: confirmed(Workspace.change, by=self.office.actor(by), **changes),
        )
        if bot is not None:
            self.channel_gets_a_bot(bot, True, "root")
        self.stranger_writes(channel, 0)

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
            lambda: confirmed(
                Agent.change,
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
            lambda: confirmed(
                Team.change, self.office.teams[name], by=self.office.actor(by), **(there or here)
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
                    "summary_required",
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
            lambda: confirmed(Workspace.change, by=self.office.actor(by), **{name: to}),
        )
