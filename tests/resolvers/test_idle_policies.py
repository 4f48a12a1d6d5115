"""When conversations close, and what a shorter period would close, as the API says it."""

from datetime import datetime, timedelta

import pytest

from models import Agent, Conversation, Team, Workspace, snooze
from models.base import IdlePeriod
from models.closing import close
from models.idle import close_idle
from resolvers.ids import encode
from tests.conftest import Clock
from tests.factories import a_channel, a_conversation, a_team, an_agent, by_system, working
from tests.resolvers.client import Client, Company, session_of
from tests.resolvers.conftest import As

PREVIEW = """query ($input: IdlePolicyPreviewInput!) { idlePolicyPreview(input: $input) {
    closesAtOnce isShorter token expiresAt } }"""
CLOSES = "query ($id: ID!) { conversation(id: $id) { status lastActivityAt closesAt } }"


@pytest.fixture
async def admin(company: Company, calling: As) -> Client:
    return calling(await session_of(company.admin))


async def test_a_shorter_period_is_looked_at_before_it_is_chosen(
    company: Company, admin: Client, clock: Clock
) -> None:
    department = {"teamId": encode("Team", (await a_department(company)).id)}
    change = {**department, "idlePeriod": "ONE_DAY"}
    await clock.travel(days=2)

    without = await admin.do("teamUpdate", change)
    seen = (await admin.ask(PREVIEW, input=change))["idlePolicyPreview"]
    stale = await admin.do("teamUpdate", {**change, "previewToken": seen["token"][::-1]})
    done = await admin.do("teamUpdate", {**change, "previewToken": seen["token"]})
    longer = await admin.do("teamUpdate", {**department, "idlePeriod": "NEVER"})

    assert (seen["closesAtOnce"], seen["isShorter"]) == (1, True)
    assert (without.codes, stale.codes) == (["PREVIEW_REQUIRED"], ["PREVIEW_STALE"])
    for refused in (without, stale):
        [error] = refused.data["teamUpdate"]["userErrors"]
        assert error["path"] == ["input", "previewToken"]
        assert error["facts"] == [{"name": "closesAtOnce", "value": "1"}]
    assert (done.codes, longer.codes) == ([], [])


async def test_whose_period_it_is_must_be_visible(company: Company, admin: Client) -> None:
    input = {"agentId": company.id("Team"), "idlePeriod": "ONE_DAY"}
    unknown = {"agentId": encode("Agent", company.team.id), "idlePeriod": "ONE_DAY"}

    wrong = await admin.ask(PREVIEW, input=input)
    nobody = await admin.ask(PREVIEW, input=unknown)

    assert wrong.codes == ["BAD_USER_INPUT"]
    assert nobody["idlePolicyPreview"] is None


@pytest.mark.parametrize(
    ("of_workspace", "of_team", "of_agent", "status", "days"),
    [
        (0, None, None, "ASSIGNED", None),
        (3, None, None, "ASSIGNED", 3),
        (3, 7, None, "ASSIGNED", 7),
        (3, 7, 1, "ASSIGNED", 1),
        (3, 7, 0, "ASSIGNED", None),
        (3, 0, None, "QUEUED", None),
        (3, 7, 1, "QUEUED", 7),
        (3, 7, None, "BOT", 7),
        (3, None, 1, "SNOOZED", None),
        (3, None, 1, "CLOSED", None),
    ],
)
async def test_it_closes_when_it_says_so(
    company: Company,
    admin: Client,
    clock: Clock,
    of_workspace: int,
    of_team: int | None,
    of_agent: int | None,
    status: str,
    days: int | None,
) -> None:
    await clock.stop()
    workspace = company.workspace
    team = await a_team(workspace)
    agent = await an_agent(workspace, teams=[team])
    await Workspace.filter(id=workspace.id).update(idle_period_days=IdlePeriod(of_workspace))
    await Team.filter(id=team.id).update(idle_period_days=of_team)
    await Agent.filter(id=agent.id).update(idle_period_days=of_agent)
    channel = await a_channel(workspace, team=team, bot=status == "BOT")
    held = status not in ("QUEUED", "BOT")
    conversation = await a_conversation(workspace, channel=channel, holder=agent if held else None)
    if status in ("SNOOZED", "CLOSED"):
        by = by_system(workspace)
        async with working(conversation.id, by=by) as locked:
            await (close if status == "CLOSED" else snooze.begin)(locked, by=by)

    shown = (await admin.ask(CLOSES, id=encode("Conversation", conversation.id)))["conversation"]
    await conversation.refresh_from_db()
    closes_at = conversation.last_activity_at
    assert shown["status"] == status
    if days is None:
        assert shown["closesAt"] is None
        return
    await clock.travel(days=days, microseconds=-1)
    early = await _closes(conversation)
    await clock.travel(microseconds=1)
    assert (early, await _closes(conversation)) == (False, True)
    assert _instant(shown["closesAt"]) - closes_at == timedelta(days=days)


async def a_department(company: Company) -> Team:
    team = await a_team(company.workspace)
    await a_conversation(company.workspace, team=team)
    return team


async def _closes(conversation: Conversation) -> bool:
    await close_idle(100)
    await conversation.refresh_from_db()
    return not conversation.is_open


def _instant(shown: str) -> datetime:
    return datetime.fromisoformat(shown)
