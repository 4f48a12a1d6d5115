"""What connections are allowed."""

import pytest

from api.connections import Allowance, Strangers


@pytest.mark.parametrize(
    ("at", "answers"),
    [
        ([0, 0, 0], [True, True, False]),
        ([0, 0, 30, 30], [True, True, True, False]),
        ([0, 3_000, 3_000, 3_000], [True, True, True, False]),
    ],
)
def test_an_allowance_is_a_burst_that_refills_steadily(
    at: list[float], answers: list[bool]
) -> None:
    allowance = Allowance(burst=2, per_minute=2)

    assert [allowance.take(moment) for moment in at] == answers


def test_a_flood_from_one_address_leaves_room_for_the_others() -> None:
    strangers = Strangers(in_all_max=3, per_address_max=2)

    assert [strangers.enter("flood") for _ in range(3)] == [True, True, False]
    assert [strangers.enter("other") for _ in range(2)] == [True, False]
    strangers.leave("flood")
    assert strangers.enter("other")
