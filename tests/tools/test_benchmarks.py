"""The benchmark of centre loss compares like with like: the other ways are what they say they are."""

import importlib.util
from pathlib import Path

import pytest
import torch

from fer_utils.center_loss import CenterLoss

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "center_loss.py"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_center_loss", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("way, update, half", [("ours", "eq2", 1), ("matrix", "sgd", 2), ("rows", "sgd", 2)])
def test_ours_is_eq_2_and_the_others_are_sgd_on_the_loss_without_its_half(benchmark, way, update, half):
    features, labels = benchmark.batch((12, 30, 5), CPU)
    step, centers = benchmark.WAYS[way](30, 5, CPU)
    loss = CenterLoss(30, 5, update=update, alpha=half * benchmark.RATE)
    for _ in range(3):
        features.grad = None
        step(features, labels)
        leaf = features.detach().clone().requires_grad_()
        (half * benchmark.LAM * loss(leaf, labels)).backward()
        loss.update_centers(leaf, labels)
        assert torch.allclose(features.grad, leaf.grad, atol=1e-6)
        assert torch.allclose(centers, loss.centers, atol=1e-6) and centers.any()
