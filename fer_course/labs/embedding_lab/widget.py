"""The lab of features in the plane: a point shows its face, its nearest neighbours and both networks' answers. Faces
are told to the browser in a message, never in the widget's state, which Colab and JupyterLab may save."""

import base64
import io
import json
from collections import Counter

import anywidget
import numpy as np
import traitlets
from PIL import Image

from fer_utils.emotions import COLOURS, EMOTIONS, MARKERS
from fer_utils.errors import FerError
from fer_utils.feature_geometry import nearest

from ..shared import module_source
from .still import embedding_panels

MOST, NEIGHBOURS, ACROSS, TILE = 300, 5, 20, 48  # faces; faces in a row of the sheet; pixels of each


class EmbeddingLab(anywidget.AnyWidget):
    """The lab of ``embedding_lab.js``; ``chosen`` is the face that it shows, ``network`` the one whose plane, both
    counted from 0. Setting one of them moves the picture. ``views``: {name of a network: what was found for it}."""

    module = "embedding_lab"
    _esm = module_source(module)
    data = traitlets.Unicode().tag(sync=True)
    chosen = traitlets.Int(0).tag(sync=True)
    network = traitlets.Int(0).tag(sync=True)

    def __init__(self, faces, views, chosen, store_faces):
        self.faces, self.views, self.store_faces = faces, views, store_faces
        self.sheet = _sheet(faces.images)
        super().__init__(data=_packed(faces, views), chosen=chosen)
        self.on_msg(lambda _, content, buffers: self.send({"kind": "faces"}, [self.sheet]))

    @traitlets.validate("chosen", "network")
    def _there(self, proposal):
        number = len(self.faces) if proposal.trait.name == "chosen" else len(self.views)
        if not 0 <= proposal.value < number:
            raise FerError(f"{proposal.trait.name}={proposal.value}: choose one from 0 to {number - 1}.")
        return proposal.value

    @property
    def options(self):
        """What a page without a kernel needs; None where faces are not to be stored."""
        sheet = f"data:image/png;base64,{base64.b64encode(self.sheet).decode()}"
        return {"data": self.data, "faces": sheet, "chosen": self.chosen,
                "network": self.network} if self.store_faces else None

    def in_words(self):
        """The chosen face in a few sentences, as the lab says them."""
        view = list(self.views.values())[self.network]
        near = Counter(EMOTIONS[label] for label in self.faces.labels[view["near"][self.chosen]])
        counts = ", ".join(f"{count} {name}" for name, count in near.items())
        given = {name: it["answers"][self.chosen] for name, it in self.views.items()}
        answers = "; ".join(f"{name}: {EMOTIONS[row.argmax()]}, {row.max()} %" for name, row in given.items())
        return (f"Face {self.chosen + 1} of {len(self.faces)}, labelled {EMOTIONS[self.faces.labels[self.chosen]]}. "
                f"{answers}. The nearest five to {list(self.views)[self.network]}: {counts}.")

    def still(self):
        """(figure, alt text) of the chosen face; where faces are not to be stored, of the points alone."""
        figure = embedding_panels(self.faces, self.views, self.chosen, with_faces=self.store_faces)
        return figure, (f"{figure.get_label()} A ring marks one face, and lines lead to its five nearest. "
                        f"{self.in_words()} Live, the lab shows each face that is chosen.")


def embedding_lab(faces, networks, chosen=None, *, store_faces=False):
    """Points to click on: a face, its five nearest neighbours among ``faces`` in the full dimension, the answers of all
    networks. Returns an ``EmbeddingLab``.

    ``faces``: a ``FaceDataset`` of 6 to 300 images; ``networks``: {name: (features (N, D), points (N, 2),
    probabilities (N, 7))}; ``chosen``: the face to begin with, counted from 0 in the order of their labels, by default
    the first that the networks answer differently. With ``store_faces`` the faces go into the notebook and the page
    made of it: for drawn faces only. Raises ``FerError`` for arrays that do not fit together.
    """
    number = len(faces)
    if not NEIGHBOURS < number <= MOST:
        raise FerError(f"embedding_lab: {number} faces; give {NEIGHBOURS + 1} to {MOST}, some 200 can be told apart.")
    if not networks:
        raise FerError("embedding_lab: no network; give {name: (features, points, probabilities)}.")
    order, views = np.argsort(faces.labels, kind="stable"), {}
    for name, arrays in networks.items():
        features, points, probabilities = map(np.asarray, arrays)
        if features.shape[:1] != (number,) or points.shape != (number, 2) or probabilities.shape != (
                number, len(EMOTIONS)) or not all(np.isfinite(array).all() for array in (features, points)):
            raise FerError(f"embedding_lab, {name}: features {features.shape}, points {points.shape}, probabilities "
                           f"{probabilities.shape}; give finite ({number}, D), ({number}, 2) and ({number}, 7).")
        rows, away = nearest(features[order], features[order], NEIGHBOURS + 1)
        others = np.array([np.flatnonzero(row != own)[:NEIGHBOURS] for own, row in enumerate(rows)])
        around = points[order] - (points.max(0) + points.min(0)) / 2
        views[name] = {"points": (around / (np.abs(around).max() or 1)).round(3),  # one scale for both axes
                       "answers": np.rint(100 * probabilities[order]).astype(int),
                       "near": np.take_along_axis(rows, others, 1), "away": np.take_along_axis(away, others, 1)}
    if chosen is None:
        answers = np.array([view["answers"].argmax(1) for view in views.values()])
        chosen = int((answers != answers[0]).any(0).argmax())
    return EmbeddingLab(faces.subset(order), views, chosen, bool(store_faces))


def _sheet(images):
    """All faces in one PNG, rows of ``ACROSS``, in 16 greys or 64 colours: the noise of a camera is costly to store."""
    colour = images.ndim == 4
    sheet = Image.new("RGB" if colour else "L", (ACROSS * TILE, -(-len(images) // ACROSS) * TILE))
    for place, image in enumerate(images):
        tile = Image.fromarray(image).resize((TILE, TILE), Image.Resampling.BOX)
        sheet.paste(tile, (place % ACROSS * TILE, place // ACROSS * TILE))
    sheet = sheet if colour else sheet.point(lambda level: round(level / 17) * 17)
    content = io.BytesIO()
    sheet.quantize(64 if colour else 16, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    return content.getvalue()


def _packed(faces, views):
    """All that ``embedding_lab.js`` reads but the faces, as one line of JSON."""
    classes = [{"name": name, "colour": COLOURS[name], "marker": MARKERS[name]} for name in EMOTIONS]
    stored = [{"name": name, "points": view["points"].tolist(), "answers": view["answers"].tolist(),
               "near": view["near"].tolist(), "away": [[float(f"{it:.3g}") for it in row] for row in view["away"]]}
              for name, view in views.items()]
    return json.dumps({"classes": classes, "labels": faces.labels.tolist(), "across": ACROSS, "networks": stored},
                      separators=(",", ":"), ensure_ascii=False, allow_nan=False)
