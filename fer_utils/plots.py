"""Figures. Pure functions: data in, a matplotlib or plotly figure out; ``show`` puts one into a notebook with its alt
text. Classes are told apart by colour and by marker."""

import base64
import io

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from PIL import Image
from plotly import graph_objects as go
from plotly.subplots import make_subplots

from .emotions import COLOURS, EMOTIONS, MARKERS

STYLE = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 11,
         "axes.titlelocation": "left", "legend.frameon": False, "axes.grid": True, "grid.alpha": 0.25,
         "grid.linewidth": 0.6}
INK, ACCENT, SECOND = "#26323E", COLOURS["anger"], COLOURS["sadness"]
# plotly's names for matplotlib's markers
SYMBOLS = {"^": "triangle-up", "s": "square", "X": "x", "o": "circle", "P": "cross", "v": "triangle-down",
           "D": "diamond", "*": "star"}


def show(figure, alt):
    """Display a figure with its alt text: a matplotlib one as PNG; a pair (plotly, matplotlib) as the first where
    plotly can run, and as the second's PNG where it cannot (GitHub, exported pages, print)."""
    from IPython.display import display

    live, still = figure if isinstance(figure, tuple) else (None, figure)
    bundle = {"text/plain": alt, "image/png": png(still)}
    if live is not None:
        bundle["application/vnd.plotly.v1+json"] = live.to_plotly_json()
    display(bundle, raw=True, metadata={"image/png": {"alt": alt}})


def png(figure, dpi=96):
    """A matplotlib figure as base64 PNG, a third of the size of true colour: 32 greys for faces, else a palette."""
    buffer, small = io.BytesIO(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    image = Image.open(buffer).convert("RGB")
    if np.ptp(np.asarray(image), axis=2).max() == 0:
        image = image.convert("L").point(lambda level: round(level / 255 * 31) * 255 // 31)
    else:
        image = image.quantize(192, dither=Image.Dither.NONE)
    image.save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def picture(image):
    """An image (H, W) or (H, W, 3), uint8, as base64 PNG, pixel for pixel."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def face_wall(dataset, per_class=10, seed=0):
    """One row of faces per emotion, drawn at random."""
    chance = np.random.default_rng(seed)
    rows = []
    for label in range(len(EMOTIONS)):
        members = np.flatnonzero(dataset.labels == label)
        chosen = chance.permutation(members)[:per_class]
        rows.append([dataset.images[k] for k in chosen] + [None] * (per_class - len(chosen)))
    return face_grid(rows, row_titles=EMOTIONS)


def face_grid(rows, row_titles=None, column_titles=None, inches=0.72):
    """Images (H, W) or (H, W, 3), uint8 or float in [0, 1], in a grid given row by row; None leaves a gap."""
    rows = [list(row) for row in rows]
    columns = max(map(len, rows))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(columns * inches + 0.9, len(rows) * inches + (0.3 if column_titles else 0)))
        axes = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw={"wspace": 0.04, "hspace": 0.04})
        for r, row in enumerate(rows):
            for c in range(columns):
                axis = axes[r, c]
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
                if c < len(row) and row[c] is not None:
                    white = 255 if row[c].dtype == np.uint8 else 1
                    axis.imshow(row[c], cmap="gray", vmin=0, vmax=white)
                if r == 0 and column_titles:
                    axis.set_title(column_titles[c], fontsize=8.5, loc="center")
            if row_titles:
                axes[r, 0].set_ylabel(row_titles[r], rotation=0, ha="right", va="center", fontsize=9)
        return figure


def class_shares(shares):
    """Bars of each class's share in percent; ``shares``: {name of the data set: (7,) shares in [0, 1]}."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.2))
        axis = figure.subplots()
        width = 0.8 / len(shares)
        hatches, tones = ("", "//", "..", "xx"), (INK, ACCENT, SECOND, "#8A8A8A")
        for k, (name, values) in enumerate(shares.items()):
            axis.bar(np.arange(len(EMOTIONS)) + (k - (len(shares) - 1) / 2) * width, 100 * np.asarray(values), width,
                     label=name, color="white" if k else tones[0], edgecolor=tones[k], hatch=hatches[k], linewidth=1)
        axis.set_xticks(range(len(EMOTIONS)), EMOTIONS)
        axis.set_ylabel("share of the training images (%)")
        axis.grid(axis="x", visible=False)
        axis.legend()
        return figure


def learning_curves(histories):
    """Cross-entropy, accuracy and compactness by epoch; ``histories``: {name: DataFrame of a run's history}."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 3.2), layout="constrained")
        loss, accuracy, ratio = figure.subplots(1, 3)
        for (name, history), colour, marker in zip(histories.items(), (INK, ACCENT, SECOND), "osv"):
            style = {"color": colour, "marker": marker, "markersize": 4}
            pale = {**style, "alpha": 0.45, "linestyle": ":"}
            loss.plot(history.epoch, history.cross_entropy, **pale, label=f"{name}, training")
            loss.plot(history.epoch, history.validation_cross_entropy, **style, label=f"{name}, validation")
            accuracy.plot(history.epoch, 100 * history.train_accuracy, **pale)
            accuracy.plot(history.epoch, 100 * history.validation_accuracy, **style)
            ratio.plot(history.epoch, history.validation_ratio, **style)
        loss.set(title="cross-entropy", xlabel="epoch")
        accuracy.set(title="accuracy (%)", xlabel="epoch")
        ratio.set(title="intra/inter-class distance, validation", xlabel="epoch", yscale="log")
        for axis in (loss, accuracy, ratio):
            axis.xaxis.get_major_locator().set_params(integer=True)
        ratio.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        ratio.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ratio.yaxis.set_minor_formatter(NullFormatter())
        loss.legend(fontsize=8)
        return figure


def both_losses(history, lam):
    """L_S and λ·L_C of one run by epoch, and what share of the total centre loss has."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.2), layout="constrained")
        axis = figure.subplots()
        axis.plot(history.epoch, history.cross_entropy, color=INK, marker="o", markersize=4,
                  label="$L_S$, cross-entropy")
        axis.plot(history.epoch, lam * history.center_loss, color=ACCENT, marker="s", markersize=4,
                  label=r"$\lambda L_C$, centre loss as it is weighed")
        axis.set(title="the two parts of Eq. 3 during training", xlabel="epoch", ylim=(0, None))
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend()
        return figure


def confusion_matrices(matrices):
    """Row-normalised confusion matrices beside each other; ``matrices``: {title: (7, 7) counts}."""
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(4.9 * len(matrices), 4.4), layout="constrained")
        for axis, (title, counts) in zip(figure.subplots(1, len(matrices), squeeze=False)[0], matrices.items()):
            counts = np.asarray(counts)
            shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
            axis.imshow(shares, cmap="Blues", vmin=0, vmax=100)
            for row, column in np.ndindex(shares.shape):
                axis.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", fontsize=8.5,
                          color="white" if shares[row, column] > 55 else INK)
            axis.set_xticks(range(len(EMOTIONS)), EMOTIONS, rotation=40, ha="right")
            axis.set_yticks(range(len(EMOTIONS)), EMOTIONS)
            axis.set(title=f"{title} (% of each row)", xlabel="predicted", ylabel="true")
        return figure


def projections(panels, axes=("first principal component", "second")):
    """2-D points of each class; ``panels``: {title: (points (N, 2), labels (N,))}; ``axes``: what x and y are."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * len(panels), 4.3), layout="constrained")
        for axis, (title, (points, labels)) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items()):
            for label, name in enumerate(EMOTIONS):
                mine = labels == label
                axis.scatter(points[mine, 0], points[mine, 1], s=12, alpha=0.6, color=COLOURS[name],
                             marker=MARKERS[name], linewidths=0, label=name)
            axis.set(title=title, xlabel=axes[0], ylabel=axes[1])
        figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=7, markerscale=1.6,
                      fontsize=9)
        return figure


def projections_live(panels):
    """``projections`` as a plotly figure in which classes can be switched on and off."""
    figure = make_subplots(1, len(panels), subplot_titles=list(panels), horizontal_spacing=0.06)
    for column, (points, labels) in enumerate(panels.values(), start=1):
        for label, name in enumerate(EMOTIONS):
            mine = points[labels == label]
            figure.add_trace(go.Scatter(
                x=mine[:, 0].round(2).tolist(), y=mine[:, 1].round(2).tolist(), mode="markers", name=name,
                legendgroup=name, showlegend=column == 1, hovertemplate=f"{name}<extra></extra>",
                marker={"color": COLOURS[name], "symbol": SYMBOLS[MARKERS[name]], "size": 6, "opacity": 0.65}),
                row=1, col=column)
    return figure.update_layout(height=450, template="plotly_white", margin={"l": 40, "r": 10, "t": 40, "b": 30},
                                legend={"orientation": "h", "y": -0.12})


def feature_film(rows, labels, moments):
    """2-D features at several moments of a training, one row of panels a run; each image is drawn as its digit.

    ``rows``: {title: [points (N, 2) at each moment]}; ``labels`` (N,), 0 to 9; ``moments``: titles of the columns.
    """
    palette = matplotlib.colormaps["tab10"]
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(2.7 * len(moments), 2.8 * len(rows)), layout="constrained")
        for axes, (title, film) in zip(figure.subplots(len(rows), len(moments), squeeze=False), rows.items()):
            for axis, points, moment in zip(axes, film, moments):
                for digit in np.unique(labels):
                    axis.plot(*points[labels == digit].T, linestyle="none", marker=f"${digit}$", markersize=5,
                              markeredgewidth=0, color=palette(digit % 10), alpha=0.8)
                axis.set(title=moment, xticks=[], yticks=[])
            axes[0].set_ylabel(title)
        return figure


def staircase(members, alphas, steps=7):
    """Eq. 2 on one fixed batch as a staircase, a panel for each α: from the line ρ·d up or down to the diagonal."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.9 * len(alphas), 3.2), layout="constrained")
        for axis, alpha in zip(figure.subplots(1, len(alphas), squeeze=False)[0], alphas):
            rho = 1 - alpha * members / (1 + members)
            distances = rho ** np.arange(steps + 1)
            reach = 1.15 * max(1, np.abs(distances).max())
            axis.plot([-reach, reach], [-reach, reach], color=INK, linewidth=0.8)
            axis.plot([-reach, reach], [-rho * reach, rho * reach], color=SECOND)
            axis.plot(np.repeat(distances, 2)[:-1], np.repeat(distances, 2)[1:], color=ACCENT, linewidth=1.2)
            axis.plot(1, 1, "o", color=ACCENT)
            axis.set(title=f"α = {alpha:g}, ρ = {rho:+.2f}", xlabel="before the step", xlim=(-reach, reach),
                     ylim=(-reach, reach), aspect="equal")
        figure.axes[0].set_ylabel("after the step")
        return figure


def paths_by_alpha(panels):
    """One coordinate of a centre by step; ``panels``: {title: {alpha: values (steps,)}}, one line for each α."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.8 * len(panels), 3.2), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axis, (title, paths) in zip(axes, panels.items()):
            for (alpha, values), colour, dashes, width in zip(paths.items(), (INK, SECOND, ACCENT), ("-", "--", ":"),
                                                              (3.5, 2.2, 1.6)):
                axis.plot(values, color=colour, linestyle=dashes, linewidth=width, label=f"α = {alpha:g}")
            axis.set(title=title, xlabel="step")
            axis.legend()
        axes[0].set_ylabel("one coordinate of the centre")
        return figure


def noise_floor(members, alphas, measured):
    """How far a centre strays from the true mean when batches change: the law as a line, what was measured as dots.

    ``measured``: for each of ``alphas``, the variance of a centre's coordinate in units of σ²/n.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6, 3.4), layout="constrained")
        axis = figure.subplots()
        line = np.linspace(0.05, 2 * (1 + members) / members - 0.02, 300)
        rho = 1 - line * members / (1 + members)
        axis.plot(line, (1 - rho) / (1 + rho), color=SECOND, label="(1 − ρ)/(1 + ρ)")
        axis.plot(alphas, measured, "o", color=ACCENT, label="measured")
        axis.axhline(1, color=INK, linewidth=0.8, linestyle="--", label="the mean of one batch")
        axis.set(title=f"variance of a centre, in units of σ²/n, n = {members}", xlabel="α", yscale="log")
        axis.legend()
        return figure


def ablation_curve(table, baseline, paper=None):
    """Accuracy against α for each λ: every run as a dot, mean ± sd as a bar, the baseline's range as a band.

    ``table``: DataFrame with ``lam``, ``alpha`` and ``accuracy`` (in [0, 1]), one row per run; ``baseline``: the
    accuracies of softmax alone; ``paper``: optional {name: (alphas, accuracies in percent)} in a panel of its own.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.5 if paper else 6.4, 3.7), layout="constrained")
        axes = figure.subplots(1, 2 if paper else 1, squeeze=False)[0]
        axis, baseline = axes[0], 100 * np.asarray(baseline, float)
        axis.axhspan(baseline.min(), baseline.max(), color=INK, alpha=0.12, linewidth=0)
        axis.axhline(baseline.mean(), color=INK, linestyle="--", linewidth=1, label="softmax alone: mean and range")
        palette = [COLOURS[name] for name in ("anger", "sadness", "disgust", "fear", "happiness", "surprise")]
        for k, (lam, mine) in enumerate(table.groupby("lam")):
            style = {"color": palette[k % len(palette)], "marker": "os^Dv"[k % 5]}
            axis.scatter(mine.alpha, 100 * mine.accuracy, s=22, alpha=0.7, **style)
            groups = 100 * mine.groupby("alpha").accuracy.agg(["mean", "std"])
            axis.errorbar(groups.index, groups["mean"], groups["std"].fillna(0), capsize=4, linewidth=1.2,
                          markersize=3, **style, label=f"λ = {lam:g}: runs, mean ± sd over seeds")
        axis.set(title="this course, quick mode", xlabel="α", ylabel="accuracy (%)")
        axis.legend(fontsize=8)
        for name, (alphas, values), colour, marker in zip(paper or {}, (paper or {}).values(), (SECOND, ACCENT), "os"):
            axes[1].plot(alphas, values, color=colour, marker=marker, markersize=4, label=name)
        if paper:
            axes[1].set(title="the paper's Fig. 4: one run a point, test accuracy", xlabel="α", ylabel="accuracy (%)")
            axes[1].legend(fontsize=8)
        return figure


def moving_centers(simulation):
    """A ``center_loss.Simulation`` as a still: where points and centres went, and both losses by step."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 4.2), layout="constrained")
        plane, curve = figure.subplots(1, 2)
        for label, (name, points, path) in enumerate(simulation.by_class()):
            style = {"color": COLOURS[name], "marker": MARKERS[name]}
            plane.scatter(*simulation.start[simulation.labels == label].T, s=14, alpha=0.2, linewidths=0, **style)
            plane.scatter(*points.T, s=20, alpha=0.75, linewidths=0, label=name, **style)
            plane.plot(*path.T, color=COLOURS[name], linewidth=1)
            plane.plot(*path[-1], markeredgecolor=INK, markersize=11, linestyle="none", **style)
        curve.plot(simulation.cross_entropy, color=INK, label="$L_S$, cross-entropy")
        curve.plot(simulation.center_loss, color=ACCENT, linestyle="--", label="$L_C$, centre loss")
        plane.set(title=f"points and centres, α = {simulation.alpha:g}, λ = {simulation.lam:g}", xlim=(-3.5, 3.5),
                  ylim=(-3.5, 3.5), aspect="equal")
        plane.legend(fontsize=8, loc="lower left")
        curve.set(title="the losses by step", xlabel="step", ylim=(0, 2))
        curve.legend()
        return figure


def moving_centers_live(simulation):
    """``moving_centers`` as a plotly figure; ``moving_centers_update`` changes its traces in place."""
    figure = make_subplots(1, 2, subplot_titles=("points and centres", "the losses by step"), column_widths=[0.5, 0.5])
    for label, (name, _, _) in enumerate(simulation.by_class()):
        marker = {"color": COLOURS[name], "symbol": SYMBOLS[MARKERS[name]]}
        start = simulation.start[simulation.labels == label]
        figure.add_scatter(x=start[:, 0], y=start[:, 1], mode="markers", marker=marker, opacity=0.2, showlegend=False,
                           hoverinfo="skip", row=1, col=1)
        figure.add_scatter(mode="markers", name=name, marker={**marker, "size": 7}, opacity=0.8, row=1, col=1)
        figure.add_scatter(mode="lines", line={"color": COLOURS[name], "width": 1.5}, showlegend=False, row=1, col=1)
        figure.add_scatter(mode="markers", marker={**marker, "size": 14, "line": {"color": INK, "width": 2}},
                           showlegend=False, hovertemplate=f"centre of {name}<extra></extra>", row=1, col=1)
    figure.add_scatter(mode="lines", name="L_S, cross-entropy", line={"color": INK}, row=1, col=2)
    figure.add_scatter(mode="lines", name="L_C, centre loss", line={"color": ACCENT, "dash": "dash"}, row=1, col=2)
    figure.update_xaxes(range=[-3.5, 3.5], row=1, col=1)
    figure.update_yaxes(range=[-3.5, 3.5], scaleanchor="x", row=1, col=1)
    figure.update_yaxes(range=[0, 2], row=1, col=2)
    figure.update_layout(height=450, template="plotly_white", margin={"l": 30, "r": 10, "t": 40, "b": 30},
                         legend={"orientation": "h", "y": -0.12})
    return moving_centers_update(figure, simulation)


def moving_centers_update(figure, simulation):
    """Put another simulation of the same size into ``moving_centers_live``'s figure."""
    for label, (_, points, path) in enumerate(simulation.by_class()):
        for offset, (x, y) in enumerate((points.T, path.T, path[-1:].T), start=1):
            figure.data[4 * label + offset].update(x=x.copy(), y=y.copy())
    for trace, values in zip(figure.data[-2:], (simulation.cross_entropy, simulation.center_loss)):
        trace.update(x=np.arange(len(values)), y=values)
    return figure
