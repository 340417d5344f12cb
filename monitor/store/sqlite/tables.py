"""The statements that make the tables; `schema` says in which migration each is run."""

from __future__ import annotations

from monitor.store.buckets import DURATION_BOUNDS, SEMCONV_DURATION_BOUNDS, SEMCONV_TOKEN_BOUNDS, TTFT_BOUNDS, columns

CALLS = """
CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    started_at REAL NOT NULL,
    ended_at REAL,
    app TEXT NOT NULL,
    account TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    model_requested TEXT,
    model_served TEXT,
    provider TEXT,
    tier TEXT NOT NULL,
    stream INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    call_id TEXT NOT NULL,
    generation_id TEXT,
    status INTEGER,
    outcome TEXT NOT NULL,
    limit_kind TEXT,
    reason TEXT,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cached_tokens INTEGER,
    reasoning_tokens INTEGER,
    cost_usd REAL,
    estimated_cost_usd REAL,
    duration_ms REAL,
    ttft_ms REAL,
    error TEXT,
    counted INTEGER NOT NULL DEFAULT 0,
    lease_until REAL
)
"""
# An open row *is* the hold, and `open_from` is a row below which none is open: a table or an index of holds would have
# each call write two pages more. Sweeps move `open_from` on, so a search for holds reads only what came since.
MARKS = "CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID"
FIRST_MARK = "INSERT INTO marks VALUES ('open_from', 0)"
HOLDS = """
CREATE VIEW holds AS
SELECT id, account, app, started_at, lease_until, counted, estimated_cost_usd FROM calls
WHERE id >= (SELECT value FROM marks WHERE name = 'open_from') AND lease_until IS NOT NULL
"""

WINDOWS = """
CREATE TABLE windows (
    account TEXT NOT NULL,
    day INTEGER NOT NULL,
    app TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    uncounted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, day, app)
) WITHOUT ROWID
"""
SENDS = """
CREATE TABLE sends (
    account TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (account, seq)
) WITHOUT ROWID
"""
ACCOUNTS = """
CREATE TABLE accounts (
    account TEXT PRIMARY KEY,
    server_used INTEGER,
    server_limit INTEGER,
    server_at REAL,
    elsewhere INTEGER NOT NULL DEFAULT 0,
    minute_limit INTEGER,
    minute_limit_at REAL NOT NULL DEFAULT 0,
    minute_closed_until REAL NOT NULL DEFAULT 0,
    day_closed_until REAL NOT NULL DEFAULT 0,
    day_closed_at REAL NOT NULL DEFAULT 0,
    key_remaining_usd REAL,
    key_at REAL,
    key_facts TEXT,
    key_error TEXT
) WITHOUT ROWID
"""
SPEND = """
CREATE TABLE spend (
    account TEXT NOT NULL,
    period TEXT NOT NULL,
    start_day INTEGER NOT NULL,
    usd REAL NOT NULL DEFAULT 0,
    reserved_usd REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (account, period, start_day)
) WITHOUT ROWID
"""
COOLDOWNS = """
CREATE TABLE cooldowns (
    account TEXT NOT NULL,
    subject TEXT NOT NULL,
    until REAL NOT NULL,
    strikes INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (account, subject)
) WITHOUT ROWID
"""
PAUSES = """
CREATE TABLE pauses (
    app TEXT PRIMARY KEY,
    at REAL NOT NULL,
    until REAL,
    note TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID
"""
CATALOGUE = """
CREATE TABLE catalogue (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    source TEXT NOT NULL,
    fetched_at REAL NOT NULL,
    models INTEGER NOT NULL
)
"""
# The row is always there, so that what an admission reads can be joined to it.
NO_CATALOGUE = "INSERT INTO catalogue VALUES (1, '', 0, 0)"
MODELS = """
CREATE TABLE models (
    id TEXT PRIMARY KEY,
    present INTEGER NOT NULL,
    price TEXT NOT NULL,
    prompt_usd REAL,
    completion_usd REAL,
    request_usd REAL,
    worst_prompt_usd REAL,
    worst_completion_usd REAL,
    bounded INTEGER NOT NULL,
    context_length INTEGER,
    max_completion_tokens INTEGER,
    name TEXT NOT NULL DEFAULT '',
    input_modalities TEXT NOT NULL DEFAULT '',
    output_modalities TEXT NOT NULL DEFAULT '',
    supported_parameters TEXT NOT NULL DEFAULT '',
    created INTEGER,
    expires TEXT,
    alias_target TEXT,
    first_seen REAL NOT NULL,
    changed_at REAL NOT NULL
) WITHOUT ROWID
"""
LEASES = """
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until REAL NOT NULL,
    note TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID
"""
SNAPSHOTS = """
CREATE TABLE snapshots (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    poller TEXT NOT NULL,
    account TEXT NOT NULL,
    summary TEXT NOT NULL
)
"""
EVENTS = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    before TEXT,
    after TEXT,
    note TEXT NOT NULL DEFAULT ''
)
"""
REFUSALS = """
CREATE TABLE refusals (
    app TEXT NOT NULL,
    reason TEXT NOT NULL,
    shadow INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (app, reason, shadow)
) WITHOUT ROWID
"""
# What is believed of a model is a text whose meaning is that of policy/changes: its rules change without a migration.
BELIEFS = "CREATE TABLE beliefs (model TEXT PRIMARY KEY, belief TEXT NOT NULL) WITHOUT ROWID"
# Both are sums that pruning does not reach: a counter must not go back when the rows it counted are deleted.
EVENT_TOTALS = "CREATE TABLE event_totals (kind TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID"
EVENTS_SO_FAR = "INSERT INTO event_totals SELECT kind, count(*) FROM events GROUP BY kind"
LABEL_NAMES = """
CREATE TABLE label_names (
    label TEXT NOT NULL,
    place INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (label, place),
    UNIQUE (label, value)
) WITHOUT ROWID
"""
NAMES_SO_FAR = """
INSERT INTO label_names
SELECT 'app', row_number() OVER (ORDER BY sum(n) DESC, app), app
FROM (SELECT app, n FROM totals UNION ALL SELECT app, n FROM refusals) GROUP BY app
UNION ALL
SELECT 'model', row_number() OVER (ORDER BY sum(n) DESC, model), model FROM totals GROUP BY model
UNION ALL
SELECT 'app_model', row_number() OVER (ORDER BY sum(n) DESC, app, model), app || ' ' || model
FROM totals GROUP BY app, model
"""
BODIES = "CREATE TABLE bodies (call INTEGER PRIMARY KEY, request TEXT, answer TEXT)"


def totals() -> str:
    # Histogram buckets are columns of the row that a settlement touches anyway: one page instead of three.
    durations = columns("d", DURATION_BOUNDS)
    ttfts = columns("t", TTFT_BOUNDS)
    buckets = ",\n    ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in (*durations, *ttfts))
    return f"""
CREATE TABLE totals (
    app TEXT NOT NULL,
    model TEXT NOT NULL,
    tier TEXT NOT NULL,
    code TEXT NOT NULL,
    outcome TEXT NOT NULL,
    kind TEXT NOT NULL,
    n INTEGER NOT NULL DEFAULT 0,
    calls INTEGER NOT NULL DEFAULT 0,
    prompt_tokens INTEGER NOT NULL DEFAULT 0,
    completion_tokens INTEGER NOT NULL DEFAULT 0,
    cached_tokens INTEGER NOT NULL DEFAULT 0,
    reasoning_tokens INTEGER NOT NULL DEFAULT 0,
    cost_usd REAL NOT NULL DEFAULT 0,
    duration_seconds REAL NOT NULL DEFAULT 0,
    ttft_seconds REAL NOT NULL DEFAULT 0,
    {buckets},
    PRIMARY KEY (app, model, tier, code, outcome, kind)
) WITHOUT ROWID
"""


# Snapshots are looked for by who made them: without this, one that was never made is looked for among all the others.
SNAPSHOTS_BY_POLLER = "CREATE INDEX snapshots_by_poller ON snapshots (poller, account)"
# Attempts that were in flight when the rows around them were counted.
SEMCONV_OPEN = "CREATE TABLE semconv_open (call INTEGER PRIMARY KEY)"

# What an alert's state and a notice mean is known to `policy` alone, as with beliefs.
ALERT_STATES = "CREATE TABLE alert_states (alert TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID"
ALERT_NOTICES = """
CREATE TABLE alert_notices (
    way TEXT NOT NULL,
    alert TEXT NOT NULL,
    notice TEXT NOT NULL,
    PRIMARY KEY (way, alert)
) WITHOUT ROWID
"""
ALERT_WAYS = "CREATE TABLE alert_ways (way TEXT PRIMARY KEY, health TEXT NOT NULL) WITHOUT ROWID"
# Only what a tick changed has a row: a series holds its value until the next one; NULL says that it ended.
ALERT_TICKS = "CREATE TABLE alert_ticks (tick INTEGER PRIMARY KEY, at REAL NOT NULL)"
ALERT_SAMPLES = """
CREATE TABLE alert_samples (
    metric TEXT NOT NULL,
    labels TEXT NOT NULL,
    tick INTEGER NOT NULL,
    value REAL,
    PRIMARY KEY (metric, labels, tick)
) WITHOUT ROWID
"""

# Attempts by the hour and by the day, counted from the log some time after; `width` is in hours, and `slot` counts such
# widths since the epoch. And those that were in flight when the log was read.
HOURS = """
CREATE TABLE hours (
    width INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    app TEXT NOT NULL,
    model TEXT NOT NULL,
    outcome TEXT NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    n INTEGER NOT NULL DEFAULT 0,
    billed INTEGER NOT NULL DEFAULT 0,
    prompt_tokens INTEGER NOT NULL DEFAULT 0,
    completion_tokens INTEGER NOT NULL DEFAULT 0,
    cost_usd REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (width, slot, app, model, outcome, kind, reason)
) WITHOUT ROWID
"""
HOURS_OPEN = "CREATE TABLE hours_open (call INTEGER PRIMARY KEY)"


def semconv() -> str:
    # One row a label set, in the order in which they came: those with a place of their own keep it for good.
    counts = [
        *columns("d", SEMCONV_DURATION_BOUNDS),
        *columns("i", SEMCONV_TOKEN_BOUNDS),
        *columns("o", SEMCONV_TOKEN_BOUNDS),
    ]
    return f"""
CREATE TABLE semconv (
    place INTEGER PRIMARY KEY,
    operation TEXT NOT NULL,
    request_model TEXT NOT NULL,
    response_model TEXT NOT NULL,
    error_type TEXT NOT NULL,
    duration_seconds REAL NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    newest_id TEXT,
    newest_seconds REAL,
    newest_at REAL,
    {", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in counts)},
    UNIQUE (operation, request_model, response_model, error_type)
)
"""


# The friendly client's: what it learned of models, the retries of an hour, answers to be given again, batches.
CIRCUITS = """
CREATE TABLE circuits (
    account TEXT NOT NULL,
    model TEXT NOT NULL,
    failures INTEGER NOT NULL,
    trips INTEGER NOT NULL,
    open_until REAL NOT NULL,
    probe_until REAL NOT NULL,
    PRIMARY KEY (account, model)
) WITHOUT ROWID
"""
RETRY_SPANS = """
CREATE TABLE retry_spans (
    account TEXT NOT NULL,
    span INTEGER NOT NULL,
    calls INTEGER NOT NULL DEFAULT 0,
    retries INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, span)
) WITHOUT ROWID
"""
ANSWERS = """
CREATE TABLE answers (
    key TEXT PRIMARY KEY,
    made_at REAL NOT NULL,
    until REAL NOT NULL,
    used_at REAL NOT NULL,
    size INTEGER NOT NULL,
    content TEXT NOT NULL
)
"""
# Whose turn it is to go when there are too many, and which have run out.
ANSWERS_BY_USE = "CREATE INDEX answers_by_use ON answers (used_at)"
ANSWERS_BY_END = "CREATE INDEX answers_by_end ON answers (until)"
ANSWERS_SIZE = "INSERT INTO marks VALUES ('answers_size', 0)"
SAVED = "CREATE TABLE saved (app TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID"
BATCHES = """
CREATE TABLE batches (
    name TEXT PRIMARY KEY,
    made_at REAL NOT NULL,
    used_at REAL NOT NULL
) WITHOUT ROWID
"""
BATCH_ITEMS = """
CREATE TABLE batch_items (
    batch TEXT NOT NULL,
    item TEXT NOT NULL,
    state TEXT NOT NULL,
    at REAL NOT NULL,
    content TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (batch, item)
) WITHOUT ROWID
"""
IMAGE_PRICE = "ALTER TABLE models ADD COLUMN image_usd REAL"
