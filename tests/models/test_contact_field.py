"""Contact fields: their kinds, the values they take, and what becomes of those."""

import asyncio
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from models import Contact, ContactField, Workspace, contact_field
from models.access import Role
from models.contact_field import (
    CHOICE_LENGTH_MAX,
    CHOICES_MAX,
    FIELDS_MAX,
    VALUE_LENGTH_MAX,
    FieldKind,
)
from models.database import Transaction, fetch, retrying
from models.errors import (
    BadUserInput,
    DomainError,
    FieldValueInvalid,
    Forbidden,
    InUse,
    LimitReached,
    NameTaken,
    NotFound,
)
from tests.factories import a_contact_field, a_workspace, an_agent, as_agent, by_system

TEXT, NUMBER, DATE, CHOICE = FieldKind


async def of_kind(workspace: Workspace, kind: FieldKind) -> ContactField:
    return await a_contact_field(workspace, kind=kind, choices=["S", "L"] if kind is CHOICE else [])


async def values_of(contact: Contact) -> dict[str, Any]:
    return (await Contact.get(id=contact.id)).field_values


@pytest.mark.parametrize(
    ("kind", "given", "stored"),
    [
        (TEXT, " Lima ", "Lima"),
        (TEXT, "x" * VALUE_LENGTH_MAX, "x" * VALUE_LENGTH_MAX),
        (NUMBER, "0", "0"),
        (NUMBER, "-0", "0"),
        (NUMBER, "007", "7"),
        (NUMBER, " -1.50 ", "-1.5"),
        (NUMBER, "100", "100"),
        (NUMBER, "9" * 18 + "." + "9" * 9, "9" * 18 + "." + "9" * 9),
        (NUMBER, "0.000000001", "0.000000001"),
        (DATE, "2024-02-29", "2024-02-29"),
        (CHOICE, "L", "L"),
    ],
)
async def test_a_value_is_stored_in_one_spelling(
    workspace: Workspace, kind: FieldKind, given: str, stored: str
) -> None:
    field = await of_kind(workspace, kind)

    contact = await Contact.add(by=by_system(workspace), name="Ada", values=[(field.id, given)])

    assert await values_of(contact) == {str(field.id): stored}


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (TEXT, ""),
        (TEXT, " \n"),
        *[
            (NUMBER, value)
            for value in (
                *("", "x", "1e5", "NaN", "Infinity", "-inf", "1_000", "1,5", "1.", ".5", "0x10"),
                *("+1", "--1", "9" * 19, "0.0000000001", "\u0661"),
            )
        ],
        *[
            (DATE, value)
            for value in (
                *("", "2023-02-29", "22/11/2026", "20261122", "2026-W47-7", "2026-11-22T00:00"),
                *("2026-1-2", "0000-01-01", "10000-01-01"),
            )
        ],
        (CHOICE, ""),
        (CHOICE, "s"),
        (CHOICE, "XL"),
    ],
)
async def test_a_value_of_another_kind_is_refused(
    workspace: Workspace, kind: FieldKind, given: str
) -> None:
    field = await of_kind(workspace, kind)

    with pytest.raises(FieldValueInvalid) as refused:
        await Contact.add(by=by_system(workspace), name="Ada", values=[(field.id, given)])

    assert refused.value.facts == {"field": field.name, "kind": kind}
    assert not await Contact.exists()


@pytest.mark.parametrize("given", ["x" * (VALUE_LENGTH_MAX + 1), "a\0b"])
async def test_a_value_that_cannot_be_stored_is_bad_input(workspace: Workspace, given: str) -> None:
    field = await of_kind(workspace, TEXT)

    with pytest.raises(BadUserInput):
        await Contact.add(by=by_system(workspace), name="Ada", values=[(field.id, given)])


async def test_each_field_of_the_workspace_is_given_once(workspace: Workspace) -> None:
    field = await of_kind(workspace, TEXT)
    foreign = await of_kind(await a_workspace("Another"), TEXT)
    by = by_system(workspace)

    with pytest.raises(BadUserInput):
        await Contact.add(by=by, name="Ada", values=[(field.id, "1"), (field.id, "2")])
    for id in (foreign.id, uuid4()):
        with pytest.raises(NotFound):
            await Contact.add(by=by, name="Ada", values=[(id, "1")])


@pytest.mark.parametrize(
    ("kind", "choices"),
    [
        (CHOICE, []),
        (TEXT, ["S"]),
        (CHOICE, ["S", "S"]),
        (CHOICE, ["S", " "]),
        (CHOICE, ["x" * (CHOICE_LENGTH_MAX + 1)]),
        (CHOICE, [f"{number}" for number in range(CHOICES_MAX + 1)]),
    ],
)
async def test_choices_belong_to_a_choice(
    workspace: Workspace, kind: FieldKind, choices: list[str]
) -> None:
    with pytest.raises(BadUserInput):
        await a_contact_field(workspace, kind=kind, choices=choices)


async def test_names_of_fields_are_unique(workspace: Workspace) -> None:
    first = await a_contact_field(workspace, name="City")
    second = await a_contact_field(workspace, name="Town")

    with pytest.raises(NameTaken):
        await a_contact_field(workspace, name="CITY")
    with pytest.raises(NameTaken):
        await ContactField.change(second.id, by=by_system(workspace), name="city")

    await ContactField.change(first.id, by=by_system(workspace), name="CITY")


async def test_there_are_only_so_many_fields_even_at_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_field, "FIELDS_MAX", 3)

    outcomes = await asyncio.gather(
        *[a_contact_field(workspace) for _ in range(6)], return_exceptions=True
    )

    assert sum(isinstance(outcome, LimitReached) for outcome in outcomes) == 3
    assert await ContactField.all().count() == 3
    assert FIELDS_MAX == 100


async def test_a_choice_that_a_contact_has_stays(workspace: Workspace) -> None:
    field = await of_kind(workspace, CHOICE)
    by = by_system(workspace)
    contact = await Contact.add(by=by, name="Ada", values=[(field.id, "L")])

    with pytest.raises(InUse) as refused:
        await ContactField.change(field.id, by=by, choices=["S", "M"])
    await ContactField.change(field.id, by=by, choices=["L", "M"])
    await Contact.change(contact.id, by=by, values=[(field.id, "M")])
    await ContactField.change(field.id, by=by, choices=["M"])

    assert refused.value.facts == {"contactId": [contact.id], "contactCount": 1}
    assert (await ContactField.get(id=field.id)).choices == ["M"]


async def test_no_more_contacts_are_named_than_fit(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_field, "USES_MAX", 3)
    field = await of_kind(workspace, CHOICE)
    by = by_system(workspace)
    for choice in ("S", "L") * 2:
        await Contact.add(by=by, name="Ada", values=[(field.id, choice)])

    with pytest.raises(InUse) as refused:
        await ContactField.change(field.id, by=by, choices=["M"])

    named: Any = refused.value.facts["contactId"]
    assert named == sorted(set(named))
    assert (len(named), refused.value.facts["contactCount"]) == (3, 3)


async def test_taking_choices_away_reads_no_contact_that_has_none_of_them(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = await of_kind(workspace, CHOICE)
    await fetch(
        """
        INSERT INTO contacts (id, workspace_id, name, field_values)
        SELECT gen_random_uuid(), $1, 'Ada', jsonb_build_object($2::text, 'S')
        FROM generate_series(1, 4000)
        """,
        workspace.id,
        str(field.id),
    )
    await fetch("VACUUM ANALYZE contacts")
    look = ContactField._require_unused
    plans: list[str] = []

    async def explained(self: ContactField, transaction: Transaction, choices: list[str]) -> None:
        plain = transaction.fetch

        async def explain(statement: str, *_: object) -> list[Any]:
            # Prepared, it has the plan that it has in a command, whatever the arguments.
            await transaction.execute(f"PREPARE look AS {statement}")
            rows = await plain("EXPLAIN EXECUTE look(NULL, NULL, NULL)")
            await transaction.execute("DEALLOCATE look")
            plans.append("\n".join(row[0] for row in rows))
            return []

        with monkeypatch.context() as patch:
            patch.setattr(transaction, "fetch", explain)
            await look(self, transaction, choices)

    monkeypatch.setattr(ContactField, "_require_unused", explained)
    await ContactField.change(field.id, by=by_system(workspace), choices=["S"])

    [plan] = plans
    assert "Bitmap Index Scan on contacts_by_field" in plan


async def test_a_choice_is_given_or_taken_away_but_not_both(workspace: Workspace) -> None:
    by = by_system(workspace)
    for _ in range(5):
        field = await of_kind(workspace, CHOICE)
        contact = await Contact.add(by=by, name="Ada")

        given, taken = await asyncio.gather(
            retrying(partial(Contact.change, contact.id, by=by, values=[(field.id, "L")])),
            retrying(partial(ContactField.change, field.id, by=by, choices=["S"])),
            return_exceptions=True,
        )

        refused = [each.code for each in (given, taken) if isinstance(each, DomainError)]
        assert refused in (["FIELD_VALUE_INVALID"], ["IN_USE"])


async def test_a_deleted_field_takes_its_values_along(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_field, "FORGETTING_BATCH_SIZE", 2)
    gone, kept = await of_kind(workspace, TEXT), await of_kind(workspace, TEXT)
    by = by_system(workspace)
    contacts = [
        await Contact.add(by=by, name="Ada", values=[(gone.id, "1"), (kept.id, "2")])
        for _ in range(5)
    ]

    await ContactField.remove(gone.id, by=by)

    assert [await values_of(contact) for contact in contacts] == [{str(kept.id): "2"}] * 5
    with pytest.raises(NotFound):
        await ContactField.remove(gone.id, by=by)
    with pytest.raises(NotFound):
        await Contact.change(contacts[0].id, by=by, values=[(gone.id, "1")])


async def test_fields_are_told_of_without_their_names(workspace: Workspace) -> None:
    by = by_system(workspace)
    field = await a_contact_field(workspace, name="City")
    await ContactField.change(field.id, by=by, name="City")
    await ContactField.change(field.id, by=by, name="Town")
    await ContactField.remove(field.id, by=by)

    rows = await fetch("SELECT kind, data::text FROM events WHERE data ? 'field' ORDER BY seq")

    assert [row["kind"] for row in rows] == [
        "CONTACT_FIELD_CREATED",
        "CONTACT_FIELD_UPDATED",
        "CONTACT_FIELD_DELETED",
    ]
    assert not any("City" in row["data"] or "Town" in row["data"] for row in rows)


async def test_only_who_configures_changes_fields(workspace: Workspace) -> None:
    field = await of_kind(workspace, TEXT)
    by = as_agent(await an_agent(workspace, role=Role.OPERATOR))

    with pytest.raises(Forbidden):
        await ContactField.add(by=by, name="City", kind=TEXT)
    with pytest.raises(Forbidden):
        await ContactField.change(field.id, by=by, name="City")
    with pytest.raises(Forbidden):
        await ContactField.remove(field.id, by=by)
