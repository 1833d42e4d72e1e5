
// The lab of one photo. It needs a kernel, where the network lies: the photo goes there and the picture of the answer
// comes back as messages. Neither is a trait, for what is a trait may be saved with the notebook. With lab.js in front.

const MOST = 8_000_000; // bytes of a file: Jupyter's server cuts a connection that sends a message of 10 MiB
const SLIDERS = [
  ["across", "square: left to right", 0, 100, (v) => `${v} %`],
  ["down", "square: top to bottom", 0, 100, (v) => `${v} %`],
  ["side", "size of the square", 10, 100, (v) => `${v} % of the shorter edge`],
  ["light", "brightness", 10, 300, (v) => `${v} %`],
];
const KEPT = "The photo stays in the memory of the kernel: it is written to no file and not into this notebook.";

const STYLE = `${LOOK}
.bar { display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: center; margin-bottom: 12px; }
.button, button { display: inline-flex; align-items: center; font: inherit; font-weight: 600; color: ${INK};
  background: #fff; border: 1px solid #8A96A1; border-radius: 6px; min-height: 36px; padding: 4px 12px;
  cursor: pointer; position: relative; }
.button:hover, button:hover { background: #EEF1F4; }
.button:focus-within { outline: 3px solid #0072B2; outline-offset: 2px; }
button:disabled { color: #5F6B76; cursor: default; background: #F4F6F8; }
.tick { display: inline-flex; align-items: center; gap: 6px; min-height: 28px; cursor: pointer; }
label.slider > span { flex-wrap: wrap; }
.refusal { margin: 0 0 10px; padding: 8px 12px; border-left: 4px solid ${ACCENT}; background: #FDF1E7; }
.refusal:empty { display: none; }
img { display: block; width: 100%; max-width: 560px; height: auto; min-height: 120px; }
.summary { margin: 10px 0 0; min-height: 60px; }
.kept { margin: 0; color: ${PALE_INK}; font-size: 12.5px; }
@container (min-width: 640px) { .controls { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
@media print { .bar { display: none; } }
`;
const BODY = `<style>${STYLE}</style><div class="lab" role="group" aria-label="Lab of one photo">
<div class="bar"><label class="button">Choose a photo …<input class="spoken" type="file"
  accept=".png,.jpg,.jpeg,.jfif,.bmp,.webp,.gif" aria-describedby="kept"></label>
  <button type="button" class="forget" disabled>Forget the photo</button><span class="whose"></span></div>
<p class="refusal" role="alert"></p>
<div class="controls">${SLIDERS.map(([name, words, min, max]) => `<label class="slider"><span><span>${words}</span>
  <b data-of="${name}" aria-hidden="true"></b></span><input type="range" data-name="${name}" min="${min}" max="${max}"
  step="1"></label>`).join("")}
  <label class="tick"><input type="checkbox" data-name="mirror"> mirror image</label></div>
<figure><img alt="The answer of the network is not there yet."></figure>
<p class="summary">Waiting for the kernel. Without one, this lab cannot answer.</p>
<p class="kept" id="kept">${KEPT}</p><p class="spoken said" aria-live="polite"></p></div>`;

/** Put the lab into the element `el`; `model` is anywidget's. Returns what takes it away again. */
export function mount(el, model) {
  const root = el.shadowRoot ?? el.attachShadow({ mode: "open" }), $ = (what) => root.querySelector(what);
  root.innerHTML = BODY;
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take the arrow keys for itself
  const spoken = voice($(".said")), names = [...SLIDERS.map(([name]) => name), "mirror"];
  let shown = "";

  function follow() {
    for (const [name, , , , told] of SLIDERS) {
      const value = Math.round(model.get(name)), input = $(`[data-name=${name}]`);
      input.value = value;
      input.setAttribute("aria-valuetext", told(value));
      $(`[data-of=${name}]`).textContent = told(value);
    }
    $("[data-name=mirror]").checked = model.get("mirror");
  }

  function refuse(words) {
    $(".refusal").textContent = words;
  }

  function hear(message, buffers = []) {
    if (message.kind === "refused") return refuse(message.words);
    if (message.kind !== "answer") return;
    const before = shown;
    shown = URL.createObjectURL(new Blob([buffers[0]], { type: "image/png" }));
    $("img").src = shown;
    $("img").alt = message.words;
    URL.revokeObjectURL(before);
    $(".summary").textContent = message.words;
    $(".whose").textContent = message.drawn ? "Shown is a drawn face." : "Shown is your photo.";
    $(".forget").disabled = message.drawn;
    spoken.say(message.words);
  }

  root.addEventListener("input", ({ target }) => {
    if (!target.dataset.name) return;
    model.set(target.dataset.name, target.type === "checkbox" ? target.checked : +target.value);
    model.save_changes();
    follow();
  });
  $("[type=file]").onchange = async ({ target }) => {
    const file = target.files[0];
    if (!file) return;
    refuse("");
    if (file.size > MOST) {
      refuse(`${file.name} has ${(file.size / 1e6).toFixed(1)} million bytes, and ${MOST / 1e6} million are the most; ` +
        "save it smaller.");
    } else {
      model.send({ kind: "photo", name: file.name }, undefined, [await file.arrayBuffer()]);
    }
    target.value = ""; // the same file may be chosen again
  };
  $(".forget").onclick = () => {
    refuse("");
    model.send({ kind: "forget" });
  };
  names.forEach((name) => model.on(`change:${name}`, follow));
  model.on("msg:custom", hear);
  follow();
  model.send({ kind: "ready" });
  return () => {
    names.forEach((name) => model.off(`change:${name}`, follow));
    model.off("msg:custom", hear);
    spoken.hush();
    URL.revokeObjectURL(shown);
  };
}

export default { render: ({ model, el }) => mount(el, model) };
