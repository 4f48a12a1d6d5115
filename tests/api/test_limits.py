"""Documents that are too large, ambiguous or forbidden never reach a resolver."""

import asyncio
import time
from dataclasses import dataclass
from uuid import uuid4

import pytest
import strawberry
from graphql import get_introspection_query
from strawberry.types.execution import ExecutionResult

from models.errors import BadUserInput, Forbidden
from resolvers import guard
from resolvers.guard import SCHEMA_EXTENSIONS, DocumentGuard, OperationTimeout
from resolvers.limits import (
    COUNT_COST,
    INTROSPECTION_COST,
    LIST_SIZE_ASSUMED,
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
    QUERY_ALIASES_MAX,
    QUERY_COST_MAX,
    QUERY_DEPTH_MAX,
    QUERY_DIRECTIVES_MAX,
    QUERY_TOKENS_MAX,
    measure,
    sizes_of,
)
from resolvers.masking import MaskedSchema


@strawberry.type
class Ticket:
    subject: str = "broken"

    @strawberry.field
    def parent(self) -> "Ticket":
        return Ticket()

    @strawberry.field
    def other(self) -> "Ticket":
        return Ticket()

    @strawberry.field
    def tags(self) -> list["Ticket"]:
        return []

    @strawberry.field
    def tickets(self, first: int) -> "TicketConnection":
        raise AssertionError


@strawberry.type
class PageInfo:
    has_next_page: bool = False


@strawberry.type
class TicketEdge:
    cursor: str
    node: Ticket


@strawberry.type
class TicketConnection:
    nodes: list[Ticket]
    edges: list[TicketEdge]
    page_info: PageInfo
    total_count: int = 0


@strawberry.type
class Query:
    @strawberry.field
    def ticket(self) -> Ticket:
        return Ticket()

    @strawberry.field
    def tickets(self, first: int | None = None, last: int | None = None) -> TicketConnection:
        return TicketConnection(nodes=[], edges=[], page_info=PageInfo())

    @strawberry.field
    def nodes(self, ids: list[strawberry.ID]) -> list[Ticket]:
        return []

    @strawberry.field
    def echo(self, text: str) -> str:
        return text

    @strawberry.field
    def refused(self) -> str | None:
        raise Forbidden("look")

    @strawberry.field
    def misread(self) -> str | None:
        raise BadUserInput("The text is empty.", path="input.summary")

    @strawberry.field
    def broken(self) -> str | None:
        raise ValueError("postgresql://secret")

    @strawberry.field
    def timed_out(self) -> str | None:
        raise TimeoutError

    @strawberry.field
    async def slow(self) -> str:
        await asyncio.Event().wait()
        return "never"


@dataclass
class Caller:
    actor: object | None = "someone"
    request_id: str = "request-1"


class Impatient(OperationTimeout):
    seconds = 0.05


schema = MaskedSchema(Query, extensions=SCHEMA_EXTENSIONS)
impatient_schema = MaskedSchema(Query, extensions=[DocumentGuard, Impatient])


async def run(query: str, *, actor: object | None = "someone", **variables: object):
    result = await schema.execute(query, variables, Caller(actor))
    assert isinstance(result, ExecutionResult)
    return result


async def codes(query: str, *, actor: object | None = "someone", **variables: object) -> list[str]:
    result = await run(query, actor=actor, **variables)
    return [(error.extensions or {})["code"] for error in result.errors or ()]


def cost(query: str, **variables: object) -> int:
    return measure(schema._schema, query, None, sizes_of(variables)).cost


def bomb(levels: int, selection: str) -> str:
    fragments = "".join(
        f"fragment F{level} on Ticket {{ {selection.replace('NEXT', f'F{level + 1}')} }}"
        for level in range(levels)
    )
    return f"{{ ticket {{ ...F0 }} }} {fragments} fragment F{levels} on Ticket {{ subject }}"


def test_scalars_are_free_and_objects_cost_one() -> None:
    assert cost("{ ticket { subject parent { subject } } }") == 2
    assert cost("{ ticket { ... on Ticket { parent { subject } } ... { subject } } }") == 2


def test_a_page_costs_its_size_once_however_it_is_spelled() -> None:
    assert cost("{ tickets(first: 7) { nodes { subject } } }") == 7
    assert cost("{ tickets(last: 7) { edges { node { subject } } pageInfo { hasNextPage } } }") == 7


def test_a_count_is_paid_once_a_page_however_large_or_spelled() -> None:
    count = "{ tickets(first: 7) { totalCount } }"
    shared = "{ tickets(first: 7) { ... on TicketConnection { ...P } } } "
    shared += "fragment P on TicketConnection { totalCount nodes { subject } }"

    assert cost(count) == cost(shared) == 7 + COUNT_COST
    assert cost("{ ticket { tickets(first: 7) { totalCount } } }") == 1 + 7 + COUNT_COST
    nested = "{ tickets(first: 3) { nodes { tickets(first: 7) { totalCount } } } }"
    assert cost(nested) == 3 * (1 + 7 + COUNT_COST)


@pytest.mark.parametrize(
    "of_page",
    ["pageInfo { hasNextPage }", "edges { cursor }", "nodes { __typename }", "__typename"],
)
def test_a_page_is_never_free(of_page: str) -> None:
    assert cost(f"{{ tickets(first: 7) {{ {of_page} }} }}") == 7


def test_a_page_size_may_come_from_a_variable_or_its_default() -> None:
    query = "query ($n: Int = 3) { tickets(first: $n) { nodes { subject } } }"

    assert cost(query, n=9) == 9
    assert cost(query) == 3


def test_a_page_without_a_size_has_the_default_one() -> None:
    assert cost("{ tickets { nodes { subject } } }") == PAGE_SIZE_DEFAULT


def test_a_list_without_a_size_is_assumed_to_hold_a_few() -> None:
    assert cost("{ ticket { tags { subject } } }") == 1 + LIST_SIZE_ASSUMED


def test_a_list_of_ids_costs_its_length() -> None:
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { subject } }"

    assert cost('{ nodes(ids: ["a", "b", "c"]) { subject } }') == 3
    assert cost(query, ids=["a", "b"]) == 2


@pytest.mark.parametrize("size", [-(10**9), 0])
def test_a_negative_page_buys_no_credit(size: int) -> None:
    assert cost(f"{{ tickets(first: {size}) {{ nodes {{ subject }} }} }}") == 1


@pytest.mark.parametrize("size", [10**6, 10**5000], ids=["large", "unreadable"])
def test_a_page_larger_than_allowed_is_left_to_the_resolver_to_refuse(size: int) -> None:
    digits = "9" * 5000 if size > 10**9 else str(size)

    assert cost(f"{{ tickets(first: {digits}) {{ nodes {{ subject }} }} }}") == PAGE_SIZE_MAX


async def test_pages_within_pages_are_refused_before_they_run() -> None:
    ids = '"a" ' * PAGE_SIZE_MAX
    query = f"{{ nodes(ids: [{ids}]) {{ tags {{ tags {{ subject }} }} }} }}"

    assert cost(query) > QUERY_COST_MAX
    assert await codes(query) == ["OPERATION_TOO_COMPLEX"]


async def test_the_standard_introspection_query_passes_and_has_a_flat_cost() -> None:
    result = await run(get_introspection_query())

    assert result.errors is None
    assert cost(get_introspection_query()) == INTROSPECTION_COST


@pytest.mark.parametrize(
    "query",
    [
        "{ ticket { " + "parent { " * QUERY_DEPTH_MAX + "subject" + "}" * QUERY_DEPTH_MAX + " } }",
        "{ " + " ".join(f"a{n}: echo(text: 1)" for n in range(QUERY_ALIASES_MAX + 1)) + " }",
        "{ __typename" + " @include(if: true)" * (QUERY_DIRECTIVES_MAX + 1) + " }",
        "{ " + "__typename " * QUERY_TOKENS_MAX + " }",
        "{ __typename }" + " " * 70_000,
        "{ __typename }" + "#\n" * 300,
        "{ " + " ".join(f"a{n}: __schema {{ __typename }}" for n in range(11)) + " }",
        bomb(20, "a: parent { ...NEXT } b: parent { ...NEXT }"),
        bomb(20, "parent { ...NEXT } other { ...NEXT }"),
        bomb(140, "parent { ...NEXT } other { ...NEXT }"),
        bomb(240, "...NEXT"),
    ],
    ids=[
        "depth",
        "aliases",
        "directives",
        "tokens",
        "length",
        "comments",
        "introspection",
        "alias bomb",
        "object bomb",
        "large bomb",
        "chain",
    ],
)
async def test_an_operation_beyond_a_limit_is_refused(query: str) -> None:
    assert (await codes(query))[0] in ("OPERATION_TOO_COMPLEX", "GRAPHQL_VALIDATION_FAILED")


@pytest.mark.parametrize(
    "selection",
    ["a: parent { ...NEXT } b: parent { ...NEXT }", "parent { ...NEXT } other { ...NEXT }"],
)
async def test_a_fragment_bomb_costs_little_to_refuse(selection: str) -> None:
    started = time.thread_time()
    refused = await codes(bomb(20, selection))
    elapsed = time.thread_time() - started

    assert refused == ["OPERATION_TOO_COMPLEX"]
    assert elapsed < 0.05


async def test_fragments_that_spread_each_other_end() -> None:
    query = "{ ticket { ...A } } fragment A on Ticket { ...B } fragment B on Ticket { ...A }"

    assert await codes(query) == ["GRAPHQL_VALIDATION_FAILED"]


async def test_only_the_chosen_operation_counts() -> None:
    large = "tickets { nodes { tags { tags { tags { subject } } } } }"
    query = f"query Small {{ __typename }} query Large {{ {large} }}"
    result = await schema.execute(query, {}, Caller(), operation_name="Small")

    assert result.errors is None


async def test_several_operations_need_a_name() -> None:
    result = await run("query A { __typename } query B { __typename }")

    assert result.data is None
    assert result.errors is not None
    assert "operationName" in result.errors[0].message


async def test_a_text_is_validated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    validate = guard.validate
    monkeypatch.setattr(guard, "validate", lambda *a, **k: seen.append(1) or validate(*a, **k))
    query = f'{{ echo(text: "{uuid4()}") }}'

    for _ in range(20):
        await run(query)

    assert len(seen) == 1


async def test_remembered_errors_carry_the_request_they_answer() -> None:
    first = await schema.execute("{ nope }", {}, Caller(request_id="one"))
    second = await schema.execute("{ nope }", {}, Caller(request_id="two"))

    told = [error.extensions["requestId"] for error in (*first.errors, *second.errors)]
    assert told == ["one", "two"]


async def test_a_flood_of_errors_is_cut_short() -> None:
    assert len(await codes("{ " + " ".join(f"no{n}" for n in range(200)) + " }")) == 5


async def test_strangers_get_no_suggestions() -> None:
    known = await run("{ tickts { nodes { subject } } }")
    stranger = await run("{ tickts { nodes { subject } } }", actor=None)

    assert "Did you mean" in known.errors[0].message
    assert "Did you mean" not in stranger.errors[0].message


@pytest.mark.parametrize(
    "query",
    [
        "{ __schema { types { name } } }",
        '{ __type(name: "Query") { fields { name } } }',
        '{ __type(name: "Query") { ...F } } fragment F on __Type { fields { name } }',
    ],
)
async def test_strangers_see_no_schema(query: str) -> None:
    assert await codes(query, actor=None) == ["UNAUTHENTICATED"]
    assert await codes(query) == []


async def test_a_null_character_is_refused_only_where_it_is_one() -> None:
    assert await codes(r'{ echo(text: "\u0000") }') == ["BAD_USER_INPUT"]
    assert await codes(r'{ echo(text: "\u{0}") }') == ["BAD_USER_INPUT"]
    assert await codes(r'{ echo(text: "\\u0000") }') == []


async def test_a_value_that_cannot_be_read_is_the_callers_fault() -> None:
    assert await codes("query ($t: String!) { echo(text: $t) }", t=5) == ["BAD_USER_INPUT"]
    assert await codes('query ($t: String = "a") { echo(text: $t) }', t=None) == ["BAD_USER_INPUT"]


async def test_a_refusal_of_the_domain_is_told_and_a_bug_is_not() -> None:
    result = await run("{ refused broken }")

    told = {error.message: error.extensions for error in result.errors or ()}
    assert result.data == {"refused": None, "broken": None}
    assert told == {
        "You may not look.": {"code": "FORBIDDEN", "requestId": "request-1", "retryable": False},
        "Internal error": {
            "code": "INTERNAL_SERVER_ERROR",
            "requestId": "request-1",
            "retryable": False,
        },
    }


async def test_a_refusal_names_the_argument_at_fault() -> None:
    result = await run("{ misread }")

    [error] = result.errors or ()
    assert error.extensions == {
        "code": "BAD_USER_INPUT",
        "requestId": "request-1",
        "retryable": False,
        "argument": ["input", "summary"],
    }


async def test_a_timeout_of_ours_is_not_the_operations() -> None:
    assert await codes("{ timedOut }") == ["INTERNAL_SERVER_ERROR"]


async def test_an_operation_that_takes_too_long_is_stopped() -> None:
    result = await impatient_schema.execute("{ slow }", {}, Caller())

    assert result.errors is not None
    assert result.errors[0].extensions == {
        "code": "TIMEOUT",
        "requestId": "request-1",
        "retryable": True,
    }
