"""The lab of one photo. The photo reaches the kernel, and the pictures reach the browser, as messages and never as the
state of a widget: Colab saves that with the notebook, and JupyterLab does where it is asked to."""

import base64
from collections import Counter

import anywidget
import numpy as np
import traitlets

from fer_utils import plots
from fer_utils.datasets.photo import face_in, read_photo, square
from fer_utils.emotions import EMOTIONS
from fer_utils.errors import FerError
from fer_utils.evaluation import hesitation

from ..shared import module_source
from .still import photo_answer


class PhotoLab(anywidget.AnyWidget):
    """The lab of ``photo_lab.js``. What the reader chose is in ``across``, ``down``, ``side`` and ``light``, in
    percent, and ``mirror``; setting one of them moves the picture. The photo itself is nowhere in the widget's state.
    """

    _esm = module_source("photo_lab")
    across = traitlets.CFloat(50.0, min=0, max=100).tag(sync=True)
    down = traitlets.CFloat(50.0, min=0, max=100).tag(sync=True)
    side = traitlets.CFloat(100.0, min=10, max=100).tag(sync=True)
    light = traitlets.CFloat(100.0, min=10, max=300).tag(sync=True)
    mirror = traitlets.Bool(False).tag(sync=True)
    CHOICES = {"across": 50.0, "down": 50.0, "side": 100.0, "light": 100.0, "mirror": False}  # of a new photo

    def __init__(self, ask, photo, known, usual, beside=None, **choices):
        self.ask, self.known, self.usual, self.beside = ask, known, np.sort(np.ravel(usual)), beside
        self._photo = self._drawn = photo
        super().__init__(**choices)
        self._first, self._quiet = {name: getattr(self, name) for name in self.CHOICES}, False
        self.on_msg(self._heard)
        self.observe(lambda _: self._quiet or self._show(), list(self.CHOICES))

    def answer(self):
        """(figure, words) on the photo as it is cropped now. They are for the lab alone: what a cell shows is stored in
        the notebook; for that there is ``still``."""
        return self._answer(self._photo)

    def still(self):
        """(figure, alt text) on the drawn face that the lab began with, whatever was uploaded since."""
        figure, words = self._answer(self._drawn)
        return figure, ("A drawn face with a square around it, what the network gets of it, a bar for each emotion and "
                        f"the nearest known faces. {words}")

    def _answer(self, photo):
        box = square(photo, self.across / 100, self.down / 100, self.side / 100)
        face = face_in(photo, box, self.known.images.shape[1], self.light / 100, self.mirror)
        probabilities, rows, distances = self.ask(face)
        names = [EMOTIONS[self.known.labels[row]] for row in rows]
        near = [(self.known.images[row], f"{name}\n{distance:.1f} away")
                for row, name, distance in zip(rows, names, distances)]
        words = told(probabilities, names, distances[0], self.usual)
        second = self.beside and (self.beside[0], self.beside[1](face))
        if second:
            words += f" Beside it, {second[0]} says {percentages(second[1])}."
        return photo_answer(photo, box, face, probabilities, near, second), words

    def _heard(self, _, content, buffers):
        """A message of the browser: "photo" with its bytes, "forget", or "ready" when a page begins to listen."""
        try:
            if content.get("kind") == "photo":
                name = str(content.get("name") or "the photo")[:80]
                self._begin(read_photo(bytes(buffers[0]), name, colour=self.known.images.ndim == 4), self.CHOICES)
            elif content.get("kind") == "forget":
                self._begin(self._drawn, self._first)
        except (FerError, IndexError) as error:
            self.send({"kind": "refused", "words": str(error)})
            return
        self._show()

    def _begin(self, photo, choices):
        self._photo, self._quiet = photo, True  # one picture, not one for each control
        try:
            for name, value in choices.items():
                setattr(self, name, value)
        finally:
            self._quiet = False

    def _show(self):
        figure, words = self.answer()
        picture = base64.b64decode(plots.png(figure))
        self.send({"kind": "answer", "words": words, "drawn": self._photo is self._drawn}, [picture])


def photo_lab(ask, photo, known, usual, beside=None, **choices):
    """A photo to choose, a square to move, its brightness and its mirror image, and what the network makes of it.
    Returns a ``PhotoLab``.

    ``ask``: a function of a face, uint8 (H, W) or (H, W, 3), that returns probabilities (7,), and rows of the nearest
    faces of the ``FaceDataset`` ``known`` with their distances, the nearest first. ``photo``: a drawn face, uint8
    (H, W) or (H, W, 3) as the ``known`` ones, which stands there until the reader chooses a photo. ``usual``: for some
    faces that are like the known ones, how far the nearest known one is. ``beside``: the name of a second network and a
    function of a face that returns its probabilities (7,). ``choices``: across, down, side, light and mirror to begin
    with. Raises ``FerError`` where the photo is of another kind or ``usual`` is empty.
    """
    if photo.dtype != np.uint8 or photo.ndim != known.images.ndim - 1:
        raise FerError(f"photo_lab: the photo is {photo.dtype} {photo.shape}; give uint8, "
                       f"{'(H, W)' if known.images.ndim == 3 else '(H, W, 3)'} as the known faces are.")
    if not np.size(usual):
        raise FerError("photo_lab: usual is empty; give the distances of some faces to their nearest known one.")
    return PhotoLab(ask, photo, known, usual, beside, **choices)


def told(probabilities, names, distance, usual):
    """What the network says, how unsure it is, and how strange the face is to it, in three sentences. ``names``: of the
    nearest faces; ``distance``: how far the first is; ``usual``: sorted."""
    between, farther = hesitation(probabilities), float(np.searchsorted(usual, distance) / len(usual))
    doubt = "it hardly hesitates" if between < 1.5 else "it hesitates" if between < 3 else "it is guessing"
    near = ", ".join(f"{count} of {name}" for name, count in Counter(names).most_common())
    if farther == 1:
        strange = ("It lies farther from every known face than any test face does: the network has never seen anything "
                   "like this, and its percentages mean nothing.")
    else:
        strange = (f"{100 * farther:.0f} % of the test faces lie nearer to a known face than this one does: it is "
                   + ("strange to the network." if farther > 0.95 else "not strange, which does not make it right."))
    return (f"The network says {percentages(probabilities)}; {doubt}, as between {between:.1f} equally likely "
            f"emotions. The {len(names)} nearest known faces: {near}. {strange}")


def percentages(probabilities):
    """The likeliest emotion and all of 5 % and more, in words."""
    probabilities = np.asarray(probabilities, float)
    return ", ".join(f"{EMOTIONS[k]} {100 * probabilities[k]:.0f} %" for k in probabilities.argsort()[::-1]
                     if k == probabilities.argmax() or probabilities[k] >= 0.05)
