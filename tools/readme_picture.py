"""Draw results/picture.png, the README's picture, from the runs of notebooks 2 and 4.

    python tools/readme_picture.py
"""

import base64
import io

from environment import ROOT, enter, parser


def main():
    from PIL import Image
    from sklearn.decomposition import PCA

    from fer_utils import plots, runs
    from fer_utils.datasets import load_dataset

    settings = runs.check_parameters(recipe="quick")
    test = load_dataset("synthetic", split="test")
    panels = {}
    for name, run in (("softmax", settings.run(lam=0)), ("centre loss", settings.run())):
        title = f"{name}: {100 * run.metrics['accuracy']:.0f} % correct, intra/inter {run.metrics['ratio']:.2f}"
        panels[title] = (PCA(2, random_state=0).fit_transform(run.predict(test)[0]), test.labels)
    pictures = [plots.face_wall(test, per_class=12), plots.projections(panels)]
    images = [Image.open(io.BytesIO(base64.b64decode(plots.png(figure)))).convert("RGB") for figure in pictures]
    canvas = Image.new("RGB", (max(image.width for image in images), sum(image.height for image in images)), "white")
    top = 0
    for image in images:
        canvas.paste(image, ((canvas.width - image.width) // 2, top))
        top += image.height
    canvas.quantize(192, dither=Image.Dither.NONE).save(ROOT / "results" / "picture.png", optimize=True)


if __name__ == "__main__":
    parser = parser(__doc__)
    enter(parser.parse_args().here)
    main()
