"""What the tests of the labs and of the site share: toy sites, drawn frames, a dragging mouse, and JupyterLab for as
long as it is needed."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from urllib.request import urlopen

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from website import LAB, Site

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 180_000  # milliseconds until something is said to hang; a busy machine may take its time


def site_of(folder, files):
    """The site in folder/site of a toy repository {path: text or notebook}, which has the lab alone; and warnings."""
    for name, content in {LAB: "", **files}.items():
        path = folder / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else nbformat.writes(content), encoding="utf-8")
    return folder / "site", Site(folder / "root").write(folder / "site")


def picture(lab):
    """Everything that is drawn, as one string."""
    return lab.locator("svg path, svg circle").evaluate_all("all => all.map((path) => path.outerHTML).join()")


def frame(page):
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def drag(page, slider, start, end, steps=8):
    """Drag with the mouse between two shares of a slider's width; returns the pictures seen before it is let go."""
    slider.scroll_into_view_if_needed()
    box, seen = slider.bounding_box(), []
    y = box["y"] + box["height"] / 2
    x = [8 + (box["width"] - 16) * (start + (end - start) * k / steps) + box["x"] for k in range(steps + 1)]
    page.mouse.move(x[0], y)
    page.mouse.down()
    for here in x:
        page.mouse.move(here, y)
        frame(page)
        seen.append(picture(page.locator(".lab").first))
    page.mouse.up()
    return seen


def run_in_jupyterlab(browser, server, name, cells):
    """The page of JupyterLab with a new notebook whose first cell has been called and shows its lab, and that lab."""
    address, folder = server
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata=metadata),
                   folder / f"{name}.ipynb")
    page = browser.new_page(viewport={"width": 1400, "height": 1400})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}/lab/tree/{name}.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.get_by_text("| Idle").wait_for()  # the kernel is there
    call(page, 0)
    lab = page.locator(".lab")
    lab.wait_for()  # a kernel has to import torch first
    frame(page)
    return page, lab


def call(page, number):
    """Call a cell of the notebook that JupyterLab shows."""
    page.locator(".jp-CodeCell").nth(number).locator(".cm-content").click()
    page.keyboard.press("Control+Enter")


def jupyterlab(folder):
    """JupyterLab in a folder for as long as a with block takes, its kernels included; gives its address."""
    return served(folder, "api", "jupyter", "lab", "--no-browser", "--ip=127.0.0.1", "--port={port}", "--allow-root",
                  "--IdentityProvider.token=", "--LabApp.news_url=",
                  "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate")


def voila(folder, notebook):
    """Voilà instead of JupyterLab, serving one notebook as a page; each visit starts a kernel."""
    return served(folder, "voila/static/voila.js", "voila", str(notebook), "--no-browser", "--Voila.ip=127.0.0.1",
                  "--port={port}")


@contextmanager
def served(folder, answers, *command):
    """The address at which a module of Python, called in that folder, answers to ``answers``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "IPYTHONDIR": "ipython",
           "JUPYTER_RUNTIME_DIR": "runtime"}
    environment = {**os.environ, **{name: str(folder / path) for name, path in own.items()},
                   "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", *(part.format(port=port) for part in command)], cwd=folder,
                                   env=environment, stdout=subprocess.DEVNULL, stderr=log)
    try:
        address, end = f"http://127.0.0.1:{port}", monotonic() + 300
        while not answer(f"{address}/{answers}"):
            assert monotonic() < end and process.poll() is None, (folder / "log").read_text()[-2000:]
            sleep(0.2)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)  # it ends its kernels before it goes
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def answer(address):
    try:
        urlopen(address, timeout=2).close()
        return True
    except OSError:
        return False
