"""Recipes refuse what cannot be meant, and say what they are beside the paper's words."""

import math

import pytest
import torch
from conftest import refusal
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fer_utils.center_loss import CenterLoss
from fer_utils.training.recipe import CHOICES, NUMBERS, RECIPES, SWITCHES, Recipe, get_recipe, lambda_conventions

BAD = {**dict.fromkeys(NUMBERS, (math.nan, math.inf, -math.inf, "large", "", None, True, [0.2])),
       **dict.fromkeys(CHOICES, ("other", "", None, 0, ["adam"])),
       **dict.fromkeys(SWITCHES, ("yes", None, 0, 1, 2)),
       **dict.fromkeys(("backbone", "weights"), (50, None, "", True, ["resnet18"]))}


def test_a_recipe_refuses_every_value_that_cannot_be_meant():
    taken = [(field, value) for field, values in BAD.items() for value in values
             for said in (refusal(Recipe, "mine", **{field: value}), refusal(get_recipe, "quick", **{field: value}))
             if f"{field} = {value!r}; " not in said or not said.startswith(("recipe mine: ", "recipe quick: "))]
    assert not taken
    for field, value in (("epochs", 0), ("batch_size", 1), ("accumulate", 32), ("learning_rate", 0), ("lam", -1e-9),
                         ("alpha", -0.1), ("validation_fraction", 1), ("ema", 1.0), ("crop", 1.0)):
        assert f"{field} = {value}; " in refusal(Recipe, "mine", **{field: value})


@settings(max_examples=60)
@given(st.sampled_from(sorted(NUMBERS)), st.one_of(st.integers(-20_000, 200_000), st.floats(-1e10, 1e10)))
@example("lam", 0)
@example("image_size", 48.0)
def test_a_number_is_taken_if_and_only_if_it_is_of_its_kind_and_in_its_range(field, value):
    kind, low, high = NUMBERS[field]
    fits = low <= value <= high and (kind is float or value == int(value))
    said = refusal(Recipe, "mine", **{"batch_size": 100_000, field: value})
    assert (said == "") == (fits and not (field == "accumulate" and value > 50_000)), said


def test_an_unknown_name_of_a_field_or_a_recipe_is_answered_with_those_that_exist():
    for field in ("lamda", "seed"):
        said = refusal(get_recipe, "quick", **{field: 1})
        assert f"a recipe has no field {field}; its fields are name, backbone" in said and "lam, alpha" in said
    for name in ("quik", "", None, 3, "Paper", ["quick"]):
        assert f"unknown recipe {name!r}; choose one of quick, paper" in refusal(get_recipe, name)


def test_lambda_in_three_conventions_is_one_and_the_same_loss():
    features = torch.randn(62, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(62) % 7
    strength = lambda_conventions(0.7, 62)
    ours = strength["half_mean"] * CenterLoss(7, 5)(features, labels)
    published = strength["mean"] * features.square().sum(1).mean()
    printed = strength["half_sum"] * CenterLoss(7, 5, reduction="sum")(features, labels)
    assert strength["half_mean"] == 0.7
    assert float(published) == pytest.approx(float(ours), rel=1e-5) == float(printed)


def test_the_six_recipes_and_what_tells_them_apart():
    assert list(RECIPES) == ["quick", "paper", "paper_literal", "published_code", "repaired", "modern"]
    wanted = {"paper": {"backbone": "resnet50", "weights": "imagenet", "image_size": 224, "validation_fraction": 0.3,
                        "epochs": 50, "batch_size": 62, "learning_rate": 1e-3, "patience": 6, "update": "eq2"},
              "published_code": {"batch_size": 64, "update": "adam", "center_init": "randn", "patience": 7,
                                 "monitor": "cross_entropy", "augment_validation": True, "reshuffle": False,
                                 "normalisation": "imagenet"},
              "repaired": {"update": "eq2", "reshuffle": True, "augment_validation": False, "schedule": "one_cycle",
                           "validation_fraction": 0.3},
              "modern": {"validation_fraction": 0, "optimizer": "sgd", "schedule": "cosine", "mirror_test": True}}
    for name, fields in wanted.items():
        assert {field: getattr(RECIPES[name], field) for field in fields} == fields
    literal, code = RECIPES["paper_literal"], RECIPES["published_code"]
    assert literal == RECIPES["paper"].replace(name="paper_literal", lam=12.4)
    assert lambda_conventions(literal.lam, literal.batch_size)["half_sum"] == pytest.approx(0.2)
    assert lambda_conventions(code.lam, code.batch_size)["mean"] == pytest.approx(0.2)


def test_each_recipe_is_a_table_beside_the_papers_words():
    for name in RECIPES:
        table = get_recipe(name).beside_paper()
        assert list(table.columns) == [f"{name} (here)", "the paper"]
        assert all(isinstance(text, str) and text for text in table.to_numpy().ravel()), name
    for lam, strengths, alpha in ((12.4, ["12.4", "6.2", "0.2"], "1.9"), (0, ["0", "0", "0"], "none: λ is 0")):
        column = get_recipe("quick", lam=lam).beside_paper()["quick (here)"]
        assert [column[name] for name in column.index if name.startswith("λ")] == strengths and column["α"] == alpha
    late = get_recipe("quick", lam_warmup=2, center_init="means").beside_paper()["quick (here)"]
    assert late["λ beside ½·mean (ours)"] == "0.2, reached after 2 epochs"
    assert late["the centres start at"] == "the class means after epoch 1"
    text = " ".join(get_recipe("modern").beside_paper()["modern (here)"])
    for word in ("SGD", "cosine", "mixup 0.2", "label smoothing 0.1", "moving average 0.999", "validation figure"):
        assert word in text
