// The lab of features in the plane: a click on a point, or the slider, chooses a face; it is shown with its nearest
// neighbours and every network's answers. With lab.js in front it is one module without dependencies: anywidget loads
// it, a web page calls mount(). widget.py packs the data that it reads here.

const STYLE = `${LOOK}
.controls { grid-template-columns: 1fr; }
.segments { display: flex; flex-wrap: wrap; gap: 4px; }
.segments label { position: relative; cursor: pointer; }
.segments input { position: absolute; inset: 0; margin: 0; opacity: 0; cursor: pointer; }
.segments span { display: block; min-height: 30px; padding: 4px 11px; border: 1px solid #6B7883; border-radius: 6px; }
.segments :checked + span { background: ${INK}; color: #fff; font-weight: 600; }
.segments :focus-visible + span { outline: 3px solid #0072B2; outline-offset: 2px; }
.summary { margin: 0 0 10px; min-height: 5.6em; }
.plane { cursor: pointer; touch-action: manipulation; }
.legend span { display: inline-block; margin-right: 12px; white-space: nowrap; font-size: 13px; }
.face { display: block; aspect-ratio: 1; width: 100%; image-rendering: pixelated; background-color: #E9EDF0; }
.who { display: flex; gap: 14px; align-items: flex-start; margin-bottom: 10px; }
.who > .face { flex: 0 0 96px; width: 96px; }
table { border-collapse: collapse; flex: 1; min-width: 0; font-size: 13px; line-height: 1.25; }
th { font-weight: 400; text-align: left; padding: 1px 6px 1px 0; }
thead th + th { text-align: right; padding-right: 3px; }
td { text-align: right; padding: 1px 3px; width: 34%; border-left: 5px solid #fff; }
.truth th, .most { font-weight: 700; }
.near { display: grid; grid-template-columns: repeat(5, minmax(0, 1fr)); gap: 6px; }
.near button { font: inherit; font-size: 12px; line-height: 1.25; color: ${INK}; background: none; border: 0; padding: 0;
  cursor: pointer; text-align: center; overflow-wrap: anywhere; }
.near i { font-style: normal; color: ${PALE_INK}; }
@container (min-width: 640px) { .pictures { grid-template-columns: 1.1fr 1fr; } .summary { min-height: 2.8em; } }
`;

/** Put the lab into the element `el`, in place of what is there. `data`: the text that widget.py packs; `faces`: the
 *  address of the sheet with all faces; `chosen` and `network`: what to begin with; `changed({ chosen, network })` is
 *  called when the reader chooses another. Returns { set({ chosen, network, faces }), destroy() }. */
export function mount(el, { data, faces = "", chosen = 0, network = 0 }, changed = () => {}) {
  const root = el.shadowRoot ?? el.attachShadow({ mode: "open" }), $ = (what) => root.querySelector(what);
  const { classes, labels, across, networks } = JSON.parse(data), down = Math.ceil(labels.length / across);
  root.innerHTML = body(classes, networks, labels.length);
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take the arrow keys for itself
  const spoken = voice($(".spoken")), nameOf = (face) => classes[labels[face]].name;
  let side = 300;

  const at = (v) => tenth(mix(10, side - 10, (v + 1) / 2));
  const place = (face) => networks[network].points[face].map((v, k) => at(k ? -v : v));

  function frame() {
    side = Math.min(Math.max($(".plane").clientWidth, 60), 460);
    sheet($(".plane"), side, side, `<rect x=".5" y=".5" width="${side - 1}" height="${side - 1}" fill="none"
      stroke="#B8C1C9"/><path class="ties" fill="none" stroke="${INK}" stroke-width="1.3"/>${classes.map(({ colour }) =>
      `<path class="points" fill="${colour}" fill-opacity=".85" stroke="${deep(colour)}" stroke-width=".8"/>`).join("")
    }<path class="ring" fill="none" stroke="${ACCENT}" stroke-width="3"/>`);
  }

  function draw() {
    const { name, near, away } = networks[network], paths = classes.map(() => "");
    labels.forEach((label, face) => { paths[label] += OUTLINE[classes[label].marker](...place(face), 4); });
    root.querySelectorAll(".points").forEach((path, k) => path.setAttribute("d", paths[k]));
    const here = place(chosen);
    $(".ties").setAttribute("d", near[chosen].map((face) => `M${here.join(" ")}L${place(face).join(" ")}`).join(""));
    $(".ring").setAttribute("d", OUTLINE.o(...here, 10));
    $(`[value="${network}"]`).checked = true;
    show($(".who .face"), chosen, `The chosen face, labelled ${nameOf(chosen)}`);
    root.querySelectorAll("tbody tr").forEach((row, k) => {
      row.classList.toggle("truth", k === labels[chosen]);
      [...row.cells].slice(1).forEach((cell, n) => {
        const answers = networks[n].answers[chosen], share = answers[k];
        cell.textContent = `${share}\u00a0%`;
        cell.classList.toggle("most", share === Math.max(...answers));
        cell.style.background = `linear-gradient(to left, #C9DFEF ${share}%, transparent ${share}%)`;
      });
    });
    root.querySelectorAll(".near button").forEach((button, k) => {
      const face = near[chosen][k], far = away[chosen][k].toPrecision(3);
      show(button.firstElementChild, face, "");
      button.lastElementChild.innerHTML = `${nameOf(face)} <i>${far}</i>`;
      button.setAttribute("aria-label", `Neighbour ${k + 1}: ${nameOf(face)}, ${far} away. Go there`);
    });
    const counts = new Map();
    near[chosen].forEach((face) => counts.set(nameOf(face), (counts.get(nameOf(face)) ?? 0) + 1));
    const said = networks.map((it) => [it.name, Math.max(...it.answers[chosen]), it.answers[chosen]])
      .map(([who, most, answers]) => `${who}: ${classes[answers.indexOf(most)].name}, ${most} %`).join("; ");
    const words = `Face ${chosen + 1} of ${labels.length}, labelled ${nameOf(chosen)}. ${said}. The nearest five to ` +
      `${name}: ${[...counts].map(([emotion, count]) => `${count} ${emotion}`).join(", ")}.`;
    $(".summary").textContent = words.replaceAll(" %", "\u00a0%");
    $("[type=range]").value = chosen;
    $("[type=range]").setAttribute("aria-valuetext", `face ${chosen + 1}, ${nameOf(chosen)}`);
    $(".which").textContent = `${chosen + 1}, ${nameOf(chosen)}`;
    spoken.say(words);
  }

  function show(it, face, words) {
    const [column, row] = [face % across, Math.floor(face / across)];
    it.style.backgroundImage = faces && `url("${faces}")`;
    it.style.backgroundSize = `${100 * across}% ${100 * down}%`;
    it.style.backgroundPosition = `${(100 * column) / (across - 1)}% ${(100 * row) / Math.max(down - 1, 1)}%`;
    if (words) it.setAttribute("aria-label", words);
  }

  function choose(next) {
    ({ chosen, network } = { chosen, network, ...next });
    draw();
    changed({ chosen, network });
  }

  root.addEventListener("input", ({ target }) => choose({ [target.type === "range" ? "chosen" : "network"]:
    +target.value }));
  $(".plane").addEventListener("click", ({ offsetX, offsetY }) => {
    const far = labels.map((_, face) => Math.hypot(place(face)[0] - offsetX, place(face)[1] - offsetY));
    choose({ chosen: far.indexOf(Math.min(...far)) });
  });
  root.querySelectorAll(".near button").forEach((button, k) => {
    button.onclick = () => choose({ chosen: networks[network].near[chosen][k] });
  });
  frame();
  draw();
  const watch = new ResizeObserver(() => { frame(); draw(); });
  watch.observe($(".pictures"));
  return {
    set(values) { // what Python chose; what it only hands back is shown already
      const next = { chosen, network, faces, ...values };
      if (next.chosen === chosen && next.network === network && next.faces === faces) return;
      ({ chosen, network, faces } = next);
      draw();
    },
    destroy() { watch.disconnect(); spoken.hush(); },
  };
}

function body(classes, networks, number) {
  return `<style>${STYLE}</style><div class="lab" role="group" aria-label="Lab of features in the plane">
<div class="controls"><fieldset><legend><b>features of</b></legend><div class="segments">${networks.map(({ name }, n) =>
    `<label><input type="radio" name="network" value="${n}"><span>${name}</span></label>`).join("")}</div></fieldset>
  <label class="slider"><span><b>face</b><b class="which" aria-hidden="true"></b></span><input type="range" data-name="face"
    min="0" max="${number - 1}" step="1" aria-label="face"></label></div>
<p class="summary"></p><p class="spoken" aria-live="polite"></p>
<div class="pictures">
  <figure><figcaption><b>Click on a point</b><span>lines: to its nearest five</span></figcaption>
    <svg class="plane" role="img" aria-label="The faces' features in the plane of two principal components, a marker and
    a colour for each emotion. The slider chooses the same points."></svg>
    <div class="legend">${classes.map((it) => `<span>${mark(it)}${it.name}</span>`).join("")}</div></figure>
  <figure><div class="who"><span class="face" role="img"></span><table aria-label="Answers in percent"><thead><tr><th
    scope="col">answer</th>${networks.map(({ name }) => `<th scope="col">${name}</th>`).join("")}</tr></thead><tbody>${
    classes.map(({ name }) => `<tr><th scope="row">${name}</th>${networks.map(() => "<td></td>").join("")}</tr>`)
      .join("")}</tbody></table></div>
    <figcaption><b>Its nearest, in all dimensions</b><span>label, distance</span></figcaption>
    <div class="near">${[1, 2, 3, 4, 5].map((k) => `<button type="button" data-name="near${k}"><span class="face"></span>
      <span></span></button>`).join("")}</div></figure>
</div></div>`;
}

export default {
  render({ model, el }) {
    let lab, address = "";
    const hear = (message, [sheet]) => { // the faces are no trait: what is one may be saved with the notebook
      const before = address;
      address = URL.createObjectURL(new Blob([sheet], { type: "image/png" }));
      lab.set({ faces: address });
      URL.revokeObjectURL(before);
    };
    const end = widget((...given) => (lab = mount(...given)), ["data", "chosen", "network"]).render({ model, el });
    model.on("msg:custom", hear);
    model.send({ kind: "ready" });
    return () => { model.off("msg:custom", hear); URL.revokeObjectURL(address); end(); };
  },
};
