"""Write results/tour.npz, what notebook 0 shows of eight of notebook 4's networks, and the README's picture.

    python tools/tour.py

It trains what notebook 4 has not trained yet, some 25 s a network.
"""

import base64
import io

from environment import ROOT, enter, parser

LAMS, SEEDS = (0.0, 0.02, 0.2, 2.0), (0, 1)  # softmax, what validation faces chose in notebook 4, the paper's, collapse


def main():
    import numpy as np
    from sklearn.decomposition import PCA

    from fer_utils.evaluation import compactness
    from fer_utils.runs.settings import check_parameters

    settings = check_parameters(recipe="quick", overrides={"backbone": "resnet18", "epochs": 3})
    test, kept = settings.load("held-out"), {}
    for lam in LAMS:
        for seed in SEEDS:
            features, probabilities = settings.run(lam=lam, seed=seed).predict(test)
            plane = PCA(2, random_state=0).fit_transform(features)
            kept[f"plane {lam:g} {seed}"] = plane.astype(np.float16)
            kept[f"answers {lam:g} {seed}"] = probabilities.argmax(1).astype(np.uint8)
            kept[f"ratio {lam:g} {seed}"] = np.float32(compactness(features, test.labels).ratio)
    np.savez_compressed(ROOT / "results" / "tour.npz", labels=test.labels.astype(np.uint8), **kept)
    draw(test, kept).save(ROOT / "results" / "picture.png", optimize=True)


def draw(test, kept):
    """Some of the faces, and below them the networks of the first seed: narrow, so that a phone shows it readably."""
    import numpy as np
    from PIL import Image

    from fer_utils import plots
    from fer_utils.emotions import EMOTIONS
    from fer_utils.evaluation import scores

    panels = {}
    for lam in LAMS:
        found = scores(test.labels, kept[f"answers {lam:g} 0"])
        name = f"λ = {lam:g}" if lam else "softmax"
        title = f"{name}: {100 * found['accuracy']:.0f} %, macro F1 {found['macro_f1']:.2f}"
        panels[title] = kept[f"plane {lam:g} 0"].astype(float), test.labels
    faces = [test.images[np.flatnonzero(test.labels == label)[0]] for label in range(len(EMOTIONS))]
    grid = plots.face_grid([faces[:4], faces[4:]], captions=[EMOTIONS[:4], EMOTIONS[4:]], inches=1.15)
    for axis in grid.axes:
        axis.title.set_fontsize(12)
    pictures = [grid, plots.projections(panels)]
    images = [Image.open(io.BytesIO(base64.b64decode(plots.png(figure)))).convert("RGB") for figure in pictures]
    canvas = Image.new("RGB", (max(image.width for image in images), sum(image.height for image in images)), "white")
    top = 0
    for image in images:
        canvas.paste(image, ((canvas.width - image.width) // 2, top))
        top += image.height
    return canvas.quantize(192, dither=Image.Dither.NONE)


if __name__ == "__main__":
    parser = parser(__doc__)
    enter(parser.parse_args().here)
    main()
