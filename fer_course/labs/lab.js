// What the labs share: ink, the outlines of the markers, the look of controls, the voice. It has no exports: it stands
// in front of a lab's own module, as one text with it, so that a widget and a web page load one module and no file.

const INK = "#26323E", PALE_INK = "#4A5763", ACCENT = "#D55E00";

/** Closed paths around (x, y), about r across on each side, by matplotlib's names of markers. */
const OUTLINE = {
  o: (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  v: (x, y, r) => `M${x - 1.1 * r} ${y - 0.8 * r}h${2.2 * r}L${x} ${y + 1.1 * r}z`,
  "^": (x, y, r) => `M${x - 1.1 * r} ${y + 0.8 * r}h${2.2 * r}L${x} ${y - 1.1 * r}z`,
  D: (x, y, r) => `M${x} ${y - 1.2 * r}l${1.2 * r} ${1.2 * r}l${-1.2 * r} ${1.2 * r}l${-1.2 * r} ${-1.2 * r}z`,
  s: (x, y, r) => `M${x - 0.9 * r} ${y - 0.9 * r}h${1.8 * r}v${1.8 * r}h${-1.8 * r}z`,
  P: (x, y, r) => `M${x - 0.4 * r} ${y - 1.1 * r}h${0.8 * r}v${0.7 * r}h${0.7 * r}v${0.8 * r}h${-0.7 * r}v${0.7 * r}` +
    `h${-0.8 * r}v${-0.7 * r}h${-0.7 * r}v${-0.8 * r}h${0.7 * r}z`,
  X: (x, y, r) => `M${x} ${y - 0.5 * r}l${0.5 * r} ${-0.5 * r}l${0.5 * r} ${0.5 * r}l${-0.5 * r} ${0.5 * r}` +
    `l${0.5 * r} ${0.5 * r}l${-0.5 * r} ${0.5 * r}l${-0.5 * r} ${-0.5 * r}l${-0.5 * r} ${0.5 * r}` +
    `l${-0.5 * r} ${-0.5 * r}l${0.5 * r} ${-0.5 * r}l${-0.5 * r} ${-0.5 * r}l${0.5 * r} ${-0.5 * r}z`,
};
/** A colour "#RRGGBB" mixed with ink, for lines and outlines: light ones alone would be lost on white. */
const deep = (colour) => `rgb(${[1, 3, 5].map((k) => Math.round(0.6 * parseInt(colour.slice(k, k + 2), 16) +
  0.4 * parseInt(INK.slice(k, k + 2), 16)))})`;
const tenth = (value) => Math.round(value * 10) / 10;
const mix = (a, b, share) => a + (b - a) * share;

const LOOK = `
:host { display: block; }
* { box-sizing: border-box; }
.lab { color-scheme: light; container-type: inline-size; max-width: 980px; padding: 4px 8px 8px; color: ${INK}; background: #fff;
  font: 14px/1.4 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; font-variant-numeric: tabular-nums;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.controls, .pictures { display: grid; grid-template-columns: 1fr; gap: 10px 28px; }
.controls { padding-bottom: 12px; margin-bottom: 12px; border-bottom: 1px solid #DCE1E6; }
label.slider { display: block; min-width: 0; }
label.slider > span { display: flex; justify-content: space-between; gap: 8px; white-space: nowrap; }
b { font-weight: 600; }
input[type=range] { display: block; width: 100%; height: 24px; margin: 0; accent-color: ${INK}; cursor: pointer; }
fieldset { border: 0; margin: 0; padding: 0; display: flex; flex-wrap: wrap; align-items: center; gap: 4px 14px; }
legend { padding: 0; float: left; }
figure { margin: 0; min-width: 0; }
figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 14px; min-height: 22px; }
svg { display: block; width: 100%; overflow: hidden; }
.mark { display: inline-block; width: 14px; height: 14px; margin-right: 5px; vertical-align: -2px; }
svg text { font-size: 11.5px; fill: ${PALE_INK}; }
:focus-visible { outline: 3px solid #0072B2; outline-offset: 2px; border-radius: 4px; }
input[type=range]:focus-visible { outline-offset: -2px; }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
`;

/** A class's marker for a legend. */
const mark = ({ colour, marker }) => `<svg class="mark" viewBox="-7 -7 14 14" aria-hidden="true"><path
  d="${OUTLINE[marker](0, 0, 5)}" fill="${colour}" stroke="${deep(colour)}"/></svg>`;

/** Put into an svg element, w × h pixels, what stands still until the width changes. */
function sheet(svg, w, h, inner) {
  svg.setAttribute("viewBox", `0 0 ${w} ${h}`);
  svg.setAttribute("height", h);
  svg.innerHTML = inner;
}

/** say(text) puts what rests for 600 ms into the element that screen readers watch, not all that a drag passes. */
function voice(spoken) {
  let timer = 0;
  return {
    say(text) {
      spoken.textContent ||= text; // the first is there from the start, and so is not read out
      clearTimeout(timer);
      timer = setTimeout(() => { if (spoken.textContent !== text) spoken.textContent = text; }, 600);
    },
    hush: () => clearTimeout(timer),
  };
}

/** What anywidget wants of a module: mount(), whose options `names` are the traits of the model, both ways. */
const widget = (mount, names) => ({
  render({ model, el }) {
    const values = () => Object.fromEntries(names.map((name) => [name, model.get(name)]));
    const lab = mount(el, values(), (chosen) => {
      Object.entries(chosen).forEach(([name, value]) => model.set(name, value));
      model.save_changes();
    });
    const follow = () => lab.set(values());
    names.forEach((name) => model.on(`change:${name}`, follow));
    return () => { names.forEach((name) => model.off(`change:${name}`, follow)); lab.destroy(); };
  },
});

