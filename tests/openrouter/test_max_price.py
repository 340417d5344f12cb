"""The belt is spliced in; every other byte stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.openrouter.max_price import add_max_price

ZERO = {"prompt": "0", "completion": "0", "request": "0", "image": "0", "audio": "0"}
SPLICE = b'"max_price":{"prompt":"0","completion":"0","request":"0","image":"0","audio":"0"}'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"{}", b'{"provider":{@}}'),
        (b" {\n } ", b' {\n "provider":{@}} '),
        (b'{"a":1}', b'{"provider":{@},"a":1}'),
        (b'{"a":1,"provider":null}', b'{"a":1,"provider":{@}}'),
        (b'{"provider" :\t{ } ,"a":1}', b'{"provider" :\t{@ } ,"a":1}'),
        (b'{"provider":{"sort":"price"}}', b'{"provider":{@,"sort":"price"}}'),
        (b'{"\\u0070rovider":{"sort":1}}', b'{"\\u0070rovider":{@,"sort":1}}'),
        (b'{"x":{"provider":1}}', b'{"provider":{@},"x":{"provider":1}}'),
        (b'{"x":"\\"provider\\"\\u0041"}', b'{"provider":{@},"x":"\\"provider\\"\\u0041"}'),
        ('{"x":"é\U0001f600","provider":null}'.encode(), '{"x":"é\U0001f600","provider":{@}}'.encode()),
    ],
)
def test_where_it_is_put(before: bytes, after: bytes) -> None:
    """Into the provider object when there is one, instead of null, else first of all."""
    assert add_max_price(before) == after.replace(b"@", SPLICE)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"nonsense",
        b'{"provider":{"max_price":{}}}',
        b'{"provider":{"max_price":null}}',
        b'{"provider":{"max_pric\\u0065":1}}',
        b'{"provider":"x"}',
        b'{"provider":[]}',
        b'{"provider"',
        b'{"provider":',
        b'{"a":1,"provider":nul}',
        b'{"\\u0061":}',
        b'\xff{"provider":1}',
        b'{"provider":{"x":' + b"[" * 100_000,
    ],
)
def test_what_is_left_alone(body: bytes) -> None:
    """A body with prices of its own, or one that cannot be read, comes back as it was."""
    assert add_max_price(body) == body


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"provider":{"max_price":{}}}', b'{"provider":{"max_price":@}}'),
        (b'{"a":1.0,"provider":{"max_price":{"prompt":1e3 } }}', b'{"a":1.0,"provider":{"max_price":@ }}'),
        (
            b'{"provider":{"sort":1,"max_price" : null, "zdr":true}}',
            b'{"provider":{"sort":1,"max_price" : @, "zdr":true}}',
        ),
        (b'{"provider":{"max_price":"dear"}}', b'{"provider":{"max_price":@}}'),
        (b'{"provider":{"max_price":7}}', b'{"provider":{"max_price":@}}'),
        (b'{"provider":{"max_price":[{"prompt":1}]}}', b'{"provider":{"max_price":@}}'),
        (b'{"provider":{"max_price":{"max_price":{"prompt":1}}}}', b'{"provider":{"max_price":@}}'),
        (b'{"provider":{"max_price":{"provider":{"max_price":1}}}}', b'{"provider":{"max_price":@}}'),
        (b'{"\\u0070rovider":{"max_pric\\u0065":{}}}', b'{"\\u0070rovider":{"max_pric\\u0065":@}}'),
        (
            b'{"x":{"max_price":1},"provider":{"order":["max_price"]}}',
            b'{"x":{"max_price":1},"provider":{"max_price":@,"order":["max_price"]}}',
        ),
        ('{"x":"é","provider":{"max_price":"é😀"}}'.encode(), '{"x":"é","provider":{"max_price":@}}'.encode()),
    ],
)
def test_prices_of_the_apps_own_are_replaced_where_they_must_be(before: bytes, after: bytes) -> None:
    """Whatever stands as `provider.max_price`, however its keys are written, makes way for the zeros; nothing else."""
    assert add_max_price(before, replace=True) == after.replace(b"@", SPLICE.partition(b":")[2])


def test_own_prices() -> None:
    """Prices can be given: USD per million tokens, strings or numbers."""
    assert json.loads(add_max_price(b'{"a":1}', {"prompt": "0.5", "completion": 2})) == {
        "provider": {"max_price": {"prompt": "0.5", "completion": 2}},
        "a": 1,
    }


leaf = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["provider", '"provider":'])
keys = st.text(max_size=6) | st.sampled_from(["provider", "model", "max_price", 'provider"'])
value = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
providers = st.none() | st.dictionaries(st.sampled_from(["sort", "order", "zdr"]), leaf, max_size=3)


@settings(max_examples=200)
@given(
    st.dictionaries(keys.filter(lambda key: key != "provider"), value, max_size=4),
    st.dictionaries(keys.filter(lambda key: key != "max_price"), value, max_size=3),
    value,
    st.integers(0, 5),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_only_the_apps_own_price_is_replaced(
    fields: dict[str, Any], provider: dict[str, Any], own: Any, at: int, ascii_only: bool, indent: int | None
) -> None:
    """The result means the original with zeros as its price; without the replacing the body stays as it is."""
    items = list(provider.items())
    items.insert(at % (len(items) + 1), ("max_price", own))
    whole = {**fields, "provider": dict(items)}
    body = json.dumps(whole, ensure_ascii=ascii_only, indent=indent).encode()
    assert add_max_price(body) == body
    result = add_max_price(body, replace=True)
    assert json.loads(result) == {**whole, "provider": {**provider, "max_price": ZERO}}
    assert list(json.loads(result)["provider"]) == [key for key, _ in items]


@settings(max_examples=200)
@given(
    st.dictionaries(keys.filter(lambda key: key != "provider"), value, max_size=5),
    st.booleans(),
    providers,
    st.integers(0, 5),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_only_the_one_key_is_added(
    fields: dict[str, Any],
    present: bool,
    provider: dict[str, Any] | None,
    at: int,
    ascii_only: bool,
    indent: int | None,
) -> None:
    """The result means the original plus that one key, and taking the splice out gives the original bytes again."""
    items = list(fields.items())
    if present:
        items.insert(at % (len(items) + 1), ("provider", provider))
    body = json.dumps(dict(items), ensure_ascii=ascii_only, indent=indent).encode()
    result = add_max_price(body)
    expected = dict(items)
    expected["provider"] = {**((provider or {}) if present else {}), "max_price": ZERO}
    assert json.loads(result) == expected
    start = result.index(SPLICE)
    left, right = result[:start], result[start + len(SPLICE) :]
    if present and provider is not None:
        assert left + right.removeprefix(b",") == body
    elif present:
        assert left.removesuffix(b"{") + b"null" + right.removeprefix(b"}") == body
    else:
        assert left.removesuffix(b'"provider":{') + right.removeprefix(b"}").removeprefix(b",") == body
