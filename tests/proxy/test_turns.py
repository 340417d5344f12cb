"""The line before a full window: fair between apps, and nobody is held up by who cannot be helped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from monitor.proxy.turns import Turn, Turns

FOREVER = 1000.0


class Line:
    """Calls that wait, and the order in which they got in. `slots` is how many the window has left."""

    def __init__(self, **priorities: int) -> None:
        self.turns = Turns(priorities)
        self.got_in: list[str] = []
        self.slots = 0
        self.asked = 0

    async def call(self, app: str, seconds: float = FOREVER, patience: float = FOREVER, line: str = "") -> bool:
        """As a course does: wait, ask again, and wait on if there is still no slot."""
        turn: Turn | None = None
        while True:
            turn = await self.turns.wait(line, app, seconds, patience, turn)
            self.asked += 1
            if self.slots:
                self.slots -= 1
                self.got_in.append(app)
            elif turn is not None:
                continue
            if turn is not None:
                turn.over()
            return turn is not None

    async def waiting(self, count: int) -> None:
        while self.turns.waiting < count:
            await asyncio.sleep(0)

    def open(self, slots: int, line: str = "") -> None:
        """The window opens for so many."""
        self.slots = slots
        self.turns.lines[line].open_in(0)


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not check():
            await asyncio.sleep(0.001)


async def test_apps_take_turns_however_many_calls_one_of_them_has():
    """An app with a hundred calls in the line does not keep another's single call from the second slot."""
    line = Line()
    tasks = [asyncio.create_task(line.call("hog")) for _ in range(100)]
    await line.waiting(100)
    tasks += [asyncio.create_task(line.call(app)) for app in ("b", "c", "b")]
    await line.waiting(103)
    line.open(6)
    await until(lambda: len(line.got_in) == 6)
    assert line.got_in == ["hog", "b", "c", "hog", "b", "hog"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (line.turns.waiting, line.turns.lines) == (0, {})


async def test_a_higher_priority_goes_first():
    """An app's `priority` puts its calls before others', and calls of one app keep their order."""
    line = Line(vip=5)
    tasks = [asyncio.create_task(line.call(app)) for app in ("a", "b", "vip", "vip")]
    await line.waiting(4)
    line.open(4)
    await asyncio.gather(*tasks)
    assert line.got_in == ["vip", "vip", "a", "b"]


async def test_only_one_asks_when_there_is_no_slot():
    """A window that opens late is asked once, not once for each that waits."""
    line = Line()
    tasks = [asyncio.create_task(line.call(f"app-{number}")) for number in range(50)]
    await line.waiting(50)
    line.open(0)
    await until(lambda: line.asked == 1 and line.turns.waiting == 50)
    line.open(3)
    await until(lambda: len(line.got_in) == 3 and line.turns.waiting == 47)
    assert line.asked == 5  # three got in, and the fourth found the window full again
    assert line.got_in == ["app-0", "app-1", "app-2"]  # who asked in vain kept its place
    line.open(47)
    await asyncio.gather(*tasks)
    assert line.got_in == [f"app-{number}" for number in range(50)]


async def test_who_has_waited_enough_leaves_the_line():
    """A call whose patience ends asks once more by itself, and the others wait on."""
    line = Line()
    stays = asyncio.create_task(line.call("patient"))
    await line.waiting(1)
    assert await line.call("hasty", patience=0.0) is False
    assert (line.turns.waiting, line.asked) == (1, 1)
    line.open(1)
    assert await stays is True


async def test_one_that_goes_away_while_it_has_its_turn_passes_it_on():
    """A caller that leaves in the very moment in which it was let out does not stop the line."""
    line = Line()
    first, second = asyncio.create_task(line.call("a")), asyncio.create_task(line.call("b"))
    await line.waiting(2)
    line.slots = 1
    line.turns.lines[""].let_out()  # the first has its turn, and has not woken up yet
    first.cancel()
    assert await second is True
    assert line.got_in == ["b"]


async def test_a_model_that_cools_down_holds_up_nobody_else():
    """Each window has its own line."""
    line = Line()
    cooling = asyncio.create_task(line.call("a", line="lab/gull:free"))
    minute = asyncio.create_task(line.call("a"))
    await line.waiting(2)
    line.open(1)
    assert await minute is True
    assert not cooling.done()
    line.open(1, "lab/gull:free")
    assert await cooling is True


async def test_the_window_opens_by_the_clock():
    """The first who waits is let out when its window should be open, with no word from anybody."""
    line = Line()
    line.slots = 2
    assert await asyncio.gather(line.call("a", 0.001), line.call("b", 0.002)) == [True, True]
