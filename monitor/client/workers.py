"""The blocking client's workers: threads that take items of a batch until there are none."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from monitor.client.answers import Answer
from monitor.client.batches import Tell
from monitor.client.batching import BatchResult, BatchRun
from monitor.client.wishes import Wish
from monitor.clock import Clock
from monitor.errors import MonitorError

TELL_SECONDS = 0.5

log = logging.getLogger("monitor.client")

Ask = Callable[[Wish], Answer]


def work_in_threads(run: BatchRun, ask: Ask, clock: Clock, concurrency: int, tell: Tell | None) -> BatchResult:
    """Work on a batch to its end, or to that of the day. Raises what ended it, if that is not about its items.

    Ctrl-C ends it at once: the threads are daemons, and what they have under way is left for the next run.
    """
    changed = threading.Event()
    run.begin()
    try:
        workers = [
            threading.Thread(
                target=_work, args=(run, ask, clock, changed), name="openrouter-monitor-batch", daemon=True
            )
            for _ in range(min(concurrency, len(run.items)))
        ]
        for worker in workers:
            worker.start()
        while any(worker.is_alive() for worker in workers):
            changed.wait(TELL_SECONDS)
            changed.clear()
            run.keep()
            if tell is not None:
                tell(run.progress())
    except BaseException:
        run.stop("it was interrupted")
        raise
    finally:
        found = run.end()
    if tell is not None:
        tell(run.progress())
    return run.with_plan(found)


def all_in_threads(wishes: Sequence[Wish], ask: Ask) -> list[Answer | MonitorError]:
    """Ask all of them at once; what each brought, in their order. Ctrl-C does not wait for them."""
    found: dict[int, Answer | BaseException] = {}

    def one(place: int, wish: Wish) -> None:
        try:
            found[place] = ask(wish)
        except BaseException as exc:  # noqa: BLE001 - raised again below, in the thread that waits for it
            found[place] = exc

    threads = [
        threading.Thread(target=one, args=each, name="openrouter-monitor-compare", daemon=True)
        for each in enumerate(wishes)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [_brought(found[place]) for place in range(len(wishes))]


def _brought(result: Answer | BaseException) -> Answer | MonitorError:
    if isinstance(result, BaseException) and not isinstance(result, MonitorError):
        raise result
    return result


def _work(run: BatchRun, ask: Ask, clock: Clock, changed: threading.Event) -> None:
    try:
        while (step := run.take()) is not None:
            if isinstance(step, float):
                clock.sleep(step)
                continue
            try:
                answer = ask(step.wish)
            except MonitorError as exc:
                run.failed(step, exc)
            except BaseException:
                run.given_up(step)
                raise
            else:
                run.answered(step, answer)
            changed.set()
    except MonitorError as exc:
        run.troubled(exc)
    except Exception as exc:
        # Nobody waits for a thread's exception: without this the batch would only seem to end early.
        log.exception("a worker of the batch %s failed", run.name)
        run.troubled(MonitorError(f"a worker failed: {type(exc).__name__}: {exc}.", hint="This is a fault of ours."))
    finally:
        changed.set()
