"""What the domain refuses about workflows and runs; drawn with the rest in `models.errors`."""

from models.errors import RuleViolation


class WorkflowInvalid(RuleViolation):
    """A workflow with defects is not published."""

    def __init__(self, *, defects: list[str]) -> None:
        super().__init__(f"The workflow has defects: {'; '.join(defects)}.", defect=defects)


class WorkflowNotActive(RuleViolation):
    """Only an active workflow runs."""

    def __init__(self) -> None:
        super().__init__("The workflow is not active: publish it first.", path="input.workflowId")


class WorkflowNotManual(RuleViolation):
    """Only workflows with the trigger MANUAL are run by hand."""

    def __init__(self, *, trigger: str) -> None:
        super().__init__(
            "The workflow is not one to run by hand.", path="input.workflowId", trigger=trigger
        )


class WorkflowChanged(RuleViolation):
    """It is no longer the version that you saw."""

    def __init__(self, *, version: int) -> None:
        super().__init__("The workflow changed since you saw it.", currentVersion=version)


class WorkflowRanAlready(RuleViolation):
    """Some workflows run once for each contact."""

    def __init__(self) -> None:
        super().__init__(
            "The workflow ran for this contact, and does so only once.", path="input.workflowId"
        )


class ConversationRequired(RuleViolation):
    """What a workflow's step does is done to a conversation, and the run has none."""

    def __init__(self) -> None:
        super().__init__("The contact has no conversation that is open.")


class WorkflowArchived(RuleViolation):
    """An archived workflow does not change any more."""

    def __init__(self) -> None:
        super().__init__("The workflow is archived: copy it instead.", path="input.workflowId")
