"""Reports as CSV: the rows of GraphQL, for those who may read them, and harmless as a sheet."""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from graphql import GraphQLField, get_named_type
from starlette.applications import Starlette
from starlette.routing import Route

from api import reports as exporting
from api.app import graphql_app
from api.auth import Caller
from api.graphql import GraphQLApp
from api.reports import ReportsApp
from models import Agent, Team
from models.access import Role
from models.database import fetchval
from models.report import reading
from models.report.catalogue import REPORTS
from models.stream import Reader
from resolvers.ids import encode
from tests.factories import an_agent, by_system
from tests.resolvers.client import Client, Company, a_company, integration_of, session_of
from tests.resolvers.documents import GRAPHQL

TODAY = {
    "from": (datetime.now(UTC) - timedelta(days=2)).date().isoformat(),
    "to": (datetime.now(UTC) + timedelta(days=2)).date().isoformat(),
}


@pytest.fixture
async def company(database: str) -> Company:
    return await a_company()


@pytest.fixture(scope="session")
def app() -> GraphQLApp[Caller]:
    return graphql_app(Reader())


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[Route("/reports/{name}.csv", ReportsApp())])
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://relevo.test") as client:
        yield client


async def of(agent: Agent) -> dict[str, str]:
    return {"Authorization": f"Bearer {await session_of(agent)}"}


def table(response: httpx.Response) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


NOT_OF = {("availability", "CHANNEL"), ("queueDepth", "AGENT")}
NUMBERS = {
    name: get_named_type(get_named_type(field.type).fields["rows"].type).fields
    for name, field in GRAPHQL.type_map["Reports"].fields.items()
}


@pytest.mark.parametrize("grouping", [None, "DAY", "AGENT", "CHANNEL"])
async def test_a_file_says_what_the_query_says(
    company: Company, http: httpx.AsyncClient, app: GraphQLApp[Caller], grouping: str | None
) -> None:
    client = Client.of(app, await session_of(company.admin))
    await client.do("messageSend", {"conversationId": held(company), "text": "Hello."})
    names = {name for name in REPORTS if (name, grouping) not in NOT_OF}
    columns = {
        name: [column for column, field in NUMBERS[name].items() if is_number(field)]
        for name in names
    }
    asked = " ".join(
        f"{name} {{ total {{ {' '.join(of)} }} rows {{ {' '.join(of)} }} }}"
        for name, of in columns.items()
    )
    scope = {"fromDay": TODAY["from"], "toDay": TODAY["to"], "groupBy": grouping}

    answer = await client.ask(
        f"query ($scope: ReportScope!) {{ reports(scope: $scope) {{ {asked} }} }}", scope=scope
    )

    for name in names - TIMED:
        by = {"groupBy": grouping} if grouping else {}
        headers = await of(company.admin)
        response = await http.get(f"/reports/{name}.csv", params=TODAY | by, headers=headers)
        report = answer["reports"][name]
        divided = report["rows"] or grouping or name in ("leaderboard", "closings", "queueDepth")
        expected = report["rows"] if divided else [report["total"]]
        assert [{column: row[column] for column in columns[name]} for row in table(response)] == [
            {column: text(number) for column, number in row.items()} for row in expected
        ], name


# Where every moment counts.
TIMED = {"availability"}


def held(company: Company) -> str:
    return str(encode("Conversation", company.held.id))


def is_number(field: GraphQLField) -> bool:
    return get_named_type(field.type).name in ("Int", "Float")


def text(number: float | None) -> str:
    return "" if number is None else str(number)


async def test_records_come_with_their_ids_and_names(
    company: Company, http: httpx.AsyncClient
) -> None:
    asked = {**TODAY, "groupBy": "TEAM", "team": company.id("Team")}

    response = await http.get(
        "/reports/conversations.csv", params=asked, headers=await of(company.admin)
    )

    assert response.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert response.headers["content-disposition"] == 'attachment; filename="conversations.csv"'
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-report-complete"] == "true"
    assert response.text == (
        "team,teamName,opened,reopened,closed\r\n"
        f"{company.id('Team')},{company.team.name},3,0,1\r\n"
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30", "'+49 30"),
        ("-", "'-"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ('Say "hi", twice', 'Say "hi", twice'),
        ("two\nlines", "two\nlines"),
    ],
)
async def test_a_name_is_no_formula(
    company: Company, http: httpx.AsyncClient, name: str, shown: str
) -> None:
    await Team.change(company.team.id, by=by_system(company.workspace), name=name)
    asked = {**TODAY, "groupBy": "TEAM", "team": company.id("Team")}

    rows = table(
        await http.get("/reports/conversations.csv", params=asked, headers=await of(company.admin))
    )

    assert [row["teamName"] for row in rows] == [shown]


async def test_a_file_is_whole_however_it_is_cut(
    company: Company, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await of(company.admin)
    asked = {**TODAY, "groupBy": "CHANNEL"}
    whole = await http.get("/reports/messages.csv", params=asked, headers=headers)
    monkeypatch.setattr(exporting, "BATCH_ROWS", 1)

    cut = await http.get("/reports/messages.csv", params=asked, headers=headers)

    assert cut.text == whole.text
    assert len(table(cut)) > 1


async def test_a_file_that_was_cut_off_says_so(
    company: Company, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "EXPORT_ROWS_MAX", 1)

    response = await http.get(
        "/reports/messages.csv",
        params={**TODAY, "groupBy": "CHANNEL"},
        headers=await of(company.admin),
    )

    assert len(table(response)) == 1
    assert response.headers["x-report-complete"] == "false"


async def test_an_agents_file_is_of_its_own_work(company: Company, http: httpx.AsyncClient) -> None:
    headers = await of(company.agent)

    rows = table(await http.get("/reports/leaderboard.csv", params=TODAY, headers=headers))
    queues = await http.get("/reports/queueDepth.csv", params=TODAY, headers=headers)

    assert [row["agent"] for row in rows] == [company.id("Agent")]
    assert queues.status_code == 403
    assert queues.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.AUDITOR, Role.MARKETING, Role.ADMIN])
async def test_whoever_reads_all_reads_queues_too(
    company: Company, http: httpx.AsyncClient, role: Role
) -> None:
    agent = await an_agent(company.workspace, role=role, connected=False)

    response = await http.get("/reports/queueDepth.csv", params=TODAY, headers=await of(agent))

    assert table(response)


@pytest.mark.parametrize(("scope", "status"), [("reports:read", 200), ("settings:read", 403)])
async def test_an_integration_needs_the_scope(
    company: Company, http: httpx.AsyncClient, scope: str, status: int
) -> None:
    token = await integration_of(company.workspace, scope)

    response = await http.get(
        "/reports/messages.csv", params=TODAY, headers={"Authorization": f"Bearer {token}"}
    )

    assert response.status_code == status


@pytest.mark.parametrize(
    "credentials", [{}, {"Authorization": "Bearer rlv_none"}, {"Authorization": "Basic abc"}]
)
async def test_a_stranger_gets_no_file(
    company: Company, http: httpx.AsyncClient, credentials: dict[str, str]
) -> None:
    response = await http.get("/reports/messages.csv", params=TODAY, headers=credentials)

    assert response.status_code == 401
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "from=2026-01-01",
        "from=2026-01-01&to=yesterday",
        "from=2026-01-01&to=2026-01-01",
        "from=2026-01-01&to=2028-01-01",
        "from=2026-01-01&to=2026-01-02T00:00:00Z",
        "from=2026-01-01T00:00:00&to=2026-01-02T00:00:00",
        "from=2026-13-01&to=2026-12-02",
        "from=20260101&to=20260102",
        "from=2026-01-01&to=2026-01-02&groupBy=hour",
        "from=2026-01-01&from=2026-01-01&to=2026-01-02",
        "from=2026-01-01&to=2026-01-02&limit=5",
        "from=2026-01-01&to=2026-01-02&team=x",
        "from=2026-01-01&to=2026-01-02&" + "&".join([f"team={encode('Team', 'x')}"]),  # type: ignore[arg-type]  # no id, on purpose
    ],
)
async def test_what_cannot_be_asked_is_told_in_one_line(
    company: Company, http: httpx.AsyncClient, query: str
) -> None:
    response = await http.get(f"/reports/messages.csv?{query}", headers=await of(company.admin))

    assert response.status_code == 400
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["requestId"] == response.headers["x-request-id"]
    assert "\n" not in error["message"]


async def test_a_grouping_is_said_in_capitals_or_not(
    company: Company, http: httpx.AsyncClient
) -> None:
    headers = await of(company.admin)

    files = [
        await http.get("/reports/messages.csv", params=TODAY | {"groupBy": by}, headers=headers)
        for by in ("CHANNEL", "channel")
    ]

    assert table(files[0]) == table(files[1])
    assert len(table(files[0])) > 1


async def test_a_file_that_waits_too_long_for_its_turn_says_so(
    company: Company, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await of(company.admin)
    monkeypatch.setattr(exporting, "OPERATION_TIMEOUT_SECONDS", 0.2)

    async with AsyncExitStack() as turns:
        for _ in range(reading.READ_AT_ONCE_MAX):
            await turns.enter_async_context(reading.turn())
        response = await http.get("/reports/messages.csv", params=TODAY, headers=headers)

    assert response.status_code == 504
    assert response.json()["errors"][0]["extensions"]["code"] == "TIMEOUT"


async def test_rows_of_days_have_the_day_for_their_key(
    company: Company, app: GraphQLApp[Caller]
) -> None:
    client = Client.of(app, await session_of(company.admin))
    scope = {"fromDay": TODAY["from"], "toDay": TODAY["to"]}
    hourly, daily = [
        await client.ask(
            "query ($scope: ReportScope!) { reports(scope: $scope) { queueDepth {"
            " rows { beginsAt key { day } } } } }",
            scope={**scope, "groupBy": by},
        )
        for by in (None, "DAY")
    ]

    rows = daily["reports"]["queueDepth"]["rows"]
    assert [row["key"]["day"] for row in rows] == [row["beginsAt"][:10] for row in rows]
    assert {row["key"]["day"] for row in hourly["reports"]["queueDepth"]["rows"]} == {None}


@pytest.mark.parametrize(
    ("name", "scope"),
    [("availability", {"groupBy": "TEAM"}), ("queueDepth", {"groupBy": "AGENT"})],
)
async def test_a_report_that_is_not_of_what_is_asked_is_refused_at_its_own_field(
    company: Company, app: GraphQLApp[Caller], name: str, scope: dict[str, str]
) -> None:
    client = Client.of(app, await session_of(company.admin))
    days = {"fromDay": TODAY["from"], "toDay": TODAY["to"]}

    answer = await client.ask(
        "query ($scope: ReportScope!) { reports(scope: $scope)"
        f" {{ messages {{ isComplete }} {name} {{ isComplete }} }} }}",
        scope=days | scope,
    )

    (error,) = answer.errors
    assert error["path"] == ["reports", name]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert answer.data == {"reports": {"messages": {"isComplete": True}, name: None}}


async def test_instants_are_bounds_too(company: Company, http: httpx.AsyncClient) -> None:
    now: datetime = await fetchval("SELECT relevo_now()")
    asked = {
        "from": (now - timedelta(hours=1)).isoformat(),
        "to": (now + timedelta(hours=1)).isoformat().replace("+00:00", "Z"),
    }

    rows = table(
        await http.get("/reports/conversations.csv", params=asked, headers=await of(company.admin))
    )

    assert rows == [{"opened": "6", "reopened": "0", "closed": "1"}]


async def test_other_names_and_methods_are_refused(
    company: Company, http: httpx.AsyncClient
) -> None:
    headers = await of(company.admin)

    unknown = await http.get("/reports/secrets.csv", params=TODAY, headers=headers)
    posted = await http.post("/reports/messages.csv", params=TODAY, headers=headers)

    assert unknown.status_code == 404
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")
