"""Made-up runs for the explorer, made-up features, and the pages on which the tests see all labs in a browser."""

import numpy as np
from browsing import site_of
from nbformat.v4 import new_code_cell, new_notebook, new_output

from fer_course.labs.center_lab import center_lab
from fer_course.labs.embedding_lab import embedding_lab
from fer_course.labs.results_lab import results_lab
from fer_course.labs.shared import module_source
from fer_utils import plots
from fer_utils.datasets import FaceDataset

CENTER, RESULTS, BOTH, EMBEDDING = (f"notebooks/{name}" for name in ("1_center", "2_results", "3_both", "4_embedding"))
ALONE = "fer_course/labs/center_lab/center_lab.js"


def run_of(rng, faces=200, epochs=5, **parameters):
    """A cell as a notebook makes one, of made-up numbers."""
    labels = np.arange(faces) % 7
    return {"parameters": parameters, "accuracy": rng.uniform(50, 70), "ratio": rng.uniform(0.5, 1.5),
            "curves": {name: list(rng.uniform(20, 70, epochs)) for name in ("training", "validation")},
            "confusion": rng.integers(0, 30, (7, 7)).tolist(), "labels": labels.tolist(),
            "points": rng.normal(size=(faces, 2)) * (3, 1) + np.eye(7)[labels][:, :2] * 9}


def grid_of_runs(seeds=2):
    """Eq. 2 and SGD at three α, softmax without α; SGD at 1.9 did not run."""
    rng = np.random.default_rng(0)
    points = [("Eq. 2", 0.5), ("Eq. 2", 1.9), ("Eq. 2", 1.0), ("SGD", 0.5), ("SGD", 1.0), ("softmax", float("nan"))]
    return [run_of(rng, rule=rule, α=alpha, seed=seed) for rule, alpha in points for seed in range(seeds)]


RUNS = grid_of_runs()
RUNS[11]["labels"] = sorted(RUNS[11]["labels"])  # faces of its own
EXPLORER = results_lab(RUNS, {"rule": "Eq. 2", "α": 1.0})
TRICKY = "<b>&\"'</b>"  # a learner's own name of a parameter must stay text
ONE_RUN = results_lab([run_of(np.random.default_rng(1), faces=20, epochs=1, rule="Eq. 2", **{TRICKY: -2.5})])


def faces_with_features(number=40):
    """Faces of one grey each, no two alike, and two networks' features, points and probabilities; in no order."""
    rng = np.random.default_rng(0)
    images = np.tile(rng.permutation(number).astype(np.uint8)[:, None, None] * 6, (1, 48, 48))
    labels = rng.permutation(np.arange(number) % 7)
    networks = {}
    for name in ("softmax", "centre loss"):
        features = rng.normal(size=(number, 5)) + 2 * np.eye(7)[labels][:, :5]
        networks[name] = features, features[:, :2], rng.dirichlet(np.ones(7), number)
    return FaceDataset(images, labels, np.arange(number).astype(str), "test", "greys"), networks


PLANES = embedding_lab(*faces_with_features(), store_faces=True)

# In place of the kernel: a model that only notes what the photo lab tells it.
MODEL = """
const listeners = {};
window.model = {
  values: { across: 62, down: 0, side: 80, light: 100, mirror: false }, sent: [], saved: 0,
  get(name) { return this.values[name]; },
  set(name, value) { this.values[name] = value; },
  save_changes() { this.saved += 1; },
  on(event, call) { (listeners[event] ??= new Set()).add(call); },
  off(event, call) { listeners[event]?.delete(call); },
  send(content, callbacks, buffers) { this.sent.push({ ...content, bytes: [...new Uint8Array(buffers?.[0] ?? [])] }); },
  tell(event, ...given) { listeners[event]?.forEach((call) => call(...given)); },
  heard: () => Object.values(listeners).reduce((sum, calls) => sum + calls.size, 0),
};
"""


def notebook_of(*labs):
    outputs = []
    for lab in labs:
        still, alt = lab.still()
        metadata = {"image/png": {"alt": alt, "lab": {"module": lab.module, "options": lab.options}}}
        outputs.append(new_output("display_data", {"image/png": plots.png(still), "text/plain": alt},
                                  metadata=metadata))
    return new_notebook(cells=[new_code_cell("lab", outputs=[output]) for output in outputs])


def write_pages(folder):
    """A site of notebooks with labs and the lab of centre loss alone, and a page with the lab of one photo."""
    site, _ = site_of(folder, {
        f"{CENTER}.ipynb": notebook_of(center_lab(0.4, 1.9), center_lab()),
        f"{RESULTS}.ipynb": notebook_of(EXPLORER, center_lab(), ONE_RUN),
        f"{BOTH}.ipynb": notebook_of(center_lab(), EXPLORER, PLANES), f"{EMBEDDING}.ipynb": notebook_of(PLANES)})
    script = module_source("photo_lab").replace("</script", "<\\/script")
    (site / "photo.html").write_text(f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Lab</title>
        <body><div id="lab"></div><script type="module">{MODEL}{script}
        window.end = mount(document.getElementById("lab"), model);</script>""", encoding="utf-8")
    return site
