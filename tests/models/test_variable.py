"""Variables: which there are, what they stand for, and that no text breaks what fills them."""

import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from models import Contact, Conversation, Workspace
from models.access import Actor
from models.errors import NotFound, VariableUnknown
from models.ticket.link import link, propose
from models.variable import FIELD_PREFIX, NAMES, fill, filled, require_known, unknown_in
from tests.factories import (
    a_channel,
    a_contact,
    a_contact_field,
    a_conversation,
    a_team,
    a_ticket,
    a_workspace,
    an_agent,
    by_system,
    working,
)

Link = Callable[..., Awaitable[None]]
EVERY = "|".join(f"<{{{{{name}}}}}>" for name in NAMES)


@pytest.fixture
async def conversation(workspace: Workspace) -> Conversation:
    """Held by somebody, with somebody of whom everything is known."""
    team = await a_team(workspace)
    channel = await a_channel(workspace, team=team)
    ada = await a_contact(channel, name="Ada", phone="+511234567", email="ada@example.com")
    plan = await a_contact_field(workspace, name="Plan")
    await a_contact_field(workspace, name="Size")
    await Contact.change(ada.id, by=by_system(workspace), values=[(plan.id, "Gold")])
    holder = await an_agent(workspace, teams=[team])
    return await a_conversation(workspace, channel=channel, holder=holder, sender="ada")


async def link_a_ticket(conversation: Conversation, verb: Link) -> None:
    by = Actor.system(conversation.workspace_id)
    ticket = await a_ticket(await Contact.get(id=conversation.contact_id), subject="Broken")
    async with working(conversation.id, by=by) as locked:
        await verb(locked, ticket.id, by=by)


async def said(text: str, conversation: Conversation, **others: Any) -> str:
    return await fill(
        text, workspace_id=conversation.workspace_id, conversation_id=conversation.id, **others
    )


async def test_every_variable_says_what_it_stands_for(conversation: Conversation) -> None:
    await link_a_ticket(conversation, link)
    await conversation.fetch_related("assignee", "channel", "team")

    assert await said(EVERY, conversation) == "|".join(
        f"<{value}>"
        for value in (
            conversation.assignee.name,
            conversation.channel.name,
            "ada@example.com",
            "Ada",
            "+511234567",
            conversation.team.name,
            "1",
            "Broken",
            "Acme",
        )
    )


async def test_what_is_not_known_says_nothing_or_what_stands_for_it(workspace: Workspace) -> None:
    waiting = await a_conversation(workspace)
    text = "[{{agent.name}}][{{agent.name|us}}][{{ contact.phone | nobody }}][{{contact.email|}}]"

    assert await said(text, waiting) == "[][us][nobody][]"


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("{{contact.field.Plan}}", "Gold"),
        ("{{contact.field.Plan|none}}", "Gold"),
        ("{{ contact.field.Plan }}", "Gold"),
        ("{{contact.field.Size|none}}", "none"),
        ("{{contact.field.Never defined|none}}", "none"),
        ("{{contact.field.plan|none}}", "none"),
    ],
)
async def test_a_field_of_the_contact_is_named_by_its_name(
    conversation: Conversation, text: str, means: str
) -> None:
    assert await said(text, conversation) == means


async def test_a_ticket_that_is_only_proposed_is_not_spoken_of(conversation: Conversation) -> None:
    await link_a_ticket(conversation, propose)

    assert await said("{{ticket.number|-}} {{ticket.subject|-}}", conversation) == "- -"


async def test_somebody_else_than_the_holder_can_be_who_writes(conversation: Conversation) -> None:
    writer = await an_agent(await Workspace.get(id=conversation.workspace_id))
    stranger = await an_agent(await a_workspace("Another"))

    assert await said("{{agent.name}}", conversation, agent_id=writer.id) == writer.name
    assert await said("{{agent.name|-}}", conversation, agent_id=stranger.id) == "-"


async def test_what_a_name_says_is_no_variable(conversation: Conversation) -> None:
    by = by_system(await Workspace.get(id=conversation.workspace_id))
    await Contact.change(conversation.contact_id, by=by, name="{{workspace.name}}")

    assert await said("{{contact.name}}", conversation) == "{{workspace.name}}"


async def test_only_a_conversation_of_the_workspace_fills_a_text(
    conversation: Conversation,
) -> None:
    foreign = await a_conversation(await a_workspace("Another"))

    for id in (foreign.id, uuid4()):
        with pytest.raises(NotFound):
            await fill(
                "{{contact.name}}", workspace_id=conversation.workspace_id, conversation_id=id
            )


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("{{contact.nmae}} {{agent.name}} {{ a b }} {{contact.nmae}}", ["a b", "contact.nmae"]),
        ("{{Contact.Name}}", ["Contact.Name"]),
        ("{{}}", [""]),
        ("{{ | x}}", [""]),
        (f"{{{{{FIELD_PREFIX}}}}}", [FIELD_PREFIX]),
        (f"{{{{{FIELD_PREFIX}Any|x}}}}", []),
        ("{contact.nmae} {{contact.nmae", []),
        ("{{{contact.name}}}", []),
        (EVERY, []),
    ],
)
def test_a_text_has_the_variables_there_are_and_no_others(text: str, unknown: list[str]) -> None:
    assert unknown_in(text) == unknown
    if unknown:
        with pytest.raises(VariableUnknown) as refused:
            require_known(text, path="input.body")
        assert refused.value.path == "input.body"
        assert refused.value.facts == {"variable": unknown}


_part = st.one_of(
    st.sampled_from(["{{", "}}", "{", "}", "|", " ", "\n", "contact.", FIELD_PREFIX, *NAMES]),
    st.text(max_size=5),
    st.sampled_from([f"{{{{{name}|you}}}}" for name in NAMES]),
)
_texts = st.lists(_part, max_size=12).map("".join)
_mark = "\N{SNOWMAN}"


@given(text=_texts, value=st.text(max_size=20))
@example(text="{{contact.name}}", value="{{contact.name}}")
@example(text="{{contact.name|{{agent.name}}", value="}}")
@example(text="{{contact.name}}", value="\\1")
def test_whatever_is_known_is_said_as_it_is(text: str, value: str) -> None:
    assume(unknown_in(text) == [] and _mark not in text and value)

    marked = filled(text, dict.fromkeys(NAMES, _mark))

    assert filled(text, dict.fromkeys(NAMES, value)) == marked.replace(_mark, value)


@given(text=_texts)
@example(text="{{contact.name|\\1}}")
def test_where_nothing_is_known_no_text_gets_longer(text: str) -> None:
    assume(unknown_in(text) == [])

    assert len(filled(text, {})) <= len(text)


@pytest.mark.parametrize(
    "text",
    ["{{" + " " * 10_000, "{{" * 5_000, "{{contact.name|" + " " * 10_000, "{{ |" * 2_500],
)
def test_no_text_takes_long_to_read(text: str) -> None:
    started = time.process_time()

    unknown_in(text)
    filled(text, {})

    assert time.process_time() - started < 0.5
