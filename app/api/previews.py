"""What a clone job would do, without doing it: `POST /api/v1/clone-jobs?dryRun=true`."""

import asyncio

from aiohttp import web

from app.api.responses import json_value
from app.api.state import state_of
from app.domain.clone_job import CloneJobForm
from app.domain.errors import CloneError
from app.store import preview
from app.store.accounts import Caller

# Ten thousand names take seconds of a processor: one plan at a time, off the event loop.
PREVIEWING = web.AppKey("previewing", asyncio.Semaphore)


async def preview_clone_job(
    request: web.Request, caller: Caller, form: CloneJobForm
) -> web.Response:
    """200 with the plan, also where the request would be refused: then with its `error`."""
    state, vm_uuid = state_of(request), form.vm_instance_uuid
    async with request.app[PREVIEWING]:
        try:
            # Read alone: the transaction is rolled back.
            loaded = await state.read(
                lambda c: preview.load(
                    c,
                    form.parameters,
                    vm_uuid=vm_uuid,
                    account_uuid=caller.account_uuid,
                    settings=state.settings,
                )
            )
        except CloneError as error:
            total = len(form.parameters["names"])
            return json_value(preview.refused(vm_uuid, total, error))
        return json_value(await asyncio.to_thread(preview.plan, loaded))
