"""Windows, budgets, cool-downs and pauses: what an admission reads and takes from. Raw sqlite3, rows found by key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from monitor.store.protocol import ALL_APPS, AccountState, Standing
from monitor.store.sqlite.rows import Rows

_ACCOUNT_COLUMNS = (
    "server_used, server_limit, server_at, elsewhere, minute_limit, minute_limit_at, "
    "minute_closed_until, day_closed_until, day_closed_at, key_remaining_usd, key_at"
)
_NEW_ACCOUNT = AccountState()
_STANDING = """
SELECT a.server_used, a.server_limit, a.server_at, a.elsewhere, a.minute_limit, a.minute_limit_at,
       a.minute_closed_until, a.day_closed_until, a.key_remaining_usd, a.key_at, c.source, c.fetched_at,
       (SELECT max(seq) FROM sends WHERE account = ?1),
       EXISTS (SELECT 1 FROM pauses), EXISTS (SELECT 1 FROM cooldowns WHERE account = ?1),
       w.attempts, w.uncounted, m.price
FROM catalogue c
LEFT JOIN accounts a ON a.account = ?1
LEFT JOIN windows w ON w.account = ?1 AND w.day = ?3 AND w.app = ''
LEFT JOIN models m ON m.id = ?2 AND m.present = 1
WHERE c.id = 1
"""
_FORGET_EVERY = 16
"""Sends between two clean-ups of those that the minute window no longer looks back on."""


class QuotaRows(Rows):
    """What is left, and what was taken."""

    __slots__ = ()

    def standing(self, account: str, model: str | None, day: int) -> Standing:
        """What is read for every admission, in one statement: each further one would cost more than its rows."""
        return Standing._make(self._db.execute(_STANDING, (account, model, day)).fetchone())

    def account(self, account: str) -> AccountState:
        row = self._db.execute(f"SELECT {_ACCOUNT_COLUMNS} FROM accounts WHERE account = ?", (account,)).fetchone()
        return _NEW_ACCOUNT if row is None else AccountState(*row)

    def save_account(self, account: str, changes: Mapping[str, object]) -> None:
        """Set columns of the account's row; `changes` names come from code, never from outside."""
        self._db.execute("INSERT INTO accounts (account) VALUES (?) ON CONFLICT DO NOTHING", (account,))
        assignments = ", ".join(f"{name} = ?" for name in changes)
        self._db.execute(f"UPDATE accounts SET {assignments} WHERE account = ?", (*changes.values(), account))

    def day_windows(self, account: str, day: int) -> dict[str, tuple[int, int]]:
        """(attempts, uncounted) of a UTC day by app; the account's own row stands under `ALL_APPS`."""
        rows = self._db.execute(
            "SELECT app, attempts, uncounted FROM windows WHERE account = ? AND day = ?", (account, day)
        ).fetchall()
        return {app: (attempts, uncounted) for app, attempts, uncounted in rows}

    def sent_at(self, account: str, send: int) -> float | None:
        """When the account's free request of that number left; None when it is not remembered."""
        row = self._db.execute("SELECT at FROM sends WHERE account = ? AND seq = ?", (account, send)).fetchone()
        return None if row is None else float(row[0])

    def sends_since(self, account: str, at: float) -> int:
        """Free requests sent after `at`. Reads as many rows as it counts: for a minute's worth, not for a day's."""
        row = self._db.execute("SELECT count(*) FROM sends WHERE account = ? AND at > ?", (account, at)).fetchone()
        return int(row[0])

    def pull_back_sends(self, account: str, now: float) -> None:
        """Stamp free requests from the future with `now`: they were sent before it, on a clock that was set back."""
        self._db.execute("UPDATE sends SET at = ?2 WHERE account = ?1 AND at > ?2", (account, now))

    def take_free(self, account: str, app: str, day: int, at: float, send: int, keep: int) -> None:
        """Take one free request from the minute and the day, as number `send` of the account.

        `keep` is how many sends the minute window needs to look back on.
        """
        self._db.execute(
            "INSERT INTO windows (account, day, app, attempts) VALUES (?1, ?2, ?3, 1), (?1, ?2, ?4, 1)"
            " ON CONFLICT DO UPDATE SET attempts = attempts + 1",
            (account, day, ALL_APPS, app),
        )
        self._db.execute("INSERT INTO sends (account, seq, at) VALUES (?, ?, ?)", (account, send, at))
        if send % _FORGET_EVERY == 0:
            self._db.execute("DELETE FROM sends WHERE account = ? AND seq <= ?", (account, send - keep))

    def give_back_free(self, account: str, app: str, day: int, send: int | None) -> None:
        """Return what `take_free` took: the connection was never made.

        The minute's slot returns only while it is the newest: its place among others cannot be closed up exactly,
        and a slot too few for a minute is harmless.
        """
        self._db.execute(
            "UPDATE windows SET attempts = attempts - 1 WHERE account = ? AND day = ? AND app IN (?, ?)",
            (account, day, ALL_APPS, app),
        )
        if send is not None:
            self._db.execute(
                "DELETE FROM sends WHERE account = ?1 AND seq = ?2"
                " AND seq = (SELECT max(seq) FROM sends WHERE account = ?1)",
                (account, send),
            )

    def not_counted(self, account: str, app: str, day: int) -> None:
        """Note that OpenRouter does not count one of the day's attempts."""
        self._db.execute(
            "UPDATE windows SET uncounted = uncounted + 1 WHERE account = ? AND day = ? AND app IN (?, ?)",
            (account, day, ALL_APPS, app),
        )

    def spent(self, account: str, period: str, start_day: int) -> float:
        """Dollars spent and reserved in the period ("day" or "month") that begins on `start_day`."""
        row = self._db.execute(
            "SELECT usd + reserved_usd FROM spend WHERE account = ? AND period = ? AND start_day = ?",
            (account, period, start_day),
        ).fetchone()
        return 0.0 if row is None else float(row[0])

    def spend(self, account: str, period: str, start_day: int, *, usd: float, reserved_usd: float) -> None:
        self._db.execute(
            "INSERT INTO spend (account, period, start_day, usd, reserved_usd) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET usd = usd + excluded.usd,"
            " reserved_usd = max(0, reserved_usd + excluded.reserved_usd)",
            (account, period, start_day, usd, reserved_usd),
        )

    def cooldowns(self, account: str, subjects: Iterable[str]) -> dict[str, float]:
        """Epoch seconds until which each of `subjects` cools down; a time in the past means that it lately did."""
        rows = self._db.execute("SELECT subject, until FROM cooldowns WHERE account = ?", (account,)).fetchall()
        wanted = set(subjects)
        return {subject: until for subject, until in rows if subject in wanted}

    def cool_down(self, account: str, subject: str, until: float, now: float) -> int:
        """Keep `subject` from being called until then; returns how many times in a row it was told so."""
        row = self._db.execute(
            "INSERT INTO cooldowns (account, subject, until) VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
            " SET until = max(until, excluded.until), strikes = strikes + 1 RETURNING strikes",
            (account, subject, until),
        ).fetchone()
        return int(row[0])

    def strikes(self, account: str, subject: str) -> int:
        row = self._db.execute(
            "SELECT strikes FROM cooldowns WHERE account = ? AND subject = ?", (account, subject)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def warm_up(self, account: str, subject: str) -> None:
        """Forget the cool-down of `subject`: it answered."""
        self._db.execute("DELETE FROM cooldowns WHERE account = ? AND subject = ?", (account, subject))

    def paused(self, app: str, now: float) -> str | None:
        """Why `app`, or everything, is paused; None when it is not."""
        for name, until, note in self._db.execute("SELECT app, until, note FROM pauses").fetchall():
            if name in (app, ALL_APPS) and (until is None or until > now):
                return note or "paused by hand"
        return None
