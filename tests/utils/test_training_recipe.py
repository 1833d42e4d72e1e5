"""Recipes refuse what cannot be meant, and say what they are beside the paper's words."""

import math
import re

import pytest
import torch

from fer_utils.center_loss import CenterLoss
from fer_utils.errors import FerError
from fer_utils.training.recipe import RECIPES, Recipe, get_recipe, lambda_conventions

NAN, INF = math.nan, math.inf


BAD_FIELDS = [
    *(("image_size", value) for value in (0, 15, -48, 1025, 48.0, "48", None, True, NAN)),
    *(("epochs", value) for value in (0, -1, 10_001, 1.5, "3", None, True, INF)),
    *(("batch_size", value) for value in (0, 1, -62, 62.0, "62", None, NAN)),
    *(("patience", value) for value in (0, -1, 6.0, "6", None, INF)),
    *(("learning_rate", value) for value in (0, 0.0, -1e-3, 1000, NAN, INF, "1e-3", None, True)),
    *(("validation_fraction", value) for value in (-0.3, 0.95, 1, NAN, INF, "0.3", None, True)),
    *(("lam", value) for value in (-0.2, -1e-9, NAN, INF, -INF, "0.2", None, True, [0.2])),
    *(("alpha", value) for value in (-0.1, NAN, INF, -INF, "1.9", None, False, [1.9])),
    *(("rotation", value) for value in (-10, 181, NAN, INF, "10", None)),
    *(("crop", value) for value in (-0.1, 0.95, 1.0, NAN, INF, "0.1", None)),
    *(("schedule", value) for value in ("linear", "", None, 3)),
    *(("precision", value) for value in ("fp8", "", None, 32)),
    *(("flip", value) for value in ("yes", None, 2, "False", 1, 0)),
    *((field, value) for field in ("reshuffle", "augment_validation", "mirror_test") for value in (1, "no", None)),
    *(("accumulate", value) for value in (0, -1, 32, 1.0, None, True)),  # a piece holds two of 62 images at least
    *(("weight_decay", value) for value in (-1e-4, 11, NAN, None)),
    *(("warmup", value) for value in (-1, NAN, INF, None)),
    *(("label_smoothing", value) for value in (-0.1, 0.95, NAN, None)),
    *(("mixup", value) for value in (-0.1, 11, NAN, None)),
    *(("ema", value) for value in (-0.1, 1, 1.0, NAN, None)),
    *(("shift", value) for value in (-0.1, 0.6, NAN, None)),
    *(("erase", value) for value in (-0.1, 1.1, NAN, None)),
    *((field, value) for field in ("optimizer", "monitor", "normalisation", "update", "center_init")
      for value in ("other", "", None, 0)),
    *(("backbone", value) for value in (50, None, "", ["resnet18"])),
    *(("weights", value) for value in (1, None, "", True)),
]


@pytest.mark.parametrize("field, value", BAD_FIELDS, ids=lambda value: str(value))
def test_a_recipe_refuses_a_value_that_cannot_be_meant(field, value):
    with pytest.raises(FerError, match=re.escape(f"recipe mine: {field} = {value!r}")):
        Recipe("mine", **{field: value})
    with pytest.raises(FerError, match=f"{field} = "):
        get_recipe("quick", **{field: value})


@pytest.mark.parametrize("field, value", [
    ("lam", 0), ("lam", 0.0), ("lam", 12.4), ("alpha", 0), ("alpha", 2.5), ("rotation", 0), ("rotation", 180),
    ("crop", 0), ("epochs", 1), ("image_size", 224), ("flip", False), ("precision", "bf16"), ("learning_rate", 1),
    ("schedule", "one_cycle"), ("schedule", "cosine"), ("validation_fraction", 0), ("accumulate", 31), ("ema", 0.999),
    ("optimizer", "sgd"), ("precision", "fp16"), ("erase", 1), ("reshuffle", False), ("center_init", "randn"),
    ("backbone", "efficientnet_b0"), ("weights", "imagenet"), ("weights", "some/file.pt"),
])
def test_a_recipe_takes_what_can_be_meant(field, value):
    assert getattr(get_recipe("quick", **{field: value}), field) == value


@pytest.mark.parametrize("field", ["lamda", "lambda_", "learningrate", "momentum", "seed"])
def test_an_unknown_override_is_named_with_the_fields_that_exist(field):
    with pytest.raises(FerError, match=f"a recipe has no field {field}; its fields are name, backbone.*lam, alpha"):
        get_recipe("quick", **{field: 1})


@pytest.mark.parametrize("name", ["quik", "", None, 3, "Paper", ["quick"]])
def test_an_unknown_recipe_lists_those_that_are_known(name):
    with pytest.raises(FerError, match=re.escape(f"unknown recipe {name!r}; choose one of quick, paper")):
        get_recipe(name)


def test_recipes_stay_as_they_are():
    quick = get_recipe("quick")
    changed = quick.replace(lam=0.5)
    assert changed.lam == 0.5 and quick.lam == 0.2 and quick == RECIPES["quick"]
    with pytest.raises(AttributeError):
        quick.lam = 0.5


def test_the_papers_recipe_is_the_papers_protocol():
    paper = get_recipe("paper")
    wanted = {"backbone": "resnet50", "weights": "imagenet", "image_size": 224, "validation_fraction": 0.3,
              "epochs": 50, "batch_size": 62, "learning_rate": 1e-3, "patience": 6, "lam": 0.2, "alpha": 1.9}
    assert {field: getattr(paper, field) for field in wanted} == wanted


def test_alpha_is_no_part_of_what_decides_the_outcome_when_lambda_is_zero():
    softmax, centre = get_recipe("quick", lam=0), get_recipe("quick", lam=0.2)
    assert "alpha" not in softmax.effective() and centre.effective()["alpha"] == 1.9
    assert softmax.effective() == softmax.replace(alpha=0.5).effective()
    assert centre.effective() != centre.replace(alpha=0.5).effective()


def test_a_recipe_beside_the_papers_words_tells_lambda_in_each_convention():
    table = get_recipe("quick", lam=12.4).beside_paper()
    column = table["quick (here)"]
    rows = [column[name] for name in table.index if name.startswith("λ")]
    assert rows == ["12.4", "6.2", "0.2"]
    assert column["α"] == "1.9"
    assert "1.9" not in get_recipe("quick", lam=0).beside_paper().loc["α"].iloc[0]
    assert list(get_recipe("paper").beside_paper().columns) == ["paper (here)", "the paper"]


# λ


def test_lambda_in_three_conventions():
    # paper_literal's 12.4 is Eq. 1's sum with λ = 0.2 at batch 62; the published code's 0.2 is our 0.4.
    assert lambda_conventions(0.2, 62) == pytest.approx({"half_mean": 0.2, "mean": 0.1, "half_sum": 0.2 / 62})
    assert lambda_conventions(12.4, 62)["half_sum"] == pytest.approx(0.2)
    assert lambda_conventions(0.4, 62)["mean"] == pytest.approx(0.2)


def test_the_three_conventions_give_one_and_the_same_loss():
    features = torch.randn(62, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(62) % 7
    strength = lambda_conventions(0.7, 62)
    ours = strength["half_mean"] * CenterLoss(7, 5)(features, labels)
    published = strength["mean"] * features.square().sum(1).mean()
    printed = strength["half_sum"] * CenterLoss(7, 5, reduction="sum")(features, labels)
    assert float(published) == pytest.approx(float(ours), rel=1e-5)
    assert float(printed) == pytest.approx(float(ours), rel=1e-5)


# The six


def test_the_six_recipes_and_what_tells_them_apart():
    assert list(RECIPES) == ["quick", "paper", "paper_literal", "published_code", "repaired", "modern"]
    paper, literal = RECIPES["paper"], RECIPES["paper_literal"]
    assert literal == paper.replace(name="paper_literal", lam=12.4)
    assert lambda_conventions(literal.lam, literal.batch_size)["half_sum"] == pytest.approx(0.2)
    code = RECIPES["published_code"]
    assert lambda_conventions(code.lam, code.batch_size)["mean"] == pytest.approx(0.2)
    assert (code.batch_size, code.update, code.center_init, code.patience, code.monitor) == (
        64, "adam", "randn", 7, "cross_entropy")
    assert code.augment_validation and not code.reshuffle and code.normalisation == "imagenet"
    repaired = RECIPES["repaired"]
    assert repaired.update == "eq2" and repaired.reshuffle and not repaired.augment_validation
    assert repaired.schedule != "constant" and repaired.validation_fraction == 0.3
    modern = RECIPES["modern"]
    assert modern.validation_fraction == 0 and modern.optimizer == "sgd" and modern.schedule == "cosine"
    assert all([modern.warmup, modern.mixup, modern.label_smoothing, modern.ema, modern.mirror_test, modern.erase])


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_is_a_table_without_a_gap(name):
    table = get_recipe(name).beside_paper()
    assert list(table.columns) == [f"{name} (here)", "the paper"] and len(table) == 16
    assert all(isinstance(text, str) and text for text in table.to_numpy().ravel())


def test_the_table_of_modern_names_all_that_it_does():
    text = " ".join(get_recipe("modern").beside_paper()["modern (here)"])
    for word in ("SGD", "cosine", "mixup 0.2", "label smoothing 0.1", "moving average 0.999", "weight decay 0.0005",
                 "mirrored", "blot", "shift", "validation figure"):
        assert word in text
