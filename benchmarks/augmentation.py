"""What augmentation costs beside a training step of ResNet-50: alternating blocks in one run, medians.

    python benchmarks/augmentation.py                 48 pixels, batch 62
    python benchmarks/augmentation.py --size 224
"""

import argparse
from statistics import median
from time import perf_counter

import torch

from fer_utils.runs.run import environment
from fer_utils.training.recipe import get_recipe
from fer_utils.training.setup import choose_device, make_accelerator, prepare
from fer_utils.training.steps import training_step
from fer_utils.transforms import augment, normalise, to_channels


def main(size, blocks=5, steps=6):
    recipe = get_recipe("quick", image_size=size)
    accelerator = make_accelerator(choose_device(), recipe)
    parts, device = prepare(recipe, 0, accelerator, steps * blocks), accelerator.device
    parts.model.train()
    images = torch.randint(0, 256, (recipe.batch_size, 48, 48), dtype=torch.uint8, device=device)
    labels, chance = torch.arange(recipe.batch_size, device=device) % 7, torch.Generator().manual_seed(0)
    spent = {"augmentation": [], "step": []}
    for _ in range(blocks):
        for count in range(steps):
            started = perf_counter()
            batch = augment(to_channels(images), size, chance, rotation=recipe.rotation, crop=recipe.crop)
            batch = normalise(batch, (0.5,) * 3, (0.25,) * 3)
            halfway = wait(device)
            training_step([(batch, labels)], recipe, accelerator, parts)
            ended = wait(device)
            if count:  # the first of a block warms up
                spent["augmentation"].append(halfway - started)
                spent["step"].append(ended - halfway)
    milliseconds = {name: 1000 * median(values) for name, values in spent.items()}
    about = environment(device)
    print(f"{about['hardware']}, {about['threads']} threads, torch {about['torch']}, "
          f"{accelerator.mixed_precision}, {size} px, batch {recipe.batch_size}")
    print(f"augmentation {milliseconds['augmentation']:.2f} ms, step {milliseconds['step']:.1f} ms: "
          f"{100 * milliseconds['augmentation'] / milliseconds['step']:.1f} %")


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize()
    return perf_counter()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=48)
    main(parser.parse_args().size)
