"""What may leave: every reason of the closed list that the policy can give, at its bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.clock import next_midnight
from monitor.model import Action, Endpoint, Intent, Objection, PriceClass, Reason, Tier, Verdict
from monitor.policy.admission import ACCOUNT, PAID_CALLS, admit
from monitor.policy.balances import Balances, DayWindow, MinuteWindow, Money
from monitor.policy.hints import message_for
from tests.fakes.builders import (
    CATALOGUE,
    FREE,
    FREE2,
    GHOST,
    MIDNIGHT,
    NOON,
    PAID,
    PAID_FREE,
    ROUTED,
    ZERO,
    balances,
    facts,
    intent,
    settings,
)

MAX_AGE = 6 * 3600.0


def judge(asked: Intent, standing: Balances | None = None, app: str = "app", **sections: object) -> Verdict:
    return admit(asked, standing or balances(), settings(**sections), app)


def objecting(reason: Reason, model: str | None = FREE, about: str | None = None) -> Intent:
    return intent(model, objections=(Objection(reason, "because", about),))


# What the request asks for, while only free models may be called


@pytest.mark.parametrize("model", [FREE, FREE2, "openrouter/free"])
def test_a_free_model_of_the_catalogue_is_admitted_as_free(model):
    """A listed `:free` variant at zero, and the free router, leave and cost nothing."""
    assert judge(intent(model)) == Verdict(Action.ADMIT, tier=Tier.FREE, estimate_usd=0.0)


@pytest.mark.parametrize(
    ("asked", "reason", "model"),
    [
        (intent(None), Reason.MODEL_MISSING, None),
        (intent(GHOST), Reason.MODEL_UNKNOWN, GHOST),
        (intent("lab/unheard-of"), Reason.MODEL_UNKNOWN, "lab/unheard-of"),
        (intent(FREE.upper()), Reason.MODEL_UNKNOWN, FREE.upper()),
        (intent(PAID), Reason.MODEL_NOT_FREE, PAID),
        (intent(PAID_FREE), Reason.MODEL_NOT_FREE, PAID_FREE),
        (intent(ZERO), Reason.MODEL_NOT_FREE, ZERO),
        (intent(ROUTED), Reason.ROUTER_MODEL, ROUTED),
        (intent(FREE, fallbacks=(FREE2, PAID)), Reason.FALLBACK_NOT_FREE, PAID),
        (intent(FREE, fallbacks=(GHOST,)), Reason.FALLBACK_NOT_FREE, GHOST),
        (intent(FREE, fallbacks=(ROUTED,)), Reason.FALLBACK_NOT_FREE, ROUTED),
        (intent(FREE, tool_models=(PAID,)), Reason.FALLBACK_NOT_FREE, PAID),
        (intent(None, fallbacks=(PAID,)), Reason.FALLBACK_NOT_FREE, PAID),
        (intent(endpoint=Endpoint.UNKNOWN), Reason.ENDPOINT_UNKNOWN, FREE),
    ],
)
def test_what_is_not_known_to_be_free_is_refused(asked, reason, model):
    """Anything but exact free ids of the catalogue is refused, and the verdict names the model that is to blame."""
    verdict = judge(asked)
    assert (verdict.action, verdict.reason, verdict.model) == (Action.REFUSE, reason, model)


@pytest.mark.parametrize(
    "reason",
    [
        Reason.ROUTER_MODEL,
        Reason.PRESET,
        Reason.PAID_PLUGIN,
        Reason.SERVER_TOOL,
        Reason.PAID_MODALITY,
        Reason.PAID_SERVICE_TIER,
        Reason.MODEL_MISSING,
        Reason.BODY_UNREADABLE,
        Reason.ENDPOINT_UNKNOWN,
    ],
)
def test_an_objection_is_refused_though_the_model_is_free(reason):
    """What bills besides the model is refused on a free model too, with the objection's own reason and words."""
    verdict = judge(objecting(reason))
    assert (verdict.action, verdict.reason, verdict.detail) == (Action.REFUSE, reason, "because")


AWAY = "it goes to gw.example, and the prices known are those of http://127.0.0.1:8377/api/v1"


@pytest.mark.parametrize("sections", [{}, {"zero_priced": True}, {"catalogue": "suffix"}])
@pytest.mark.parametrize("model", [FREE, "openrouter/free", ZERO, GHOST, PAID])
@pytest.mark.parametrize("age", [60.0, None])
def test_no_catalogue_vouches_for_another_upstream(model, sections, age):
    """What goes where the known prices do not hold is refused, whatever its name; the refusal says what to set."""
    verdict = judge(intent(model, unvouched=AWAY), balances(catalogue_age=age), guard=sections)
    assert (verdict.action, verdict.reason, verdict.detail) == (Action.REFUSE, Reason.ENDPOINT_UNKNOWN, AWAY)
    assert "base_url" in message_for(verdict)
    assert verdict.model == model


@pytest.mark.parametrize("guard", [{"allow": "any"}, {"allow": "listed", "models": ["lab/*"]}])
def test_where_no_price_is_known_what_is_allowed_by_name_leaves_at_an_unknown_price(guard):
    """A list, or `any`, needs no catalogue; but no price is believed: the tier is unknown and no budget holds it."""
    for model in (FREE, PAID):
        away = intent(model, unvouched=AWAY)
        assert judge(away, guard=guard) == Verdict(Action.ADMIT, tier=Tier.UNKNOWN)
        assert judge(away, guard=guard, budget={"per_day_usd": 1000}).reason is Reason.BUDGET_CALL


def test_free_fallbacks_and_tool_models_are_admitted():
    """A request whose every reachable model is free is free."""
    assert judge(intent(FREE, fallbacks=(FREE2,), tool_models=("openrouter/free",))).tier is Tier.FREE


@pytest.mark.parametrize("price", [p for p in PriceClass if p not in (PriceClass.FREE, PriceClass.ZERO)])
def test_a_free_name_is_no_proof(price):
    """A `:free` id that the catalogue lists at a price, or at one that cannot be read, is not free."""
    verdict = judge(intent(FREE), balances(facts={FREE: facts(FREE, price)}))
    assert verdict.action is Action.REFUSE


def test_zero_priced_models_need_the_setting():
    """A zero price without the suffix is free only when `guard.zero_priced` says so, also as a fallback."""
    assert judge(intent(ZERO)).reason is Reason.MODEL_NOT_FREE
    assert judge(intent(FREE, fallbacks=(ZERO,))).reason is Reason.FALLBACK_NOT_FREE
    for asked in (intent(ZERO), intent(FREE, fallbacks=(ZERO,))):
        assert judge(asked, guard={"zero_priced": True}) == Verdict(Action.ADMIT, tier=Tier.FREE)


# The order of objections


def test_the_worst_objection_is_told_first():
    """An unreadable body outranks the deny list, which outranks add-ons, which outrank the models' prices."""
    unreadable, plugin = Objection(Reason.BODY_UNREADABLE, "u"), Objection(Reason.PAID_PLUGIN, "p")
    deny = {"deny": [PAID]}
    both = intent(PAID, objections=(plugin, unreadable))
    assert judge(both, guard=deny).reason is Reason.BODY_UNREADABLE
    assert judge(intent(PAID, objections=(plugin,)), guard=deny).reason is Reason.MODEL_DENIED
    assert judge(intent(PAID, objections=(plugin,))).reason is Reason.PAID_PLUGIN
    assert judge(intent(PAID)).reason is Reason.MODEL_NOT_FREE


def test_what_is_wrong_with_the_request_comes_before_what_time_can_mend():
    """A paid model is called that, also while the day is spent and the account cools down."""
    spent = balances(day=DayWindow(50, attempts=50), cooldowns={ACCOUNT: NOON + 9})
    assert judge(intent(PAID), spent).reason is Reason.MODEL_NOT_FREE


def test_a_pause_comes_first_of_all():
    """While paused nothing else is judged, and the verdict carries the note."""
    verdict = judge(intent(endpoint=Endpoint.UNKNOWN), balances(paused="weekend"))
    assert (verdict.action, verdict.reason, verdict.detail) == (Action.REFUSE, Reason.PAUSED, "weekend")


@pytest.mark.parametrize("allow", ["free", "listed", "any"])
@pytest.mark.parametrize("reason", [Reason.BODY_UNREADABLE, Reason.ENDPOINT_UNKNOWN])
def test_what_nobody_can_judge_never_leaves(allow, reason):
    """An unreadable body and an unknown endpoint are refused whatever is allowed."""
    guard = {"allow": allow, "models": ["*"]}
    assert judge(objecting(reason, PAID), guard=guard).reason is reason
    assert judge(intent(PAID, endpoint=Endpoint.UNKNOWN), guard=guard).reason is Reason.ENDPOINT_UNKNOWN


# Lists


@pytest.mark.parametrize("allow", ["free", "listed", "any"])
def test_the_deny_list_holds_under_every_policy(allow):
    """A denied model is refused as the asked one, as a fallback and as a tool's model; globs work, case matters."""
    guard = {"allow": allow, "models": ["*"], "deny": ["lab/te*"]}
    for asked in (intent(FREE2), intent(FREE, fallbacks=(FREE2,)), intent(FREE, tool_models=(FREE2,))):
        verdict = judge(asked, guard=guard)
        assert (verdict.reason, verdict.model) == (Reason.MODEL_DENIED, FREE2)
    assert judge(intent(FREE), guard=guard).action is Action.ADMIT
    assert judge(intent(FREE2), guard=guard | {"deny": ["LAB/TE*"]}).action is Action.ADMIT


@pytest.mark.parametrize("allow", ["free", "any"])
def test_a_list_of_models_narrows_free_and_any(allow):
    """With `guard.models` set, what matches none of its globs is denied; without it all are let be."""
    guard = {"allow": allow, "models": ["lab/gull*"]}
    assert judge(intent(FREE), guard=guard).action is Action.ADMIT
    assert judge(intent(FREE2), guard=guard).reason is Reason.MODEL_DENIED
    assert judge(intent(FREE, fallbacks=(FREE2,)), guard=guard).reason is Reason.MODEL_DENIED
    assert judge(intent(FREE2), guard={"allow": allow}).action is Action.ADMIT


def test_listing_a_paid_model_does_not_make_it_free():
    """Under `allow = "free"` the list only narrows."""
    assert judge(intent(PAID), guard={"models": [PAID]}).reason is Reason.MODEL_NOT_FREE


def test_listed_admits_what_is_listed_and_nothing_else():
    """Under `allow = "listed"` a listed paid model leaves as paid; an empty list lets nothing leave."""
    guard = {"allow": "listed", "models": [PAID]}
    assert judge(intent(PAID), guard=guard).tier is Tier.PAID
    assert judge(intent(FREE), guard=guard).reason is Reason.MODEL_DENIED
    assert judge(intent(FREE), guard={"allow": "listed"}).reason is Reason.MODEL_DENIED
    assert judge(intent(PAID, fallbacks=(FREE,)), guard=guard).reason is Reason.MODEL_DENIED


def test_listing_a_router_allows_it_and_nothing_besides():
    """A router that is named in the list leaves; a plugin does not, nor a router that is not listed."""
    guard = {"allow": "listed", "models": [ROUTED]}
    assert judge(objecting(Reason.ROUTER_MODEL, ROUTED, ROUTED), guard=guard).action is Action.ADMIT
    assert judge(objecting(Reason.ROUTER_MODEL, ROUTED, None), guard=guard).reason is Reason.ROUTER_MODEL
    assert judge(objecting(Reason.ROUTER_MODEL, ROUTED, "lab/other"), guard=guard).reason is Reason.ROUTER_MODEL
    assert judge(objecting(Reason.PAID_PLUGIN, ROUTED), guard=guard).reason is Reason.PAID_PLUGIN
    assert judge(objecting(Reason.MODEL_MISSING, None), guard=guard).reason is Reason.MODEL_MISSING


@pytest.mark.parametrize(
    ("asked", "tier"),
    [
        (intent(PAID), Tier.PAID),
        (intent(GHOST), Tier.UNKNOWN),
        (intent(None), Tier.UNKNOWN),
        (intent(FREE), Tier.FREE),
        (intent(FREE, fallbacks=(PAID,)), Tier.PAID),
        (objecting(Reason.PAID_PLUGIN), Tier.PAID),
        (objecting(Reason.MODEL_MISSING, None), Tier.UNKNOWN),
    ],
)
def test_any_lets_everything_readable_leave(asked, tier):
    """Under `allow = "any"` all that can be read leaves, under the tier that it may bill at."""
    verdict = judge(asked, guard={"allow": "any"})
    assert (verdict.action, verdict.tier) == (Action.ADMIT, tier)


# The catalogue's age


@pytest.mark.parametrize(
    ("age", "admitted"),
    [(0.0, True), (MAX_AGE - 0.001, True), (MAX_AGE, True), (MAX_AGE + 0.001, False), (None, False)],
)
@pytest.mark.parametrize("asked", [intent(FREE), intent(FREE, fallbacks=(FREE2,)), intent("openrouter/free")])
def test_a_catalogue_is_believed_up_to_its_greatest_age(age, admitted, asked):
    """At `catalogue_max_age` it still counts, a moment later nothing is known to be free."""
    verdict = judge(asked, balances(catalogue_age=age))
    assert verdict.reason is (None if admitted else Reason.CATALOGUE_STALE)


def test_without_a_catalogue_a_paid_name_is_stale_too():
    """Nothing can be said of any model then, so the reason is the catalogue and not the model."""
    assert judge(intent(PAID), balances(catalogue_age=None, facts={})).reason is Reason.CATALOGUE_STALE


@pytest.mark.parametrize(
    ("model", "admitted"),
    [(FREE, True), (GHOST, True), ("openrouter/free", True), (PAID, False), (ZERO, False), ("lab/gull:free:x", False)],
)
def test_the_plain_suffix_rule_without_a_catalogue(model, admitted):
    """`guard.catalogue = "suffix"` lets `:free` names leave while no catalogue can be believed, and only them."""
    guard = {"catalogue": "suffix", "zero_priced": True}
    verdict = judge(intent(model), balances(catalogue_age=MAX_AGE + 1), guard=guard)
    assert verdict.reason is (None if admitted else Reason.CATALOGUE_STALE)
    if admitted:
        assert verdict.tier is Tier.FREE


def test_the_suffix_rule_gives_way_to_a_usable_catalogue():
    """With a fresh catalogue at hand its word counts, also when the suffix rule is on."""
    guard = {"catalogue": "suffix"}
    assert judge(intent(GHOST), guard=guard).reason is Reason.MODEL_UNKNOWN
    assert judge(intent(PAID_FREE), guard=guard).reason is Reason.MODEL_NOT_FREE


# Cool-downs


@pytest.mark.parametrize(("until", "delay"), [(NOON - 1, None), (NOON, None), (NOON + 0.001, 0.001), (NOON + 9, 9)])
@pytest.mark.parametrize("subject", [ACCOUNT, FREE])
def test_a_cool_down_delays_until_its_end(subject, until, delay):
    """Account and model wait up to the instant itself; at it the call may leave."""
    verdict = judge(intent(FREE), balances(cooldowns={subject: until}))
    if delay is None:
        assert verdict.action is Action.ADMIT
    else:
        assert (verdict.action, verdict.reason, verdict.resets_at) == (Action.DELAY, Reason.COOLDOWN, until)
        assert verdict.delay == pytest.approx(delay, abs=1e-5)
        assert verdict.model == (FREE if subject == FREE else None)


def test_a_cool_down_is_of_the_asked_model_only():
    """Another model's cool-down, and a fallback's, delay nothing."""
    cooling = balances(cooldowns={FREE2: NOON + 9})
    assert judge(intent(FREE), cooling).action is Action.ADMIT
    assert judge(intent(FREE, fallbacks=(FREE2,)), cooling).action is Action.ADMIT


def test_the_cool_down_of_paid_calls_spares_free_ones():
    """In-flight trouble with the balance delays what may bill, and nothing that is free."""
    cooling = balances(cooldowns={PAID_CALLS: NOON + 9})
    assert judge(intent(FREE), cooling).action is Action.ADMIT
    verdict = judge(intent(PAID), cooling, guard={"allow": "any"})
    assert (verdict.action, verdict.reason, verdict.delay) == (Action.DELAY, Reason.COOLDOWN, 9)


def test_of_several_cool_downs_the_longest_counts():
    """The delay runs to the last of those that concern the call."""
    cooling = balances(cooldowns={ACCOUNT: NOON + 5, PAID_CALLS: NOON + 7, PAID: NOON + 6})
    assert judge(intent(PAID), cooling, guard={"allow": "any"}).delay == 7


# Windows and apps


@pytest.mark.parametrize(("used", "reason"), [(0, None), (49, None), (50, Reason.DAY_LIMIT), (51, Reason.DAY_LIMIT)])
def test_the_day_limit(used, reason):
    """The fiftieth of fifty leaves, the fifty-first does not, until midnight UTC."""
    verdict = judge(intent(FREE), balances(day=DayWindow(50, attempts=used)))
    assert verdict.reason is reason
    if reason:
        assert (verdict.action, verdict.resets_at) == (Action.REFUSE, next_midnight(NOON))
        assert (verdict.limit, verdict.remaining) == (50, 0)


def test_a_minute_without_room_is_a_delay():
    """A full minute delays to the instant at which its oldest request is sixty-one seconds old."""
    verdict = judge(intent(FREE), balances(minute=MinuteWindow(20, blocking_at=NOON - 45)))
    assert (verdict.action, verdict.reason) == (Action.DELAY, Reason.MINUTE_LIMIT)
    assert (verdict.delay, verdict.resets_at, verdict.limit, verdict.remaining) == (16, NOON + 16, 20, 0)


@pytest.mark.parametrize(("used", "reason"), [(9, None), (10, Reason.APP_LIMIT), (11, Reason.APP_LIMIT)])
def test_an_apps_own_ceiling(used, reason):
    """`apps.<name>.per_day` binds that app at its number, and no other."""
    standing = balances(apps={"app": used, "other": 30})
    limits = {"app": {"per_day": 10}}
    verdict = judge(intent(FREE), standing, apps=limits)
    assert verdict.reason is reason
    assert judge(intent(FREE), standing, app="other", apps=limits).action is Action.ADMIT
    if reason:
        assert (verdict.resets_at, verdict.limit) == (next_midnight(NOON), 10)


def test_a_ceiling_of_none_at_all():
    """`per_day = 0` keeps an app from ever taking a free request."""
    assert judge(intent(FREE), apps={"app": {"per_day": 0}}).reason is Reason.APP_LIMIT


def test_what_is_promised_to_others_is_refused():
    """The last common request leaves; the next would eat another app's share."""
    shares = {"other": {"share": 0.4}}
    for used, reason in ((29, None), (30, Reason.APP_SHARE)):
        standing = balances(day=DayWindow(50, attempts=used), apps={"app": used})
        assert judge(intent(FREE), standing, apps=shares).reason is reason
    assert judge(intent(FREE), standing, app="other", apps=shares).action is Action.ADMIT


@pytest.mark.parametrize("model", [FREE, GHOST, ZERO, PAID_FREE, "openrouter/free"])
def test_what_openrouter_counts_as_free_takes_the_windows(model):
    """Whatever has the suffix, or costs nothing, is held to the free windows, whichever policy lets it leave."""
    spent = balances(day=DayWindow(50, attempts=50))
    assert judge(intent(model), spent, guard={"allow": "any"}).reason is Reason.DAY_LIMIT
    assert judge(intent(PAID, fallbacks=(model,)), spent, guard={"allow": "any"}).reason is Reason.DAY_LIMIT


def test_paid_models_take_no_free_request():
    """A spent day does not hold up a paid call."""
    spent = balances(day=DayWindow(50, attempts=50), minute=MinuteWindow(20, blocking_at=NOON))
    assert judge(intent(PAID), spent, guard={"allow": "any"}).action is Action.ADMIT


# Money


@pytest.mark.parametrize(
    ("left", "reason"), [(None, None), (0.01, None), (0.0, Reason.KEY_LIMIT), (-1, Reason.KEY_LIMIT)]
)
def test_a_key_without_credit_left(left, reason):
    """A key that has spent its cap calls no paid model; free ones still work (they do at OpenRouter)."""
    standing = balances(money=Money(key_remaining_usd=left))
    assert judge(intent(PAID), standing, guard={"allow": "any"}).reason is reason
    assert judge(intent(FREE), standing, guard={"allow": "any"}).action is Action.ADMIT


# A worst case of 100 prompt tokens and 100 of the answer
CALL_USD = 100 * 1e-6 + 100 * 4e-6


@pytest.mark.parametrize(
    ("budget", "spent", "reason"),
    [
        ({}, 0.0, None),
        ({"per_call_usd": CALL_USD}, 0.0, None),
        ({"per_call_usd": CALL_USD + 1e-6}, 0.0, None),
        ({"per_call_usd": CALL_USD - 1e-6}, 0.0, Reason.BUDGET_CALL),
        ({"per_day_usd": 1.0}, 1.0 - CALL_USD, None),
        ({"per_day_usd": 1.0}, 1.0 - CALL_USD - 1e-6, None),
        ({"per_day_usd": 1.0}, 1.0 - CALL_USD + 1e-6, Reason.BUDGET_DAY),
        ({"per_month_usd": 1.0}, 1.0 - CALL_USD, None),
        ({"per_month_usd": 1.0}, 1.0 - CALL_USD + 1e-6, Reason.BUDGET_MONTH),
        ({"per_call_usd": 0.0}, 0.0, Reason.BUDGET_CALL),
        ({"per_call_usd": 0.0, "per_day_usd": 0.0}, 0.0, Reason.BUDGET_CALL),
        ({"per_day_usd": 0.0, "per_month_usd": 0.0}, 0.0, Reason.BUDGET_DAY),
    ],
)
def test_budgets_hold_the_worst_case(budget, spent, reason):
    """A call that fits exactly leaves with its worst case reserved; one that could cost a millionth more does not."""
    asked = intent(PAID, max_output_tokens=100)
    standing = balances(money=Money(day_usd=spent, month_usd=spent))
    verdict = judge(asked, standing, guard={"allow": "any"}, budget=budget)
    assert verdict.reason is reason
    if reason is None:
        assert verdict.estimate_usd == pytest.approx(CALL_USD)


@pytest.mark.parametrize("budget", [{"per_call_usd": 1e9}, {"per_day_usd": 1e9}, {"per_month_usd": 1e9}])
@pytest.mark.parametrize(
    "asked", [intent(None), intent("lab/unheard-of"), intent(ROUTED), objecting(Reason.PAID_PLUGIN)]
)
def test_an_unknown_worst_case_breaks_any_budget(asked, budget):
    """What cannot be bounded does not leave once there is a budget, however large; without one it does."""
    verdict = judge(asked, guard={"allow": "any"}, budget=budget)
    assert verdict.reason is Reason.BUDGET_CALL
    assert judge(asked, guard={"allow": "any"}).estimate_usd == 0.0


def test_free_calls_need_no_budget():
    """A free call leaves under budgets of zero that are already overdrawn."""
    standing = balances(money=Money(day_usd=5, month_usd=5))
    budget = {"per_call_usd": 0, "per_day_usd": 0, "per_month_usd": 0}
    assert judge(intent(FREE), standing, budget=budget).action is Action.ADMIT


# The closed list as a whole


def test_every_reason_of_the_closed_list_can_be_given():
    """The policy gives each reason of the list, but for `store_unavailable`, which the ledger gives; none is idle."""
    paid, standing = {"guard": {"allow": "any"}}, balances()
    cases: list[tuple[Intent, Balances, dict[str, object]]] = [
        (intent(None), standing, {}),
        (intent(GHOST), standing, {}),
        (intent(PAID), standing, {}),
        (intent(FREE), standing, {"guard": {"deny": ["*"]}}),
        (intent(FREE, fallbacks=(PAID,)), standing, {}),
        *((objecting(reason), standing, {}) for reason in _OBJECTIONS),
        (intent(FREE), replace(standing, catalogue_age=None), {}),
        (intent(FREE), replace(standing, minute=MinuteWindow(20, blocking_at=NOON)), {}),
        (intent(FREE), replace(standing, day=DayWindow(0)), {}),
        (intent(FREE), standing, {"apps": {"app": {"per_day": 0}}}),
        (intent(FREE), standing, {"apps": {"other": {"share": 1.0}}}),
        (intent(PAID), standing, paid | {"budget": {"per_call_usd": 0}}),
        (intent(PAID), standing, paid | {"budget": {"per_day_usd": 0}}),
        (intent(PAID), standing, paid | {"budget": {"per_month_usd": 0}}),
        (intent(PAID), replace(standing, money=Money(key_remaining_usd=0)), paid),
        (intent(FREE), replace(standing, cooldowns={ACCOUNT: NOON + 1}), {}),
        (intent(FREE), replace(standing, paused="by hand"), {}),
    ]
    given = {judge(asked, stand, **sections).reason for asked, stand, sections in cases}
    assert given == set(Reason) - {Reason.STORE_UNAVAILABLE}


_OBJECTIONS = (
    Reason.ROUTER_MODEL,
    Reason.PRESET,
    Reason.PAID_PLUGIN,
    Reason.SERVER_TOOL,
    Reason.PAID_MODALITY,
    Reason.PAID_SERVICE_TIER,
    Reason.ENDPOINT_UNKNOWN,
    Reason.BODY_UNREADABLE,
)


def test_a_verdict_at_midnight_is_of_the_new_day():
    """At 00:00:00 UTC sharp the reset that is named is the next midnight, not this instant."""
    verdict = judge(intent(FREE), balances(MIDNIGHT, day=DayWindow(0)))
    assert verdict.resets_at == MIDNIGHT + 86_400


def test_the_models_of_the_catalogue_here_are_what_their_names_say():
    """These tests stand on a catalogue with one model of each kind."""
    assert {CATALOGUE[m].price for m in CATALOGUE} == set(PriceClass) - {PriceClass.UNKNOWN}


@pytest.mark.parametrize(("requests", "admitted"), [(1, True), (2, False)])
def test_a_batch_of_free_requests_is_refused_when_it_takes_more_than_one(requests, admitted):
    """One reservation holds back one free request, so a batch of more does not leave."""
    verdict = judge(intent(endpoint=Endpoint.BATCHES, choices=requests))
    assert (verdict.action is Action.ADMIT) is admitted
