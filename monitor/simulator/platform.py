"""The state of one simulated OpenRouter, and the few operations that tests and the control endpoints share."""

from __future__ import annotations

from collections import OrderedDict

from monitor.clock import Clock
from monitor.simulator.accounts import Accounts
from monitor.simulator.books import Books
from monitor.simulator.catalogue import Catalogue
from monitor.simulator.desk import Desk, Served
from monitor.simulator.faults import Faults, load_rules
from monitor.simulator.options import SimulatorOptions

_GENERATIONS_KEPT = 1_000


class Generations:
    """What `/generation` can tell of: the newest answers, with the time at which they were given."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, Served]] = OrderedDict()

    def keep(self, served: Served, now: float) -> None:
        self._kept[served.generation_id] = (now, served)
        if len(self._kept) > _GENERATIONS_KEPT:
            self._kept.popitem(last=False)

    def find(self, generation_id: str, before: float) -> Served | None:
        """The answer, if it was given at `before` or earlier."""
        found = self._kept.get(generation_id)
        return found[1] if found is not None and found[0] <= before else None

    def clear(self) -> None:
        self._kept.clear()


class Platform:
    """Everything that outlives a request. Books, faults and catalogue may be used from any thread, the rest may not."""

    def __init__(self, options: SimulatorOptions, clock: Clock) -> None:
        self.options = options
        self.clock = clock
        self.catalogue = Catalogue(options.catalogue, options.default_model or "openai/gpt-5-mini")
        self.accounts = Accounts(options)
        scenario = load_rules(options.scenario) if options.scenario is not None else []
        self.faults = Faults([*scenario, *options.faults])
        self.books = Books(options.keep_posts)
        self.generations = Generations()
        self.desk = Desk(options, self.catalogue, self.accounts, self.faults, clock)

    def reset(self) -> None:
        """Empty books, fresh quotas, no money spent, the catalogue of the start. Fault rules stay."""
        self.books.reset()
        self.accounts.reset()
        self.generations.clear()
        self.catalogue.reset()

    def set_used(self, used: int, account: str = "default") -> None:
        """Free requests that the account used today, as if by something else."""
        self.accounts.named(account).quota.set_used(self.clock.now(), used)
