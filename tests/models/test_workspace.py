"""A workspace from its first moment, and its settings with their bounds."""

from typing import Any

import pytest

from models import Team, Workspace
from models.access import Role
from models.base import IdlePeriod, Line
from models.database import fetch
from models.errors import BadUserInput, Forbidden, WindowOutOfRange
from models.event import Kind
from models.team import WINDOW_HOURS_MAX
from models.workspace import OWNER_WAIT_MINUTES_MAX
from tests.factories import a_workspace, an_agent, as_agent, by_system, confirmed


async def told(workspace: Workspace) -> list[str]:
    rows = await fetch("SELECT kind FROM events WHERE workspace_id = $1 ORDER BY seq", workspace.id)
    return [row["kind"] for row in rows]


async def test_a_workspace_begins_with_a_todos_for_each_line(workspace: Workspace) -> None:
    for line in Line:
        todos = await Team.todos(workspace.id, line)
        assert (todos.name, todos.is_todos, todos.line) == ("Todos", True, line)
    assert await Team.filter(workspace_id=workspace.id).count() == len(Line)


@pytest.mark.parametrize("name", ["", " \t", "x" * 201, "a\0b"])
async def test_a_workspace_has_a_name(workspace: Workspace, name: str) -> None:
    with pytest.raises(BadUserInput):
        await Workspace.found(name)
    with pytest.raises(BadUserInput):
        await Workspace.change(by=by_system(workspace), name=name)

    assert await Workspace.all().count() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Acme and Sons"},
        {"idle_period_days": IdlePeriod.SEVEN_DAYS},
        {"closing_reason_required": True, "transfers_to_unavailable": True},
        {"owned_skips_bot": True, "sticky_falls_through": True},
        {"time_zone": "America/Sao_Paulo"},
        {"owner_wait_minutes": 1},
        {"owner_wait_minutes": OWNER_WAIT_MINUTES_MAX},
        {"reassignment_window_hours": 1},
        {"reassignment_window_hours": WINDOW_HOURS_MAX},
    ],
    ids=str,
)
async def test_a_change_is_made_and_told_once(
    workspace: Workspace, changes: dict[str, Any]
) -> None:
    for _ in range(2):
        await confirmed(Workspace.change, by=by_system(workspace), **changes)

    await workspace.refresh_from_db()
    assert {name: getattr(workspace, name) for name in changes} == changes
    assert await told(workspace) == [Kind.WORKSPACE_UPDATED]


async def test_for_ever_is_a_value(workspace: Workspace) -> None:
    by = by_system(workspace)
    await Workspace.change(by=by, owner_wait_minutes=5, reassignment_window_hours=24)

    await Workspace.change(by=by, owner_wait_minutes=None, reassignment_window_hours=None)

    await workspace.refresh_from_db()
    assert (workspace.owner_wait_minutes, workspace.reassignment_window_hours) == (None, None)


@pytest.mark.parametrize("minutes", [0, -1, OWNER_WAIT_MINUTES_MAX + 1])
async def test_an_owner_is_waited_for_a_minute_to_a_week(
    workspace: Workspace, minutes: int
) -> None:
    with pytest.raises(BadUserInput):
        await Workspace.change(by=by_system(workspace), owner_wait_minutes=minutes)

    assert await told(workspace) == []


@pytest.mark.parametrize("hours", [0, -1, WINDOW_HOURS_MAX + 1])
async def test_a_window_is_an_hour_to_90_days(workspace: Workspace, hours: int) -> None:
    with pytest.raises(WindowOutOfRange):
        await Workspace.change(by=by_system(workspace), reassignment_window_hours=hours)

    assert await told(workspace) == []


async def test_a_change_stays_in_its_workspace(workspace: Workspace) -> None:
    other = await a_workspace("Other")

    await Workspace.change(by=by_system(workspace), name="Changed", owned_skips_bot=True)

    await other.refresh_from_db()
    assert (other.name, other.owned_skips_bot) == ("Other", False)
    assert await told(other) == []


@pytest.mark.parametrize("role", [Role.AGENT, Role.OPERATOR])
async def test_only_who_configures_changes_it(workspace: Workspace, role: Role) -> None:
    agent = await an_agent(workspace, role=role)

    with pytest.raises(Forbidden):
        await Workspace.change(by=as_agent(agent), name="Mine")


@pytest.mark.parametrize("zone", ["", "America/Nowhere", "Sao Paulo", "a\0b", "+03:00", "x" * 300])
async def test_a_time_zone_has_a_name(workspace: Workspace, zone: str) -> None:
    with pytest.raises(BadUserInput) as refused:
        await Workspace.change(by=by_system(workspace), time_zone=zone)

    assert refused.value.path == "input.timeZone"
