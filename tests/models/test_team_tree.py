"""Groups in their tree: moving them, how deep it goes, and whose members a group draws from."""

import asyncio
from typing import Any

import pytest

from models import Agent, Membership, Team, Workspace, team
from models.access import Role
from models.base import IdlePeriod, Line
from models.database import fetch, retrying
from models.decision import Distribution
from models.errors import (
    BadUserInput,
    Forbidden,
    LimitReached,
    NotFound,
    PriorityOutOfRange,
    TargetInactive,
    TargetNotAllowed,
    TeamCycle,
    TeamInactive,
    TeamTooDeep,
)
from models.membership import MEMBERS_MAX
from models.team import MINUTES_MAX, TRANSFER_TARGETS_MAX, add_group_by_name, drawing_from
from tests.factories import a_team, a_workspace, an_agent, as_agent, as_integration, by_system


async def move(moved: Team, below: Team | None) -> None:
    by = by_system(await Workspace.get(id=moved.workspace_id))
    await retrying(lambda: Team.change(moved.id, by=by, parent_id=below.id if below else None))


async def a_chain(workspace: Workspace, length: int) -> list[Team]:
    """Groups below each other, the uppermost first."""
    chain = [await a_team(workspace)]
    for _ in range(length - 1):
        chain.append(await a_team(workspace, parent=chain[-1]))
    return chain


async def test_a_group_moves_with_all_below_it(workspace: Workspace) -> None:
    upper, middle, lower = await a_chain(workspace, 3)
    other = await a_team(workspace)

    await move(middle, other)
    seen = await Team.seen_by_agent(workspace.id, (await an_agent(workspace, teams=[other])).id)
    await move(middle, None)

    assert {other.id, middle.id, lower.id} <= set(seen)
    assert upper.id not in seen
    assert (await Team.get(id=middle.id)).parent_id is None
    assert (await Team.get(id=lower.id)).parent_id == middle.id


async def test_a_group_is_never_below_itself(workspace: Workspace) -> None:
    upper, middle, lower = await a_chain(workspace, 3)

    for below in (upper, middle, lower):
        with pytest.raises(TeamCycle):
            await move(upper, below)

    assert (await Team.get(id=upper.id)).parent_id is None


async def test_a_tree_is_ten_deep_counting_what_moves_along(workspace: Workspace) -> None:
    eight, two, three = [await a_chain(workspace, length) for length in (8, 2, 3)]

    with pytest.raises(TeamTooDeep):
        await move(three[0], eight[-1])
    await move(two[0], eight[-1])

    with pytest.raises(TeamTooDeep):
        await a_team(workspace, parent=two[-1])
    assert (await Team.get(id=two[0].id)).parent_id == eight[-1].id


async def test_two_moves_at_once_make_no_cycle(workspace: Workspace) -> None:
    for _ in range(4):
        first, second = await a_chain(workspace, 2), await a_chain(workspace, 2)

        found = await asyncio.gather(
            move(first[0], second[1]), move(second[0], first[1]), return_exceptions=True
        )

        assert sorted(type(one) for one in found if one) == [TeamCycle]


async def test_two_moves_at_once_make_no_tree_too_deep(workspace: Workspace) -> None:
    upper, middle, lower = [await a_chain(workspace, 4) for _ in range(3)]

    found = await asyncio.gather(
        move(middle[0], upper[-1]), move(lower[0], middle[-1]), return_exceptions=True
    )

    assert sorted(type(one) for one in found if one) == [TeamTooDeep]


@pytest.mark.parametrize("kind", ["department", "todos", "deleted", "of others"])
async def test_only_a_group_is_above_a_group(workspace: Workspace, kind: str) -> None:
    group, by = await a_team(workspace), by_system(workspace)
    above, refusal = {
        "department": (await a_team(workspace, line=Line.SUPPORT), TargetNotAllowed),
        "todos": (await Team.todos(workspace.id, Line.SALES), TargetNotAllowed),
        "deleted": (await a_team(workspace), TeamInactive),
        "of others": (await a_team(await a_workspace("Other")), NotFound),
    }[kind]
    if kind == "deleted":
        await Team.filter(id=above.id).update(is_active=False)

    with pytest.raises(refusal):
        await move(group, above)
    with pytest.raises(refusal):
        await Team.add(by=by, line=Line.SALES, name="North", parent=above)
    for moved in (
        await a_team(workspace, line=Line.SUPPORT),
        await Team.todos(workspace.id, Line.SALES),
    ):
        with pytest.raises(TargetNotAllowed):
            await move(moved, group)


async def test_a_group_draws_from_the_members_of_those_below_if_it_says_so(
    workspace: Workspace,
) -> None:
    upper, middle, lower = await a_chain(workspace, 3)
    by = by_system(workspace)

    before = await drawing_from([lower.id])
    await Team.change(upper.id, by=by, include_descendants=True)

    assert before == [lower.id]
    assert set(await drawing_from([lower.id])) == {lower.id, upper.id}
    assert set(await drawing_from([middle.id])) == {middle.id, upper.id}
    assert await drawing_from([upper.id]) == [upper.id]


SETTINGS: dict[str, Any] = {
    "distribution": Distribution.LEAST_OPEN,
    "online_only": False,
    "max_open": 3,
    "answer_timeout_minutes": MINUTES_MAX,
    "ageing_minutes": 1,
    "idle_period_days": IdlePeriod.SEVEN_DAYS,
}


@pytest.mark.parametrize("line", Line)
async def test_a_team_has_the_settings_it_was_created_with(
    workspace: Workspace, line: Line
) -> None:
    of_line = {"include_descendants": True} if line is Line.SALES else {"priority": 7}

    added = await Team.add(by=by_system(workspace), line=line, name="North", **SETTINGS, **of_line)

    stored = await Team.get(id=added.id)
    assert {name: getattr(stored, name) for name in (*SETTINGS, *of_line)} == {
        **SETTINGS,
        **of_line,
    }


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        ({"answer_timeout_minutes": 0}, BadUserInput),
        ({"answer_timeout_minutes": MINUTES_MAX + 1}, BadUserInput),
        ({"ageing_minutes": 0}, BadUserInput),
        ({"ageing_minutes": MINUTES_MAX + 1}, BadUserInput),
        ({"max_open": 0}, BadUserInput),
        ({"priority": 11}, PriorityOutOfRange),
        ({"include_descendants": True}, TargetNotAllowed),
    ],
    ids=str,
)
async def test_a_department_refuses_what_does_not_fit(
    workspace: Workspace, settings: dict[str, Any], refusal: type[Exception]
) -> None:
    department, by = await a_team(workspace, line=Line.SUPPORT), by_system(workspace)

    with pytest.raises(refusal):
        await Team.change(department.id, by=by, **settings)
    with pytest.raises(refusal):
        await Team.add(by=by, line=Line.SUPPORT, name="Desk", **settings)


async def hands_over_to(department: Team) -> set[Any]:
    rows = await fetch("SELECT to_team_id FROM transfer_targets WHERE team_id = $1", department.id)
    return {row["to_team_id"] for row in rows}


async def test_a_department_lists_others_it_hands_over_to(workspace: Workspace) -> None:
    own, first, second = [await a_team(workspace, line=Line.SUPPORT) for _ in range(3)]
    by = by_system(workspace)

    await Team.change(own.id, by=by, transfers_to=[first.id, second.id, first.id])
    both = await hands_over_to(own)
    await Team.change(own.id, by=by, transfers_to=[second.id])
    one = await hands_over_to(own)
    await Team.change(own.id, by=by, transfers_to=[])

    assert (both, one) == ({first.id, second.id}, {second.id})
    assert await hands_over_to(own) == set()


async def test_a_department_hands_over_to_active_others_of_its_line(workspace: Workspace) -> None:
    own, gone = [await a_team(workspace, line=Line.SUPPORT) for _ in range(2)]
    group, stranger = (
        await a_team(workspace),
        await a_team(await a_workspace("Other"), line=Line.SUPPORT),
    )
    await Team.filter(id=gone.id).update(is_active=False)
    by = by_system(workspace)

    for team_id, to, refusal in (
        (own.id, [own.id], TargetNotAllowed),
        (own.id, [group.id], TargetNotAllowed),
        (group.id, [own.id], TargetNotAllowed),
        (own.id, [gone.id], TargetInactive),
        (own.id, [stranger.id], NotFound),
        (own.id, [group.id] * (TRANSFER_TARGETS_MAX + 1), LimitReached),
    ):
        with pytest.raises(refusal):
            await Team.change(team_id, by=by, transfers_to=to)

    assert await hands_over_to(own) == set()


async def test_a_team_has_so_many_members(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.membership.MEMBERS_MAX", 1)
    group = await a_team(workspace, members=[await an_agent(workspace)])
    late = await an_agent(workspace)

    with pytest.raises(LimitReached):
        await Membership.add(by=by_system(workspace), team=group, agent_id=late.id)

    assert MEMBERS_MAX == 1_000


async def test_a_new_order_is_numbered_from_one(workspace: Workspace) -> None:
    agents = [await an_agent(workspace) for _ in range(3)]
    group = await a_team(workspace, members=agents)
    ids = [agent.id for agent in reversed(agents)]

    for _ in range(2):
        await Membership.reorder(by=by_system(workspace), team=group, agent_ids=ids)

    rows = await Membership.filter(team_id=group.id).order_by("position")
    assert [(row.position, row.agent_id) for row in rows] == list(enumerate(ids, start=1))


async def test_groups_are_created_by_whom_the_installation_lets(
    workspace: Workspace, admin: Agent
) -> None:
    script = as_integration(workspace, "settings:write")
    by = as_agent(admin)

    with pytest.raises(Forbidden):
        await Team.add(by=script, line=Line.SALES, name="North")
    await Team.add(by=script, line=Line.SUPPORT, name="Desk")
    await Team.add(by=by, line=Line.SALES, name="North")
    team.reserve_groups(reserved=True)
    try:
        with pytest.raises(Forbidden, match="whoever runs the installation"):
            await Team.add(by=by, line=Line.SALES, name="East")
        await Team.add(by=by, line=Line.SUPPORT, name="Desk")
        await add_group_by_name(workspace.name, name="South", parent="North")
    finally:
        team.reserve_groups(reserved=False)

    south = await Team.get(name="South")
    assert south.parent_id == (await Team.get(name="North")).id
    for given in (("Nobody's", None), (workspace.name, "East")):
        with pytest.raises(NotFound):
            await add_group_by_name(given[0], name="West", parent=given[1])


@pytest.fixture
async def admin(workspace: Workspace) -> Agent:
    return await an_agent(workspace, role=Role.ADMIN)
