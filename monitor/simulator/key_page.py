"""`/key`, `/credits`, `/activity` and `/generation`: what is told of a key, an account and a past answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.clock import day_name, day_of, iso
from monitor.simulator.accounts import Account, masked, window_end
from monitor.simulator.desk import Served
from monitor.simulator.platform import Platform

ACTIVITY_DAYS = 30


def key_page(platform: Platform, account: Account, key: str) -> dict[str, Any]:
    """The whole of `GET /key`, in the shape of late 2026."""
    options, now = platform.options, platform.clock.now()
    money = account.keys[key]
    used = account.quota.shown(now)
    left = platform.accounts.key_limit_left(account, key, now)
    manages = key in options.management_keys
    budget = _budget(platform, account, key, now)
    data = {
        "label": masked(key),
        "limit": options.key_limit_usd,
        "limit_remaining": None if left is None else max(0, left),
        "limit_reset": options.key_limit_reset,
        "usage": money.total(),
        "usage_daily": money.daily(now),
        "usage_weekly": money.weekly(now),
        "usage_monthly": money.monthly(now),
        "byok_usage": 0,
        "byok_usage_daily": 0,
        "byok_usage_weekly": 0,
        "byok_usage_monthly": 0,
        "include_byok_in_limit": False,
        "is_free_tier": options.is_free_tier,
        "is_management_key": manages,
        "is_provisioning_key": manages,
        "creator_user_id": "user_simulated",
        "organization_id": None,
        "workspace_id": None,
        "expires_at": None,
        # `used` may pass the limit; what remains is never below zero.
        "free_model_daily_requests": {
            "used": used,
            "limit": options.per_day,
            "remaining": max(0, options.per_day - used),
        },
        "allowed_data_regions": ["global", "europe", "us"],
        "budgets": [budget] if budget else [],
        "effective_budget": budget,
        "rate_limit": {"requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore."},
    }
    return {"data": data}


def _budget(platform: Platform, account: Account, key: str, now: float) -> dict[str, Any] | None:
    limit, reset = platform.options.key_limit_usd, platform.options.key_limit_reset
    if limit is None:
        return None
    spent = platform.accounts.key_spend(account, key, now)
    return {
        "scope": "key_limit",
        "limit_usd": limit,
        "spend_usd": spent,
        "remaining_usd": round(limit - spent, 12),
        "reset_interval": reset,
        "resets_at": None if reset is None else iso(window_end(reset, now)),
        "include_byok": False,
        "budget_id": None,
        "guardrail_id": None,
    }


def credits_page(platform: Platform, account: Account) -> dict[str, Any]:
    return {"data": {"total_credits": platform.options.credits_usd, "total_usage": account.spent()}}


def activity_page(platform: Platform, account: Account, query: Mapping[str, str]) -> dict[str, Any]:
    """Rows by day and model of the last 30 whole UTC days, out of the POSTs that the books keep in full."""
    today = day_of(platform.clock.now())
    rows: dict[tuple[int, str], dict[str, Any]] = {}
    for post in platform.books.posts:
        day = day_of(post.at)
        if post.account != account.name or post.model_served is None or not today - ACTIVITY_DAYS <= day < today:
            continue
        row = rows.setdefault((day, post.model_served), _activity_row(day, post.model_served))
        row["requests"] += 1
        row["usage"] = round(row["usage"] + post.cost_usd, 12)
        row["prompt_tokens"] += post.prompt_tokens
        row["completion_tokens"] += post.completion_tokens
    wanted = query.get("date")
    return {"data": [row for _, row in sorted(rows.items(), reverse=True) if wanted in (None, row["date"])]}


def _activity_row(day: int, model: str) -> dict[str, Any]:
    return {
        "date": day_name(day),
        "model": model,
        "model_permaslug": model.partition(":")[0],
        "endpoint_id": "00000000-0000-4000-8000-000000000000",
        "provider_name": "Simulated",
        "usage": 0,
        "byok_usage_inference": 0,
        "requests": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "reasoning_tokens": 0,
        "cached_tokens": 0,
    }


def generation_page(served: Served) -> dict[str, Any]:
    """What `GET /generation` tells of one answer."""
    cost, finish = served.bill.total, served.finish
    data = {
        "id": served.generation_id,
        "upstream_id": f"chatcmpl-{served.generation_id[-10:]}",
        "created_at": iso(served.created),
        "model": served.entry.served_name,
        "provider_name": served.entry.provider,
        "router": served.route.router,
        "preset_id": served.route.preset,
        "api_type": "embeddings" if served.ask.endpoint == "embeddings" else "completions",
        "total_cost": cost,
        "usage": cost,
        "upstream_inference_cost": 0,
        "cache_discount": None,
        "is_byok": False,
        "streamed": served.ask.stream,
        "cancelled": False,
        "finish_reason": finish,
        "native_finish_reason": finish,
        "latency": 250,
        "generation_time": 40,
        "moderation_latency": None,
        "tokens_prompt": served.prompt_tokens,
        "tokens_completion": served.completion_tokens,
        "native_tokens_prompt": served.prompt_tokens,
        "native_tokens_completion": served.completion_tokens,
        "native_tokens_completion_images": None,
        "native_tokens_reasoning": served.reasoning_tokens,
        "native_tokens_cached": 0,
        "num_media_prompt": served.ask.images or None,
        "num_input_audio_prompt": None,
        "num_media_completion": 0,
        "num_search_results": served.bill.searches * 5 or None,
        "num_fetches": None,
        "web_search_engine": "exa" if served.bill.searches else None,
        "app_id": None,
        "external_user": None,
        "origin": "",
        "http_referer": None,
        "user_agent": None,
        "service_tier": None,
        "data_region": "global",
        "workspace_id": None,
        "request_id": None,
        "session_id": None,
        "provider_responses": [{"provider_name": served.entry.provider, "status": 200, "latency": 250}],
    }
    return {"data": data}
