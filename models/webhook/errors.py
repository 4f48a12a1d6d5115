"""What the domain refuses about webhooks; drawn with the rest in `models.errors`."""

from models.errors import RuleViolation


class WebhookTargetNotAllowed(RuleViolation):
    """Webhooks reach public addresses by https, and what the installation allows beside them."""

    def __init__(self) -> None:
        super().__init__(
            "Webhooks go to public addresses by https; others have to be allowed by whoever runs "
            "the server.",
            path="input.url",
        )


class WebhookChanged(RuleViolation):
    """It is no longer the version that you saw."""

    def __init__(self, *, version: int) -> None:
        super().__init__("The webhook changed since you saw it.", currentVersion=version)


class WebhookNotActive(RuleViolation):
    """Nothing is sent to it now, so that a test would tell nothing."""

    def __init__(self, *, status: str) -> None:
        super().__init__(
            f"The webhook is {status}, so nothing is sent to it.",
            path="input.webhookId",
            status=status,
        )


class RedeliveryOutOfRange(RuleViolation):
    """What is delivered again was delivered before, and is still in the log."""

    def __init__(self, *, floor_seq: int, delivered_seq: int) -> None:
        super().__init__(
            f"Events {floor_seq + 1} to {delivered_seq} can be delivered again.",
            path="input.fromSeq",
            floorSeq=floor_seq,
            deliveredSeq=delivered_seq,
        )
