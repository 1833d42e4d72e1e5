"""What eyes make of colours and marks: contrast, colour-vision deficiencies, the shapes of markers."""

import numpy as np
from colorspacious import cspace_convert
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

# Machado et al. (2009) at full severity: protanopia, deuteranopia, tritanopia.
DEFICIENCIES = ("protanomaly", "deuteranomaly", "tritanomaly")
WHITE = (1.0, 1.0, 1.0)


def contrast(colour, background=WHITE):
    """WCAG's ratio, 1 to 21; ``colour`` may be translucent, (r, g, b, a) in [0, 1] or what matplotlib understands."""
    red, green, blue, alpha = to_rgba(colour)
    behind = np.array(to_rgba(background)[:3])
    lighter, darker = sorted((_luminance(alpha * np.array((red, green, blue)) + (1 - alpha) * behind),
                              _luminance(behind)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour):
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def distance(first, second, deficiency=None):
    """How different two colours look, in units of CAM02-UCS (about 1 is just noticed); "grey": without any hue."""
    seen = []
    for colour in (first, second):
        rgb = np.array(to_rgba(colour)[:3])
        if deficiency in DEFICIENCIES:
            space = {"name": "sRGB1+CVD", "cvd_type": deficiency, "severity": 100}
            rgb = np.clip(cspace_convert(rgb, space, "sRGB1"), 0, 1)
        seen.append(cspace_convert(rgb, "sRGB1", "CAM02-UCS") * ((1, 0, 0) if deficiency == "grey" else (1, 1, 1)))
    return float(np.linalg.norm(seen[0] - seen[1]))


def silhouette(marker, size=40):
    """A marker as a boolean image, as large as it is drawn."""
    figure = Figure(figsize=(1, 1), dpi=size * 1.5)
    canvas = FigureCanvasAgg(figure)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    axis.plot(0, 0, marker=marker, markersize=48, color="black", markeredgewidth=0)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., 0] < 128
