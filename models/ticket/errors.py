"""What the domain refuses about tickets and their links; drawn with the rest in `models.errors`."""

from uuid import UUID

from models.errors import RuleViolation


class TicketRequired(RuleViolation):
    """What is or was once of the support desk closes with a ticket."""

    def __init__(self) -> None:
        super().__init__(
            "This conversation closes with a ticket: link or create one.", path="input.ticket"
        )


class TicketLinkPending(RuleViolation):
    """The customer proposed a ticket: confirm or reject it first."""

    def __init__(self, *, ticket_id: UUID) -> None:
        super().__init__(
            "The customer proposed a ticket: confirm or reject it first.", ticketId=ticket_id
        )


class TicketLinkNotProposed(RuleViolation):
    """Only a proposed link can be confirmed or rejected."""

    def __init__(self) -> None:
        super().__init__("No ticket is proposed for this conversation.")


class TicketNotLinked(RuleViolation):
    """The conversation has no ticket."""

    def __init__(self) -> None:
        super().__init__("No ticket is linked to this conversation.")


class AlreadyLinked(RuleViolation):
    """The conversation has that ticket already, or one that a proposal does not replace."""

    def __init__(self, *, ticket_id: UUID) -> None:
        super().__init__("A ticket is linked to this conversation already.", ticketId=ticket_id)


class RequesterRequired(RuleViolation):
    """A ticket is somebody's request."""

    def __init__(self) -> None:
        super().__init__(
            "Say whose request the ticket is: a contact, or a conversation of one.",
            path="input.requesterId",
        )


class TicketChanged(RuleViolation):
    """It is no longer the version that you saw."""

    def __init__(self, *, version: int) -> None:
        super().__init__("The ticket changed since you saw it.", currentVersion=version)
