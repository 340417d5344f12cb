"""Header lists as the course reads them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.transport.headers import lower_case

NAMES = st.sampled_from([b"A", b"a", b"B", b"Content-Encoding", b"content-encoding", b"x\ny", b""])
VALUES = st.binary(max_size=4)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_no_header_is_lost(pairs: list[tuple[bytes, bytes]]) -> None:
    """Every value is there under its lower-case name, those of one name in order, joined with commas."""
    wanted: dict[str, list[str]] = {}
    for name, value in pairs:
        wanted.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    assert lower_case(pairs) == {name: ", ".join(values) for name, values in wanted.items()}
