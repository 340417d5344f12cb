"""Which free model for a task, and why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.clock import DAY, iso
from monitor.model import ModelFacts, PriceClass
from monitor.policy.routing import FREE_ROUTER, Needs, Ranking, Record, guess_tokens, rank
from monitor.policy.tasks import GENERAL, TASKS, Feature
from tests.fakes.builders import NOON, facts

SEES = ("text", "image")
ALL = ("tools", "response_format", "structured_outputs", "reasoning")


def model(model_id: str, **more: Any) -> ModelFacts:
    given: dict[str, Any] = {
        "context_length": 131_072,
        "input_modalities": ("text",),
        "output_modalities": ("text",),
        "supported_parameters": ALL,
        "created": int(NOON - 100 * DAY),
    }
    return facts(model_id, PriceClass.FREE, **(given | more))


def ranked(*models: ModelFacts, task: str = GENERAL, **more: Any) -> Ranking:
    given: dict[str, Any] = {"records": {}, "needs": Needs(), "now": NOON}
    return rank(task, TASKS[task], models, **(given | more))


@pytest.mark.parametrize(
    ("task", "better", "worse"),
    [
        ("general", model("a/x-70b:free"), model("a/x-3b:free")),
        ("general", model("a/x:free"), model("a/y:free", created=int(NOON - 900 * DAY))),
        ("general", model("a/x:free"), model("a/y:free", supported_parameters=("temperature",))),
        ("fast", model("a/x-30b-a3b:free"), model("a/x-30b:free")),
        ("fast", model("a/x-3b:free"), model("a/x-70b:free")),
        ("code", model("a/x-coder:free"), model("a/x:free")),
        ("code", model("a/x:free", name="X Code"), model("a/y:free")),
        ("reasoning", model("a/x:free"), model("a/y:free", supported_parameters=("tools",))),
        ("reasoning", model("a/x-thinking:free"), model("a/y:free")),
        ("long", model("a/x:free", context_length=1_000_000), model("a/y:free")),
        ("vision", model("a/x-70b:free", input_modalities=SEES), model("a/y-3b:free", input_modalities=SEES)),
        ("tools", model("a/x:free"), model("a/y:free", supported_parameters=("tools",))),
        ("chinese", model("qwen/x:free"), model("a/x:free")),
    ],
)  # fmt: skip
def test_the_catalogues_facts_decide(task, better, worse):
    """Size, age, abilities, context and the words of names, each where the task cares."""
    assert ranked(worse, better, task=task).models == (better.id, worse.id)


@pytest.mark.parametrize(
    ("task", "better", "worse"),
    [
        (GENERAL, Record(50, 49, 3.0), Record(50, 20, 3.0)),
        (GENERAL, Record(), Record(20, 2)),
        (GENERAL, Record(50, 49, 3.0), Record()),
        ("fast", Record(9, 9, 1.0), Record(9, 9, 20.0)),
    ],
)
def test_our_own_record_decides(task, better, worse):
    """One that answered us comes before one that did not, an unknown one between them; the quick before the slow."""
    records = {"a/good:free": better, "a/bad:free": worse}
    found = ranked(model("a/bad:free"), model("a/good:free"), task=task, records=records)
    assert found.models == ("a/good:free", "a/bad:free")


@pytest.mark.parametrize(
    ("unfit", "needs", "task", "says"),
    [
        (model("a/x:free", context_length=8000), Needs(7000, 2000), GENERAL, "context of 8000"),
        (model("a/x:free"), Needs(inputs=frozenset({"image"})), GENERAL, "reads no image"),
        (model("a/x:free"), Needs(), "vision", "reads no image"),
        (model("a/x:free", supported_parameters=("stop",)), Needs(parameters=frozenset({"tools"})), GENERAL, "tools"),
        (model("a/x:free", supported_parameters=("stop",)), Needs(), "tools", "does not know tools"),
        (model("a/x:free", output_modalities=("embeddings",)), Needs(), GENERAL, "embeddings, not text"),
        (model("a/x:free", expires=iso(NOON - DAY)[:10]), Needs(), GENERAL, "withdrawn"),
        (model("a/x-guard-4b:free"), Needs(), GENERAL, "judges texts"),
    ],
)
def test_what_cannot_serve_is_no_choice(unfit, needs, task, says):
    """It is passed over with a word why."""
    found = ranked(unfit, task=task, needs=needs)
    assert found.choices == ()
    assert says in found.passed_over["a/x:free" if "guard" not in unfit.id else unfit.id]


@pytest.mark.parametrize(
    ("fit", "needs"),
    [
        (model("a/x:free", context_length=9000), Needs(7000, 2000)),
        (model("a/x:free", context_length=None), Needs(7000, 2000)),
        (model("a/x:free", supported_parameters=()), Needs(parameters=frozenset({"tools"}))),
        (model("a/x:free", expires=iso(NOON)[:10]), Needs()),
        (model("a/x:free", output_modalities=()), Needs()),
    ],
)
def test_what_is_not_known_to_be_unfit_is_a_choice(fit, needs):
    """A context that just suffices, a field that is not listed, the very day of the end."""
    assert ranked(fit, needs=needs).models == ("a/x:free",)


def test_the_users_table_comes_first():
    """Its order stands, by id or glob; what it names in vain is told, and the rest follows by rank."""
    models = [model(f"{name}:free") for name in ("a/coder-70b", "b/one-3b", "b/two-7b", "c/three")]
    found = ranked(*models, task="code", preferred=["c/three:free", "gone/x:free", "b/*"])
    assert found.models[0] == "c/three:free"
    assert set(found.models[1:3]) == {"b/one-3b:free", "b/two-7b:free"}
    assert found.models[3] == "a/coder-70b:free"
    assert "does not list it as free" in found.passed_over["gone/x:free"]
    assert found.choices[0].why[0] == "named in your table"
    assert [choice.preferred for choice in found.choices] == [True, True, True, False]


def test_the_router_is_the_last_resort():
    """OpenRouter's own choice is a choice, after every other."""
    found = ranked(model(FREE_ROUTER), model("a/x:free", created=0, supported_parameters=("stop",)))
    assert found.models == ("a/x:free", FREE_ROUTER)


def test_each_choice_says_why():
    """The weightiest first."""
    (choice,) = ranked(
        model("a/x-70b-coder:free"), task="code", records={"a/x-70b-coder:free": Record(4, 3, 2.0)}
    ).choices
    assert choice.why[0] == 'its name says "code"'
    assert "answered 3 of 4 attempts of ours" in choice.why
    assert "70 B parameters" in choice.why


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_weights_of_known_features(name):
    """None divides by nothing."""
    assert sum(TASKS[name].weights.values()) > 0
    assert set(TASKS[name].weights) <= set(Feature)


@given(
    st.lists(
        st.builds(
            model,
            st.integers(0, 99).map("m/{}b-coder:free".format),
            context_length=st.none() | st.integers(0, 10**7),
            created=st.none() | st.integers(0, 2 * 10**9),
            input_modalities=st.sampled_from([(), ("text",), ("text", "image")]),
            supported_parameters=st.sampled_from([(), ALL, ("tools",)]),
        ),
        max_size=8,
        unique_by=lambda each: each.id,
    ),
    st.sampled_from(list(TASKS)),
    st.randoms(),
)
def test_every_model_is_ranked_or_passed_over_and_order_does_not_matter(models, task, random):
    """Scores are parts of one, none is forgotten, and the order of the catalogue (which changes) changes nothing."""
    found = ranked(*models, task=task)
    assert sorted((*found.models, *found.passed_over)) == sorted(each.id for each in models)
    assert all(0 <= choice.score <= 1 for choice in found.choices)
    shuffled = list(models)
    random.shuffle(shuffled)
    assert ranked(*shuffled, task=task).choices == found.choices


def test_a_guess_at_tokens_is_careful():
    """Three bytes a token, and never none."""
    assert (guess_tokens(0), guess_tokens(3000)) == (1, 1001)
