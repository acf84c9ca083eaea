from itertools import product

import pytest

from app.domain.snapshots import Action, BlockJob, DiskLook, Overlay, Place, next_action

EMPTY = Overlay(open=False, written=False, newest=True)
WRITTEN = Overlay(open=False, written=True, newest=True)
OLDER = Overlay(open=False, written=True, newest=False)
USED = Overlay(open=True, written=True, newest=True)
TOP, BELOW, LOOSE, NONE = Place.TOP, Place.BELOW, Place.LOOSE, Place.NONE


def running(overlay: Overlay | None, live: Place, inactive: Place | None = None, **more: object):  # type: ignore[no-untyped-def]
    return DiskLook(True, live, live if inactive is None else inactive, overlay=overlay, **more)  # type: ignore[arg-type]


def stopped(overlay: Overlay | None, inactive: Place) -> DiskLook:
    return DiskLook(False, inactive=inactive, overlay=overlay)


CASES = [
    # (what was seen, whether the overlay may have been left already, what is next)
    # A snapshot that was never taken.
    (running(None, NONE), False, Action.DONE),
    (running(EMPTY, NONE), False, Action.REMOVE),  # libvirt died after making the file
    (running(USED, NONE, qemu=LOOSE), False, Action.LET_GO),  # QEMU had opened it already
    # One that was taken.
    (running(USED, TOP), False, Action.COMMIT),
    (running(USED, TOP, NONE), False, Action.COMMIT),  # libvirt died before it wrote that down
    (running(USED, TOP, job=BlockJob.RUNNING), False, Action.WAIT),
    (running(USED, TOP, job=BlockJob.READY), False, Action.PIVOT),
    (running(USED, TOP, job=BlockJob.READY), True, Action.PIVOT),  # the order never arrived
    (running(USED, TOP, job=BlockJob.FOREIGN), False, Action.BUSY),
    (running(WRITTEN, NONE), True, Action.REMOVE),
    (running(WRITTEN, NONE, TOP), True, Action.REWRITE),
    # Somebody else's snapshot stands on it.
    (running(USED, BELOW), False, Action.COMMIT_BELOW),
    (running(USED, BELOW, job=BlockJob.RUNNING), True, Action.WAIT),
    # libvirt died when QEMU had taken the snapshot and it had not written that down.
    (running(USED, NONE, qemu=TOP), False, Action.COMMIT_HIDDEN),
    (running(USED, NONE, qemu=TOP, hidden_job=BlockJob.RUNNING), False, Action.WAIT),
    (running(USED, NONE, qemu=TOP, hidden_job=BlockJob.READY), False, Action.PIVOT_HIDDEN),
    # libvirt died when QEMU had pivoted and it had not written that down.
    (running(USED, TOP, job=BlockJob.LOST, qemu=LOOSE), True, Action.LET_GO),
    (running(WRITTEN, TOP, job=BlockJob.LOST), True, Action.REWRITE),
    (running(WRITTEN, TOP, NONE, job=BlockJob.LOST), True, Action.LINGER),
    (running(USED, TOP, job=BlockJob.LOST, qemu=TOP), True, Action.COMMIT_HIDDEN),
    # Somebody has the file open who is not the source's QEMU.
    (running(USED, NONE), True, Action.BUSY),
    (stopped(USED, TOP), False, Action.BUSY),
    # The source was started from its own file, without what the overlay holds.
    (running(WRITTEN, NONE), False, Action.DIVERGED),
    # It was stopped meanwhile.
    (stopped(WRITTEN, TOP), False, Action.COMMIT_OFFLINE),
    (stopped(WRITTEN, NONE), False, Action.COMMIT_OFFLINE),
    (stopped(EMPTY, TOP), False, Action.REWRITE),
    (stopped(EMPTY, NONE), False, Action.REMOVE),
    (stopped(None, NONE), False, Action.DONE),
    (stopped(None, TOP), False, Action.REWRITE),
    (stopped(WRITTEN, BELOW), False, Action.COVERED),
    (stopped(WRITTEN, TOP), True, Action.COMMIT_OFFLINE),  # the pivot never happened
    (stopped(OLDER, TOP), True, Action.REWRITE),  # it did
    (stopped(OLDER, NONE), True, Action.REMOVE),
]


@pytest.mark.parametrize(("look", "leaving", "action"), CASES)
def test_one_look_leads_to_one_action(look: DiskLook, leaving: bool, action: Action) -> None:
    assert next_action(look, leaving=leaving) is action


ALL = [
    DiskLook(live_run, live, inactive, job, qemu, hidden, overlay)
    for live_run, live, inactive, job, qemu, hidden, overlay in product(
        (True, False),
        (TOP, BELOW, NONE),
        (TOP, BELOW, NONE),
        BlockJob,
        Place,
        (BlockJob.NONE, BlockJob.RUNNING, BlockJob.READY),
        (None, EMPTY, WRITTEN, OLDER, USED),
    )
]
REMOVALS = [
    (look, leaving)
    for look, leaving in product(ALL, (True, False))
    if next_action(look, leaving=leaving) is Action.REMOVE
]


def test_no_file_is_removed_that_anything_names_or_has_open() -> None:
    assert REMOVALS
    for look, _ in REMOVALS:
        assert look.overlay is not None
        assert not look.overlay.open
        assert look.inactive is NONE
        assert look.live is NONE or not look.running
        assert look.qemu is NONE or not look.running


def test_nothing_that_only_the_overlay_has_is_removed() -> None:
    for look, leaving in REMOVALS:
        assert look.overlay is not None
        assert leaving or not look.overlay.written


@pytest.mark.parametrize("leaving", [True, False])
def test_nothing_is_written_back_that_was_left(leaving: bool) -> None:
    for look in ALL:
        if next_action(look, leaving=leaving) is Action.COMMIT_OFFLINE:
            assert look.overlay is not None
            assert not leaving or look.overlay.newest
            assert not look.running


def test_what_is_done_only_libvirt_still_names() -> None:
    for look, leaving in product(ALL, (True, False)):
        action = next_action(look, leaving=leaving)
        if action is Action.DONE:
            assert look.overlay is None
            assert look.inactive is NONE
        if action is Action.LINGER:
            assert look.inactive is NONE
            assert look.qemu is NONE
