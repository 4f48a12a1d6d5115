"""The decision, over every branch and over whatever hypothesis thinks of."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.database import encode
from models.decision import (
    Availability,
    Candidate,
    Distribution,
    Facts,
    Outcome,
    Rule,
    TieBreak,
    Verdict,
    after,
    by_hand,
    decide,
    recall,
    stored,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN, BEN, CLEO = (UUID(int=number) for number in (1, 2, 3))


def candidate(
    agent_id: UUID,
    position: int | None = None,
    *,
    is_active: bool = True,
    is_connected: bool = True,
    availability: Availability = Availability.ONLINE,
    accepts_new: bool = True,
    load: int = 0,
    capacity: int = 5,
    last_assigned_at: datetime | None = NOON,
) -> Candidate:
    return Candidate(
        agent_id,
        position or agent_id.int,
        is_active,
        is_connected,
        availability,
        accepts_new,
        load,
        capacity,
        last_assigned_at,
    )


def facts(
    *candidates: Candidate,
    distribution: Distribution = Distribution.LEAST_OPEN,
    online_only: bool = True,
    max_open: int | None = None,
    pointer: int = 0,
) -> Facts:
    return Facts(
        Rule.CHANNEL_TARGET, distribution, online_only, max_open, pointer, tuple(candidates)
    )


ABSENT = candidate(ANN, is_connected=False)
AWAY = candidate(ANN, availability=Availability.AWAY)


@pytest.mark.parametrize(
    ("someone", "online_only", "max_open", "verdict"),
    [
        (candidate(ANN), True, None, Verdict.CHOSEN),
        (candidate(ANN, is_active=False), True, None, Verdict.INACTIVE),
        (candidate(ANN, is_active=False), False, None, Verdict.INACTIVE),
        (replace(candidate(ANN), is_within_hours=False), True, None, Verdict.OUTSIDE_HOURS),
        (replace(candidate(ANN), is_within_hours=False), False, None, Verdict.OUTSIDE_HOURS),
        (ABSENT, True, None, Verdict.OFFLINE),
        (ABSENT, False, None, Verdict.CHOSEN),
        (candidate(ANN, availability=Availability.OFFLINE), True, None, Verdict.OFFLINE),
        (AWAY, True, None, Verdict.AWAY),
        (AWAY, False, None, Verdict.CHOSEN),
        (replace(AWAY, is_connected=False), True, None, Verdict.OFFLINE),
        (candidate(ANN, accepts_new=False), True, None, Verdict.NOT_ACCEPTING),
        (candidate(ANN, accepts_new=False), False, None, Verdict.NOT_ACCEPTING),
        (candidate(ANN, load=4), True, None, Verdict.CHOSEN),
        (candidate(ANN, load=5), True, None, Verdict.AT_CAPACITY),
        (candidate(ANN, load=9), True, None, Verdict.AT_CAPACITY),
        (candidate(ANN, capacity=0), True, None, Verdict.AT_CAPACITY),
        (candidate(ANN, load=1), True, 2, Verdict.CHOSEN),
        (candidate(ANN, load=2), True, 2, Verdict.AT_CAPACITY),
        (candidate(ANN, load=5), True, 9, Verdict.AT_CAPACITY),
    ],
)
def test_each_obstacle_is_named(
    someone: Candidate, online_only: bool, max_open: int | None, verdict: Verdict
) -> None:
    made = decide(facts(someone, online_only=online_only, max_open=max_open))

    assert made.verdicts == (verdict,)
    assert made.outcome is (
        Outcome.ASSIGNED if verdict is Verdict.CHOSEN else Outcome.NOBODY_ELIGIBLE
    )
    assert (made.winner is None) == (verdict is not Verdict.CHOSEN)


@pytest.mark.parametrize("distribution", [Distribution.ROUND_ROBIN, Distribution.LEAST_OPEN])
def test_whoever_answered_too_late_is_passed_over_for_this_one(distribution: Distribution) -> None:
    slow, other = candidate(ANN), candidate(BEN, position=2, load=3)

    made = decide(replace(facts(slow, other, distribution=distribution), skipped_agent_id=ANN))

    assert made.verdicts == (Verdict.SKIPPED_AFTER_TIMEOUT, Verdict.CHOSEN)


@pytest.mark.parametrize(
    ("candidates", "winner", "tie_break", "verdicts"),
    [
        (
            [candidate(ANN, load=2), candidate(BEN, load=1)],
            BEN,
            TieBreak.SMALLEST_LOAD,
            [Verdict.LOST_LOAD, Verdict.CHOSEN],
        ),
        (
            [candidate(ANN), candidate(BEN, last_assigned_at=NOON - timedelta(seconds=1))],
            BEN,
            TieBreak.LONGEST_WITHOUT_ASSIGNMENT,
            [Verdict.LOST_TIE, Verdict.CHOSEN],
        ),
        (
            [candidate(ANN), candidate(BEN, last_assigned_at=None)],
            BEN,
            TieBreak.LONGEST_WITHOUT_ASSIGNMENT,
            [Verdict.LOST_TIE, Verdict.CHOSEN],
        ),
        (
            [candidate(BEN), candidate(ANN), candidate(CLEO, load=1)],
            ANN,
            TieBreak.SMALLER_ID,
            [Verdict.LOST_TIE, Verdict.CHOSEN, Verdict.LOST_LOAD],
        ),
        (
            [candidate(ANN, is_connected=False), candidate(BEN, load=3)],
            BEN,
            TieBreak.SMALLEST_LOAD,
            [Verdict.OFFLINE, Verdict.CHOSEN],
        ),
    ],
)
def test_least_open_breaks_ties_in_its_order(
    candidates: list[Candidate], winner: UUID, tie_break: TieBreak, verdicts: list[Verdict]
) -> None:
    made = decide(facts(*candidates))

    assert made.winner is not None
    assert (made.winner.agent_id, made.tie_break) == (winner, tie_break)
    assert list(made.verdicts) == verdicts


@pytest.mark.parametrize(
    ("pointer", "unavailable", "winner"),
    [
        (0, None, ANN),
        (1, None, BEN),
        (2, None, CLEO),
        (3, None, ANN),
        (99, None, ANN),
        (0, ANN, BEN),
        (2, CLEO, ANN),
        (1, BEN, CLEO),
    ],
)
def test_round_robin_goes_on_after_whoever_was_served_last(
    pointer: int, unavailable: UUID | None, winner: UUID
) -> None:
    members = [candidate(id, accepts_new=id != unavailable) for id in (CLEO, ANN, BEN)]

    made = decide(facts(*members, distribution=Distribution.ROUND_ROBIN, pointer=pointer))

    assert made.winner is not None
    assert made.winner.agent_id == winner
    assert made.tie_break is TieBreak.NEXT_IN_ORDER
    lost = {v for c, v in zip(members, made.verdicts, strict=True) if c.agent_id != winner}
    assert lost == {Verdict.LOST_TURN} | ({Verdict.NOT_ACCEPTING} if unavailable else set())


@pytest.mark.parametrize("members", [(), (candidate(ANN),), (ABSENT,)])
def test_a_manual_queue_waits_for_a_pick(members: tuple[Candidate, ...]) -> None:
    made = decide(facts(*members, distribution=Distribution.MANUAL))

    assert (made.outcome, made.winner) == (Outcome.WAITING_FOR_PICK, None)


@pytest.mark.parametrize("distribution", [Distribution.ROUND_ROBIN, Distribution.LEAST_OPEN])
def test_a_team_without_members_has_nobody_eligible(distribution: Distribution) -> None:
    assert decide(facts(distribution=distribution)).outcome is Outcome.NOBODY_ELIGIBLE


def test_a_choice_by_hand_has_no_candidates() -> None:
    assert by_hand(Rule.PICKED, ANN)["outcome"] is Outcome.ASSIGNED
    assert by_hand(Rule.TODOS, None)["outcome"] is Outcome.WAITING_FOR_PICK
    assert by_hand(Rule.PICKED, ANN)["candidates"] == []


TIMES = st.none() | st.integers(-10_000_000, 10_000_000).map(
    lambda milliseconds: NOON + timedelta(milliseconds=milliseconds, microseconds=7)
)


@st.composite
def a_state(draw: st.DrawFn, *, distribution: Distribution | None = None) -> Facts:
    ids = draw(st.lists(st.uuids(), unique=True, max_size=6))
    positions = draw(st.permutations(range(1, len(ids) + 1)))
    candidates = tuple(
        Candidate(
            agent_id=id,
            position=position,
            is_active=draw(st.booleans()),
            is_connected=draw(st.booleans()),
            availability=draw(st.sampled_from(Availability)),
            accepts_new=draw(st.booleans()),
            load=draw(st.integers(0, 6)),
            capacity=draw(st.integers(0, 6)),
            last_assigned_at=draw(TIMES),
            is_within_hours=draw(st.booleans()),
        )
        for id, position in zip(ids, positions, strict=True)
    )
    return Facts(
        rule=draw(st.sampled_from(Rule)),
        distribution=distribution or draw(st.sampled_from(Distribution)),
        online_only=draw(st.booleans()),
        max_open=draw(st.none() | st.integers(1, 6)),
        round_robin_position=draw(st.integers(0, 7)),
        candidates=candidates,
        skipped_agent_id=draw(st.none() | st.sampled_from(ids)) if ids else None,
    )


@given(a_state())
@settings(deadline=None, max_examples=200)
def test_a_stored_decision_comes_to_the_same_again(state: Facts) -> None:
    made = decide(state)

    kept = orjson.loads(encode(stored(made)))

    assert recall(kept) == state
    assert decide(recall(kept)) == made


@given(a_state())
@settings(deadline=None, max_examples=200)
def test_the_winner_has_room_and_is_the_only_one_chosen(state: Facts) -> None:
    made = decide(state)

    chosen = [v for v in made.verdicts if v is Verdict.CHOSEN]
    assert len(made.verdicts) == len(state.candidates)
    assert len(chosen) == (made.winner is not None)
    if made.winner is not None:
        assert made.winner.is_active
        assert made.winner.accepts_new
        assert made.winner.load < min(made.winner.capacity, state.max_open or 6)


@given(a_state(distribution=Distribution.LEAST_OPEN))
@settings(deadline=None, max_examples=200)
def test_least_open_takes_the_smallest_load_of_the_eligible(state: Facts) -> None:
    made = decide(state)

    in_question = {Verdict.CHOSEN, Verdict.LOST_LOAD, Verdict.LOST_TIE}
    eligible = [c for c, v in zip(state.candidates, made.verdicts, strict=True) if v in in_question]
    assert bool(eligible) == (made.winner is not None)
    if made.winner is not None:
        assert made.winner.load == min(c.load for c in eligible)


@given(
    members=st.integers(1, 8),
    pointer=st.integers(0, 9),
    rounds=st.integers(0, 40),
    order=st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=100)
def test_round_robin_serves_constant_members_alike(
    members: int, pointer: int, rounds: int, order: Random
) -> None:
    everyone = [candidate(UUID(int=number), capacity=100) for number in range(1, members + 1)]
    order.shuffle(everyone)
    state = facts(*everyone, distribution=Distribution.ROUND_ROBIN, pointer=pointer)
    served: Counter[UUID] = Counter({member.agent_id: 0 for member in everyone})

    for _ in range(rounds):
        made = decide(state)
        assert made.winner is not None
        served[made.winner.agent_id] += 1
        state = after(state, made, NOON)

    assert max(served.values()) - min(served.values()) <= 1


@given(a_state())
@settings(deadline=None, max_examples=100)
def test_after_a_decision_only_the_winner_carries_more(state: Facts) -> None:
    made = decide(state)

    later = after(state, made, NOON)

    grown = [
        now.agent_id
        for before, now in zip(state.candidates, later.candidates, strict=True)
        if now.load != before.load
    ]
    assert grown == ([made.winner.agent_id] if made.winner else [])
