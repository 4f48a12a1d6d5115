"""Who got what, recomputed by somebody who has only the log and the assignments."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import Agent, Assignment, Channel, Conversation, Membership, Team, Workspace, log
from models import decision as decisions
from models.access import ActorKind, Role
from models.base import Line
from models.channel import Target
from models.closing import close
from models.decision import Availability, Candidate, Distribution, Facts, Rule, decide
from models.errors import RuleViolation
from models.event import Kind
from models.log import Event
from models.precedence import place
from models.precedence import recall as recall_route
from models.reopening import reopen
from models.transfer import transfer
from tests.conftest import ConnectedTo
from tests.factories import (
    a_channel,
    a_conversation,
    a_message,
    a_team,
    an_agent,
    as_agent,
    by_system,
    working,
)

SEEDS = [1, 2, 3]
STEPS = 120
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


# -- Round robin: whoever comes next comes next, whatever happens in between


@dataclass
class Rota:
    """A team whose members take turns, and everything needed to interrupt it."""

    workspace: Workspace
    team: Team
    members: list[Agent]
    restart: Callable[[], Awaitable[None]]

    async def serve(self, times: int) -> list[UUID | None]:
        given = [await a_conversation(self.workspace, team=self.team) for _ in range(times)]
        return [conversation.assignee_id for conversation in given]

    async def set_accepts(self, agent: Agent, accepts: bool) -> None:
        await Agent.set_availability(agent.id, by=by_system(self.workspace), accepts_new=accepts)


async def nothing(rota: Rota) -> None:
    return


async def a_restart(rota: Rota) -> None:
    await rota.restart()


async def somebody_joins(rota: Rota) -> None:
    newcomer = await an_agent(rota.workspace, capacity=100, teams=[rota.team])
    rota.members.append(newcomer)


async def somebody_else_leaves(rota: Rota) -> None:
    first = rota.members.pop(0)
    await Membership.remove(by=by_system(rota.workspace), team=rota.team, agent_id=first.id)


async def the_last_served_leaves(rota: Rota) -> None:
    last = rota.members.pop(1)
    await Membership.remove(by=by_system(rota.workspace), team=rota.team, agent_id=last.id)


async def the_order_is_turned(rota: Rota) -> None:
    """The members after whoever was served last are now those who were before."""
    rota.members.reverse()
    await Membership.reorder(
        by=by_system(rota.workspace),
        team=rota.team,
        agent_ids=[agent.id for agent in rota.members],
    )


async def another_distribution_for_a_while(rota: Rota) -> None:
    for distribution in (Distribution.MANUAL, Distribution.ROUND_ROBIN):
        await Team.change(rota.team.id, by=by_system(rota.workspace), distribution=distribution)


async def a_gift_by_hand(rota: Rota) -> None:
    """To who is served next: turns are of the distribution only."""
    await a_conversation(rota.workspace, holder=rota.members[2])


@pytest.mark.parametrize(
    ("interruption", "next_ones"),
    [
        (nothing, [2, 3, 0, 1, 2]),
        (a_restart, [2, 3, 0, 1, 2]),
        (somebody_joins, [2, 3, 4, 0, 1]),
        (somebody_else_leaves, [1, 2, 0, 1, 2]),
        (the_last_served_leaves, [1, 2, 0, 1, 2]),
        (the_order_is_turned, [3, 0, 1, 2, 3]),
        (another_distribution_for_a_while, [2, 3, 0, 1, 2]),
        (a_gift_by_hand, [2, 3, 0, 1, 2]),
    ],
)
async def test_nothing_in_between_resets_whose_turn_it_is(
    workspace: Workspace,
    pool: str,
    connected_to: ConnectedTo,
    interruption: Callable[[Rota], Awaitable[None]],
    next_ones: list[int],
) -> None:
    rota = await a_rota(workspace, pool, connected_to)
    assert await rota.serve(2) == [rota.members[0].id, rota.members[1].id]

    await interruption(rota)
    served = await rota.serve(len(next_ones))

    assert served == [rota.members[number].id for number in next_ones]
    counts = Counter({member.id: 0 for member in rota.members}) + Counter()
    counts.update(served)
    assert max(counts.values()) - min(counts.values()) <= 1


async def test_whoever_is_skipped_is_not_paid_back(
    workspace: Workspace, pool: str, connected_to: ConnectedTo
) -> None:
    rota = await a_rota(workspace, pool, connected_to)
    ann, ben, cleo, dora = rota.members
    await rota.set_accepts(ben, False)
    assert await rota.serve(4) == [ann.id, cleo.id, dora.id, ann.id]

    await rota.set_accepts(ben, True)

    assert await rota.serve(5) == [ben.id, cleo.id, dora.id, ann.id, ben.id]


async def test_an_empty_order_of_todos_keeps_whose_turn_it_is(workspace: Workspace) -> None:
    agents = [await an_agent(workspace, capacity=100) for _ in range(3)]
    todos = await Team.todos(workspace.id, Line.SALES)
    by = by_system(workspace)
    await Team.change(todos.id, by=by, distribution=Distribution.ROUND_ROBIN)
    first = [(await a_conversation(workspace)).assignee_id for _ in range(2)]

    await Membership.reorder(by=by, team=todos, agent_ids=[])
    rest = (await a_conversation(workspace)).assignee_id

    assert {*first, rest} == {agent.id for agent in agents}


async def a_rota(workspace: Workspace, pool: str, connected_to: ConnectedTo) -> Rota:
    members = [await an_agent(workspace, capacity=100) for _ in range(4)]
    team = await a_team(workspace, distribution=Distribution.ROUND_ROBIN, members=members)
    await a_channel(workspace, team=team)

    async def restart() -> None:
        # The same database through another pool, as another process has it.
        async with connected_to(pool):
            return

    return Rota(workspace, team, members, restart)


# -- Over any facts, without a database


@st.composite
def eligible_turns(draw: st.DrawFn) -> tuple[Facts, list[list[bool]]]:
    """Members in some order, and who of them accepts in each of several stretches."""
    count = draw(st.integers(1, 6))
    order = draw(st.permutations(range(1, count + 1)))
    members = tuple(
        Candidate(
            agent_id=UUID(int=number),
            position=number,
            is_active=True,
            is_connected=True,
            availability=Availability.ONLINE,
            accepts_new=True,
            load=0,
            capacity=1_000,
            last_assigned_at=None,
        )
        for number in order
    )
    stretches = draw(
        st.lists(st.lists(st.booleans(), min_size=count, max_size=count), min_size=1, max_size=4)
    )
    pointer = draw(st.integers(0, count))
    facts = Facts(Rule.CHANNEL_TARGET, Distribution.ROUND_ROBIN, True, None, pointer, members)
    return facts, stretches


@given(state=eligible_turns(), rounds=st.integers(1, 15))
@settings(deadline=None, max_examples=200)
def test_while_the_eligible_stay_the_same_turns_differ_by_one_at_most(
    state: tuple[Facts, list[list[bool]]], rounds: int
) -> None:
    facts, stretches = state
    for accepting in stretches:
        facts = with_accepting(facts, accepting)
        served = Counter({c.agent_id: 0 for c in facts.candidates if c.accepts_new})
        for _ in range(rounds if served else 0):
            made = decide(facts)
            assert made.winner is not None
            served[made.winner.agent_id] += 1
            facts = decisions.after(facts, made, NOON)

        assert not served or max(served.values()) - min(served.values()) <= 1


def with_accepting(facts: Facts, accepting: list[bool]) -> Facts:
    return replace(
        facts,
        candidates=tuple(
            replace(candidate, accepts_new=accepts)
            for candidate, accepts in zip(facts.candidates, accepting, strict=True)
        ),
    )


# -- A day at random, and what a client makes of its log


@dataclass
class Day:
    """Two teams, five agents, and everything that moves a load."""

    workspace: Workspace
    teams: list[Team]
    channels: list[Channel]
    agents: list[Agent]
    boss: Agent
    random: Random

    async def any_of(self, *statuses: str) -> Conversation | None:
        found = await Conversation.filter(status__in=statuses).order_by("opened_at", "id")
        return self.random.choice(found) if found else None

    async def write(self) -> None:
        await a_message(self.random.choice(self.channels))

    async def close(self) -> None:
        if conversation := await self.any_of("ASSIGNED", "QUEUED"):
            async with working(conversation.id, by=as_agent(self.boss)) as held:
                await close(held, by=as_agent(self.boss))

    async def unassign(self) -> None:
        if conversation := await self.any_of("ASSIGNED"):
            async with working(conversation.id, by=as_agent(self.boss)) as held:
                await held.unassign(by=as_agent(self.boss))

    async def transfer(self) -> None:
        if conversation := await self.any_of("ASSIGNED", "QUEUED"):
            to = {"to_agent": self.random.choice(self.agents).id}
            if self.random.random() < 0.5:
                to = {"to_team": self.random.choice(self.teams).id}
            await transfer(conversation.id, by=as_agent(self.boss), **to)

    async def reopen(self) -> None:
        if conversation := await self.any_of("CLOSED"):
            await reopen(conversation.id, by=as_agent(self.boss))

    async def change_availability(self) -> None:
        agent = self.random.choice(self.agents)
        await Agent.set_availability(
            agent.id,
            by=as_agent(agent),
            availability=self.random.choice([Availability.ONLINE, *Availability]),
            accepts_new=self.random.random() < 0.8,
        )

    async def change_members(self) -> None:
        team, agent = self.random.choice(self.teams), self.random.choice(self.agents)
        verb = self.random.choice([Membership.add, Membership.remove])
        await verb(by=by_system(self.workspace), team=team, agent_id=agent.id)

    async def change_capacity(self) -> None:
        agent = self.random.choice(self.agents)
        by = by_system(self.workspace)
        await Agent.change(agent.id, by=by, capacity=self.random.randint(1, 4))

    async def happen(self) -> None:
        actions = [self.write] * 8 + [self.close] * 3 + [self.unassign, self.transfer] * 2
        actions += [self.reopen, self.change_availability, self.change_members]
        actions += [self.change_capacity]
        try:
            await self.random.choice(actions)()
        except RuleViolation:
            return


async def a_day(workspace: Workspace, seed: int) -> Day:
    random, by = Random(seed), by_system(workspace)
    agents = [await an_agent(workspace, capacity=3) for _ in range(5)]
    boss = await an_agent(workspace, role=Role.OPERATOR, connected=False)
    teams = [await a_team(workspace), await a_team(workspace, line=Line.SUPPORT)]
    kinds = [Distribution.LEAST_OPEN, Distribution.ROUND_ROBIN]
    channels = []
    for team, distribution in zip(teams, kinds, strict=True):
        for agent in agents[: -1 if team.line is Line.SALES else None]:
            await Membership.add(by=by, team=team, agent_id=agent.id)
        await Team.change(team.id, by=by, distribution=distribution)
        channel = await a_channel(workspace, default_line=team.line)
        await channel.assign(team.line, Target(team.id), by=by)
        channels.append(channel)
    day = Day(workspace, teams, channels, agents, boss, random)
    for _ in range(STEPS):
        await day.happen()
    return day


@dataclass
class Ledger:
    """What a client keeps of the log: who holds what, who belongs where, what they last said."""

    holders: dict[UUID, UUID] = field(default_factory=dict)
    members: dict[UUID, set[UUID]] = field(default_factory=dict)
    availability: dict[UUID, str] = field(default_factory=dict)
    accepting: dict[UUID, bool] = field(default_factory=dict)
    last_given: dict[UUID, datetime] = field(default_factory=dict)
    last_served: dict[UUID, int] = field(default_factory=dict)

    def load(self, agent: UUID) -> int:
        return list(self.holders.values()).count(agent)

    def follow(self, event: Event) -> None:
        if event.conversation_id and event.from_agent_id != event.to_agent_id:
            self.holders.pop(event.conversation_id, None)
            if event.to_agent_id:
                self.holders[event.conversation_id] = event.to_agent_id
        if event.kind is Kind.MEMBER_ADDED and event.to_team_id and event.to_agent_id:
            self.members.setdefault(event.to_team_id, set()).add(event.to_agent_id)
        if event.kind is Kind.MEMBER_REMOVED and event.from_team_id and event.from_agent_id:
            self.members[event.from_team_id].discard(event.from_agent_id)
        if event.kind is Kind.AGENT_AVAILABILITY_CHANGED and event.to_agent_id:
            said = event.data
            self.availability[event.to_agent_id] = said.get(
                "availability", self.availability.get(event.to_agent_id, "ONLINE")
            )
            self.accepting[event.to_agent_id] = said.get(
                "accepts_new", self.accepting.get(event.to_agent_id, True)
            )


def was_automatic(event: Event) -> bool:
    """A queue gave it out, and nobody's hand."""
    return (
        event.kind is Kind.CONVERSATION_ASSIGNED
        and event.actor_kind is ActorKind.SYSTEM
        and event.to_team_id is not None
    )


async def replayed(workspace: Workspace) -> list[tuple[Ledger, Event, Assignment]]:
    """Every automatic assignment, checked as the log is followed; all of them, for counting."""
    assignments = {str(found.id): found for found in await Assignment.all()}
    ledger, found = Ledger(), []
    for event in [entry async for entry in whole_log(workspace)]:
        assignment = assignments.get(event.data.get("assignment", ""))
        if assignment is not None and was_automatic(event):
            check(ledger, event, assignment)
            found.append((ledger, event, assignment))
        ledger.follow(event)
        if assignment is not None:
            ledger.last_given[assignment.agent_id] = assignment.started_at
    return found


async def whole_log(workspace: Workspace) -> Any:
    after = 0
    while page := await log.read(workspace.id, after):
        for event in page:
            yield event
        after = page[-1].seq


def check(ledger: Ledger, event: Event, assignment: Assignment) -> None:
    """The recorded facts are those of the log, and the winner is who they say."""
    assert event.to_team_id is not None
    kept = assignment.decision
    members = {UUID(candidate["agent_id"]): candidate for candidate in kept["candidates"]}
    assert set(members) == ledger.members[event.to_team_id]
    for id, candidate in members.items():
        assert candidate["load"] == ledger.load(id)
        assert candidate["availability"] == ledger.availability.get(id, "ONLINE")
        assert candidate["accepts_new"] == ledger.accepting.get(id, True)
        assert moment(candidate["last_assigned_at"]) == ledger.last_given.get(id)
    eligible = {id: candidate for id, candidate in members.items() if takes(candidate)}
    expected = least_open(ledger, eligible)
    if kept["distribution"] == Distribution.ROUND_ROBIN:
        expected = next_in_turn(ledger.last_served.get(event.to_team_id, 0), eligible)
        ledger.last_served[event.to_team_id] = members[expected]["position"]
    assert assignment.agent_id == event.to_agent_id == expected


def takes(candidate: dict[str, Any]) -> bool:
    is_there = candidate["is_connected"] and candidate["availability"] == Availability.ONLINE
    has_room = candidate["load"] < candidate["capacity"]
    return bool(is_there and candidate["accepts_new"] and has_room)


def least_open(ledger: Ledger, eligible: dict[UUID, Any]) -> UUID:
    """The smallest load; then the one longest without an assignment; then the smaller id."""

    def burden(id: UUID) -> tuple[int, bool, float, UUID]:
        last = ledger.last_given.get(id)
        return ledger.load(id), last is not None, last.timestamp() if last else 0, id

    return min(eligible, key=burden)


def next_in_turn(last: int, eligible: dict[UUID, Any]) -> UUID:
    positions = {id: candidate["position"] for id, candidate in eligible.items()}
    in_order = sorted(positions, key=positions.__getitem__)
    return next((id for id in in_order if positions[id] > last), in_order[0])


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_client_recomputes_fairness_from_the_log(workspace: Workspace, seed: int) -> None:
    await a_day(workspace, seed)

    found = await replayed(workspace)

    given = Counter(assignment.decision["distribution"] for _, _, assignment in found)
    assert given[Distribution.LEAST_OPEN] > 5
    assert given[Distribution.ROUND_ROBIN] > 5


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_stored_decision_comes_to_its_winner_again(
    workspace: Workspace, seed: int
) -> None:
    await a_day(workspace, seed)
    rows = await Assignment.all()

    for assignment, made in distributed(rows):
        assert made.winner is not None
        assert made.winner.agent_id == assignment.agent_id
    for row in [row for row in rows if row.decision.get("routed")]:
        chosen = place(recall_route(row.decision["routed"]["facts"]))
        assert chosen.rule == row.rule
        assert chosen.agent_id in (None, row.agent_id)


def distributed(rows: list[Assignment]) -> Iterator[tuple[Assignment, decisions.Decision]]:
    for row in rows:
        if row.decision["candidates"]:
            yield row, decide(decisions.recall(row.decision))
