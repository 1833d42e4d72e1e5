"""The line of docs/setup.md that serves the lab alone: Voilà, in a browser, every other host blocked."""

import re

import nbformat
import pytest
from browsing import ROOT, drag, picture, voila

from fer_course.labs.center_lab import simulate
from fer_course.labs.center_lab.widget import CenterLab

NOTEBOOK = ROOT / "fer_course" / "labs" / "center_lab" / "center_lab.ipynb"


def test_the_page_serves_this_notebook_and_it_holds_the_lab_and_no_more():
    served = re.findall(r"voila (\S+\.ipynb)", (ROOT / "docs" / "setup.md").read_text(encoding="utf-8"))
    assert set(served) == {NOTEBOOK.relative_to(ROOT).as_posix()}
    words, code = nbformat.read(NOTEBOOK, as_version=4).cells
    assert words.source.startswith("# ") and code.outputs == [] and code.execution_count is None
    found = {}
    exec(code.source.rpartition("\n")[0], found)
    assert isinstance(eval(code.source.splitlines()[-1], found), CenterLab)


@pytest.mark.course
def test_the_lab_comes_up_alone_and_its_slider_moves_it(browser, tmp_path):
    pytest.importorskip("voila")
    with voila(tmp_path, NOTEBOOK) as address:
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.route(re.compile(f"^(?!{re.escape(address)}|ws:)"), lambda route: route.abort())  # icons that we don't use
        page.goto(address, wait_until="commit")
        lab = page.locator(".lab").first
        lab.locator("svg").first.wait_for(timeout=120_000)  # a kernel has to import torch first
        assert page.locator("h1").first.inner_text().startswith("The lab of centre loss")
        assert "import center_lab" not in page.content(), "the code is shown"
        seen = drag(page, lab.locator("input[data-name=alpha]"), 0.15, 0.6)
        alpha = float(lab.locator("input[data-name=alpha]").input_value())
        assert len(set(seen)) >= 7 and alpha > 1.5 and picture(lab) == seen[-1]
        end = simulate(alpha, 0.2)
        words = f"cross-entropy {end.cross_entropy[60]:.2f}, centre loss"
        lab.locator(".summary", has_text=words).wait_for(timeout=120_000)
        assert not errors
        page.close()
