"""Maps of where a network looks, against naive loops, on networks whose answer is known to rest on a few pixels."""

import numpy as np
import pytest
import torch
from conftest import TinyNetwork, refusal
from torch import nn

from fer_utils.saliency import class_activation_map, occlusion_map, score

INPUTS = {"size": 12, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.2), "precision": "fp32"}
PLACE = slice(2, 5), slice(7, 10)


class OnePlace(nn.Module):
    """Its logits for classes 0 and 1 are plus and minus the mean of the pixels in ``PLACE``; it sees nothing else."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(3.0))

    def forward(self, images):
        seen = self.factor * images[:, :, *PLACE].mean((1, 2, 3))
        return seen[:, None], torch.stack([seen, -seen], 1)


def images_of(n=3, size=12, colour=False):
    return np.random.default_rng(0).integers(0, 256, (n, size, size, *[3] * colour), np.uint8)


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    network = TinyNetwork()
    with torch.no_grad():
        for norm in network.norms:
            norm.running_mean.uniform_(-1, 1)
    return network.eval()


@torch.no_grad()
def probabilities(network, image):
    """Of one image (H, W, 3) in [0, 1], normalised pixel by pixel."""
    ready = (image - np.array(INPUTS["mean"])) / np.array(INPUTS["std"])
    return network(torch.from_numpy(ready).float().permute(2, 0, 1)[None])[1].softmax(1)[0].numpy()


@pytest.mark.parametrize("colour", [False, True])
def test_occlusion_is_what_loops_over_every_patch_give(tiny, colour):
    images, classes = images_of(colour=colour), np.array([0, 3, 6])
    found = occlusion_map(tiny, images, classes, patch=5, stride=3, **INPUTS)
    for image, label, map_ in zip(images, classes, found, strict=True):
        pixels = (image if colour else np.repeat(image[..., None], 3, 2)) / 255
        falls = [[[] for _ in range(12)] for _ in range(12)]
        for top in (0, 3, 6, 7):  # the last ends at the border
            for left in (0, 3, 6, 7):
                hidden = pixels.copy()
                for channel in range(3):
                    grey = round(255 * INPUTS["mean"][channel if colour else 0]) / 255
                    hidden[top:top + 5, left:left + 5, channel] = grey
                fall = probabilities(tiny, pixels)[label] - probabilities(tiny, hidden)[label]
                for row in range(top, top + 5):
                    for column in range(left, left + 5):
                        falls[row][column].append(fall)
        assert map_ == pytest.approx(np.array([[np.mean(cell) for cell in row] for row in falls]), abs=1e-6)


def test_occlusion_finds_the_one_place_that_is_looked_at_and_has_a_sign():
    images = np.full((2, 12, 12), 250, np.uint8)  # brighter than the patch: hidden, class 0 loses and class 1 gains
    first, second = occlusion_map(OnePlace(), images, [0, 1], patch=3, stride=1, **INPUTS)
    away = np.ones((12, 12), bool)
    away[0:7, 5:12] = False  # what no patch that touches the place hides
    assert not first[away].any() and not second[away].any()
    assert first.max() == first[3, 8] > 0 > second[3, 8] == second.min()


def test_a_network_that_ignores_its_images_has_empty_maps(tiny):
    with torch.no_grad():
        tiny.classifier.weight.zero_()
    images, classes = images_of(), [0, 1, 2]
    flat = (occlusion_map(tiny, images, classes, patch=4, stride=4, **INPUTS),
            class_activation_map(tiny, images, classes, tiny.second, **INPUTS))
    for maps in flat:
        assert maps.shape == images.shape and maps.dtype == np.float64 and not maps.any()


def test_the_last_layers_map_is_zhous_class_activation_map():
    torch.manual_seed(0)
    last, linear = nn.Sequential(nn.Conv2d(3, 16, 3, stride=4), nn.ReLU()), nn.Linear(16, 7)

    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.linear = last, linear

        def forward(self, images):
            features = self.last(images).mean((2, 3))
            return features, self.linear(features)

    kept = []
    last.register_forward_hook(lambda module, given, out: kept.append(out.detach()))
    images, classes = images_of(4), np.array([0, 2, 4, 6])
    found = class_activation_map(Pooled(), images, classes, last, **INPUTS)
    for row, label in enumerate(classes):
        wanted = sum(linear.weight[label, k].item() * kept[0][row, k] / 9 for k in range(16)).relu()  # of 3 x 3 places
        grown = nn.functional.interpolate(wanted[None, None], (12, 12), mode="bilinear")[0, 0]
        assert found[row] == pytest.approx(grown.numpy(), abs=1e-6) and found[row].max() > 0


def test_an_earlier_layers_weights_are_mean_gradients_and_the_network_stays_as_it_was(tiny):
    tiny.train()
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    images = images_of(2)
    found = class_activation_map(tiny, images, [5, 1], tiny.first, **INPUTS)
    assert tiny.training and all(torch.equal(value, before[name]) for name, value in tiny.state_dict().items())
    assert not tiny.first._forward_hooks and tiny.first.weight.grad is None
    tiny.eval()
    pixels = np.repeat(images[..., None], 3, 3) / 255
    batch = torch.from_numpy((pixels - INPUTS["mean"]) / INPUTS["std"]).float().permute(0, 3, 1, 2)
    maps = tiny.first(batch).detach().requires_grad_()
    after = tiny.norms[1](tiny.second(tiny.norms[0](maps).relu())).relu().mean((2, 3))
    tiny.classifier(after)[[0, 1], [5, 1]].sum().backward()
    for row in range(2):
        wanted = sum(maps.grad[row, k].mean() * maps[row, k] for k in range(8)).relu().detach()
        grown = nn.functional.interpolate(wanted[None, None], (12, 12), mode="bilinear")[0, 0]
        assert found[row] == pytest.approx(grown.numpy(), abs=1e-6)


def test_a_map_is_scored_by_its_mass_and_by_its_maximum():
    region = np.zeros((4, 4), bool)
    region[0, :2] = True  # an eighth of the image
    inside, half, empty, flat, below = (np.zeros((4, 4)) for _ in range(5))
    inside[0, 0], inside[3, 3] = 2, -9  # what is negative has no mass
    half[0, 0], half[2, 2] = 1, 1
    flat[:], below[1:] = 3, -1
    below[0] = -1, -0.5, -2, -3
    shares, hits = score([inside, half, empty, flat, below], np.repeat(region[None], 5, 0))
    assert shares[:2].tolist() == [8, 4] and np.isnan(shares[[2, 4]]).all() and shares[3] == 1
    assert hits.tolist() == [1, 0.5, 0.125, 0.125, 1]


def test_what_cannot_be_mapped_or_scored_is_refused(tiny):
    images = images_of()
    maps, regions = np.ones((2, 4, 4)), np.ones((2, 4, 4), bool)
    cases = [(occlusion_map, (tiny, images, [0, 1]), INPUTS, "(2,) classes"),
             (occlusion_map, (tiny, images[:0], []), INPUTS, "(0, 12, 12) images"),
             (class_activation_map, (tiny, images[0], [0, 1, 2], tiny.first), INPUTS, "(12, 12) images"),
             *((occlusion_map, (tiny, images, [0, 1, 2]), {**INPUTS, "patch": patch, "stride": stride}, "<= 12 pixels")
               for patch, stride in ((13, 1), (4, 5), (4, 0))),
             (score, (maps, regions[:1]), {}, "(1, 4, 4) regions"), (score, (maps, regions * 1), {}, "int64"),
             (score, (maps, ~regions), {}, "none of them empty"), (score, (maps[0], regions[0]), {}, "(4, 4) maps")]
    answers = [(told, refusal(call, *given, **options)) for call, given, options, told in cases]
    assert not [f"{told!r} is not in {words!r}" for told, words in answers if told not in words]
