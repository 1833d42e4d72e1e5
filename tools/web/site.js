// The search, live figures, and boxes that scroll. The rest of the site needs no JavaScript.

const up = document.body.dataset.up, find = (selector) => document.querySelector(selector);

/** Run a script of assets/, once. A page that is opened from a disk could not fetch it. */
const loaded = {};
const load = (name) => (loaded[name] ||= new Promise((done, fail) => {
  const script = document.createElement("script");
  Object.assign(script, { src: `${up}assets/${name}`, onload: done, onerror: fail });
  document.head.append(script);
}));

// ---------------------------------------------------------------------------------------------------- the search

const words = find("#words"), found = find("#found"), status = find("search [role=status]");
/** Small letters, Hangul as whole syllables, both spellings of centre, one kind of hyphen. */
const fold = (text) => text.normalize("NFC").toLowerCase().replaceAll("center", "centre").replace(/[‐‑–−]/g, "-");
const escaped = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
let sections;

/** The best sections that hold all terms: headings count most, then the words side by side. */
function search(terms, phrase) {
  sections ||= searchIndex.sections.map(([page, anchor, heading, text]) => {
    const [place, title] = searchIndex.pages[page];
    return { place, title, anchor, heading, text, folded: fold(text), head: fold(heading), about: fold(title) };
  });
  const scored = sections.map((section) => {
    const { head, about, folded } = section;
    if (!terms.every((term) => head.includes(term) || about.includes(term) || folded.includes(term))) return [0];
    const score = terms.reduce((sum, term) => sum + 8 * head.includes(term) + 2 * about.includes(term) +
      Math.min(folded.split(term).length - 1, 5), 0);
    return [score + 10 * head.includes(phrase) + 6 * folded.includes(phrase), section];
  });
  return scored.filter(([score]) => score).sort((a, b) => b[0] - a[0]).map(([, section]) => section);
}

/** The words around the phrase, or else around a term, with the terms marked. Folding keeps the length of a text. */
function snippet(text, folded, terms, phrase) {
  const at = Math.max(folded.indexOf(phrase), 0) || Math.max(0, ...terms.map((term) => folded.indexOf(term)));
  const start = Math.max(0, at - 60);
  const part = `${start ? "…" : ""}${text.slice(start, start + 170)}${text.length > start + 170 ? "…" : ""}`;
  const sought = terms.map((term) => term.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll("centre", "cent(?:re|er)"));
  return part.split(new RegExp(`(${sought.map((term) => term.replaceAll("-", "[-‐‑–−]")).join("|")})`, "i"))
    .map((piece, k) => k % 2 ? `<mark>${escaped(piece)}</mark>` : escaped(piece)).join("");
}

async function show() {
  const phrase = fold(words.value).trim(), terms = phrase.split(/\s+/).filter(Boolean);
  await load("search-index.js");
  if (phrase !== fold(words.value).trim()) return; // typed on meanwhile
  const hits = phrase.length > 1 || /[^\x00-\x7f]/.test(phrase) ? search(terms, phrase) : [];
  found.hidden = !hits.length;
  found.innerHTML = hits.slice(0, 20).map(({ place, title, anchor, heading, text, folded }) => `<li>
    <a href="${up}${place}${anchor && `#${anchor}`}"><strong>${escaped(heading)}</strong>
    <small>${escaped(title)}</small> ${snippet(text, folded, terms, phrase)}</a></li>`).join("");
  status.textContent = !phrase ? "" : hits.length > 20 ? `${hits.length} sections found, the best 20 are shown.`
    : hits.length === 1 ? "1 section found." : `${hits.length || "No"} sections found.`;
}

function close() {
  found.hidden = true;
  status.textContent = "";
}

find("search").hidden = false;
words.addEventListener("focus", () => load("search-index.js"), { once: true });
words.addEventListener("input", show);
find("search").addEventListener("keydown", (event) => {
  const links = [words, ...found.querySelectorAll("a")], here = links.indexOf(document.activeElement);
  const to = { ArrowDown: here + 1, ArrowUp: here - 1 }[event.key];
  if (event.key === "Escape") { close(); words.focus(); }
  else if (event.key === "Enter" && here === 0) links[1]?.click();
  else if (links[to]) links[to].focus();
  else return;
  event.preventDefault();
});
found.addEventListener("click", (event) => event.target.closest("a") && close());
document.addEventListener("click", (event) => event.target.closest("search") || close());
document.addEventListener("keydown", (event) => {
  const typing = event.composedPath()[0].closest?.("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) { event.preventDefault(); words.focus(); }
});

// ---------------------------------------------------------------------------------------------------- the page

const contents = find(".contents");
if (contents && matchMedia("(min-width: 76rem)").matches) contents.open = true;
find("#menu").addEventListener("click", (event) => event.target.closest("a") && find("#menu:popover-open")?.hidePopover());

/** Who has no mouse scrolls a box with the arrow keys, and so must be able to reach it. */
function reachable() {
  for (const box of document.querySelectorAll("pre, .scroll")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}
reachable();
addEventListener("resize", reachable);

/** Plotly is heavy, and its figures catch the scrolling finger: they come alive when they are asked to. */
for (const box of document.querySelectorAll(".live-figure")) {
  const button = document.createElement("button");
  button.textContent = "Make this figure live (4.8 MB)";
  button.addEventListener("click", async () => {
    button.disabled = true;
    await load("plotly.min.js");
    const { data, layout } = JSON.parse(box.querySelector("script").textContent), place = document.createElement("div");
    place.className = "figure";
    box.append(place);
    await Plotly.newPlot(place, data, { ...layout, autosize: true }, { displaylogo: false, responsive: true });
    box.querySelector(".output_png").hidden = true;
    button.remove();
    place.tabIndex = -1;
    place.focus();
  });
  box.append(button);
}
