"""How a rule's refusal reaches the caller: an entry of `userErrors`, with code and facts."""

from collections.abc import Iterator
from enum import Enum
from inspect import cleandoc
from operator import attrgetter
from typing import Any

import strawberry

from models.errors import Fact, RuleViolation
from resolvers.enums import described
from resolvers.ids import encode


def _leaves(error: type[RuleViolation]) -> Iterator[type[RuleViolation]]:
    for below in error.__subclasses__():
        yield below
        yield from _leaves(below)


# A new violation needs no second registration: its class is its code, and describes it.
_told = {
    leaf.code: cleandoc(leaf.__doc__ or "")
    for leaf in sorted(_leaves(RuleViolation), key=attrgetter("code"))
}
_codes: Any = Enum("UserErrorCode", {code: code for code in _told})  # type: ignore[misc]  # made here
_codes.__doc__ = "Which rule said no; treat a code that you do not know as a refusal."
UserErrorCode = described(_codes, "UserErrorCode", **_told)

Kept = dict[str, Any]
# The records that facts name, by the fact's own name.
_NAMED = {
    "holderId": "Agent",
    "agentId": "Agent",
    "channelId": "Channel",
    "closureId": "Closure",
    "contactId": "Contact",
    "conversationId": "Conversation",
    "memberId": "Agent",
    "membershipId": "Team",
    "teamId": "Team",
    "ticketId": "Ticket",
    "workflowId": "Workflow",
}


@strawberry.type(description="A fact that explains a refusal.")
class ErrorFact:
    name: str = strawberry.field(description="What it is, e.g. `holderId` or `limit`.")
    value: str | None = strawberry.field(description="Its value; ids are global ids.")


@strawberry.type(description="A rule that says no; nothing was changed.")
class UserError:
    code: UserErrorCode = strawberry.field(description="Which rule.")  # type: ignore[valid-type]  # made from the tree of errors
    message: str = strawberry.field(description="One sentence for a person.")
    path: list[str] | None = strawberry.field(description="The argument at fault, if one is.")
    facts: list[ErrorFact] = strawberry.field(
        description="What explains it, such as the present holder."
    )

    @classmethod
    def of(cls, error: RuleViolation) -> "UserError":
        return cls.recalled(kept(error))

    @classmethod
    def recalled(cls, refusal: Kept) -> "UserError":
        """A refusal that was kept with the answer of a command, or comes from one now."""
        return cls(
            code=UserErrorCode(refusal["code"]),
            message=refusal["message"],
            path=refusal["path"].split(".") if refusal["path"] else None,
            facts=[ErrorFact(name=name, value=value) for name, value in refusal["facts"]],
        )


def kept(error: RuleViolation) -> Kept:
    """A refusal as it is kept with the answer of a command: of plain values."""
    return {
        "code": error.code,
        "message": error.message,
        "path": error.path,
        "facts": [
            [name, _shown(name, value)]
            for name, fact in error.facts.items()
            for value in (fact if isinstance(fact, list) else [fact])
        ],
    }


def _shown(name: str, fact: Fact) -> str | None:
    if fact is None:
        return None
    if name in _NAMED:
        return str(encode(_NAMED[name], fact))  # type: ignore[arg-type]  # such facts are UUIDs
    return str(fact)
