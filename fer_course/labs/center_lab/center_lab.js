// The lab of centre loss: what λ does to a small model, with softmax alone beside it on the same points. With lab.js in
// front it is one module without dependencies: anywidget loads it, a web page calls mount().
// simulate() is simulation.py told again, number for number; a test holds the two together.

export const CLASSES = [
  { name: "anger", colour: "#D55E00", marker: "^", faces: 705 },
  { name: "disgust", colour: "#009E73", marker: "s", faces: 717 },
  { name: "fear", colour: "#CC79A7", marker: "X", faces: 281 },
  { name: "happiness", colour: "#E69F00", marker: "o", faces: 4772 },
  { name: "neutral", colour: "#5F5F5F", marker: "P", faces: 2524 },
  { name: "sadness", colour: "#0072B2", marker: "v", faces: 1982 },
  { name: "surprise", colour: "#56B4E9", marker: "D", faces: 1290 },
];
export const REGIONS = [["slow", 1.0], ["steady", 0.6], ["jumps over the mean", 0.0], ["diverges", -1.0]];
export const DEFAULTS = { lam: 0.2, alpha: 0.5, batch: 62, update: "eq2", imbalance: 1, seed: 0 };
const RULES = { eq2: "Eq. 2", sgd: "SGD", adam: "Adam" };
/** What a centre's step takes of the sum of x − c over the n members of its class in a batch; Adam scales it anew. */
const SHARE = { eq2: (n) => 1 / (1 + n), sgd: (n, batch) => 1 / batch, adam: (n, batch) => 1 / batch };
const ADAM_RATE = 0.1, BETA_1 = 0.9, BETA_2 = 0.999, TINY = 1e-8;
const C = CLASSES.length, WIDTH = 32, POINTS = 200, UNSEEN = 1400, STEPS = 200, RATE = 0.03, LARGEST_BATCH = 124;
const RADIUS = 16, SPREAD = 4, NOISE = 40;

// ---------------------------------------------------------------------------------------------------- the numbers

let kept = { key: "" }; // the points of the last seed and imbalance: a drag of λ draws nothing anew
function points(imbalance, seed) {
  const key = `${imbalance} ${seed}`;
  if (kept.key === key) return kept;
  const draw = uniform(seed), counts = shares(POINTS, imbalance), sets = [];
  for (const sizes of [counts, shares(UNSEEN, imbalance)]) {
    const label = sizes.flatMap((count, k) => Array(count).fill(k)), x = new Float64Array(label.length * WIDTH);
    label.forEach((k, i) => {
      const angle = (2 * Math.PI * k) / C, mean = [RADIUS * Math.cos(angle), RADIUS * Math.sin(angle)];
      for (let d = 0; d < WIDTH; d++) x[i * WIDTH + d] = d < 2 ? mean[d] + SPREAD * normal(draw) : NOISE * normal(draw);
    });
    sets.push({ label, x });
  }
  // All weights in one row: the map (32 × 2), its shift, the classifier's directions (2 × 7), its bias.
  const start = new Float64Array(2 * WIDTH + 2 + 3 * C);
  for (let k = 0; k < 2 * WIDTH; k++) start[k] = (normal(draw) * 0.7) / Math.sqrt(WIDTH);
  for (let k = 0; k < 2 * C; k++) start[2 * WIDTH + 2 + k] = normal(draw) * Math.sqrt(0.5);
  const rows = Uint8Array.from({ length: STEPS * LARGEST_BATCH }, () => Math.floor(draw() * POINTS));
  return kept = { key, counts, train: sets[0], unseen: sets[1], start, rows };
}

/** Where rows of x lie under weights w: [x0, y0, x1, y1 …]. */
function mapped(x, w, count) {
  const out = new Float64Array(2 * count);
  for (let i = 0, at = 0; i < count; i++) {
    let a = w[2 * WIDTH], b = w[2 * WIDTH + 1];
    for (let d = 0; d < 2 * WIDTH; d += 2, at++) {
      a += x[at] * w[d];
      b += x[at] * w[d + 1];
    }
    out[2 * i] = a;
    out[2 * i + 1] = b;
  }
  return out;
}

/** The classifier's outputs for the features (a, b), into `out`; returns the largest's class. */
function outputs(a, b, w, out) {
  let best = 0;
  for (let k = 0, at = 2 * WIDTH + 2; k < C; k++, at++) {
    out[k] = a * w[at] + b * w[at + C] + w[at + 2 * C];
    if (out[k] > out[best]) best = k;
  }
  return best;
}

export function simulate({ lam, alpha, batch, update, imbalance, seed, steps = STEPS }) {
  const { counts, train, unseen, start, rows } = points(imbalance, seed);
  const w = start.slice(), slope = new Float64Array(w.length), first = slope.slice(), second = slope.slice();
  const centers = new Float64Array(2 * C), mean = centers.slice(), square = centers.slice(), pull = centers.slice();
  const members = new Float64Array(C), out = new Float64Array(C);
  const seen = { counts, unseen, weights: [], paths: [], crossEntropy: [], centerLoss: [] };
  for (let step = 0; step <= steps; step++) {
    const at = mapped(train.x, w, POINTS);
    let crossEntropy = 0, centerLoss = 0;
    for (let i = 0; i < POINTS; i++) {
      const k = train.label[i], largest = out[outputs(at[2 * i], at[2 * i + 1], w, out)];
      let total = 0;
      for (let c = 0; c < C; c++) total += Math.exp(out[c] - largest);
      crossEntropy += Math.log(total) + largest - out[k];
      centerLoss += 0.5 * ((at[2 * i] - centers[2 * k]) ** 2 + (at[2 * i + 1] - centers[2 * k + 1]) ** 2);
    }
    seen.weights.push(w.slice());
    seen.paths.push(centers.slice());
    seen.crossEntropy.push(crossEntropy / POINTS);
    seen.centerLoss.push(centerLoss / POINTS);
    if (step === steps) break;
    for (const it of [slope, pull, members]) it.fill(0);
    for (let r = 0; r < batch; r++) {
      const i = rows[step * LARGEST_BATCH + r], k = train.label[i], a = at[2 * i], b = at[2 * i + 1];
      const largest = out[outputs(a, b, w, out)], dx = a - centers[2 * k], dy = b - centers[2 * k + 1];
      let total = 0, da = lam * dx, db = lam * dy;
      for (let c = 0; c < C; c++) total += out[c] = Math.exp(out[c] - largest);
      for (let c = 0, to = 2 * WIDTH + 2; c < C; c++, to++) {
        const off = out[c] / total - (c === k ? 1 : 0);
        da += off * w[to];
        db += off * w[to + C];
        slope[to] += off * a;
        slope[to + C] += off * b;
        slope[to + 2 * C] += off;
      }
      for (let d = 0, from = i * WIDTH; d < 2 * WIDTH; d += 2, from++) {
        slope[d] += train.x[from] * da;
        slope[d + 1] += train.x[from] * db;
      }
      slope[2 * WIDTH] += da;
      slope[2 * WIDTH + 1] += db;
      pull[2 * k] += dx;
      pull[2 * k + 1] += dy;
      members[k] += 1;
    }
    const rate = (RATE * (1 + Math.cos((Math.PI * step) / STEPS))) / 2;
    const adam = (value, n, g, m, v, size) => { // one step of Adam on value[n], down the slope g
      m[n] += (1 - BETA_1) * (g - m[n]);
      v[n] = BETA_2 * v[n] + (1 - BETA_2) * g * g;
      value[n] -= (size * m[n]) / (1 - BETA_1 ** (step + 1)) / (Math.sqrt(v[n] / (1 - BETA_2 ** (step + 1))) + TINY);
    };
    for (let n = 0; n < w.length; n++) adam(w, n, slope[n] / batch, first, second, rate);
    for (let n = 0; n < 2 * C; n++) {
      const towards = alpha * pull[n] * SHARE[update](members[n >> 1], batch);
      if (update === "adam") adam(centers, n, -towards, mean, square, ADAM_RATE);
      else centers[n] += towards;
    }
  }
  return seen;
}

/** What unseen points show after a step: their places, accuracy, macro F1, recall of each class, intra/inter ratio. */
export function measures(seen, step = seen.weights.length - 1) {
  const { label, x } = seen.unseen, w = seen.weights[step], at = mapped(x, w, UNSEEN), out = new Float64Array(C);
  const zeros = () => new Array(C).fill(0), right = zeros(), taken = zeros(), size = zeros(), intra = zeros();
  const mean = Array.from({ length: C }, () => [0, 0]);
  label.forEach((k, i) => {
    const answer = outputs(at[2 * i], at[2 * i + 1], w, out);
    right[k] += answer === k;
    taken[answer] += 1;
    size[k] += 1;
    mean[k][0] += at[2 * i];
    mean[k][1] += at[2 * i + 1];
  });
  mean.forEach((it, k) => { it[0] /= size[k]; it[1] /= size[k]; });
  label.forEach((k, i) => { intra[k] += Math.hypot(at[2 * i] - mean[k][0], at[2 * i + 1] - mean[k][1]) / size[k]; });
  let inter = 0;
  for (let a = 0; a < C; a++) {
    for (let b = 0; b < a; b++) inter += Math.hypot(mean[a][0] - mean[b][0], mean[a][1] - mean[b][1]);
  }
  const sum = (all) => all.reduce((total, value) => total + value, 0);
  return { at, recall: right.map((count, k) => count / size[k]), accuracy: sum(right) / UNSEEN,
    macroF1: sum(right.map((count, k) => (2 * count) / (size[k] + taken[k]))) / C,
    ratio: sum(intra) / C / (inter / (C * (C - 1) / 2)) };
}

/** ρ of each class's centre, with its members in a batch on average; null under Adam. */
export function rho({ alpha, batch, update, imbalance }) {
  return update === "adam" ? null : shares(POINTS, imbalance).map((count) => {
    const n = (batch * count) / POINTS;
    return 1 - alpha * n * SHARE[update](n, batch);
  });
}

export function region(value) {
  return REGIONS.filter(([, top]) => value <= top).at(-1)[0];
}

function shares(count, imbalance) {
  const parts = CLASSES.map(({ faces }) => faces ** imbalance), total = parts.reduce((a, b) => a + b);
  const exact = parts.map((part) => part * (count / total)), whole = exact.map(Math.floor);
  const rest = count - whole.reduce((a, b) => a + b);
  exact.map((part, k) => [whole[k] - part, k]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).slice(0, rest)
    .forEach(([, k]) => { whole[k] += 1; });
  return whole;
}

function uniform(seed) { // mulberry32
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function normal(draw) {
  let sum = 0;
  for (let k = 0; k < 12; k++) sum += draw();
  return sum - 6;
}

// --------------------------------------------------------------------------------------------------- the questions

/** Where to begin: what a preset sets, what it asks before the answer is shown, and which choice is right, by what came
 *  out (`seen` with centre loss and its measures `now`; `soft`: those of softmax alone; `other(options)`: those of
 *  another training). */
const PRESETS = [
  { name: "Ten times less", set: { lam: 0.02 }, choices: ["higher", "lower"],
    ask: "A tenth of the paper’s λ. The accuracy on unseen points, against softmax alone, will be …",
    right: ({ now, soft }) => (now.accuracy > soft.accuracy ? 0 : 1) },
  { name: "The paper’s", set: { lam: 0.2, alpha: 1.9 }, choices: ["more than with softmax", "fewer", "none"],
    ask: "The paper’s λ and α. How many points of fear, the rarest class, will be recognised?",
    right: ({ now, soft }) => (now.recall[FEAR] === 0 ? 2 : now.recall[FEAR] > soft.recall[FEAR] ? 0 : 1) },
  { name: "Collapse", set: { lam: 10 }, choices: ["a random class", "the largest class", "its own class still"],
    ask: "λ = 10, and cross-entropy hardly counts. Every point will be taken for …",
    right: ({ now }) => (now.accuracy > 0.6 ? 2 : now.recall.filter((it) => it > 0).length > 1 ? 0 : 1) },
  { name: "α at its limit", set: { lam: 0.02, alpha: 2.1 },
    choices: ["of the rarest class", "of the largest class", "none"],
    ask: "α = 2.1 under Eq. 2. Which centre will fly away?",
    right: ({ seen }) => {
      const far = [FEAR, HAPPINESS].map((k) => !(Math.hypot(...at(seen.paths.at(-1), k)) < 100));
      return far.includes(true) ? far.indexOf(true) : 2;
    } },
  { name: "Adam: α is dead", set: { lam: 0.2, update: "adam", alpha: 3 }, choices: ["higher", "the same", "lower"],
    ask: "Adam moves the centres, and α is 3. With α = 0.1 the accuracy would be …",
    right: ({ now, other }) => 1 - Math.sign(Math.round(1000 * (other({ alpha: 0.1 }).accuracy - now.accuracy))) },
];
const FEAR = 2, HAPPINESS = 3;
const at = (flat, k) => [flat[2 * k], flat[2 * k + 1]];

// --------------------------------------------------------------------------------------------------- the pictures

const TONES = ["#E4E9EE", "#CFE8DC", "#FCE9C4", "#F6CFBE"]; // of the gauge's regions
const LOWEST = -3, HIGHEST = 3; // the axis of the losses, in powers of ten
const TRAIL = 12, THIN = 4; // steps of a centre's path; one point of so many is drawn
const percent = (value) => (100 * value).toFixed(1);
const short = (value) => !(value < 1e6) ? "out of range" : value >= 100 ? value.toFixed(0)
  : value >= 0.01 || value === 0 ? value.toFixed(2) : value.toExponential(0).replace("e-", "e−");
const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
const position = (lam) => Math.min(Math.max(Math.log10(lam), -3), 1); // of λ on its slider; λ = 0 stands at its end

const STYLE = `${LOOK}
fieldset label, .scales { display: inline-flex; align-items: center; gap: 5px; min-height: 28px; cursor: pointer; }
input[type=radio], input[type=checkbox] { accent-color: ${INK}; margin: 0; width: 16px; height: 16px; }
input[type=checkbox] { width: 24px; height: 24px; }
.planes { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 16px; margin-bottom: 10px; }
.planes figcaption { display: block; min-height: 44px; }
.more { border-top: 1px solid #DCE1E6; border-bottom: 0; padding: 12px 0 0; margin: 12px 0; }
.planes b { display: block; }
.plane { max-width: 320px; margin: 0 auto; }
.right { display: grid; gap: 12px; align-content: start; min-width: 0; }
small { font-size: 12.5px; color: ${PALE_INK}; display: block; min-height: 54px; margin-top: 2px; }
.key::before { content: ""; display: inline-block; width: 20px; border-top: 2.5px solid ${INK}; margin-right: 6px;
  vertical-align: middle; }
.key.dashed::before { border-top: 2.5px dashed ${ACCENT}; }
.key.dotted::before { border-top: 2.5px dotted ${PALE_INK}; }
.row { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin-bottom: 10px; }
.time label { flex: 1 1 180px; }
button { font: inherit; font-weight: 600; color: ${INK}; background: #fff; border: 1px solid #8A96A1;
  border-radius: 6px; min-height: 36px; padding: 4px 12px; cursor: pointer; }
button:hover { background: #EEF1F4; }
.question { flex-basis: 100%; margin: 0; min-height: 40px; }
.asking .answer { visibility: hidden; }
.summary { margin: 10px 0 0; min-height: 40px; }
@container (min-width: 640px) {
  .controls { grid-template-columns: repeat(4, minmax(0, 1fr)); }
  label.lam { grid-column: span 3; }
  fieldset { grid-column: span 3; }
  .pictures { grid-template-columns: 1fr 1fr; }
}
@media print { button { display: none; } }
`;

const slider = (name, words, min, max, step) => `<label class="slider ${name}"><span><span>${words}</span>
  <b data-of="${name}" aria-hidden="true"></b></span>
  <input type="range" data-name="${name}" min="${min}" max="${max}" step="${step}"></label>`;
const plane = (name, title, more) => `<figure class="${name}"><figcaption><b>${title}</b>
  <span class="score"></span></figcaption>
  <svg class="plane" role="img" aria-label="${title}: unseen points of seven classes${more}."></svg></figure>`;
const HINT = "Choose one, say what you expect, then look. Or drag λ, slowly, from left to right.";
const BODY = `<style>${STYLE}</style><div class="lab" role="group" aria-label="Lab of centre loss">
<div class="controls">
  ${slider("lam", "<b>λ</b> weight of centre loss", -3, 1, 0.05)}
  ${slider("alpha", "<b>α</b> of the centres", 0, 3, 0.05)}
</div>
<div class="row" role="group" aria-label="Predict, then look">Predict: ${PRESETS.map(({ name }, k) =>
    `<button type="button" class="preset-${k}" data-preset="${k}">${name}</button>`).join("")}
  <p class="question">${HINT}</p></div>
<div class="planes">${plane("soft", "softmax alone", "")}${plane("ours answer", "with centre loss",
    "; the large marks outlined in ink are the centres, the lines their last steps")}</div>
<div class="pictures answer">
  <figure><figcaption>recall on unseen points, % (grey, in brackets: softmax alone)</figcaption>
    <svg class="bars" role="img" aria-label="The recall of each class on unseen points, with softmax alone and with
    centre loss."></svg></figure>
  <div class="right">
    <figure><figcaption><span class="key"></span><span class="key dotted">softmax alone</span><span
      class="key dashed"></span></figcaption>
      <svg class="losses" role="img" aria-label="Cross-entropy and centre loss by step, logarithmic."></svg></figure>
    <figure><figcaption class="verdict"></figcaption>
      <svg class="gauge" role="img" aria-label="Gauge of rho for each class's centre, from slow over steady and jumping
      to diverging."></svg><small class="law"></small></figure>
  </div>
</div>
<div class="controls more">
  ${slider("batch", "<b>batch size</b>", 4, LARGEST_BATCH, 2)}
  ${slider("imbalance", "<b>imbalance</b>", 0, 1, 0.05)}
  ${slider("seed", "<b>seed</b>", 0, 19, 1)}
  <label class="scales"><input class="scale" type="checkbox"> own scales</label>
  <fieldset><legend>Centres move by</legend>${Object.entries(RULES).map(([rule, name]) =>
    `<label><input type="radio" name="update" value="${rule}"> ${name}</label>`).join("")}</fieldset>
</div>
<div class="row time" role="group" aria-label="Time">
  <button type="button" class="play">▶ Play</button><button type="button" class="reset">Reset</button>
  ${slider("time", "step", 0, STEPS, 1)}
</div>
<p class="summary answer"></p><p class="spoken" aria-live="polite"></p></div>`;

/** Put the lab into the element `el`, in place of what is there. `options`: any of DEFAULTS; `changed(values)` is
 *  called with what the reader changed. Returns { set(values), destroy() }. */
export function mount(el, options = {}, changed = () => {}) {
  const root = el.shadowRoot ?? el.attachShadow({ mode: "open" }), $ = (what) => root.querySelector(what);
  root.innerHTML = BODY;
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take the arrow keys for itself
  const state = { ...DEFAULTS, ...options }, spoken = voice($(".spoken"));
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const arms = { soft: { key: "" }, ours: { key: "" } }; // the two trainings, and what they were computed from
  let time = STEPS, playing = false, asked = 0, last = 0, question = null, size = {};

  // What stands still until the width changes: frames, axes, empty paths.
  function frame() {
    const room = (name) => Math.max($(name).clientWidth, 60); // hidden elements have none
    const plane = Math.min(room(".plane"), 320), width = room(".losses"), bars = room(".bars"), bar = 36, left = 30;
    size = { plane, width, bars, left, bar, height: 170, name: 96 };
    for (const svg of root.querySelectorAll(".plane")) {
      sheet(svg, plane, plane, `<rect x=".5" y=".5" width="${plane - 1}" height="${plane - 1}" fill="none"
        stroke="#B8C1C9"/><path d="M${plane / 2} 0V${plane}M0 ${plane / 2}H${plane}" stroke="#E9EDF0"/>${
        CLASSES.map(({ colour }) => `<path class="points" fill="${colour}" fill-opacity=".75" stroke="${deep(colour)}"
        stroke-width=".6"/>`).join("")}${CLASSES.map(({ colour }) => `<path class="trail" fill="none"
        stroke="${deep(colour)}" stroke-width="1.2" stroke-linejoin="round"/><path class="center" fill="${colour}"
        stroke="${INK}" stroke-width="2" stroke-linejoin="round"/>`).join("")}
        <text class="outside" x="8" y="18" style="font-weight: 600; paint-order: stroke" stroke="#fff"
        stroke-width="4"></text>`);
    }
    sheet($(".bars"), bars, 7 * 32 + 18, CLASSES.map(({ name, colour, marker }, k) => `<path d="${
      OUTLINE[marker](9, 32 * k + 16, 5)}" fill="${colour}" stroke="${deep(colour)}"/><text x="20" y="${32 * k + 20}">${
      name}</text><rect class="theirs" x="${size.name}" y="${32 * k + 4}" height="9" fill="#C4CBD1" stroke="${PALE_INK}"
      stroke-width=".8"/><rect class="own" x="${size.name}" y="${32 * k + 15}" height="11" fill="${colour}"
      stroke="${deep(colour)}"/><text class="share" y="${32 * k + 24}"></text>`).join("") + [0, 50, 100].map((v) =>
      `<text x="${mix(size.name, bars - 62, v / 100)}" y="${7 * 32 + 14}" text-anchor="middle">${v}</text>`).join(""));
    sheet($(".gauge"), width, bar + 30, REGIONS.map(([name, top], k) => {
      const from = gx(top), to = gx(REGIONS[k + 1]?.[1] ?? -2), label = width < 420 ? name.split(" the")[0] : name;
      return `<rect x="${from}" y="12" width="${to - from}" height="${bar}" fill="${TONES[k]}"/><text
        x="${(from + to) / 2}" y="${bar + 5}" text-anchor="middle">${label}</text>`;
    }).join("") + [1, 0.6, 0, -1, -2].map((v) => `<text x="${gx(v)}" y="${bar + 27}" text-anchor="${v === 1 ? "start"
      : v === -2 ? "end" : "middle"}">${v < 0 ? "−" : ""}${Math.abs(v)}</text>`).join("") + CLASSES.map(({ colour }) =>
      `<path class="needle" fill="${colour}" stroke="${deep(colour)}"/>`).join(""));
    const { height } = size;
    sheet($(".losses"), width, height, `${[-2, 0, 2].map((v) => `<path d="M${left} ${ly(10 ** v)}H${width}"
      stroke="#E9EDF0"/><text x="${left - 5}" y="${ly(10 ** v) + 4}" text-anchor="end">${10 ** v}</text>`).join("")}${
      [0, 100, 200].map((v) => `<text x="${lx(v)}" y="${height - 4}" text-anchor="${v === STEPS ? "end" : "middle"}">${
      v ? v : "step 0"}</text>`).join("")}<path class="now" stroke="#8A96A1"
      stroke-dasharray="2 3"/><g fill="none" stroke-width="2"><path class="theirs" stroke="${PALE_INK}"
      stroke-dasharray="1.5 4" stroke-linecap="round"/><path class="entropy" stroke="${INK}"/><path class="spread"
      stroke="${ACCENT}" stroke-dasharray="6 4"/></g>`);
  }
  const lx = (t) => mix(size.left, size.width - 6, t / STEPS);
  const ly = (v) => mix(size.height - 20, 8,
    (Math.min(Math.max(Math.log10(v), LOWEST), HIGHEST) - LOWEST) / (HIGHEST - LOWEST));
  const gx = (value) => ((1 - Math.max(value, -2)) / 3) * size.width;

  /** How far a picture reaches: nearly all points lie in it. */
  function reach(now) {
    const far = Array.from({ length: UNSEEN / 10 }, (_, i) => Math.hypot(...at(now.at, 10 * i))).sort((a, b) => a - b);
    return Math.max(1.15 * far[Math.floor(0.97 * far.length)], 1e-9);
  }

  // What follows the sliders.
  function draw() {
    const step = Math.round(time);
    for (const [name, given] of [["soft", { ...state, lam: 0, alpha: 0, update: "eq2" }], ["ours", state]]) {
      const arm = arms[name], key = JSON.stringify(given); // softmax knows no λ, no α and no rule
      if (arm.key !== key) Object.assign(arm, { key, seen: simulate(given), step: null });
      if (arm.step !== step) Object.assign(arm, { step, now: measures(arm.seen, step) });
    }
    arms.soft.reach = reach(arms.soft.now);
    arms.ours.reach = $(".scale").checked ? reach(arms.ours.now) : arms.soft.reach;
    for (const [name, arm] of Object.entries(arms)) plane(name, arm, step);
    bars();
    losses(step);
    tell(step);
  }
  function plane(name, { seen, now, reach }, step) {
    const all = (what) => root.querySelectorAll(`.${name} ${what}`), outside = [];
    const place = ([x, y]) => [tenth((x / reach + 1) * size.plane / 2), tenth((1 - y / reach) * size.plane / 2)];
    const held = ([x, y], most) => { // what diverges must not break a path
      const far = Math.hypot(x, y);
      return far <= most ? [x, y] : Number.isFinite(far) ? [(x / far) * most, (y / far) * most] : [0, most];
    };
    const paths = CLASSES.map(() => []);
    seen.unseen.label.forEach((k, i) => {
      if (i % THIN === 0) paths[k].push(OUTLINE[CLASSES[k].marker](...place(held(at(now.at, i), 5 * reach)), 3));
    });
    CLASSES.forEach((it, k) => {
      all(".points")[k].setAttribute("d", paths[k].join(""));
      const trail = seen.paths.slice(Math.max(step - TRAIL, 0), step + 1).map((row) => at(row, k)), end = trail.at(-1);
      if (name === "soft") return; // no loss there knows of centres
      all(".trail")[k].setAttribute("d", "M" + trail.map((x) => place(held(x, 5 * reach)).join(" ")).join("L"));
      all(".center")[k].setAttribute("d", OUTLINE[it.marker](...place(held(end, 0.95 * reach)), 6.5));
      if (!(Math.hypot(...end) <= 1.4 * reach)) outside.push(it.name);
    });
    const words = outside.length ? `out of the picture: ${outside.join(", ")}` : "";
    all(".outside")[0].textContent = words.length > size.plane / 7 ? `${outside.length} centres out` : words;
    arms[name].outside = outside;
    root.querySelector(`.${name} .score`).textContent = `accuracy ${percent(now.accuracy)} %, macro F1 ${
      now.macroF1.toFixed(2)}, intra/inter ${now.ratio.toFixed(2)}`;
  }
  function bars() {
    const all = (what) => root.querySelectorAll(`.bars ${what}`);
    const wide = (share) => tenth(share * Math.max(size.bars - 62 - size.name, 0)); // hidden elements have no room
    CLASSES.forEach((_, k) => {
      const [theirs, ours] = [arms.soft, arms.ours].map(({ now }) => now.recall[k]);
      all(".theirs")[k].setAttribute("width", wide(theirs));
      all(".own")[k].setAttribute("width", wide(ours));
      all(".share")[k].setAttribute("x", size.name + wide(ours) + 6);
      all(".share")[k].textContent = `${Math.round(100 * ours)} (${Math.round(100 * theirs)})`;
    });
  }
  function losses(step) {
    const line = (values) => "M" + values.map((v, t) => `${tenth(lx(t))} ${tenth(ly(v))}`).join("L");
    const { soft, ours } = arms;
    $(".losses .theirs").setAttribute("d", line(soft.seen.crossEntropy));
    $(".entropy").setAttribute("d", line(ours.seen.crossEntropy));
    $(".spread").setAttribute("d", line(ours.seen.centerLoss));
    $(".now").setAttribute("d", `M${tenth(lx(step))} 8V${size.height - 20}`);
    const keys = root.querySelectorAll(".key:not(.dotted)");
    keys[0].textContent = `cross-entropy ${short(ours.seen.crossEntropy[step])}`;
    keys[1].textContent = `centre loss ${short(ours.seen.centerLoss[step])}`;
  }

  // Everything that is words: values, the verdict, the summary.
  function tell(step) {
    const values = rho(state), { soft, ours } = arms, words = { lam: String(state.lam), alpha: state.alpha.toFixed(2),
      batch: String(state.batch), imbalance: state.imbalance.toFixed(2), seed: String(state.seed),
      time: `${step} of ${STEPS}` };
    for (const [name, text] of Object.entries(words)) {
      const input = $(`[data-name=${name}]`);
      input.value = name === "time" ? step : name === "lam" ? position(state.lam) : state[name];
      input.setAttribute("aria-valuetext", text);
      $(`[data-of=${name}]`).textContent = text;
    }
    $(`[value=${state.update}]`).checked = true;
    CLASSES.forEach(({ marker }, k) => root.querySelectorAll(".needle")[k].setAttribute("d",
      values ? OUTLINE[marker](tenth(gx(values[k])), 8, 5) : ""));
    const order = values && values.map((value, k) => [value, k]).sort((a, b) => a[0] - b[0]);
    $(".verdict").innerHTML = !values ? "<b>no ρ under Adam: α has no effect</b>"
      : `<b>${CLASSES[order[0][1]].name}: ρ = ${signed(order[0][0])}, ${region(order[0][0])}</b>`;
    $(".law").textContent = {
      eq2: "ρ = 1 − α n/(1 + n): what a step leaves of a centre’s distance to the mean of its class. n: how many of " +
        "the class a batch holds, on average.",
      sgd: "ρ = 1 − α n/B with n/B the class’s share of the batch: the centres of rare classes hardly move.",
      adam: "Adam divides the gradient by its own size, and a factor α cancels. Move α (above 0): nothing changes.",
    }[state.update];
    const lost = CLASSES.filter((_, k) => ours.now.recall[k] === 0).map(({ name }) => name);
    const text = `Step ${step} of ${STEPS}, λ = ${state.lam}: accuracy ${percent(ours.now.accuracy)} % (softmax alone ${
      percent(soft.now.accuracy)} %), macro F1 ${ours.now.macroF1.toFixed(2)} (${soft.now.macroF1.toFixed(2)}).` +
      (lost.length ? ` Never recognised: ${lost.join(", ")}.` : "") + (ours.outside.length
        ? ` Out of the picture: the centre of ${ours.outside.join(", of ")}.` : "");
    $(".summary").textContent = text;
    const asked = $(".question").textContent;
    spoken.say(question ? asked : asked === HINT ? text : `${asked} ${text}`);
  }

  // Predict first: the answer is hidden until one of the choices is taken.
  function put(preset) {
    question = preset;
    play(false);
    time = STEPS;
    set({ ...DEFAULTS, seed: state.seed, ...preset.set });
    changed({ ...state });
    root.querySelector(".lab").classList.add("asking");
    $(".question").innerHTML = `${preset.ask} ${preset.choices.map((it, k) =>
      `<button type="button" data-choice="${k}">${it}</button>`).join(" ")}`;
  }
  function reveal(choice) {
    const now = arms.ours.now, soft = arms.soft.now, whole = (share) => Math.round(100 * share);
    const right = question.right({ seen: arms.ours.seen, now, soft,
      other: (options) => measures(simulate({ ...state, ...options })) });
    $(".question").textContent = choice === null ? HINT : `You said: ${question.choices[choice]}. It is: ${
      question.choices[right]}. Accuracy ${percent(now.accuracy)} %, softmax alone ${percent(soft.accuracy)
      } %. Fear: ${whole(now.recall[FEAR])} % recognised, with softmax alone ${whole(soft.recall[FEAR])} %.`;
    question = null;
    root.querySelector(".lab").classList.remove("asking");
    ask();
  }

  function ask() {
    if (!asked) asked = requestAnimationFrame(tick);
  }
  function tick(clock) {
    asked = 0;
    if (playing) {
      const pace = calm.matches ? 25 : 1; // less motion: eight pictures, half a second each
      const ahead = Math.min(Math.max(clock - last, 0) * (50 / 1000), Math.max(pace, 5)); // 50 steps a second
      if (ahead >= pace || pace === 1) [time, last] = [Math.min(time + ahead, STEPS), clock];
      if (time >= STEPS) play(false);
      else ask();
    }
    draw();
  }
  function play(on) {
    if (on && time >= STEPS) time = 0;
    [playing, last] = [on, performance.now()];
    if (!on) time = Math.round(time);
    $(".play").textContent = on ? "❚❚ Pause" : "▶ Play";
    ask();
  }
  function set(values) {
    Object.assign(state, values);
    ask();
  }

  root.addEventListener("input", ({ target }) => {
    const name = target.dataset.name ?? target.name;
    if (name === "time") {
      play(false);
      time = +target.value;
      return;
    }
    if (target.type === "checkbox") return ask();
    if (question) reveal(null);
    const value = { update: (it) => it, lam: (it) => +(10 ** it).toPrecision(2) }[name] ?? Number;
    set({ [name]: value(target.value) });
    changed({ [name]: state[name] });
  });
  root.addEventListener("click", ({ target }) => {
    if (target.dataset.preset) put(PRESETS[target.dataset.preset]);
    if (target.dataset.choice) reveal(+target.dataset.choice);
  });
  $(".play").onclick = () => play(!playing);
  $(".reset").onclick = () => {
    if (question) reveal(null);
    $(".question").textContent = HINT;
    play(false);
    time = STEPS;
    set({ ...DEFAULTS, ...options });
    changed({ ...state });
  };
  frame();
  const watch = new ResizeObserver(() => { frame(); draw(); });
  watch.observe($(".planes"));
  return { set, destroy() { watch.disconnect(); cancelAnimationFrame(asked); spoken.hush(); } };
}

export default widget(mount, Object.keys(DEFAULTS));
