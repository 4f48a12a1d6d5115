"""What a filter holds for, in memory and in the database: the same."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import Workspace, log
from models.database import fetch
from models.event import Kind
from models.log import HOLDS, Event, Filter
from tests.factories import a_workspace

IDS = [UUID(int=number) for number in range(1, 4)]
KINDS = [Kind.IDLE_REMINDED, Kind.TICKET_UPDATED, Kind.OTHER]
SOME_ID = st.none() | st.sampled_from(IDS)
FILTERS = st.builds(
    Filter,
    kinds=st.none() | st.lists(st.sampled_from(KINDS), max_size=2),
    conversation_id=SOME_ID,
    queue_id=SOME_ID,
    agent_id=SOME_ID,
    ticket_id=SOME_ID,
    own_of=SOME_ID,
)
FACTS = st.fixed_dictionaries(
    {"kind": st.sampled_from(["IDLE_REMINDED", "TICKET_UPDATED", "UNHEARD_OF"])},
    optional={
        **{
            f"{name}_id": st.sampled_from(IDS)
            for name in ("conversation", "from_queue", "to_queue", "from_agent", "to_agent")
        },
        "ticket_id": st.sampled_from(IDS),
        "from_ticket": st.sampled_from(IDS),
        "actor": st.sampled_from([(kind, id) for kind in ("AGENT", "CONTACT") for id in IDS]),
    },
)


async def stored(workspace: Workspace, facts: list[dict[str, Any]]) -> list[Event]:
    """Events as these say, whatever else that would mean."""
    await fetch("DELETE FROM events")
    for seq, fact in enumerate(facts, 1):
        kind, id = fact.get("actor", ("SYSTEM", None))
        before = fact.get("from_ticket")
        await fetch(
            """
            INSERT INTO events (workspace_id, seq, kind, logged_at, actor_kind, actor_id,
                conversation_id, from_queue_id, to_queue_id, from_agent_id, to_agent_id, ticket_id,
                data)
            VALUES ($1, $2, $3, now(), $4, $5, $6, $7, $8, $9, $10, $11,
                    CASE WHEN $12::text IS NOT NULL
                         THEN jsonb_build_object('from_ticket', $12::text) END)
            """,
            workspace.id,
            seq,
            fact["kind"],
            kind,
            id,
            *(
                fact.get(f"{name}_id")
                for name in ("conversation", "from_queue", "to_queue", "from_agent", "to_agent")
            ),
            fact.get("ticket_id"),
            None if before is None else str(before),
        )
    return await log.read(workspace.id, 0)


@pytest.mark.leaves_violations
async def test_the_database_finds_what_a_filter_holds_for(workspace: Workspace) -> None:
    rows: list[dict[str, Any]] = []
    wanted: list[Filter] = []

    @settings(max_examples=150, deadline=None, database=None)
    @given(facts=st.lists(FACTS, min_size=1, max_size=3), filter=FILTERS)
    def draw(facts: list[dict[str, Any]], filter: Filter) -> None:
        rows.extend(facts)
        wanted.append(filter)

    draw()
    events = await stored(workspace, rows)
    other = await a_workspace("Rival")
    assert len(events) == len(rows)

    for each in wanted:
        held = [e.seq for e in events if each.holds(e)]
        found = await fetch(
            f"""
            SELECT e.seq FROM events e
            WHERE e.workspace_id = $1 AND e.seq > $2 AND e.seq <= $3 AND {HOLDS}
            ORDER BY e.seq LIMIT $4
            """,
            workspace.id,
            0,
            len(events),
            len(events),
            *each.arguments,
        )
        assert [row["seq"] for row in found] == held, each
        assert await walked(workspace, each, len(events)) == held, each
        assert await walked(other, each, len(events)) == []


async def walked(workspace: Workspace, wanted: Filter, until: int) -> list[int]:
    """By the filter's own indexes, as whoever catches up does."""
    found: list[int] = []
    seq = 0
    while seq < until:
        events, seq = await log.read_arms(workspace.id, wanted.arms, seq, until)
        found += [each.seq for each in events]
    return found


def test_equal_filters_are_one() -> None:
    assert Filter(kinds=[Kind.OTHER]) == Filter(kinds=(Kind.OTHER,))
    assert hash(Filter(kinds=[Kind.OTHER])) == hash(Filter(kinds=[Kind.OTHER]))
