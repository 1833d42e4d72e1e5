"""How fast the lab follows: frames a second while it plays and while a slider is dragged, and the time from a step of a
slider to the next paint, in a headless chromium without a GPU.

    python benchmarks/lab.py
    python benchmarks/lab.py --slowdown 4    as on a processor four times slower (chromium's own throttle)
"""

import argparse
import shutil
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from website import LAB, Site, place  # noqa: E402

HELP = """
window.lab = () => document.querySelector(".center-lab").shadowRoot;
window.frames_for = (milliseconds, each) => new Promise((done) => {
  const times = [];
  const tick = (now) => { times.push(now); each?.(times.length);
    if (now - times[0] < milliseconds) requestAnimationFrame(tick);
    else done(times.slice(1).map((t, i) => t - times[i])); };
  requestAnimationFrame(tick);
});
window.move = (value) => { const slider = lab().querySelector("[data-name=lam]"); slider.value = value;
  slider.dispatchEvent(new Event("input", { bubbles: true })); };
// The paint is done when a message that was posted in the frame that draws is received.
window.painted = async (value) => { await frames_for(50); const shown = lab().querySelector(".ours .points");
  const before = shown.getAttribute("d"), start = performance.now(); move(value);
  await new Promise((done) => requestAnimationFrame(() => { const channel = new MessageChannel();
    channel.port1.onmessage = done; channel.port2.postMessage(0); }));
  return [performance.now() - start, shown.getAttribute("d") !== before]; };
"""


def main(slowdown, seconds=5, steps=60):
    with sync_playwright() as playwright, TemporaryDirectory() as folder:
        Site().write(folder)
        path = Path(folder) / place(LAB)
        chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.goto(path.as_uri())
        page.evaluate(HELP)
        page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
        print(f"chromium {browser.version}, processor slowed down {slowdown} times")
        page.get_by_role("button", name="Play").click()
        report("playing", page.evaluate(f"frames_for({1000 * seconds})"))
        report("dragging λ, a new value each frame", page.evaluate(
            f"frames_for({1000 * seconds}, (k) => move(-3 + 0.08 * (k % 50)))"))
        paints = page.evaluate(f"(async () => {{ const all = []; for (let k = 0; k < {steps}; k++)"
                               "all.push(await painted(-2.8 + 0.09 * (k % 40))); return all; })()")
        assert all(changed for _, changed in paints), "a step that painted nothing new"
        times = sorted(time for time, _ in paints)
        print(f"one step of λ to the next paint: median {median(times):.0f} ms, nine in ten within "
              f"{times[int(0.9 * len(times))]:.0f} ms, longest {times[-1]:.0f} ms ({len(times)} steps)")
        browser.close()


def report(what, gaps):
    gaps = sorted(gaps)
    print(f"{what}: {1000 * len(gaps) / sum(gaps):.0f} frames a second, median {median(gaps):.0f} ms a frame, "
          f"nine in ten within {gaps[int(0.9 * len(gaps))]:.0f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slowdown", type=float, default=1)
    main(parser.parse_args().slowdown)
