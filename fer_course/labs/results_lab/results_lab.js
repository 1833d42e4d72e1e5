// The explorer of stored runs: a control for each parameter, and the learning curve, the confusion matrix and the
// features of the run that they choose. With lab.js in front it is one module without dependencies: anywidget loads it,
// a web page calls mount(). widget.py packs the data that it reads here.

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const TRAINING = "#0072B2";

/** Points [[x, y], …]: each number two digits to base 64, hundredths above −2048. */
export function unpack(text) {
  const numbers = [];
  for (let k = 0; k < text.length; k += 2)
    numbers.push((DIGITS.indexOf(text[k]) * 64 + DIGITS.indexOf(text[k + 1]) - 2048) / 100);
  return Array.from({ length: numbers.length / 2 }, (_, i) => numbers.slice(2 * i, 2 * i + 2));
}

/** The run that has stop `to` of parameter `changed` and is otherwise closest to the `wanted` stops. Another seed is
 *  the smallest of changes, another word as large a change as the way from one end of a slider to the other. */
export function nearest({ parameters, cells }, wanted, changed, to) {
  const far = ({ values }) => parameters.reduce((sum, { name, stops, numeric }, p) => {
    const steps = Math.abs(values[p] - wanted[p]);
    return sum + (p === changed ? 0 : (name === "seed" ? 0.1 : 1) *
      (numeric ? steps / Math.max(stops.length - 1, 1) : Math.min(steps, 1)));
  }, 0);
  const among = cells.map((cell, k) => [far(cell), k]).filter(([, k]) => cells[k].values[changed] === to);
  return among.reduce((best, next) => (next[0] < best[0] ? next : best))[1];
}

/** Percent of each row; a row without a face stays 0. */
export function shares(confusion, classes) {
  return Array.from({ length: classes }, (_, row) => {
    const counts = confusion.slice(row * classes, (row + 1) * classes), sum = counts.reduce((a, b) => a + b, 0);
    return counts.map((count) => (100 * count) / Math.max(sum, 1));
  });
}

const escaped = (text) => String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
const plain = (value) => value === null ? "none" : typeof value === "number" ? `${value}`.replace("-", "−") : value;
const bestOf = (values) => values.indexOf(Math.max(...values));

/** White to a deep blue; each with the ink that is readable on it. */
function tone(share) {
  const part = (from, to) => Math.round(mix(from, to, share / 100));
  const colour = [part(255, 8), part(255, 69), part(255, 148)];
  const light = colour.map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return [`rgb(${colour})`, 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] > 0.179 ? "#000" : "#fff"];
}

const STYLE = `${LOOK}
.lab { max-width: 1160px; }
.controls { grid-template-columns: repeat(auto-fit, minmax(min(150px, 100%), 1fr)); align-items: start;
  padding-bottom: 8px; margin-bottom: 8px; background: #fff; }
legend, .only { float: none; white-space: nowrap; }
.segments { display: flex; flex-wrap: wrap; gap: 4px; width: 100%; }
.segments label { position: relative; cursor: pointer; }
.segments input { position: absolute; inset: 0; margin: 0; opacity: 0; cursor: pointer; }
.segments span { display: block; min-height: 30px; padding: 4px 11px; border: 1px solid #6B7883; border-radius: 6px; }
.segments .absent { border-style: dashed; color: ${PALE_INK}; }
.segments :checked + span { background: ${INK}; color: #fff; font-weight: 600; border-style: solid; }
.segments :focus-visible + span { outline: 3px solid #0072B2; outline-offset: 2px; }
.stops { display: flex; justify-content: space-between; padding: 0 5px; height: 8px; }
.stops i { width: 7px; height: 7px; border-radius: 50%; border: 1.5px solid #6B7883; background: #6B7883; }
.stops i.absent { background: none; }
.summary { margin: 0 0 10px; min-height: 7.2em; }
.note { font-weight: 600; }
.note::before { content: "▸ "; color: ${ACCENT}; }
.pictures { gap: 16px 26px; align-items: start; }
figcaption { display: block; margin-bottom: 4px; }
figcaption > span, .legend span { display: inline-block; margin-right: 12px; white-space: nowrap; font-size: 13px; }
.scale { white-space: normal; }
.key { display: inline-block; width: 26px; height: 10px; margin-right: 5px; vertical-align: 0; }
table { border-collapse: separate; border-spacing: 1px; width: 100%; max-width: 460px; table-layout: fixed;
  font-size: 12.5px; line-height: 1.2; }
th { font-weight: 400; color: ${PALE_INK}; padding: 0 4px 0 0; text-align: right; }
thead th { height: 74px; vertical-align: bottom; padding: 0; }
thead th > span { writing-mode: vertical-rl; transform: rotate(180deg); display: inline-block; width: 100%;
  text-align: left; padding-top: 4px; line-height: 2.2; }
td.corner { width: 74px; text-align: left; vertical-align: bottom; color: ${PALE_INK}; }
td { height: 30px; padding: 0; text-align: center; }
td.hit { font-weight: 700; outline: 1px solid ${INK}; outline-offset: -1px; }
.strip { cursor: pointer; }
@container (min-width: 620px) {
  .pictures { grid-template-columns: 1fr 1fr; }
  .summary { min-height: 4.2em; }
}
@container (min-width: 900px) {
  .pictures { grid-template-columns: 1fr 1.06fr 1fr; }
  .all { grid-column: 1 / -1; }
  .summary { min-height: 2.8em; }
}
@container (max-width: 619.9px) {
  .controls { position: sticky; top: 0; z-index: 1; padding-top: 4px; gap: 4px 20px; }
}
`;

/** Put the explorer into the element `el`, in place of what is there. `data`: the text that sliders.results_lab packs;
 *  `chosen`: the run to begin with; `changed({ chosen })` is called when the reader chooses another. Returns
 *  { set({ chosen }), destroy() }. */
export function mount(el, { data, chosen = 0 }, changed = () => {}) {
  const root = el.shadowRoot ?? el.attachShadow({ mode: "open" }), $ = (what) => root.querySelector(what);
  const all = (what) => [...root.querySelectorAll(what)];
  const stored = JSON.parse(data), { classes, parameters, cells, reach } = stored; // reach: where the scatter ends
  const several = parameters.flatMap(({ stops }, p) => (stops.length > 1 ? [p] : []));
  const drawn = cells.map(() => null); // a run's points, unpacked when it is first shown
  root.innerHTML = body(stored);
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take the arrow keys for itself
  const spoken = voice($(".spoken")), seedAt = parameters.findIndex(({ name }) => name === "seed");
  const dodge = seedAt < 0 ? 1 : parameters[seedAt].stops.length;
  let along = [...several.filter((p) => parameters[p].numeric && p !== seedAt), ...several, 0][0]; // the strip's x
  let wanted = [...cells[chosen].values], note = "", asked = 0, size = {};

  // The axes are the same for all runs: what moves is the run.
  const longest = Math.max(...cells.map(({ training }) => training.length), 2);
  const reached = cells.flatMap(({ training, validation }) => [...training, ...validation]);
  const curve = axis(Math.min(...reached), Math.max(...reached));
  const level = axis(Math.min(...cells.map((cell) => cell.accuracy)), Math.max(...cells.map((cell) => cell.accuracy)));
  const epochs = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((step) => longest / step <= 6) ?? longest;

  function frame() {
    const room = (name) => Math.max($(name).clientWidth, 60); // hidden elements have none
    const plane = Math.min(room(".plane"), 420), width = room(".curves"), wide = room(".strip");
    size = { plane, width, wide, left: 30, height: Math.min(Math.max(width * 0.85, 200), 292),
      low: wide < 600 ? 170 : 118 };
    const { left, height, low } = size;
    const marks = Array.from({ length: longest }, (_, k) => k + 1).filter((epoch) => epoch % epochs === 0);
    sheet($(".curves"), width, height, curve.ticks.map((v) => `<path d="M${left} ${cy(v)}H${width}" stroke="#E9EDF0"/>
      <text x="${left - 6}" y="${cy(v) + 4}" text-anchor="end">${v}</text>`).join("") + marks.map((epoch) => `<text
      x="${cx(epoch)}" y="${height - 4}" text-anchor="middle">${epoch}</text>`).join("") + `
      <path class="when" stroke="${ACCENT}" stroke-width="1.5" stroke-dasharray="4 3"/>
      <path class="training" fill="none" stroke="${TRAINING}" stroke-width="2.6" stroke-linecap="round"
      stroke-dasharray="0.1 5"/><path class="validation" fill="none" stroke="${INK}" stroke-width="2.2"
      stroke-linejoin="round"/><path class="best" fill="${ACCENT}" stroke="#fff"/>`);
    const grid = [-1, 0, 1].map((v) => `<path d="M${px(v)} 0V${plane}M0 ${px(-v)}H${plane}" stroke="#E9EDF0"/>
      <text x="${px(v) + 3}" y="${plane - 5}">${plain(v)}</text>`).join("");
    sheet($(".plane"), plane, plane, `${grid}<rect x=".5" y=".5" width="${plane - 1}" height="${plane - 1}" fill="none"
      stroke="#B8C1C9"/>${classes.map(({ colour }) => `<path class="points" fill="${colour}" fill-opacity=".85"
      stroke="${deep(colour)}" stroke-width=".7"/>`).join("")}`);
    ruler();
  }
  const cx = (epoch) => mix(size.left + 6, size.width - 8, (epoch - 1) / (longest - 1));
  const cy = (v) => mix(size.height - 24, 10, (v - curve.low) / (curve.high - curve.low));
  const px = (v) => { // what lies beyond is drawn on the edge
    const edge = reach * (1 - 10 / size.plane);
    return mix(0, size.plane, (Math.min(Math.max(v, -edge), edge) + reach) / (2 * reach));
  };
  const sy = (v) => mix(size.low - 24, 8, (v - level.low) / (level.high - level.low));
  const gap = () => (size.wide - size.left - 16) / parameters[along].stops.length;
  const sx = (stop) => size.left + 8 + gap() * (stop + 0.5);
  const across = ({ values }) => sx(values[along]) + (seedAt < 0 || seedAt === along ? 0
    : (values[seedAt] - (dodge - 1) / 2) * Math.min(9, (0.6 * gap()) / dodge));

  // The strip's frame: it changes with the parameter that it runs along.
  function ruler() {
    const { left, wide, low } = size, stops = parameters[along].stops, every = Math.ceil(34 / gap());
    sheet($(".strip"), wide, low, level.ticks.map((v) => `<path d="M${left} ${sy(v)}H${wide}" stroke="#E9EDF0"/>
      <text x="${left - 6}" y="${sy(v) + 4}" text-anchor="end">${v}</text>`).join("") + stops.map((stop, k) =>
      k % every ? "" : `<text x="${sx(k)}" y="${low - 5}" text-anchor="middle">${escaped(plain(stop))}</text>`)
      .join("") + `<path class="others" fill="#848F99"/><path class="means" stroke="${INK}" stroke-width="1.5"/>
      <path class="alike" fill="${INK}"/><path class="here" fill="${ACCENT}" stroke="${INK}" stroke-width="1.5"/>`);
    $(".against").textContent = `Accuracy (%) of all ${cells.length} runs against ${parameters[along].name}`;
    $(".strip").setAttribute("aria-label", `Strip: ${$(".against").textContent}, a dot for each. ` +
      "The sliders choose the same runs.");
  }

  function draw() {
    const cell = cells[chosen], best = bestOf(cell.validation);
    const line = (values) => "M" + values.map((v, k) => `${tenth(cx(k + 1))} ${tenth(cy(v))}`).join("L") +
      (values.length === 1 ? "h4" : "");
    $(".training").setAttribute("d", line(cell.training));
    $(".validation").setAttribute("d", line(cell.validation));
    $(".when").setAttribute("d", `M${tenth(cx(best + 1))} 10V${size.height - 24}`);
    $(".best").setAttribute("d", OUTLINE.D(tenth(cx(best + 1)), tenth(cy(cell.validation[best])), 5.5));
    $(".peak").textContent = `best epoch ${best + 1}: ${cell.validation[best].toFixed(1)} %`;
    $(".curves").setAttribute("aria-label", `Learning curves over ${cell.training.length} epochs: training accuracy ` +
      `ends at ${cell.training.at(-1).toFixed(1)} %, validation accuracy at ${cell.validation.at(-1).toFixed(1)} %, ` +
      `and is best in epoch ${best + 1}, ${cell.validation[best].toFixed(1)} %.`);
    const percent = shares(cell.confusion, classes.length).flat();
    all("tbody td").forEach((square, k) => {
      const [colour, ink] = tone(percent[k]);
      square.textContent = Math.floor(percent[k] + 0.5);
      square.style.cssText = `background: ${colour}; color: ${ink}`;
    });
    const points = drawn[chosen] ??= unpack(cell.points), labels = cell.labels ?? stored.labels;
    const paths = classes.map(() => "");
    points.forEach(([x, y], i) => { paths[labels[i]] += OUTLINE[classes[labels[i]].marker](tenth(px(x)), tenth(px(-y)),
      3.6); });
    all(".points").forEach((path, k) => path.setAttribute("d", paths[k]));
    const beyond = points.filter(([x, y]) => Math.max(Math.abs(x), Math.abs(y)) > reach).length;
    $(".scale").textContent = `1 = their spread, ${cell.spread}` + (beyond ? `; ${beyond} beyond the edge` : "");
    const held = parameters.flatMap((_, p) => (p === along || p === seedAt ? [] : [p]));
    const alike = cells.filter(({ values }) => held.every((p) => values[p] === cell.values[p]));
    const dots = (some, r) => some.map((it) => OUTLINE.o(tenth(across(it)), tenth(sy(it.accuracy)), r)).join("");
    $(".others").setAttribute("d", dots(cells.filter((it) => !alike.includes(it)), 3));
    $(".alike").setAttribute("d", dots(alike, 3.6));
    $(".here").setAttribute("d", OUTLINE.D(tenth(across(cell)), tenth(sy(cell.accuracy)), 6.5));
    const said = held.filter((p) => several.includes(p)).map((p) => named(p, cell)).join(", ");
    $(".kin").textContent = (said || "every run") +
      (seedAt < 0 || seedAt === along ? "" : "; bar: mean over seeds");
    $(".means").setAttribute("d", parameters[along].stops.map((_, stop) => {
      const group = alike.filter(({ values }) => values[along] === stop), half = Math.min(16, gap() / 2.4);
      const mean = group.reduce((sum, it) => sum + it.accuracy, 0) / group.length;
      return group.length > 1 ? `M${tenth(sx(stop) - half)} ${tenth(sy(mean))}h${tenth(2 * half)}` : "";
    }).join(""));
    tell(cell, best, percent);
  }

  const named = (p, { values }) => `${parameters[p].name} ${plain(parameters[p].stops[values[p]])}`;

  // Everything that is words: the values of the controls, what there is, the summary.
  function tell(cell, best, percent) {
    for (const p of several) {
      const { stops, numeric } = parameters[p], at = cell.values[p];
      const there = stops.map((_, stop) => cells.some(({ values }) => values.every((v, q) =>
        v === (q === p ? stop : cell.values[q]))));
      if (numeric) {
        const input = $(`input[data-p="${p}"]`);
        input.value = at;
        input.setAttribute("aria-valuetext", plain(stops[at]));
        $(`[data-of="${p}"]`).textContent = plain(stops[at]);
      } else $(`[name="p${p}"][value="${at}"]`).checked = true;
      all(`[data-p="${p}"] [data-stop]`).forEach((it, stop) => it.classList.toggle("absent", !there[stop]));
    }
    parameters.forEach(({ stops }, p) => {
      if (!several.includes(p)) $(`[data-of="${p}"]`).textContent = plain(stops[cell.values[p]]);
    });
    const mistakes = percent.map((share, k) => (k % (classes.length + 1) ? share : 0)), worst = bestOf(mistakes);
    const [from, to] = [Math.floor(worst / classes.length), worst % classes.length].map((k) => classes[k].name);
    const which = parameters.map((_, p) => named(p, cell)).join(", ");
    const found = `accuracy ${cell.accuracy.toFixed(1)} %, intra/inter-class distance ` +
      (cell.ratio === null ? "not defined" : cell.ratio.toFixed(2));
    const rest = `Best validation epoch ${best + 1} of ${cell.validation.length}, ` +
      `${cell.validation[best].toFixed(1)} %. ` + (mistakes[worst] > 0 ? `Most often mistaken: ${from}, taken ` +
      `for ${to} in ${Math.floor(mistakes[worst] + 0.5)} % of its faces.` : "No face is mistaken.");
    $(".summary").innerHTML = (`${escaped(which)}: <b>${escaped(found)}.</b> ${escaped(rest)}` +
      (note && ` <span class="note">${escaped(note)}</span>`)).replaceAll(" %", "&nbsp;%");
    spoken.say(`${note} ${which}: ${found}. ${rest}`.trim());
  }

  function ask() {
    asked ||= requestAnimationFrame(() => { asked = 0; draw(); });
  }
  function show(k) {
    [chosen, wanted] = [k, cells[k].values.map((v, p) => (parameters[p].stops[v] === null ? wanted[p] : v))];
    ask();
  }
  function choose(p, stop) {
    const before = cells[chosen], next = nearest(stored, wanted, p, stop), now = cells[next];
    const moved = parameters.flatMap((_, q) => (q === p || now.values[q] === before.values[q] ? [] : [q]));
    const list = (cell) => moved.map((q) => named(q, cell)).join(", ");
    note = moved.length ? `No run has ${named(p, now)} with ${list(before)}: this is the nearest, ${list(now)}.` : "";
    if (p !== along && p !== seedAt && parameters[p].numeric) {
      along = p;
      ruler();
    }
    wanted[p] = stop;
    show(next);
    changed({ chosen });
  }

  root.addEventListener("input", ({ target }) => choose(+(target.dataset.p ?? target.name.slice(1)), +target.value));
  $(".strip").addEventListener("click", ({ offsetX, offsetY }) => {
    const far = cells.map((cell) => Math.hypot(across(cell) - offsetX, sy(cell.accuracy) - offsetY));
    note = "";
    show(far.indexOf(Math.min(...far)));
    changed({ chosen });
  });
  frame();
  draw();
  const watch = new ResizeObserver(() => { frame(); draw(); });
  watch.observe($(".pictures"));
  return {
    set(values) { // what Python chose; what it only hands back is shown already
      if (values.chosen === chosen) return;
      note = "";
      show(values.chosen);
    },
    destroy() { watch.disconnect(); cancelAnimationFrame(asked); spoken.hush(); },
  };
}

/** Ends and ticks of an axis in percent that holds both values. */
function axis(lowest, highest) {
  const step = [1, 2, 5, 10, 20].find((step) => highest - lowest <= 4 * step) ?? 25;
  const low = Math.floor(lowest / step) * step, high = Math.max(Math.ceil(highest / step) * step, low + step);
  const ticks = Array.from({ length: Math.round((high - low) / step) + 1 }, (_, k) => low + k * step);
  return { low, high, ticks };
}

function body({ classes, parameters }) {
  const control = ({ name, stops, numeric }, p) => stops.length === 1
    ? `<div class="only">${escaped(name)} <b data-of="${p}"></b></div>`
    : numeric ? `<label class="slider" data-p="${p}"><span><b>${escaped(name)}</b><b data-of="${p}"
      aria-hidden="true"></b></span><input type="range" data-p="${p}" min="0" max="${stops.length - 1}" step="1"
      aria-label="${escaped(name)}"><span class="stops" aria-hidden="true">${stops.map(() => "<i data-stop></i>")
      .join("")}</span></label>`
    : `<fieldset data-p="${p}"><legend><b>${escaped(name)}</b></legend><div class="segments">${stops.map((stop, k) =>
      `<label><input type="radio" name="p${p}" value="${k}"><span data-stop>${escaped(plain(stop))}</span></label>`)
      .join("")}</div></fieldset>`;
  const names = (row) => classes.map(({ name }) => `<th scope="${row}"><span>${name}</span></th>`).join("");
  return `<style>${STYLE}</style><div class="lab" role="group" aria-label="Explorer of the stored runs">
<div class="controls">${parameters.map(control).join("")}</div>
<p class="summary"></p><p class="spoken" aria-live="polite"></p>
<div class="pictures">
  <figure><figcaption><b>Learning curves, % by epoch</b><br><span><svg class="key" viewBox="0 0 26 10"
    aria-hidden="true"><path d="M2 5H24" stroke="${TRAINING}" stroke-width="2.6" stroke-linecap="round"
    stroke-dasharray="0.1 5"/></svg>training</span><span><svg class="key" viewBox="0 0 26 10" aria-hidden="true"><path
    d="M0 5H26" stroke="${INK}" stroke-width="2.2"/></svg>validation</span><span>${mark({ colour: ACCENT, marker: "D" })
    }<span class="peak"></span></span></figcaption><svg class="curves" role="img"></svg></figure>
  <figure><figcaption id="matrix"><b>Confusion matrix, % of each true row</b></figcaption>
    <table aria-labelledby="matrix"><thead><tr><td class="corner">true ↓<br>taken for →</td>${names("col")}</tr>
    </thead><tbody>${classes.map(({ name }, row) => `<tr><th scope="row">${name}</th>${classes.map((_, column) =>
      `<td${row === column ? ' class="hit"' : ""}></td>`).join("")}</tr>`).join("")}</tbody></table></figure>
  <figure><figcaption><b>Features, each run by its own spread</b><br><span>two principal components</span>
    <span class="scale"></span></figcaption>
    <svg class="plane" role="img" aria-label="The features of about 200 faces in the plane of their two principal
    components, a marker and a colour for each emotion."></svg>
    <div class="legend">${classes.map((it) => `<span>${mark(it)}${it.name}</span>`).join("")}</div></figure>
  <figure class="all"><figcaption><b class="against"></b><br><span>${mark({ colour: ACCENT, marker: "D" })
    }this run</span> <span>${mark({ colour: INK, marker: "o" })}<span class="kin"></span></span><span>${
    mark({ colour: "#848F99", marker: "o" })}the others</span></figcaption><svg class="strip" role="img"></svg></figure>
</div></div>`;
}

export default widget(mount, ["data", "chosen"]);
