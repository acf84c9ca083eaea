from dataclasses import replace

import pytest

from app.domain.pace import Eta, Pace, eta_of, rate_of

# Ten names, a minute on the way, nothing counted yet.
IDLE = Pace(
    total=10,
    ended=0,
    begun=0.0,
    elapsed_s=60.0,
    window_s=5.0,
    recent_names=0,
    recent_bytes=0,
    copying_per_s=None,
    bytes_done=0,
    bytes_total=None,
)


def test_nothing_is_known_before_anything_was_counted() -> None:
    assert rate_of(IDLE) is None
    assert eta_of(IDLE) == Eta(None, None)


def test_a_copy_that_stands_still_has_a_rate() -> None:
    assert rate_of(replace(IDLE, copying_per_s=0)) == 0


def test_the_rate_is_of_copies_under_way_and_of_names_that_ended_lately() -> None:
    assert rate_of(replace(IDLE, copying_per_s=100, recent_bytes=500)) == 200


@pytest.mark.parametrize(
    ("pace", "eta"),
    [
        # All bytes are known and move.
        (
            replace(IDLE, copying_per_s=10, bytes_done=400, bytes_total=1000, ended=4),
            Eta(60.0, "bytes"),
        ),
        # Some names wait, so their bytes are not known.
        (replace(IDLE, copying_per_s=10, bytes_done=400, ended=4), Eta(90.0, "names")),
        # Half a copy is half a name.
        (replace(IDLE, ended=4, begun=1.0), Eta(60.0, "names")),
        # Many ended lately: their pace, not that of the job's whole life.
        (replace(IDLE, total=1000, ended=500, recent_names=250), Eta(10.0, "names")),
        # Two that ended lately say nothing.
        (replace(IDLE, ended=5, recent_names=2), Eta(60.0, "names")),
        # Linked clones copy next to nothing: bytes tell no time.
        (replace(IDLE, ended=5, bytes_done=5, bytes_total=10), Eta(60.0, "names")),
    ],
)
def test_what_is_left_is_told_with_its_basis(pace: Pace, eta: Eta) -> None:
    assert eta_of(pace) == eta
