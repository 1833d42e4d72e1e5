// The lab of centre loss: points of three classes, their centres, and what α, λ, the batch and the update rule do to
// them. With lab.js in front it is one module without dependencies: anywidget loads it, a web page calls mount().
// simulate() is simulation.py told again, number for number; a test holds the two together.

export const CLASSES = [
  { name: "happiness", colour: "#E69F00", marker: "o" },
  { name: "sadness", colour: "#0072B2", marker: "v" },
  { name: "surprise", colour: "#56B4E9", marker: "D" },
];
export const DIRECTIONS = [[0.0, 1.2], [-1.04, -0.6], [1.04, -0.6]]; // the classifier: it does not learn
export const REGIONS = [["slow", 1.0], ["steady", 0.6], ["jumps over the mean", 0.0], ["diverges", -1.0]];
export const DEFAULTS = { alpha: 0.5, lam: 0.2, batch: 24, update: "eq2", seed: 0 };
const RULES = { eq2: "Eq. 2", sgd: "SGD", adam: "Adam" };
/** What a centre's step takes of the sum of x − c over the n members of its class in a batch; Adam scales it anew. */
const SHARE = { eq2: (n) => 1 / (1 + n), sgd: (n, batch) => 1 / batch, adam: (n, batch) => 1 / batch };
const ADAM_RATE = 0.1, BETA_1 = 0.9, BETA_2 = 0.999, TINY = 1e-8;
const STEPS = 60, MEMBERS = 30;

// ---------------------------------------------------------------------------------------------------- the numbers

export function simulate({ alpha, lam, batch, update, seed, steps = STEPS, members = MEMBERS, rate = 0.05 }) {
  const classes = CLASSES.length, count = classes * members, draw = uniform(seed);
  const label = Array.from({ length: count }, (_, i) => Math.floor(i / members));
  let points = label.map((k) => DIRECTIONS[k].map((along) => 0.7 * along + 0.8 * normal(draw)));
  let centers = DIRECTIONS.map(() => [0, 0]);
  const first = centers.map(() => [0, 0]), second = centers.map(() => [0, 0]); // Adam's moments
  const seen = { positions: [], paths: [], crossEntropy: [], centerLoss: [] };
  for (let step = 1; step <= steps + 1; step++) {
    const next = [], away = [], share = [0, 0, 0];
    let crossEntropy = 0, centerLoss = 0;
    for (let i = 0; i < count; i++) { // plain loops: this runs anew for every pixel that a slider is dragged
      const [x, y] = points[i], k = label[i], dx = x - centers[k][0], dy = y - centers[k][1];
      let largest = -Infinity, total = 0, slopeX = 0, slopeY = 0;
      for (let c = 0; c < classes; c++) {
        share[c] = x * DIRECTIONS[c][0] + y * DIRECTIONS[c][1];
        if (share[c] > largest) largest = share[c];
      }
      crossEntropy += largest - share[k];
      for (let c = 0; c < classes; c++) total += share[c] = Math.exp(share[c] - largest);
      for (let c = 0; c < classes; c++) {
        const error = share[c] / total - (c === k ? 1 : 0);
        slopeX += error * DIRECTIONS[c][0];
        slopeY += error * DIRECTIONS[c][1];
      }
      crossEntropy += Math.log(total);
      centerLoss += 0.5 * (dx * dx + dy * dy);
      away.push([dx, dy]);
      next.push([x - rate * (slopeX + lam * dx), y - rate * (slopeY + lam * dy)]);
    }
    seen.positions.push(points);
    seen.paths.push(centers);
    seen.crossEntropy.push(crossEntropy / count);
    seen.centerLoss.push(centerLoss / count);
    const counts = [0, 0, 0], pull = centers.map(() => [0, 0]), order = shuffled(count, draw);
    for (let b = 0; b < batch; b++) {
      const i = order[b], k = label[i];
      counts[k] += 1;
      for (let d = 0; d < 2; d++) pull[k][d] += away[i][d];
    }
    centers = centers.map((center, k) => center.map((value, d) => {
      const towards = alpha * pull[k][d] * SHARE[update](counts[k], batch);
      if (update !== "adam") return value + towards;
      first[k][d] = BETA_1 * first[k][d] + (1 - BETA_1) * towards;
      second[k][d] = BETA_2 * second[k][d] + (1 - BETA_2) * towards ** 2;
      const size = Math.sqrt(second[k][d] / (1 - BETA_2 ** step)) + TINY;
      return value + (ADAM_RATE * first[k][d]) / (1 - BETA_1 ** step) / size;
    }));
    points = next;
  }
  return seen;
}

export function rho({ alpha, batch, update }) {
  const n = batch / CLASSES.length; // the members of one class in a batch, on average
  return update === "adam" ? null : 1 - alpha * n * SHARE[update](n, batch);
}

export function region(value) {
  return value === null ? null : REGIONS.filter(([, top]) => value <= top).at(-1)[0];
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

function shuffled(count, draw) {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor(draw() * (last + 1));
    const moved = order[last];
    order[last] = order[other];
    order[other] = moved;
  }
  return order;
}

// --------------------------------------------------------------------------------------------------- the pictures

const REACH = 3, HIGHEST = 1.2; // the axes' ends
const TONES = ["#E4E9EE", "#CFE8DC", "#FCE9C4", "#F6CFBE"]; // of the gauge's regions
const short = (value) => !Number.isFinite(value) ? "out of range"
  : Math.abs(value) < 1000 ? value.toFixed(2) : value.toExponential(1).replace("e+", "e");
const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);

/** A point [x, y] within `reach` of the origin, in its own direction: what diverges must not break a path. */
function held([x, y], reach) {
  const size = Math.hypot(x, y);
  if (!Number.isFinite(size)) return [0, reach];
  return size <= reach ? [x, y] : [(x / size) * reach, (y / size) * reach];
}

const STYLE = `${LOOK}
fieldset label { display: inline-flex; align-items: center; gap: 5px; min-height: 28px; cursor: pointer; }
input[type=radio] { accent-color: ${INK}; margin: 0; width: 16px; height: 16px; }
.right { display: grid; gap: 12px; align-content: start; min-width: 0; }
small { font-size: 12.5px; color: ${PALE_INK}; display: block; min-height: 54px; margin-top: 2px; }
.key::before { content: ""; display: inline-block; width: 20px; border-top: 2.5px solid ${INK}; margin-right: 6px;
  vertical-align: middle; }
.key.dashed::before { border-top: 2.5px dashed ${ACCENT}; }
.time { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin-top: 12px; }
.time label { flex: 1 1 180px; }
button { font: inherit; font-weight: 600; color: ${INK}; background: #fff; border: 1px solid #8A96A1;
  border-radius: 6px; min-width: 76px; min-height: 36px; padding: 4px 12px; cursor: pointer; }
button:hover { background: #EEF1F4; }
.summary { margin: 10px 0 0; min-height: 40px; }
@container (min-width: 640px) {
  .controls { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  fieldset { grid-column: 1 / -1; }
  .pictures { grid-template-columns: 46fr 54fr; }
}
@media print { button { display: none; } }
`;

const slider = (name, words, min, max, step) => `<label class="slider"><span><span>${words}</span>
  <b data-of="${name}" aria-hidden="true"></b></span>
  <input type="range" data-name="${name}" min="${min}" max="${max}" step="${step}"></label>`;
const BODY = `<style>${STYLE}</style><div class="lab" role="group" aria-label="Lab of centre loss">
<div class="controls">
  ${slider("alpha", "<b>α</b> how far a centre steps", 0, 3, 0.05)}
  ${slider("lam", "<b>λ</b> weight of centre loss", 0, 2, 0.05)}
  ${slider("batch", "<b>batch size</b>", 3, 90, 3)}
  <fieldset><legend>Centres move by</legend>${Object.entries(RULES).map(([rule, name]) =>
    `<label><input type="radio" name="update" value="${rule}"> ${name}</label>`).join("")}</fieldset>
</div>
<div class="pictures">
  <figure><figcaption>${CLASSES.map((it) => `<span>${mark(it)}${it.name}</span>`).join("")
    }</figcaption><svg class="plane" role="img" aria-label="The plane: points of three
    classes, hollow where they began; the large marks outlined in ink are the centres, the lines their paths."></svg></figure>
  <div class="right">
    <figure><figcaption><span class="key"></span><span class="key dashed"></span></figcaption>
      <svg class="losses" role="img" aria-label="Cross-entropy and centre loss by step."></svg></figure>
    <figure><figcaption class="verdict"></figcaption>
      <svg class="gauge" role="img" aria-label="Gauge of rho, from slow over steady and jumping to diverging."></svg>
      <small class="law"></small></figure>
  </div>
</div>
<div class="time" role="group" aria-label="Time">
  <button type="button" class="play">▶ Play</button><button type="button" class="step">Step</button>
  <button type="button" class="reset">Reset</button>
  ${slider("time", "step", 0, STEPS, 1)}
</div>
<p class="summary"></p><p class="spoken" aria-live="polite"></p></div>`;

/** Put the lab into the element `el`, in place of what is there. `options`: any of DEFAULTS; `changed(values)` is called
 *  with what the reader changed. Returns { set(values), destroy() }. */
export function mount(el, options = {}, changed = () => {}) {
  const root = el.shadowRoot ?? el.attachShadow({ mode: "open" }), $ = (what) => root.querySelector(what);
  root.innerHTML = BODY;
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take the arrow keys for itself
  const state = { ...DEFAULTS, ...options }, spoken = voice($(".spoken"));
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let time = STEPS, playing = false, stale = true, asked = 0, last = 0, seen, size = {};

  // What stands still until the width changes: frames, axes, empty paths.
  function frame() {
    const room = (name) => Math.max($(name).clientWidth, 60); // hidden elements have none
    const wide = room(".lab") >= 656, plane = Math.min(room(".plane"), 460), width = room(".losses");
    const left = 26, bar = 36;
    size = { plane, width, left, bar };
    const ticks = [-2, 0, 2].map((v) => `<path d="M${px(v)} 0V${plane}M0 ${py(v)}H${plane}" stroke="#E9EDF0"/>
      <text x="${px(v) + 3}" y="${plane - 5}">${v < 0 ? "−" : ""}${Math.abs(v)}</text>`).join("");
    sheet($(".plane"), plane, plane, `${ticks}<rect x=".5" y=".5" width="${plane - 1}" height="${plane - 1}" fill="none"
      stroke="#B8C1C9"/>${CLASSES.map(({ colour }) => `<path class="start" fill="none" stroke="${
      deep(colour)}" stroke-width=".5"/><path class="points" fill="${colour}" fill-opacity=".8" stroke="${deep(colour)}"
      stroke-width=".7"/><path class="trail" fill="none" stroke="${deep(colour)}" stroke-width="1.5"
      stroke-linejoin="round"/>`).join("")}${CLASSES.map(({ colour }) =>
      `<path class="center" fill="${colour}" stroke="${INK}" stroke-width="2" stroke-linejoin="round"/>`).join("")}
      <text class="outside" x="8" y="18" style="font-weight: 600; paint-order: stroke"
      stroke="#fff" stroke-width="4"></text>`);
    sheet($(".gauge"), width, bar + 30, REGIONS.map(([name, top], k) => {
      const from = gx(top), to = gx(REGIONS[k + 1]?.[1] ?? -2), label = width < 420 ? name.split(" the")[0] : name;
      return `<rect x="${from}" y="12" width="${to - from}" height="${bar}" fill="${TONES[k]}"/><text
        x="${(from + to) / 2}" y="${bar + 5}" text-anchor="middle">${label}</text>`;
    }).join("") + [1, 0.6, 0, -1, -2].map((v) => `<text x="${gx(v)}" y="${bar + 27}" text-anchor="${v === 1 ? "start"
      : v === -2 ? "end" : "middle"}">${v < 0 ? "−" : ""}${Math.abs(v)}</text>`).join("") +
      `<path class="needle" fill="${INK}"/>`);
    const height = size.height = wide ? Math.max(plane - $(".gauge").parentNode.offsetHeight - 12, 120) : 180;
    sheet($(".losses"), width, height, `${[0, 0.4, 0.8, 1.2].map((v) => `<path d="M${left} ${ly(v)}H${width}"
      stroke="${v ? "#E9EDF0" : "#B8C1C9"}"/><text x="${left - 5}" y="${ly(v) + 4}" text-anchor="end">${v}</text>`)
      .join("")}${[0, 20, 40, 60].map((v) => `<text x="${lx(v)}" y="${height - 4}" text-anchor="${v === 60 ? "end"
      : "middle"}">${v ? v : "step 0"}</text>`).join("")}<path class="now" stroke="#8A96A1" stroke-dasharray="2 3"/>
      <g fill="none" stroke-width="2"><path class="entropy" stroke="${INK}"/><path class="spread"
      stroke="${ACCENT}" stroke-dasharray="6 4"/></g><circle class="entropy-now" r="4.5" fill="${INK}"/>
      <circle class="spread-now" r="4.5" fill="${ACCENT}"/>`);
  }
  const px = (x) => ((x + REACH) / (2 * REACH)) * size.plane, py = (y) => px(-y);
  const lx = (t) => mix(size.left, size.width - 6, t / STEPS);
  const ly = (v) => mix(size.height - 18, 8, v / HIGHEST);
  const gx = (value) => ((1 - value) / 3) * size.width;

  // What follows the sliders.
  function draw() {
    if (stale) seen = simulate(state);
    stale = false;
    const at = Math.min(Math.floor(time), STEPS), to = Math.min(at + 1, STEPS), share = time - at;
    const all = (name) => root.querySelectorAll(name), outside = [];
    CLASSES.forEach(({ name, marker }, k) => {
      const put = (x, r) => OUTLINE[marker](tenth(px(x[0])), tenth(py(x[1])), r);
      const among = (rows) => rows.slice(k * MEMBERS, (k + 1) * MEMBERS);
      const moved = (rows, i) => [0, 1].map((d) => mix(rows[at][i][d], rows[to][i][d], share));
      const center = moved(seen.paths, k);
      const trail = [...seen.paths.slice(0, at + 1).map((row) => row[k]), center].map((x) => held(x, 50));
      all(".start")[k].setAttribute("d", among(seen.positions[0]).map((x) => put(x, 3)).join(""));
      all(".points")[k].setAttribute("d", among(seen.positions[0]).map((_, i) =>
        put(held(moved(seen.positions, k * MEMBERS + i), 50), 3.5)).join(""));
      all(".trail")[k].setAttribute("d", "M" + trail.map((x) => `${tenth(px(x[0]))} ${tenth(py(x[1]))}`).join("L"));
      all(".center")[k].setAttribute("d", put(held(center, REACH - 0.2), 8));
      if (!(Math.hypot(...center) <= REACH - 0.2)) outside.push(name);
    });
    $(".outside").textContent = outside.length ? `out of the picture: ${outside.join(", ")}` : "";
    const line = (values) => "M" + values.map((v, t) => `${tenth(lx(t))} ${tenth(ly(v <= 20 ? v : 20))}`).join("L");
    const now = [seen.crossEntropy, seen.centerLoss].map((values) => mix(values[at], values[to], share));
    [["entropy", seen.crossEntropy], ["spread", seen.centerLoss]].forEach(([name, values], k) => {
      $(`.${name}`).setAttribute("d", line(values));
      $(`.${name}-now`).setAttribute("cx", tenth(lx(time)));
      $(`.${name}-now`).setAttribute("cy", tenth(ly(now[k] <= HIGHEST ? now[k] : HIGHEST)));
      all(".key")[k].textContent = ["cross-entropy ", "centre loss "][k] + short(now[k]) +
        (now[k] <= HIGHEST ? "" : " ▲");
    });
    $(".now").setAttribute("d", `M${tenth(lx(time))} ${ly(HIGHEST)}V${ly(0)}`);
    tell(now, outside);
  }

  // Everything that is words: values, the verdict, the summary.
  function tell(now, outside) {
    const value = rho(state), where = region(value), n = state.batch / CLASSES.length, k = +n.toFixed(2);
    const step = Math.round(time), words = { alpha: state.alpha.toFixed(2), lam: state.lam.toFixed(2),
      batch: `${state.batch}, n = ${k}`, time: `${step} of ${STEPS}` };
    for (const [name, text] of Object.entries(words)) {
      const input = $(`[data-name=${name}]`);
      input.value = name === "time" ? step : state[name];
      input.setAttribute("aria-valuetext", text);
      $(`[data-of=${name}]`).textContent = text;
    }
    $(`[value=${state.update}]`).checked = true;
    $(".needle").setAttribute("d", value === null ? "" :
      `M${tenth(gx(Math.max(value, -2)))} 12l-7 -12h14zm-1 0h2v16h-2z`);
    $(".verdict").innerHTML = value === null ? "<b>no ρ under Adam: α has no effect</b>"
      : `<b>ρ = ${signed(value)}: ${where}</b>`;
    $(".law").textContent = {
      eq2: `ρ = 1 − α n/(1 + n) is what a step leaves of a centre’s distance to the mean of its class; n = ${k}: the ` +
        `${state.batch} of a batch, shared by 3 classes (on average).`,
      sgd: "ρ = 1 − α n/B, and n/B is 1/3 on average: the gradient of the batch’s mean is three times weaker here.",
      adam: "Adam divides the gradient by its own size, and a factor α cancels. Move α (above 0): nothing changes.",
    }[state.update];
    const text = `Step ${step} of ${STEPS}: cross-entropy ${short(now[0])}, centre loss ${short(now[1])}. ` +
      (value === null ? "Under Adam α has no effect." : `ρ = ${signed(value)}: ${where}.`) +
      (outside.length ? ` Out of the picture: the centre of ${outside.join(", of ")}.` : "");
    $(".summary").textContent = text;
    spoken.say(text);
  }

  function ask() {
    if (!asked) asked = requestAnimationFrame(tick);
  }
  function tick(clock) {
    asked = 0;
    if (playing) {
      const pace = calm.matches ? 10 : 1; // less motion: six pictures, a second each
      const ahead = Math.min(Math.max(clock - last, 0), 100 * pace) * (10 / 1000);
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
  function go(to) {
    play(false);
    time = Math.min(Math.max(to, 0), STEPS);
  }
  function set(values) {
    Object.assign(state, values);
    stale = true;
    ask();
  }

  root.addEventListener("input", ({ target }) => {
    const name = target.dataset.name ?? target.name;
    if (name === "time") return go(+target.value);
    set({ [name]: name === "update" ? target.value : +target.value });
    changed({ [name]: state[name] });
  });
  $(".play").onclick = () => play(!playing);
  $(".step").onclick = () => go(time >= STEPS ? 0 : Math.floor(time) + 1);
  $(".reset").onclick = () => {
    go(0);
    set({ ...DEFAULTS, ...options });
    changed({ ...state });
  };
  $(".time").onkeydown = (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way || event.target.tagName !== "BUTTON") return;
    event.preventDefault();
    go(Math.round(time) + way);
  };
  frame();
  const watch = new ResizeObserver(() => { frame(); draw(); });
  watch.observe($(".pictures"));
  return { set, destroy() { watch.disconnect(); cancelAnimationFrame(asked); spoken.hush(); } };
}

export default widget(mount, Object.keys(DEFAULTS));
