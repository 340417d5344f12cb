"""Decides one request as the platform would: who asks, which model serves, whether quota and money allow it.

Everything here is plain computation on the server's thread, so a decision is atomic: two requests never both take the
last free slot.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from monitor.clock import Clock, iso
from monitor.simulator.accounts import Account, Accounts, window_end
from monitor.simulator.catalogue import Catalogue, Entry
from monitor.simulator.faults import Faults, Plan
from monitor.simulator.money import Bill, add_ons, bill, compresses, too_dear
from monitor.simulator.named_errors import NAMED_KINDS, Scene, named
from monitor.simulator.options import SimulatorOptions
from monitor.simulator.quota import Window
from monitor.simulator.reading import Ask
from monitor.simulator.refusals import (
    Refusal,
    constraint_filtered,
    context_exceeded,
    credits_402,
    free_daily,
    free_minute,
    key_limit_402,
    key_limit_403,
    negative_balance_402,
    never_purchased_402,
)
from monitor.simulator.routing import Route, route, wrong_output
from monitor.simulator.text import answer_to, thought_about, token_count

_BEFORE_ALL = frozenset({"edge_html", "admission"})
"""Refusals by machinery in front of the quota: they count nothing, and no fallback is tried."""
_DEFAULT_MAX_TOKENS = 4_096
_POOLED = frozenset({"embeddings", "rerank"})


@dataclass(slots=True)
class Served:
    """An answer: what is said, by whom, and what it costs."""

    ask: Ask
    route: Route
    generation_id: str
    created: int
    text: str
    thought: str
    finish: str
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    bill: Bill

    @property
    def entry(self) -> Entry:
        return self.route.entry


@dataclass(slots=True)
class Ticket:
    """One request on its way through the desk; what happened to the quota is noted on it."""

    account: Account
    key: str
    now: float
    generation_id: str
    plan: Plan = field(default_factory=Plan)
    counted: bool = False
    rejected: bool = False


class Desk:
    """The platform's decisions over one state of catalogue, accounts and faults."""

    def __init__(
        self, options: SimulatorOptions, catalogue: Catalogue, accounts: Accounts, faults: Faults, clock: Clock
    ) -> None:
        self._options = options
        self._catalogue = catalogue
        self._accounts = accounts
        self._faults = faults
        self._clock = clock
        self._random = random.Random()

    def ticket(self, account: Account, key: str) -> Ticket:
        now = self._clock.now()
        return Ticket(account, key, now, f"gen-{int(now)}-{self._random.getrandbits(80):020x}")

    def serve(self, ask: Ask, ticket: Ticket) -> Served | Refusal:
        """Try each model in turn until one serves; any error but those of the account itself goes to the next."""
        candidates: tuple[str | None, ...] = ask.models or (None,)
        refused: list[Refusal] = []
        for name in candidates:
            answer = self._try(ask, ticket, name)
            if isinstance(answer, Served):
                self._settle(answer, ticket)
                return answer
            refused.append(answer)
            if not answer.next_may_serve:
                break
        if ticket.rejected and self._options.rejections_count:
            ticket.account.quota.count_rejection(ticket.now)
        return refused[0] if len(refused) == 1 else refused[-1].with_previous(refused[:-1])

    def _try(self, ask: Ask, ticket: Ticket, name: str | None) -> Served | Refusal:
        ticket.plan = self._faults.take("POST", ask.path, name)
        kind = ticket.plan.answer.kind if ticket.plan.answer else ""
        if kind in _BEFORE_ALL:
            return self._injected(kind, ticket, name or "", "")
        found = route(self._catalogue.view, name, ask.prompt)
        if isinstance(found, Refusal):
            return found
        entry = found.entry
        refusal = wrong_output(entry, ask.endpoint, ask.body.get("modalities"))
        if refusal is None and ask.max_price and too_dear(entry, ask.max_price):
            refusal = constraint_filtered(entry.id, "max_price")
        if refusal is None and 0 < entry.context < ask.longest_prompt and not compresses(ask):
            refusal = context_exceeded(entry.context, ask.longest_prompt)
        if refusal is None:
            extras = add_ons(ask, entry, found.suffixes, self._options.default_plugins)
            refusal = self._money_refusal(ask, ticket, entry, extras)
        if refusal is None:
            refusal = self._quota_refusal(ask, ticket, found)
        if refusal is None and (kind in NAMED_KINDS or kind == "status"):
            refusal = self._injected(kind, ticket, entry.id, entry.provider)
            self._after_upstream_error(kind, ticket)
        return refusal if refusal is not None else self._answer(ask, ticket, found, extras)

    def _quota_refusal(self, ask: Ask, ticket: Ticket, found: Route) -> Refusal | None:
        """Take one free request, once per request however many models it tries."""
        if ticket.counted or not self._gated(ask, found):
            return None
        match ticket.account.quota.take(ticket.now):
            case Window.DAY:
                ticket.rejected = True
                return free_daily(ticket.now, self._options)
            case Window.MINUTE:
                ticket.rejected = True
                return free_minute(ticket.account.quota.minute_reset(ticket.now), self._options)
            case _:
                ticket.counted = True
                return None

    def _gated(self, ask: Ask, found: Route) -> bool:
        if ask.endpoint in _POOLED and not self._options.embeddings_count:
            return False
        entry = found.entry
        zero = self._options.zero_priced_counts and entry.prompt == 0 and entry.completion == 0
        return found.free_pool or zero

    def _money_refusal(self, ask: Ask, ticket: Ticket, entry: Entry, extras: tuple[float, int]) -> Refusal | None:
        """Whether the key's cap or the account's credit forbids what this could cost."""
        options = self._options
        if options.paid_allowed and options.key_limit_usd is None:
            return None
        requested = ask.max_tokens or _DEFAULT_MAX_TOKENS
        worst = bill(ask, entry, _prompt_tokens(ask, entry), requested, ticket.now, extras).total
        balance = options.credits_usd - ticket.account.spent()
        if not options.paid_allowed and balance < 0:
            # Below zero OpenRouter refuses free models too.
            return negative_balance_402()
        if worst == 0:
            return None
        left = self._accounts.key_limit_left(ticket.account, ticket.key, ticket.now)
        if left is not None and left <= 0:
            return self._key_refusal(ticket)
        if left is not None and worst > left:
            return key_limit_402(requested, int(requested * left / worst))
        if options.paid_allowed or worst <= balance:
            return None
        return (
            never_purchased_402() if options.is_free_tier else credits_402(requested, int(requested * balance / worst))
        )

    def _key_refusal(self, ticket: Ticket) -> Refusal:
        options = self._options
        spent = self._accounts.key_spend(ticket.account, ticket.key, ticket.now)
        reset = options.key_limit_reset
        when = None if reset is None else iso(window_end(reset, ticket.now)).replace("Z", ".000Z")
        return key_limit_403(options.key_limit_usd or 0.0, spent, reset, when)

    def _injected(self, kind: str, ticket: Ticket, model: str, provider: str) -> Refusal:
        action = ticket.plan.answer
        return injected(kind, action.parameters if action else {}, Scene(ticket.now, model, provider, self._options))

    def _after_upstream_error(self, kind: str, ticket: Ticket) -> None:
        if kind == "upstream_429" and ticket.counted and not self._options.upstream_429_counts:
            ticket.account.quota.refund(ticket.now)
            ticket.counted = False

    def _answer(self, ask: Ask, ticket: Ticket, found: Route, extras: tuple[float, int]) -> Served:
        entry = found.entry
        text = "" if ask.function is not None else answer_to(ask.prompt, entry.id)
        thought = thought_about(ask.last) if entry.thinks else ""
        # What a model thinks is part of what it may say.
        thought, _ = _cut_to(thought, ask.max_tokens)
        reasoning_tokens = token_count(thought) if thought else 0
        text, finish = _cut_to(text, None if ask.max_tokens is None else ask.max_tokens - reasoning_tokens)
        prompt_tokens = _prompt_tokens(ask, entry)
        said = token_count(text) if text or not thought else 0
        completion_tokens = (said + reasoning_tokens) * ask.choices
        if ask.endpoint in _POOLED:
            completion_tokens = reasoning_tokens = 0
        return Served(
            ask=ask,
            route=found,
            generation_id=ticket.generation_id,
            created=int(ticket.now),
            text=text,
            thought=thought,
            finish="tool_calls" if ask.function is not None else finish,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            reasoning_tokens=reasoning_tokens,
            bill=bill(ask, entry, prompt_tokens, completion_tokens, ticket.now, extras),
        )

    def _settle(self, served: Served, ticket: Ticket) -> None:
        # Billed when decided: an answer that is cut off, or that nobody reads, costs all the same.
        if served.bill.total > 0:
            ticket.account.charge(ticket.key, ticket.now, served.bill.total)


def _prompt_tokens(ask: Ask, entry: Entry) -> int:
    """Tokens that the model reads: no more than its context, where the prompt is compressed to fit it."""
    fits = ask.longest_prompt <= entry.context or entry.context == 0
    return ask.prompt_tokens if fits else min(ask.prompt_tokens, entry.context)


def injected(kind: str, parameters: object, scene: Scene) -> Refusal:
    """The refusal of a fault rule, with what the rule changes about it."""
    given = parameters if isinstance(parameters, dict) else {}
    base = Refusal("status", 500, "Injected error", user_id=False) if kind == "status" else named(kind, scene)
    headers = {**base.headers, **{str(name): str(value) for name, value in given.get("headers", {}).items()}}
    if "retry_after" in given:
        headers["Retry-After"] = str(given["retry_after"])
    return Refusal(
        kind=kind,
        status=int(given.get("status", base.status)),
        message=str(given.get("message", base.message)),
        metadata=base.metadata,
        headers=headers,
        extra=base.extra,
        html=base.html,
        raw=given.get("body"),
        next_may_serve=base.next_may_serve,
        user_id=base.user_id,
    )


def _cut_to(text: str, max_tokens: int | None) -> tuple[str, str]:
    if max_tokens is None or token_count(text) <= max_tokens:
        return text, "stop"
    return text[: 4 * max_tokens], "length"
