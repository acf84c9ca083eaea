import threading
from contextvars import copy_context

from app.log_fields import add_log_fields, current_log_fields, log_fields


def test_fields_end_with_their_block() -> None:
    with log_fields(job_uuid="j", step=None):
        with log_fields(item_uuid="i"):
            add_log_fields(step="define_vm")
            assert current_log_fields() == {"job_uuid": "j", "item_uuid": "i", "step": "define_vm"}
        assert current_log_fields() == {"job_uuid": "j"}
    assert current_log_fields() == {}


def test_without_a_block_nothing_is_kept() -> None:
    add_log_fields(job_uuid="j")
    assert current_log_fields() == {}


def test_a_thread_with_the_context_sees_what_is_added_later() -> None:
    seen = []
    with log_fields(item_uuid="i"):
        context = copy_context()
        add_log_fields(step="start_vm")
        thread = threading.Thread(target=lambda: seen.append(dict(context.run(current_log_fields))))
        thread.start()
        thread.join()
    assert seen == [{"item_uuid": "i", "step": "start_vm"}]
