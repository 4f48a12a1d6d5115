"""Snippets: what may be kept as one, by whom, and who reads them."""

import asyncio

import pytest

from models import Snippet, Workspace, snippet
from models.access import Role
from models.database import fetch
from models.errors import (
    BadUserInput,
    Forbidden,
    LimitReached,
    NameTaken,
    NotFound,
    VariableUnknown,
)
from models.snippet import SEARCH_LENGTH_MAX, TEXT_LENGTH_MAX
from tests.factories import (
    a_snippet,
    a_workspace,
    an_agent,
    as_agent,
    as_integration,
    by_system,
)


async def test_a_snippet_is_kept_changed_and_forgotten(workspace: Workspace) -> None:
    by = by_system(workspace)
    kept = await a_snippet(workspace, name="Hello")

    await Snippet.change(kept.id, by=by, name="Hello", text=kept.text)
    await Snippet.change(kept.id, by=by, text="Hello.")
    changed = await Snippet.get(id=kept.id)
    await Snippet.remove(kept.id, by=by)

    assert (changed.name, changed.text) == ("Hello", "Hello.")
    rows = await fetch("SELECT kind FROM events WHERE data ->> 'snippet' = $1", str(kept.id))
    assert [row["kind"] for row in rows] == [
        "SNIPPET_CREATED",
        "SNIPPET_UPDATED",
        "SNIPPET_DELETED",
    ]
    for command in (Snippet.change, Snippet.remove):
        with pytest.raises(NotFound):
            await command(kept.id, by=by)


async def test_no_two_have_one_name_whatever_its_case(workspace: Workspace) -> None:
    await a_snippet(workspace, name="Hello")
    other = await a_snippet(workspace, name="Other")

    with pytest.raises(NameTaken):
        await a_snippet(workspace, name="HELLO")
    with pytest.raises(NameTaken):
        await Snippet.change(other.id, by=by_system(workspace), name="hello")
    await Snippet.change(other.id, by=by_system(workspace), name="OTHER")
    await a_snippet(await a_workspace("Another"), name="Hello")


async def test_a_snippet_has_no_unknown_variable(workspace: Workspace) -> None:
    kept = await a_snippet(workspace)

    for command in (
        a_snippet(workspace, text="Hello, {{contact.nmae}}."),
        Snippet.change(kept.id, by=by_system(workspace), text="{{contact.nmae|there}}"),
    ):
        with pytest.raises(VariableUnknown) as refused:
            await command
        assert refused.value.path == "input.text"
        assert refused.value.facts == {"variable": ["contact.nmae"]}


@pytest.mark.parametrize("text", ["", " \n", "a\0b", "x" * (TEXT_LENGTH_MAX + 1)])
async def test_a_snippet_says_something_that_can_be_sent(workspace: Workspace, text: str) -> None:
    kept = await a_snippet(workspace, text="x" * TEXT_LENGTH_MAX)

    for command in (
        a_snippet(workspace, text=text),
        Snippet.change(kept.id, by=by_system(workspace), text=text),
    ):
        with pytest.raises(BadUserInput):
            await command


async def test_there_are_only_so_many_snippets_even_at_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snippet, "SNIPPETS_MAX", 2)

    outcomes = await asyncio.gather(
        *[a_snippet(workspace) for _ in range(5)], return_exceptions=True
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, LimitReached)]
    assert [error.facts for error in refused] == [{"limit": 2}] * 3
    assert await Snippet.all().count() == 2


@pytest.mark.parametrize("role", [role for role in Role if role not in ("ADMIN", "INTEGRATION")])
async def test_who_only_reads_keeps_nothing(workspace: Workspace, role: Role) -> None:
    by = as_agent(await an_agent(workspace, role=role, connected=False))
    kept = await a_snippet(workspace)

    for command in (
        Snippet.add(by=by, name="Mine", text="Hello."),
        Snippet.change(kept.id, by=by, name="Mine"),
        Snippet.remove(kept.id, by=by),
    ):
        with pytest.raises(Forbidden):
            await command
    assert await Snippet.visible_to(by).count() == 1


async def test_whoever_reads_no_settings_reads_no_snippets(workspace: Workspace) -> None:
    await a_snippet(workspace)

    assert await Snippet.visible_to(as_integration(workspace, "contacts:read")).count() == 0


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("HELLO", {"Hello", "Other"}),
        ("bye", {"Bye 100%"}),
        ("100%", {"Bye 100%"}),
        ("1_0", set()),
        ("contact.name", {"Other"}),
    ],
)
async def test_snippets_are_found_by_name_and_text(
    workspace: Workspace, search: str, names: set[str]
) -> None:
    await a_snippet(workspace, name="Hello", text="Good day.")
    await a_snippet(workspace, name="Bye 100%", text="See you.")
    await a_snippet(workspace, name="Other", text="Oh hello, {{contact.name}}.")
    await a_snippet(await a_workspace("Another"), name="Hello bye 100%")

    found = await Snippet.visible_to(by_system(workspace), search=search)

    assert {each.name for each in found} == names


@pytest.mark.parametrize("search", ["", " ", "a\0", "x" * (SEARCH_LENGTH_MAX + 1)])
async def test_a_search_that_says_nothing_is_refused(workspace: Workspace, search: str) -> None:
    with pytest.raises(BadUserInput):
        Snippet.visible_to(by_system(workspace), search=search)


async def test_a_snippet_of_another_company_is_not_there(workspace: Workspace) -> None:
    foreign = await a_snippet(await a_workspace("Another"))

    with pytest.raises(NotFound) as refused:
        await Snippet.remove(foreign.id, by=by_system(workspace))
    assert refused.value.path == "input.snippetId"
    assert await Snippet.visible_to(by_system(workspace)).get_or_none(id=foreign.id) is None
