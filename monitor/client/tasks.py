"""The asynchronous client's workers: tasks that take items of a batch until there are none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio

from monitor.client.answers import Answer
from monitor.client.batches import Tell
from monitor.client.batching import BatchResult, BatchRun
from monitor.client.items import Item
from monitor.client.wishes import Wish
from monitor.errors import MonitorError
from monitor.transport.aio import shielded

Ask = Callable[[Wish], Awaitable[Answer]]

KEEP_SECONDS = 60.0


async def work_in_tasks(run: BatchRun, ask: Ask, concurrency: int, tell: Tell | None) -> BatchResult:
    """Work on a batch to its end, or to that of the day. Raises what ended it, if that is not about its items.

    Cancelled, it ends at once, and what was under way is left for the next run.
    """
    await shielded(run.begin)
    try:
        async with anyio.create_task_group() as keeping:
            keeping.start_soon(_keep, run)
            async with anyio.create_task_group() as group:
                for _ in range(min(concurrency, len(run.items))):
                    group.start_soon(_work, run, ask, tell)
            keeping.cancel_scope.cancel()
    except BaseException:
        run.stop("it was interrupted")
        raise
    finally:
        found: BatchResult = await shielded(run.end)
    with_plan: BatchResult = await shielded(lambda: run.with_plan(found))
    return with_plan


async def _keep(run: BatchRun) -> None:
    """Keep the lease for as long as anything is under way."""
    while True:
        await anyio.sleep(KEEP_SECONDS)
        try:
            await shielded(run.keep)
        except MonitorError as exc:
            run.troubled(exc)


async def _work(run: BatchRun, ask: Ask, tell: Tell | None) -> None:
    try:
        await _work_on(run, ask, tell)
    except MonitorError as exc:
        run.troubled(exc)  # in a group of tasks it would be raised as one of a group of exceptions


async def _work_on(run: BatchRun, ask: Ask, tell: Tell | None) -> None:
    while True:
        step: Item | float | None = await shielded(run.take)
        if step is None:
            return
        if isinstance(step, float):
            await anyio.sleep(step)
            continue
        item = step
        try:
            answer = await ask(item.wish)
        except MonitorError as exc:
            failure = exc
            await shielded(lambda item=item, failure=failure: run.failed(item, failure))  # type: ignore[misc]
        except BaseException:
            await shielded(lambda item=item: run.given_up(item))  # type: ignore[misc]
            raise
        else:
            await shielded(lambda item=item, answer=answer: run.answered(item, answer))  # type: ignore[misc]
        if tell is not None:
            tell(await shielded(run.progress))


async def all_in_tasks(wishes: Sequence[Wish], ask: Ask) -> list[Answer | MonitorError]:
    """Ask all of them at once; what each brought, in their order."""
    found: dict[int, Answer | MonitorError] = {}

    async def one(place: int, wish: Wish) -> None:
        try:
            found[place] = await ask(wish)
        except MonitorError as exc:
            found[place] = exc

    async with anyio.create_task_group() as group:
        for place, wish in enumerate(wishes):
            group.start_soon(one, place, wish)
    return [found[place] for place in range(len(wishes))]
