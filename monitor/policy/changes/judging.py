"""One catalogue against what was believed before it. The rules, with their reasons, are the package's docstring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from monitor.clock import DAY, MINUTE, iso
from monitor.model import Event, ModelFacts
from monitor.policy.changes.belief import Belief, Doubt, Presence, PriceDoubt, new_belief
from monitor.policy.changes.grouping import GROUP, Kind, grouped, matches
from monitor.policy.changes.prices import is_free, price_of, price_text, same_figure, same_price

EDGE_SECONDS = 65 * MINUTE
ADDED_SECONDS = 5 * MINUTE
MISSING_SECONDS = 9 * MINUTE
REMOVED_SECONDS = DAY
REPRICED_SECONDS = 120 * MINUTE
WARN_DAYS = (1, 3, 14)

_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a catalogue brought. `changes` one by one, `events` as they are to be recorded; beliefs that differ now."""

    changes: tuple[Event, ...]
    events: tuple[Event, ...]
    changed: Mapping[str, Belief]
    forgotten: tuple[str, ...]


def judge(
    beliefs: Mapping[str, Belief], models: Mapping[str, ModelFacts], now: float, watched: tuple[str, ...] = ()
) -> Judgement:
    """Judge the newest catalogue. `watched` are globs of ids whose absence is told soon, as that of free ones is."""
    poll = _Poll(now)
    for name, facts in models.items():
        old = beliefs.get(name)
        poll.keep(name, old, new_belief(facts, now) if old is None else poll.seen(old, facts))
    for name, old in beliefs.items():
        if name not in models:
            poll.keep(name, old, poll.unseen(name, old))
    poll.tell_vanished(watched)
    return Judgement(tuple(poll.changes), tuple(grouped(poll.changes, watched)), poll.changed, tuple(poll.forgotten))


@dataclass(slots=True)
class _Poll:
    """One poll being judged."""

    now: float
    changes: list[Event] = field(default_factory=list)
    changed: dict[str, Belief] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    vanished: dict[str, Belief] = field(default_factory=dict)
    """Whose absence is sure as of this poll; whether it is told depends on how many they are."""

    def keep(self, name: str, old: Belief | None, new: Belief | None) -> None:
        if new is None:
            self.forgotten.append(name)
        elif new is not old:
            self.changed[name] = new

    def tell(self, kind: Kind, name: str, before: str | None, after: str | None, note: str = "") -> None:
        self.changes.append(Event(self.now, kind, name, before, after, note))

    def waited(self, since: float) -> float:
        """Seconds since then; negative when the clock was set back behind it."""
        return self.now - since

    # The catalogue lists it

    def seen(self, belief: Belief, facts: ModelFacts) -> Belief:
        if belief.presence is Presence.NEW:
            return self._seen_again(belief, facts)
        belief = self._present(belief, facts)
        belief = self._price(belief, facts)
        belief = self._alias(belief, facts)
        belief = self._context(belief, facts)
        return self._expiry(belief, facts)

    def _seen_again(self, belief: Belief, facts: ModelFacts) -> Belief:
        waited = self.waited(belief.since)
        if waited >= ADDED_SECONDS:
            belief = new_belief(facts, belief.since)._replace(presence=Presence.LISTED)
            self.tell(Kind.ADDED, facts.id, None, price_text(belief.price))
            return self._warn(belief, facts.id)
        return new_belief(facts, self.now) if waited < 0 else belief

    def _present(self, belief: Belief, facts: ModelFacts) -> Belief:
        if belief.presence is Presence.LISTED:
            return belief if belief.absent_since is None else belief._replace(absent_since=None)
        if belief.presence is Presence.MISSING and not belief.told:
            return belief._replace(presence=Presence.LISTED, absent_since=None)
        if belief.back_since is None or self.waited(belief.back_since) < 0:
            return belief._replace(back_since=self.now)
        if self.waited(belief.back_since) < EDGE_SECONDS:
            return belief
        price = price_of(facts)
        if belief.presence is Presence.REMOVED:
            # What it costs now is part of this news, not another one.
            belief = belief._replace(price=price, price_doubt=None)
        self.tell(Kind.RETURNED, facts.id, None, price_text(price), f"was {_away(belief)}")
        return belief._replace(presence=Presence.LISTED, absent_since=None, back_since=None, told=False)

    def _price(self, belief: Belief, facts: ModelFacts) -> Belief:
        price, doubt = price_of(facts), belief.price_doubt
        if price == belief.price and doubt is None:
            return belief
        if same_price(belief.price, price):
            return belief if doubt is None else belief._replace(price_doubt=None)
        if is_free(belief.price) and not is_free(price):
            self.tell(Kind.NO_LONGER_FREE, facts.id, price_text(belief.price), price_text(price))
            return belief._replace(price=price, lost=True)
        if doubt is None or not same_price(doubt.price, price) or self.waited(doubt.since) < 0:
            return belief._replace(price_doubt=PriceDoubt(price, self.now))
        free = is_free(price)
        if self.waited(doubt.since) < (EDGE_SECONDS if free else REPRICED_SECONDS):
            return belief
        kind = Kind.FREE_AGAIN if free and belief.lost else Kind.REPRICED
        self.tell(kind, facts.id, price_text(belief.price), price_text(price))
        return belief._replace(price=price, price_doubt=None)

    def _alias(self, belief: Belief, facts: ModelFacts) -> Belief:
        target = facts.alias_target
        if target is None or belief.alias is None:
            # A target that is not listed any more says nothing: the key is younger than the aliases.
            return belief if target is None else belief._replace(alias=target)
        alias, doubt = self._settled(belief.alias, belief.alias_doubt, target)
        if alias != belief.alias:
            self.tell(Kind.ALIAS_MOVED, facts.id, belief.alias, alias)
        elif doubt is belief.alias_doubt:
            return belief
        return belief._replace(alias=alias, alias_doubt=doubt)

    def _context(self, belief: Belief, facts: ModelFacts) -> Belief:
        length, believed = facts.context_length, belief.context
        if length is None or believed is None:
            # Beliefs of before lengths were looked at have none; one that is not listed any more says nothing.
            return belief if length is None else belief._replace(context=length)
        if same_figure(believed, length):
            return belief if belief.context_doubt is None else belief._replace(context_doubt=None)
        settled, doubt = self._settled(str(believed), belief.context_doubt, str(length))
        if settled == str(believed):
            return belief if doubt is belief.context_doubt else belief._replace(context_doubt=doubt)
        self.tell(Kind.CONTEXT_CHANGED, facts.id, str(believed), settled, "tokens that it takes at once")
        return belief._replace(context=length, context_doubt=None)

    def _expiry(self, belief: Belief, facts: ModelFacts) -> Belief:
        expires, doubt = self._settled(belief.expires, belief.expires_doubt, facts.expires)
        if expires != belief.expires:
            belief = belief._replace(expires=expires, expires_doubt=None, warned=0)
        elif doubt is not belief.expires_doubt:
            belief = belief._replace(expires_doubt=doubt)
        return belief if expires is None else self._warn(belief, facts.id)

    def _warn(self, belief: Belief, name: str) -> Belief:
        left = _seconds_left(belief.expires, self.now)
        if left is None or left <= -DAY:
            return belief
        distance = next((days for days in WARN_DAYS if left <= days * DAY), None)
        if distance is None or 0 < belief.warned <= distance:
            return belief
        days = max(0, int(left // DAY))
        when = f"in {days} day{'' if days == 1 else 's'}" if days else "within a day"
        self.tell(Kind.EXPIRING, name, None, (belief.expires or "")[:10], f"OpenRouter lists it to expire {when}")
        return belief._replace(warned=distance)

    def _settled(self, believed: str | None, doubt: Doubt | None, seen: str | None) -> tuple[str | None, Doubt | None]:
        """What to believe now, and what to be in doubt of."""
        if seen == believed:
            return believed, None
        if doubt is None or doubt.value != seen or self.waited(doubt.since) < 0:
            return believed, Doubt(seen, self.now)
        return (seen, None) if self.waited(doubt.since) >= EDGE_SECONDS else (believed, doubt)

    # The catalogue does not list it

    def unseen(self, name: str, belief: Belief) -> Belief | None:
        if belief.price_doubt or belief.expires_doubt or belief.alias_doubt or belief.context_doubt:
            belief = belief._replace(price_doubt=None, expires_doubt=None, alias_doubt=None, context_doubt=None)
        match belief.presence:
            case Presence.NEW:
                return None if self.waited(belief.since) >= REMOVED_SECONDS else belief
            case Presence.REMOVED:
                return belief if belief.back_since is None else belief._replace(back_since=None)
            case Presence.LISTED if 0 <= self.waited(belief.since) < EDGE_SECONDS:
                return belief  # perhaps a copy from before it was added
            case _:
                return self._absent(name, belief)

    def _absent(self, name: str, belief: Belief) -> Belief:
        since = belief.absent_since
        if since is None or belief.back_since is not None or self.waited(since) < 0:
            return belief._replace(absent_since=self.now, back_since=None)
        if self.waited(since) >= REMOVED_SECONDS:
            self.tell(Kind.REMOVED, name, price_text(belief.price), None, _away(belief))
            return belief._replace(presence=Presence.REMOVED)
        if belief.presence is Presence.LISTED and self.waited(since) >= MISSING_SECONDS:
            belief = belief._replace(presence=Presence.MISSING)
            self.vanished[name] = belief
        return belief

    def tell_vanished(self, watched: tuple[str, ...]) -> None:
        """Tell of those whose absence matters by itself; of all, when there are many."""
        many = len(self.vanished) >= GROUP
        for name, belief in self.vanished.items():
            if many or is_free(belief.price) or matches(name, watched):
                self.changed[name] = belief._replace(told=True)
                self.tell(Kind.MISSING, name, price_text(belief.price), None, _away(belief))


def _away(belief: Belief) -> str:
    assert belief.absent_since is not None
    return f"not in the catalogue since {iso(belief.absent_since)}"


def _seconds_left(expires: str | None, now: float) -> float | None:
    """Seconds until the day of `expires` begins in UTC; None for what is no date."""
    try:
        return (date.fromisoformat((expires or "")[:10]).toordinal() - _EPOCH) * DAY - now
    except ValueError:
        return None
