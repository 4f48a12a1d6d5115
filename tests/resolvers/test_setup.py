"""Setting a workspace up over HTTP: every command once, as its administrator gives it."""

from typing import Any

import pytest

from models import Agent, Team
from models.base import Line
from models.decision import Distribution
from resolvers.ids import encode
from tests.factories import a_channel, a_team, an_agent
from tests.resolvers.client import Client, Company, integration_of, session_of
from tests.resolvers.conftest import As

MEMBERS = "team { members { nodes { id } } }"


@pytest.fixture
async def admin(company: Company, calling: As) -> Client:
    return calling(await session_of(company.admin))


@pytest.fixture
async def script(company: Company, calling: As) -> Client:
    return calling(await integration_of(company.workspace))


def id_of(record: Agent | Team) -> str:
    return str(encode(type(record).__name__, record.id))


async def shown(
    client: Client, mutation: str, input: dict[str, Any], noun: str, fields: str
) -> dict[str, Any]:
    """What a command answers, once it has done what it was asked to do."""
    answer = await client.do(mutation, input, f"{noun} {{ {fields} }}")
    found: dict[str, Any] = answer[mutation][noun]
    return found


async def a_message_for(script: Client, channel_id: str, number: int) -> dict[str, Any]:
    """What becomes of a new customer's first message."""
    given = {
        "channelId": channel_id,
        "externalId": f"m-{number}",
        "contact": {"externalId": f"s-{number}"},
        "text": "Hello?",
    }
    fields = "status assignee { id } team { id } decision { candidates { agent { id } verdict } }"
    return await shown(script, "messageReceive", given, "conversation", fields)


WORKSPACE = """name idlePeriod closingReasonRequired transfersToUnavailable ownedSkipsBot
    ownerWaitMinutes stickyFallsThrough reassignmentWindowHours ownerSetters
    idleReminderBeforeMinutes"""


async def test_a_workspace_changes_what_it_is_told_to(company: Company, admin: Client) -> None:
    changes = {
        "name": "Acme and Sons",
        "idlePeriod": "THREE_DAYS",
        "closingReasonRequired": True,
        "transfersToUnavailable": True,
        "ownedSkipsBot": True,
        "ownerWaitMinutes": 30,
        "stickyFallsThrough": True,
        "reassignmentWindowHours": 24,
        "ownerSetters": ["AGENT", "MARKETING"],
        "idleReminderBeforeMinutes": 60,
    }

    given = await admin.confirmed(**changes)
    changed = await shown(admin, "workspaceUpdate", given, "workspace", WORKSPACE)

    assert changed == changes
    again = f"query ($id: ID!) {{ node(id: $id) {{ ... on Workspace {{ {WORKSPACE} }} }} }}"
    assert (await admin.ask(again, id=company.id("Workspace")))["node"] == changes


async def test_what_is_left_out_stays_and_null_is_for_ever(company: Company, admin: Client) -> None:
    await admin.do("workspaceUpdate", {"ownerWaitMinutes": 30, "reassignmentWindowHours": 24})

    changed = await shown(
        admin, "workspaceUpdate", {"reassignmentWindowHours": None}, "workspace", WORKSPACE
    )

    assert (changed["ownerWaitMinutes"], changed["reassignmentWindowHours"]) == (30, None)
    assert changed["name"] == company.workspace.name


@pytest.mark.parametrize("role", ["OPERATOR", "ADMIN", "INTEGRATION"])
async def test_who_sets_owners_is_no_choice_for_every_role(
    company: Company, admin: Client, role: str
) -> None:
    answer = await admin.do("workspaceUpdate", {"ownerSetters": ["AGENT", role]})

    assert answer.codes == ["BAD_USER_INPUT"]


async def test_a_group_is_created_below_another(company: Company, admin: Client) -> None:
    given = {
        "name": "North",
        "line": "SALES",
        "parentId": company.id("Team"),
        "distribution": "LEAST_OPEN",
    }

    team = await shown(
        admin, "teamCreate", given, "team", "name line distribution parent { id } isTodos"
    )

    assert team == {
        "name": "North",
        "line": "SALES",
        "distribution": "LEAST_OPEN",
        "parent": {"id": company.id("Team")},
        "isTodos": False,
    }


async def test_a_department_has_a_priority(company: Company, admin: Client) -> None:
    given = {"name": "Complaints", "line": "SUPPORT", "priority": 10}

    assert await shown(admin, "teamCreate", given, "team", "priority") == {"priority": 10}


async def test_a_team_changes_what_it_is_told_to(company: Company, admin: Client) -> None:
    changes = {
        "name": "Second level",
        "priority": 3,
        "distribution": "ROUND_ROBIN",
        "onlineOnly": False,
        "maxOpen": 5,
        "reassignmentWindowHours": 0,
        "unassignOnClose": True,
    }
    given = {"teamId": encode("Team", company.department.id), "idlePeriod": "ONE_DAY", **changes}

    given = await admin.confirmed(**given)
    changed = await shown(admin, "teamUpdate", given, "team", " ".join(changes))

    assert changed == changes


async def test_a_team_that_becomes_automatic_gives_out_what_waits(
    company: Company, admin: Client
) -> None:
    given = {"teamId": company.id("Team"), "distribution": "LEAST_OPEN"}

    changed = await shown(admin, "teamUpdate", given, "team", "queue { waitingCount }")

    ask = "query ($id: ID!) { conversation(id: $id) { status assignee { id } } }"
    answer = await admin.ask(ask, id=company.id("Conversation"))
    assert changed == {"queue": {"waitingCount": 0}}
    assert answer["conversation"] == {
        "status": "ASSIGNED",
        "assignee": {"id": company.id("Agent")},
    }


async def test_members_come_go_and_change_places(company: Company, admin: Client) -> None:
    team = {"teamId": company.id("Team")}
    operator, boss = id_of(company.operator), id_of(company.admin)
    first = company.id("Agent")
    found = []
    for mutation, rest in (
        ("teamMemberAdd", {"agentId": operator}),
        ("teamMemberAdd", {"agentId": boss}),
        ("teamMembersReorder", {"agentIds": [boss, first, operator]}),
        ("teamMemberRemove", {"agentId": first}),
    ):
        answer = await admin.do(mutation, {**team, **rest}, MEMBERS)
        nodes = answer[mutation]["team"]["members"]["nodes"]
        found.append([node["id"] for node in nodes])

    assert found == [
        [first, operator],
        [first, operator, boss],
        [boss, first, operator],
        [boss, operator],
    ]


async def test_an_agent_is_in_a_team_once(company: Company, admin: Client) -> None:
    given = {"teamId": company.id("Team"), "agentId": company.id("Agent")}

    assert (await admin.do("teamMemberAdd", given)).codes == ["ALREADY_MEMBER"]


@pytest.mark.parametrize("wrong", ["one is missing", "one is twice", "nobody"])
async def test_an_order_names_every_member_once(
    company: Company, admin: Client, wrong: str
) -> None:
    second = await an_agent(company.workspace, teams=[company.team])
    ids = {
        "one is missing": [second],
        "one is twice": [second, second],
        "nobody": [],
    }[wrong]
    given = {"teamId": company.id("Team"), "agentIds": [id_of(agent) for agent in ids]}

    assert (await admin.do("teamMembersReorder", given)).codes == ["NOT_MEMBER"]


async def test_round_robin_goes_on_in_the_new_order(
    company: Company, admin: Client, script: Client
) -> None:
    members = [await an_agent(company.workspace) for _ in range(4)]
    first, second, third, fourth = map(id_of, members)
    team = await a_team(company.workspace, distribution=Distribution.ROUND_ROBIN, members=members)
    channel = str(encode("Channel", (await a_channel(company.workspace, team=team)).id))
    served = [await a_message_for(script, channel, number) for number in range(2)]

    await admin.do(
        "teamMembersReorder",
        {"teamId": id_of(team), "agentIds": [fourth, second, first, third]},
    )
    served += [await a_message_for(script, channel, number) for number in range(2, 7)]

    # The second was served last, so who follows the second now is next.
    assert [conversation["assignee"]["id"] for conversation in served] == [
        *(first, second),
        *(first, third, fourth, second, first),
    ]


async def test_an_agent_is_created_and_signs_in(
    company: Company, admin: Client, calling: As
) -> None:
    given = {
        "name": "Grace",
        "email": " Grace@Example.com ",
        "password": "correct horse",
        "role": "OPERATOR",
        "capacity": 3,
    }

    agent = await shown(
        admin, "agentCreate", given, "agent", "name email role capacity isActive availability"
    )

    assert agent == {
        "name": "Grace",
        "email": "grace@example.com",
        "role": "OPERATOR",
        "capacity": 3,
        "isActive": True,
        "availability": "OFFLINE",
    }
    credentials = {"email": "grace@example.com", "password": "correct horse"}
    assert (await calling(None).do("signIn", credentials)).codes == []


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1_025])
async def test_a_password_has_8_to_1024_characters(
    company: Company, admin: Client, password: str
) -> None:
    given = {"name": "Grace", "email": "grace@example.com", "password": password}

    assert (await admin.do("agentCreate", given)).codes == ["BAD_USER_INPUT"]


async def test_two_agents_do_not_share_an_address(company: Company, admin: Client) -> None:
    given = {"name": "Another", "email": company.agent.email.upper()}

    assert (await admin.do("agentCreate", given)).codes == ["EMAIL_TAKEN"]


async def test_a_channel_is_created_without_a_target(company: Company, admin: Client) -> None:
    given = {"name": "Shop", "kind": "WEBCHAT", "status": "PENDING"}
    fields = "name kind status defaultLine botIsOn salesTeam { id } supportTeam { id }"

    channel = await shown(admin, "channelCreate", given, "channel", fields)

    assert channel == {
        **given,
        "defaultLine": "SALES",
        "botIsOn": False,
        "salesTeam": None,
        "supportTeam": None,
    }


async def test_a_channel_of_one_line_does_not_default_to_the_other(
    company: Company, admin: Client
) -> None:
    given = {"name": "Shop", "kind": "WEBCHAT", "defaultLine": "SUPPORT"}

    assert (await admin.do("channelCreate", given)).codes == ["LINE_NOT_SUPPORTED"]


TARGETS = "salesTeam { id } salesAgent { id } supportTeam { id }"


async def test_each_line_of_a_channel_has_its_own_target(company: Company, admin: Client) -> None:
    channel = {"channelId": company.id("Channel")}
    team, department = {"id": company.id("Team")}, {"id": id_of(company.department)}
    agent = {"id": company.id("Agent")}
    found = []
    for given in (
        {"line": "SUPPORT", "teamId": department["id"]},
        {"line": "SALES", "agentId": agent["id"]},
        {"line": "SALES"},
        {"line": "SUPPORT"},
    ):
        changed = await shown(admin, "channelAssign", {**channel, **given}, "channel", TARGETS)
        found.append(tuple(changed[key] for key in ("salesTeam", "salesAgent", "supportTeam")))

    assert found == [
        (team, None, department),
        (None, agent, department),
        (None, None, department),
        (None, None, None),
    ]


async def test_a_group_moves_to_another_channel_only_when_told_so(
    company: Company, admin: Client
) -> None:
    other = encode("Channel", (await a_channel(company.workspace)).id)
    given = {"channelId": other, "line": "SALES", "teamId": company.id("Team")}

    refused = await admin.do("channelAssign", given)
    moved = await shown(admin, "channelAssign", {**given, "replace": True}, "channel", TARGETS)

    assert refused.codes == ["TEAM_HAS_CHANNEL"]
    [error] = refused.data["channelAssign"]["userErrors"]
    assert {"name": "channelId", "value": company.id("Channel")} in error["facts"]
    assert moved["salesTeam"] == {"id": company.id("Team")}
    ask = "query ($id: ID!) { node(id: $id) { ... on Channel { salesTeam { id } } } }"
    assert (await admin.ask(ask, id=company.id("Channel")))["node"] == {"salesTeam": None}


async def test_a_target_is_of_the_line(company: Company, admin: Client) -> None:
    for given in (
        {"line": "SALES", "teamId": id_of(company.department)},
        {"line": "SUPPORT", "teamId": company.id("Team")},
        {"line": "SUPPORT", "agentId": company.id("Agent")},
        {"line": "SALES", "agentId": company.id("Agent"), "teamId": company.id("Team")},
        {"line": "SALES", "teamId": id_of(await Team.todos(company.workspace.id, Line.SALES))},
    ):
        answer = await admin.do("channelAssign", {"channelId": company.id("Channel"), **given})

        assert answer.codes == ["TARGET_NOT_ALLOWED"], given


async def test_what_is_assigned_is_where_messages_go(
    company: Company, admin: Client, script: Client
) -> None:
    channel = await shown(
        admin, "channelCreate", {"name": "Shop", "kind": "WEBCHAT"}, "channel", "id"
    )
    team = await shown(
        admin,
        "teamCreate",
        {"name": "North", "line": "SALES", "distribution": "ROUND_ROBIN"},
        "team",
        "id",
    )
    await admin.do("teamMemberAdd", {"teamId": team["id"], "agentId": company.id("Agent")})
    await admin.do(
        "channelAssign", {"channelId": channel["id"], "line": "SALES", "teamId": team["id"]}
    )

    conversation = await a_message_for(script, channel["id"], 1)

    assert conversation == {
        "status": "ASSIGNED",
        "assignee": {"id": company.id("Agent")},
        "team": {"id": team["id"]},
        "decision": {"candidates": [{"agent": {"id": company.id("Agent")}, "verdict": "CHOSEN"}]},
    }


async def test_a_closing_reason_is_offered_and_used(company: Company, admin: Client) -> None:
    reason = await shown(
        admin, "closingReasonCreate", {"name": "Sold"}, "closingReason", "id name isActive"
    )

    closed = await shown(
        admin,
        "conversationClose",
        {"conversationId": company.id("Conversation"), "closingReasonId": reason["id"]},
        "conversation",
        "closure { closingReason { name } }",
    )

    assert (reason["name"], reason["isActive"]) == ("Sold", True)
    assert closed == {"closure": {"closingReason": {"name": "Sold"}}}


async def test_reasons_differ_in_more_than_case(company: Company, admin: Client) -> None:
    assert (await admin.do("closingReasonCreate", {"name": "SOLVED"})).codes == ["NAME_TAKEN"]


WEEKDAYS = {
    "timeZone": "America/Sao_Paulo",
    "weekly": [
        {"day": "MONDAY", "opens": "09:00", "closes": "12:30"},
        {"day": "SUNDAY", "opens": "00:00", "closes": "24:00"},
    ],
    "holidays": ["2026-12-25"],
}
HOURS = "businessHours { timeZone weekly { day opens closes } holidays }"


@pytest.mark.parametrize("noun", ["workspace", "team", "agent"])
async def test_hours_are_kept_for_the_workspace_a_team_or_an_agent(
    company: Company, admin: Client, noun: str
) -> None:
    whose = {} if noun == "workspace" else {f"{noun}Id": company.id(noun.capitalize())}

    kept = await admin.do(
        f"{noun}Update", {**whose, "businessHours": WEEKDAYS}, f"{noun} {{ {HOURS} }}"
    )
    left_out = await admin.do(f"{noun}Update", {**whose, "name": "New"}, f"{noun} {{ {HOURS} }}")
    cleared = await admin.do(
        f"{noun}Update", {**whose, "businessHours": None}, f"{noun} {{ {HOURS} }}"
    )

    found = [answer[f"{noun}Update"][noun] for answer in (kept, left_out, cleared)]
    assert [shown["businessHours"] for shown in found] == [WEEKDAYS, WEEKDAYS, None]


@pytest.mark.parametrize("closes", ["9:00", "24:01", "25:00", "noon", "09:60"])
async def test_a_time_of_the_day_is_written_in_one_way(
    company: Company, admin: Client, closes: str
) -> None:
    weekly = [{"day": "MONDAY", "opens": "08:00", "closes": closes}]

    answer = await admin.do(
        "workspaceUpdate", {"businessHours": {"timeZone": "UTC", "weekly": weekly}}
    )

    assert answer.codes == ["BAD_USER_INPUT"]
