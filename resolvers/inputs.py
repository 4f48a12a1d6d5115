"""Parts that inputs share."""

from typing import Any

import strawberry


def given(**changes: Any) -> dict[str, Any]:
    """The changes that the caller asked for: what is left out stays, null is a value."""
    return {
        name: change.value if isinstance(change, strawberry.Some) else change
        for name, change in changes.items()
        if change is not None
    }


@strawberry.input(description="What every command may carry.")
class CommandInput:
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="Any text of yours; the same key and input again has no second effect.",
    )


@strawberry.input(description="A command on one conversation.")
class ConversationInput(CommandInput):
    conversation_id: strawberry.ID = strawberry.field(description="Which conversation.")
    expected_version: int | None = strawberry.field(
        default=None,
        description="The `version` you saw; the command is refused if it has changed since.",
    )
