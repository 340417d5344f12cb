"""Works on a batch in a process of its own: `… FOLDER BASE_URL ITEMS CONCURRENCY MANNER`.

Says `done N` as items are finished. When all its threads wait for a slot, nothing is under way: where the manner is
`asking`, it then says `waits` and goes on when it is told a line; else it goes on by itself.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from monitor import Client, Settings
from monitor.client.batching import Progress
from tests.fakes.shared_clock import SharedClock


def say(line: object) -> None:
    os.write(1, f"{line}\n".encode())


class QuietClock(SharedClock):
    """Moves only when all threads sleep, and then to where the first of them wakes: a leap under a request that is
    on its way would put it into another minute than the one it was reserved in."""

    def __init__(self, path: Path, *, asking: bool) -> None:
        super().__init__(path)
        self.all_there = False
        """Whether all threads have been started; some may have ended by then."""
        self._asking = asking
        self._changed = threading.Condition()
        self._wakes: list[float] = []

    def sleep(self, seconds: float) -> None:
        if threading.current_thread() is threading.main_thread():
            # Only before there are other threads: it waits for a fetch that a killed process has left unfinished.
            super().sleep(seconds)
            return
        wake = self.now() + seconds
        with self._changed:
            self._wakes.append(wake)
            while self.now() < wake:
                if not self._all_sleep():
                    self._changed.wait(0.01)  # nothing tells when a thread has ended
                    continue
                if self._asking:
                    say("waits")
                    sys.stdin.readline()
                super().sleep(min(at for at in self._wakes if at > self.now()) - self.now())
                self._changed.notify_all()
            self._wakes.remove(wake)

    def _all_sleep(self) -> bool:
        alive = sum(thread.name == "openrouter-monitor-batch" for thread in threading.enumerate())
        return self.all_there and sum(at > self.now() for at in self._wakes) == alive


def main(folder: str, base_url: str, items: str, concurrency: str, manner: str) -> None:
    clock = QuietClock(Path(folder) / "clock", asking=manner == "asking")
    settings = Settings.build({"store": f"{folder}/monitor.db", "base_url": base_url, "api_key": "sk-or-v1-simulated"})
    with Client("batcher", settings, clock=clock, verify=False) as client:
        say("ready")

        def tell(progress: Progress) -> None:
            clock.all_there = True  # nobody is told before the last thread has been started
            say(f"done {progress.done}")

        questions = [{"custom_id": f"q{number}", "prompt": f"question {number}"} for number in range(int(items))]
        found = client.batch(questions, name="b", concurrency=int(concurrency), progress=tell)
        say(f"ended {len(found.done)} {len(found.failed)} {len(found.planned)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
