"""The interactive labs. Each leaves a static picture and alt text for those who read without a kernel; the lab of
centre loss and the explorer of stored runs also live in a plain web page."""

from fer_course.labs.photo_lab import PhotoLab, photo_lab

from .labs import (
    UNIT_NAMES,
    CenterLab,
    ResultsLab,
    center_lab,
    face_lab,
    face_of,
    in_words,
    module_source,
    results_lab,
    show,
)

__all__ = ["UNIT_NAMES", "CenterLab", "PhotoLab", "ResultsLab", "center_lab", "face_lab", "face_of", "in_words",
           "module_source", "photo_lab", "results_lab", "show"]
