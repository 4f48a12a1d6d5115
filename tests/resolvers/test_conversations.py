"""A walk through every command over HTTP, and pages that hold while their rows change."""

from typing import Any

import pytest

from models import Conversation, Team
from models.agent import Agent
from models.closure import ClosingReason
from models.decision import Distribution
from resolvers.ids import encode
from tests.conftest import Clock
from tests.factories import a_channel, a_conversation, a_message, a_team, an_agent, by_system
from tests.resolvers.client import Client, Company, integration_of, session_of
from tests.resolvers.conftest import As

DECIDED = """decision { rule outcome distribution tieBreak winner { id }
    candidates { agent { id } verdict load capacity position } }"""
SHOWN = f"""conversation {{ id status line version position waitingSeconds queue {{ id }}
    assignee {{ id }} team {{ id }} closure {{ cause }} lastMessage {{ text }}
    assignment {{ rule agent {{ id }} endedAt }} {DECIDED} }}"""


@pytest.fixture
async def script(company: Company, calling: As) -> Client:
    return calling(await integration_of(company.workspace))


@pytest.fixture
async def agent(company: Company, calling: As) -> Client:
    return calling(await session_of(company.agent))


@pytest.fixture
async def operator(company: Company, calling: As) -> Client:
    return calling(await session_of(company.operator))


@pytest.fixture
async def admin(company: Company, calling: As) -> Client:
    return calling(await session_of(company.admin))


def receiving(channel_id: str, number: int = 1) -> dict[str, Any]:
    return {
        "channelId": channel_id,
        "externalId": f"m-{number}",
        "contact": {"externalId": f"s-{number}", "name": "Ada", "phone": "+5551", "email": "a@b.c"},
        "text": "Hello?",
    }


async def test_a_new_customer_gets_whoever_is_eligible_and_the_reason_why(
    company: Company, script: Client
) -> None:
    away = await an_agent(company.workspace, connected=False)
    full = await an_agent(company.workspace, capacity=0)
    free = await an_agent(company.workspace)
    also_free = await an_agent(company.workspace)
    team = await a_team(
        company.workspace,
        distribution=Distribution.ROUND_ROBIN,
        members=[away, full, free, also_free],
    )
    channel = await a_channel(company.workspace, team=team)

    answer = await script.do(
        "messageReceive",
        receiving(str(encode("Channel", channel.id))),
        f"duplicate opened message {{ text direction externalId }} {SHOWN}",
    )

    payload = answer["messageReceive"]
    assert payload["opened"]
    assert not payload["duplicate"]
    assert payload["message"] == {"text": "Hello?", "direction": "INBOUND", "externalId": "m-1"}
    conversation = payload["conversation"]
    assert conversation["status"] == "ASSIGNED"
    assert conversation["assignee"] == {"id": id_of(free)}
    assert conversation["assignment"] == {
        "rule": "CHANNEL_TARGET",
        "agent": {"id": id_of(free)},
        "endedAt": None,
    }
    decision = conversation["decision"]
    candidates = decision.pop("candidates")
    assert decision == {
        "rule": "CHANNEL_TARGET",
        "outcome": "ASSIGNED",
        "distribution": "ROUND_ROBIN",
        "tieBreak": "NEXT_IN_ORDER",
        "winner": {"id": id_of(free)},
    }
    assert [(c["agent"]["id"], c["verdict"], c["position"]) for c in candidates] == [
        (id_of(away), "OFFLINE", 1),
        (id_of(full), "AT_CAPACITY", 2),
        (id_of(free), "CHOSEN", 3),
        (id_of(also_free), "LOST_TURN", 4),
    ]


async def test_the_least_busy_gets_it_and_the_loads_say_why(
    company: Company, script: Client
) -> None:
    idle, busy = await an_agent(company.workspace), await an_agent(company.workspace)
    await a_conversation(company.workspace, channel=company.channel, holder=busy)
    team = await a_team(
        company.workspace, distribution=Distribution.LEAST_OPEN, members=[busy, idle]
    )
    channel = await a_channel(company.workspace, team=team)

    answer = await script.do("messageReceive", receiving(str(encode("Channel", channel.id))), SHOWN)

    decision = answer["messageReceive"]["conversation"]["decision"]
    assert decision["tieBreak"] == "SMALLEST_LOAD"
    assert [(c["agent"]["id"], c["verdict"], c["load"]) for c in decision["candidates"]] == [
        (id_of(busy), "LOST_LOAD", 1),
        (id_of(idle), "CHOSEN", 0),
    ]


async def test_nobody_to_give_it_to_is_said_too(company: Company, script: Client) -> None:
    absent = await an_agent(company.workspace, connected=False)
    team = await a_team(company.workspace, distribution=Distribution.LEAST_OPEN, members=[absent])
    channel = await a_channel(company.workspace, team=team)

    answer = await script.do("messageReceive", receiving(str(encode("Channel", channel.id))), SHOWN)

    conversation = answer["messageReceive"]["conversation"]
    assert (conversation["status"], conversation["position"]) == ("QUEUED", 1)
    assert conversation["decision"]["outcome"] == "NOBODY_ELIGIBLE"
    assert [c["verdict"] for c in conversation["decision"]["candidates"]] == ["OFFLINE"]


async def test_a_conversation_from_the_queue_to_its_end_and_back(  # noqa: PLR0915 - one walk
    company: Company, agent: Client, operator: Client, script: Client
) -> None:
    """Every command on one conversation, each with the version that the one before answered."""
    colleague = await an_agent(company.workspace, teams=[company.team])
    opened = await script.do(
        "messageReceive", {**receiving(company.id("Channel")), "line": "SALES"}, SHOWN
    )
    first = opened["messageReceive"]["conversation"]
    assert (first["status"], first["position"]) == ("QUEUED", 2)
    assert first["queue"] == {"id": company.id("Queue")}
    assert first["decision"]["outcome"] == "WAITING_FOR_PICK"
    version = first["version"]

    async def do(client: Client, mutation: str, select: str = SHOWN, **rest: object) -> Any:
        nonlocal version
        given = {"conversationId": first["id"], "expectedVersion": version, **rest}
        payload = (await client.do(mutation, given, f"{select}"))[mutation]
        assert payload["conversation"]["version"] > version
        version = payload["conversation"]["version"]
        return payload["conversation"] if select == SHOWN else payload

    picked = await do(agent, "conversationPick")
    assert (picked["status"], picked["assignee"]) == ("ASSIGNED", {"id": company.id("Agent")})
    assert (picked["position"], picked["waitingSeconds"], picked["queue"]) == (None, None, None)
    assert picked["decision"]["rule"] == "PICKED"

    said = "message { text direction author { id } } conversation { version lastMessage { text } }"
    sent = await do(agent, "messageSend", said, text="Good morning!")
    assert sent["message"] == {
        "text": "Good morning!",
        "direction": "OUTBOUND",
        "author": {"id": company.id("Agent")},
    }
    assert sent["conversation"]["lastMessage"] == {"text": "Good morning!"}

    noted = await do(agent, "noteAdd", said, text="Wants a discount.")
    assert noted["message"]["direction"] == "NOTE"
    assert noted["conversation"]["lastMessage"] == {"text": "Good morning!"}

    transferred = await do(agent, "conversationTransfer", agentId=id_of(colleague))
    assert transferred["assignee"] == {"id": id_of(colleague)}
    assert transferred["decision"]["rule"] == "TRANSFERRED"

    given_back = await do(operator, "conversationUnassign")
    assert (given_back["status"], given_back["assignee"]) == ("QUEUED", None)

    assigned = await do(operator, "conversationAssign", agentId=company.id("Agent"))
    assert assigned["assignment"]["rule"] == "ASSIGNED_BY_HAND"
    assert assigned["decision"]["winner"] == {"id": company.id("Agent")}

    to_team = await do(agent, "conversationTransfer", teamId=company.id("Team"))
    assert (to_team["status"], to_team["team"]) == ("QUEUED", {"id": company.id("Team")})
    await do(agent, "conversationPick")

    ended = "closure { cause summary agent { id } closingReason { name } }"
    ended += " conversation { version status assignee { id } closure { cause } }"
    closed = await do(
        agent, "conversationClose", ended, closingReasonId=company.id("ClosingReason"), summary="Ok"
    )
    assert closed["closure"] == {
        "cause": "AGENT",
        "summary": "Ok",
        "agent": {"id": company.id("Agent")},
        "closingReason": {"name": "Solved"},
    }
    assert (closed["conversation"]["status"], closed["conversation"]["assignee"]) == (
        "CLOSED",
        None,
    )

    reopened = await do(agent, "conversationReopen")
    assert (reopened["status"], reopened["assignee"]) == ("ASSIGNED", {"id": company.id("Agent")})
    assert reopened["closure"] == {"cause": "AGENT"}


async def test_the_walk_is_in_the_log_as_it_happened(
    company: Company, agent: Client, admin: Client
) -> None:
    waiting = {"conversationId": company.id("Conversation")}
    await agent.do("conversationPick", waiting)
    await agent.do("messageSend", {**waiting, "text": "Hi."})
    await agent.do("conversationClose", waiting)

    answer = await admin.ask(
        """query ($id: ID!) { events(filter: { conversationId: $id }) { nodes {
            __typename kind actor { kind agent { id } }
            ... on ConversationEvent { fromQueue { id } toQueue { id } fromAgent { id }
                                       toAgent { id } toTeam { id } rule } } } }""",
        id=company.id("Conversation"),
    )

    me, here = {"id": company.id("Agent")}, {"id": company.id("Queue")}
    logged = answer["events"]["nodes"]
    # A workflow had run in it, too.
    events = [event for event in logged if event["actor"]["kind"] in ("CONTACT", "AGENT")]
    assert {event["__typename"] for event in logged if event not in events} == {
        "WorkflowRunStarted",
        "WebhookRequested",
        "WorkflowRunEnded",
    }
    assert [event["__typename"] for event in events] == [
        "ConversationOpened",
        "MessageReceived",
        "ConversationQueued",
        "ConversationAssigned",
        "MessageSent",
        "ConversationClosed",
    ]
    places = ("fromQueue", "toQueue", "fromAgent", "toAgent")
    assert [[event[place] for place in places] for event in events[2:]] == [
        [None, here, None, None],
        [here, None, None, me],
        [None, None, me, me],
        [None, None, me, None],
    ]
    assert [event["actor"]["kind"] for event in events] == ["CONTACT"] * 3 + ["AGENT"] * 3
    assert {event["toTeam"]["id"] for event in events} == {company.id("Team")}
    assert [event["rule"] for event in events] == [
        "CHANNEL_TARGET",
        None,
        None,
        "PICKED",
        None,
        None,
    ]


async def test_a_late_command_reads_who_was_faster(
    company: Company, agent: Client, operator: Client
) -> None:
    waiting = {"conversationId": company.id("Conversation")}
    await agent.do("conversationPick", waiting)

    late = await operator.do("conversationPick", waiting)

    [error] = late.data["conversationPick"]["userErrors"]
    assert error["code"] == "CONVERSATION_NOT_QUEUED"
    assert {"name": "holderId", "value": company.id("Agent")} in error["facts"]


async def test_a_transfer_to_nobody_there_says_why_not(company: Company, agent: Client) -> None:
    absent = await an_agent(company.workspace, connected=False)
    held = {"conversationId": encode("Conversation", company.held.id), "agentId": id_of(absent)}

    answer = await agent.do("conversationTransfer", held)

    [error] = answer.data["conversationTransfer"]["userErrors"]
    assert error["code"] == "TARGET_UNAVAILABLE"
    assert error["facts"] == [{"name": "verdict", "value": "OFFLINE"}]


async def test_reopening_beside_an_open_one_names_it(company: Company, admin: Client) -> None:
    closed = await Conversation.get(id=company.closed.id)
    again = await Conversation.filter(contact_id=closed.contact_id).count()
    assert again == 1
    sender = "sender"
    first = await a_message(company.channel, sender=sender)
    id = str(encode("Conversation", first.conversation_id))
    await admin.do("conversationClose", {"conversationId": id})
    second = await a_message(company.channel, sender=sender)

    answer = await admin.do("conversationReopen", {"conversationId": id})

    [error] = answer.data["conversationReopen"]["userErrors"]
    assert error["code"] == "CONVERSATION_ALREADY_OPEN"
    other = str(encode("Conversation", second.conversation_id))
    assert error["facts"] == [{"name": "conversationId", "value": other}]


async def test_a_workspace_may_want_a_reason(company: Company, agent: Client) -> None:
    await company.workspace.update_from_dict({"closing_reason_required": True}).save()
    retired = await ClosingReason.add(by=by_system(company.workspace), name="Retired")
    await ClosingReason.filter(id=retired.id).update(is_active=False)
    held = {"conversationId": encode("Conversation", company.held.id)}

    without = await agent.do("conversationClose", held)
    outdated = await agent.do(
        "conversationClose", {**held, "closingReasonId": encode("ClosingReason", retired.id)}
    )

    assert without.codes == ["CLOSING_REASON_REQUIRED"]
    assert outdated.codes == ["CLOSING_REASON_INACTIVE"]


async def test_an_agents_account_is_changed_and_its_presence_told(
    company: Company, agent: Client, admin: Client
) -> None:
    shown = "agent { name capacity load isConnected availability chosenAvailability acceptsNew }"

    changed = await admin.do(
        "agentUpdate",
        await admin.confirmed(
            agentId=company.id("Agent"), name="Zoe", capacity=3, idlePeriod="ONE_DAY"
        ),
        shown,
    )
    beaten = await agent.do("presenceBeat", {"device": "phone"}, shown)
    away = await agent.do(
        "agentSetAvailability", {"availability": "AWAY", "acceptsNew": False}, shown
    )

    expected = {
        "name": "Zoe",
        "capacity": 3,
        "load": 1,
        "isConnected": True,
        "availability": "ONLINE",
        "chosenAvailability": "ONLINE",
        "acceptsNew": True,
    }
    assert changed["agentUpdate"]["agent"] == expected
    assert beaten["presenceBeat"]["agent"] == expected
    assert away["agentSetAvailability"]["agent"] == {
        **expected,
        "availability": "AWAY",
        "chosenAvailability": "AWAY",
        "acceptsNew": False,
    }


async def test_an_idle_period_shows_when_a_conversation_closes(
    company: Company, admin: Client
) -> None:
    ask = "query ($id: ID!) { conversation(id: $id) { closesAt lastActivityAt } }"
    held = str(encode("Conversation", company.held.id))
    before = (await admin.ask(ask, id=held))["conversation"]
    given = {"agentId": company.id("Agent")}

    await admin.do("agentUpdate", await admin.confirmed(**given, idlePeriod="ONE_DAY"))
    after = (await admin.ask(ask, id=held))["conversation"]
    await admin.do("agentUpdate", {**given, "idlePeriod": None})
    inherited = (await admin.ask(ask, id=held))["conversation"]

    assert before["closesAt"] is None
    assert after["closesAt"] > after["lastActivityAt"]
    assert inherited["closesAt"] is None


async def test_a_lapsed_lease_shows_at_once(company: Company, agent: Client, clock: Clock) -> None:
    ask = "query ($id: ID!) { conversation(id: $id) { waitingOnAbsentAgent"
    ask += " assignee { isConnected availability chosenAvailability } } }"
    held = str(encode("Conversation", company.held.id))
    before = (await agent.ask(ask, id=held))["conversation"]

    await clock.travel(seconds=61)
    after = (await agent.ask(ask, id=held))["conversation"]

    assert not before["waitingOnAbsentAgent"]
    assert after == {
        "waitingOnAbsentAgent": True,
        "assignee": {
            "isConnected": False,
            "availability": "OFFLINE",
            "chosenAvailability": "ONLINE",
        },
    }


async def test_a_token_is_created_used_and_revoked(
    company: Company, admin: Client, calling: As
) -> None:
    wanted = {"name": "Script", "scopes": ["settings:read"], "expiresInDays": 1}
    created = (await admin.do("tokenCreate", wanted, "token tokenId"))["tokenCreate"]
    script = calling(created["token"])
    before = await script.ask("{ teams { nodes { name } } }")

    await admin.do("tokenRevoke", {"tokenId": created["tokenId"]})

    assert len(before["teams"]["nodes"]) == 5
    assert (await script.ask("{ teams { nodes { name } } }")).codes == ["UNAUTHENTICATED"]


async def test_somebody_signs_in_and_out(company: Company, calling: As) -> None:
    person = await an_agent(company.workspace, password="correct horse")
    stranger = calling(None)
    credentials = {"email": f" {person.email.upper()} ", "password": "correct horse"}

    signed_in = (await stranger.do("signIn", credentials, "token expiresAt agent { id name }"))[
        "signIn"
    ]
    session = calling(signed_in["token"])
    viewer = (await session.ask("{ viewer { agent { id } } }"))["viewer"]
    await session.do("signOut", {})

    assert signed_in["agent"] == {"id": id_of(person), "name": person.name}
    assert viewer == {"agent": {"id": id_of(person)}}
    assert (await session.ask("{ viewer { agent { id } } }")).codes == ["UNAUTHENTICATED"]


async def test_anything_with_an_id_is_found_by_it(company: Company, admin: Client) -> None:
    page = await admin.ask(
        """query ($id: ID!) { conversation(id: $id) { id assignment { id } channel { id }
            contact { id } team { id } assignee { id } lastMessage { id } } workspace { id }
            closingReasons { nodes { id } } queues { nodes { id } } }""",
        id=encode("Conversation", company.held.id),
    )
    shown = page["conversation"]
    closed = await admin.ask(
        "query ($id: ID!) { conversation(id: $id) { closure { id } } }",
        id=encode("Conversation", company.closed.id),
    )
    ids = [shown["id"], page["workspace"]["id"], page["closingReasons"]["nodes"][0]["id"]]
    ids += [value["id"] for value in shown.values() if isinstance(value, dict)]
    ids += [page["queues"]["nodes"][0]["id"], closed["conversation"]["closure"]["id"]]

    answer = await admin.ask("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids)

    assert [node["id"] for node in answer["nodes"]] == ids
    assert len(ids) == 11


async def pages(client: Client, order: dict[str, str], *, backward: bool) -> list[str]:
    """Every conversation's id, page by page of three, in the order of the list."""
    size, cursor, info = (
        ("last", "before", "startCursor") if backward else ("first", "after", "endCursor")
    )
    more = "hasPreviousPage" if backward else "hasNextPage"
    ask = f"""query ($order: ConversationOrder!, $cursor: String) {{ conversations(
        orderBy: $order, {size}: 3, {cursor}: $cursor) {{ nodes {{ id }}
        pageInfo {{ hasNextPage hasPreviousPage {info} }} }} }}"""
    found: list[str] = []
    at = None
    while True:
        page = (await client.ask(ask, order=order, cursor=at))["conversations"]
        ids = [node["id"] for node in page["nodes"]]
        found = ids + found if backward else found + ids
        at = page["pageInfo"][info]
        if not page["pageInfo"][more]:
            return found


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("field", ["OPENED", "LAST_ACTIVITY", "QUEUED"])
async def test_pages_forward_and_backward_are_the_whole_list_once(
    company: Company, admin: Client, field: str, direction: str
) -> None:
    for _ in range(8):
        await a_conversation(company.workspace, channel=company.channel)
    order = {"field": field, "direction": direction}

    forward = await pages(admin, order, backward=False)
    backward = await pages(admin, order, backward=True)

    assert forward == backward
    column = {"OPENED": "opened_at", "LAST_ACTIVITY": "last_activity_at", "QUEUED": "queued_at"}
    rows = await Conversation.filter(**{f"{column[field]}__isnull": False}).order_by(
        column[field], "id"
    )
    expected = [str(encode("Conversation", row.id)) for row in rows]
    assert forward == (expected if direction == "ASC" else expected[::-1])


async def test_equal_moments_are_told_apart_by_id(company: Company, admin: Client) -> None:
    for _ in range(8):
        await a_conversation(company.workspace, channel=company.channel)
    await Conversation.all().update(opened_at=company.waiting.opened_at)
    order = {"field": "OPENED", "direction": "DESC"}

    forward = await pages(admin, order, backward=False)

    assert forward == await pages(admin, order, backward=True)
    assert len(set(forward)) == len(forward) == 14


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
async def test_rows_that_come_and_go_move_nothing_else(
    company: Company, admin: Client, direction: str
) -> None:
    """Each page is followed by a new conversation and by the end of one that was shown."""
    stay = [await a_conversation(company.workspace, channel=company.channel) for _ in range(9)]
    ask = """query ($after: String) { conversations(first: 2, after: $after, filter: {
        status: [QUEUED] }, orderBy: { field: OPENED, direction: DIRECTION }) { nodes { id }
        pageInfo { hasNextPage endCursor } } }""".replace("DIRECTION", direction)
    found: list[str] = []
    after = None
    for _ in range(20):
        page = (await admin.ask(ask, after=after))["conversations"]
        found += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"] or len(found) > 30:
            break
        await admin.do("conversationClose", {"conversationId": page["nodes"][-1]["id"]})
        if len(found) < 6:
            await a_conversation(company.workspace, channel=company.channel)

    wanted = [str(encode("Conversation", conversation.id)) for conversation in stay]
    kept = [id for id in found if id in wanted]
    assert kept == (wanted if direction == "ASC" else wanted[::-1])
    assert len(set(found)) == len(found)


async def test_a_queue_is_paged_like_any_list(company: Company, agent: Client) -> None:
    for _ in range(6):
        await a_conversation(company.workspace, channel=company.channel)
    ask = """query ($id: ID!, $after: String, $before: String, $first: Int, $last: Int) {
        queue(id: $id) { waitingCount conversations(first: $first, last: $last, after: $after,
            before: $before) { totalCount nodes { id position }
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""

    async def page(**arguments: object) -> Any:
        return (await agent.ask(ask, id=company.id("Queue"), **arguments))["queue"]["conversations"]

    first = await page(first=3)
    second = await page(first=3, after=first["pageInfo"]["endCursor"])
    third = await page(first=3, after=second["pageInfo"]["endCursor"])
    back = await page(last=3, before=third["pageInfo"]["startCursor"])
    end = await page(last=2)

    shown = [node for part in (first, second, third) for node in part["nodes"]]
    assert [node["position"] for node in shown] == [1, 2, 3, 4, 5, 6, 7]
    assert back["nodes"] == second["nodes"]
    assert end["nodes"] == shown[-2:]
    assert first["totalCount"] == 7
    assert [part["pageInfo"]["hasNextPage"] for part in (first, second, third)] == [
        True,
        True,
        False,
    ]
    assert [part["pageInfo"]["hasPreviousPage"] for part in (first, back, end)] == [
        False,
        True,
        True,
    ]


async def test_messages_and_members_are_paged_like_any_list(
    company: Company, admin: Client, agent: Client
) -> None:
    held = str(encode("Conversation", company.held.id))
    for number in range(4):
        await agent.do("messageSend", {"conversationId": held, "text": f"Line {number}"})
    for _ in range(3):
        await an_agent(company.workspace, teams=[company.team])
    ask = """query ($held: ID!, $team: ID!, $messages: String, $members: String) {
        conversation(id: $held) { messages(first: 2, after: $messages) { nodes { text }
            totalCount pageInfo { endCursor hasNextPage } } }
        team(id: $team) { members(first: 2, after: $members) { nodes { id } totalCount
            pageInfo { endCursor hasNextPage } } } }"""
    given = {"held": held, "team": company.id("Team")}
    texts: list[str] = []
    members: list[str] = []
    cursors: dict[str, str] = {}

    for _ in range(3):
        answer = await admin.ask(ask, **given, **cursors)
        said, within = answer["conversation"]["messages"], answer["team"]["members"]
        texts += [node["text"] for node in said["nodes"]]
        members += [node["id"] for node in within["nodes"]]
        cursors = {
            "messages": said["pageInfo"]["endCursor"],
            "members": within["pageInfo"]["endCursor"] or cursors["members"],
        }

    assert texts == ["Hello?", "Line 0", "Line 1", "Line 2", "Line 3"]
    assert (said["totalCount"], within["totalCount"]) == (5, 4)
    assert len(set(members)) == 4
    assert members[0] == company.id("Agent")


async def test_a_filter_narrows_the_list(company: Company, admin: Client) -> None:
    ask = "query ($filter: ConversationFilter) { conversations(filter: $filter) { totalCount } }"
    cases: list[tuple[dict[str, object], int]] = [
        ({}, 6),
        ({"status": ["QUEUED"]}, 1),
        ({"status": ["QUEUED", "CLOSED"]}, 2),
        ({"status": ["BOT"]}, 2),
        ({"status": []}, 0),
        ({"line": "SALES"}, 3),
        ({"line": "SUPPORT"}, 3),
        ({"teamId": company.id("Team")}, 3),
        ({"teamId": encode("Team", company.department.id)}, 3),
        ({"assigneeId": company.id("Agent")}, 1),
        ({"channelId": company.id("Channel")}, 3),
        ({"contactId": company.id("Contact")}, 1),
        ({"contactId": company.id("Contact"), "status": ["CLOSED"]}, 0),
    ]

    found = [
        (await admin.ask(ask, filter=filter))["conversations"]["totalCount"] for filter, _ in cases
    ]

    assert found == [count for _, count in cases]


async def test_what_waits_no_longer_is_not_ordered_by_its_place_in_a_queue(
    company: Company, admin: Client
) -> None:
    answer = await admin.ask("{ conversations(orderBy: { field: QUEUED }) { nodes { id } } }")

    shown = {node["id"] for node in answer["conversations"]["nodes"]}
    assert company.id("Conversation") in shown
    assert str(encode("Conversation", company.closed.id)) not in shown


def id_of(agent: Agent) -> str:
    return str(encode("Agent", agent.id))


async def test_the_groups_above_a_team_are_shown(company: Company, admin: Client) -> None:
    below = await a_team(company.workspace, parent=company.team)

    answer = await admin.ask(
        "query ($id: ID!) { team(id: $id) { name line isTodos parent { id } queue { id } } }",
        id=encode("Team", below.id),
    )

    found = await Team.get(id=below.id)
    assert answer["team"] == {
        "name": found.name,
        "line": "SALES",
        "isTodos": False,
        "parent": {"id": company.id("Team")},
        "queue": {"id": str(encode("Queue", below.id))},
    }
