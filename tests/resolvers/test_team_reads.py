"""What a team shows of its place in the tree, of its channel and of its settings."""

from resolvers.ids import encode
from tests.factories import a_team
from tests.resolvers.client import Company, session_of
from tests.resolvers.conftest import As

TEAM = """query ($id: ID!) { team(id: $id) {
    children { nodes { id } } channel { id } inheritsChannel transfersTo { nodes { id } }
    includeDescendants answerTimeoutMinutes ageingMinutes idlePeriod } }"""


async def test_a_group_shows_what_is_below_it_and_what_it_inherits(
    company: Company, calling: As
) -> None:
    admin = calling(await session_of(company.admin))
    below = await a_team(company.workspace, parent=company.team)
    settings = {
        "teamId": encode("Team", below.id),
        "includeDescendants": True,
        "answerTimeoutMinutes": 5,
        "ageingMinutes": 10,
        "idlePeriod": "ONE_DAY",
    }

    changed = await admin.do("teamUpdate", await admin.confirmed(**settings))
    above = (await admin.ask(TEAM, id=company.id("Team")))["team"]
    shown = (await admin.ask(TEAM, id=encode("Team", below.id)))["team"]

    assert changed.codes == []
    assert above["children"]["nodes"] == [{"id": encode("Team", below.id)}]
    assert (above["channel"]["id"], above["inheritsChannel"]) == (company.id("Channel"), False)
    assert (shown["channel"]["id"], shown["inheritsChannel"]) == (company.id("Channel"), True)
    assert {name: shown[name] for name in list(settings)[1:]} == {
        name: value for name, value in settings.items() if name != "teamId"
    }


async def test_a_department_shows_whom_it_hands_over_to(company: Company, calling: As) -> None:
    admin = calling(await session_of(company.admin))
    desk = {"name": "Desk", "line": "SUPPORT"}
    to = [encode("Team", company.department.id)]

    made = await admin.do(
        "teamCreate", {**desk, "transfersTo": to}, "team { transfersTo { nodes { id } } }"
    )

    assert made["teamCreate"]["team"]["transfersTo"]["nodes"] == [{"id": to[0]}]


async def test_a_deleted_team_is_listed_no_more(company: Company, calling: As) -> None:
    admin = calling(await session_of(company.admin))
    spare = encode("Team", company.spare.id)

    deleted = await admin.do("teamDelete", {"teamId": spare}, "team { id isActive }")
    listed = (await admin.ask("{ teams { nodes { id } } queues { nodes { team { id } } } }")).data

    assert deleted["teamDelete"]["team"] == {"id": spare, "isActive": False}
    assert spare not in [node["id"] for node in listed["teams"]["nodes"]]
    assert spare not in [node["team"]["id"] for node in listed["queues"]["nodes"]]


async def test_no_invitation_is_shown_twice(company: Company, calling: As) -> None:
    admin, stranger = calling(await session_of(company.admin)), calling(None)
    given = {"name": "Grace", "email": "grace@example.com", "idempotencyKey": "once"}

    first = await admin.do("agentInvite", given, "invitation expiresAt agent { email }")
    again = await admin.do("agentInvite", given, "invitation agent { email }")
    secret = first["agentInvite"]["invitation"]
    chosen = await stranger.do(
        "passwordReset", {"invitation": secret, "password": "long enough"}, "agent { email }"
    )

    assert secret.startswith("rlv_")
    assert again["agentInvite"] == {
        "userErrors": [],
        "invitation": None,
        "agent": {"email": "grace@example.com"},
    }
    assert chosen["passwordReset"]["agent"] == {"email": "grace@example.com"}
