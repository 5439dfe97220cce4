"use strict";
// Everything that a scenario or a cluster says comes in as text and goes out as text: no markup is ever built.
const { cells, excerpts } = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);

function make(tag, text, name) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
}

// -- Filters -----------------------------------------------------------------------------------------------
const chips = [...document.querySelectorAll(".chip")];
const text = $("text"), tag = $("tag"), fold = $("fold"), left = $("left");
const sections = [...document.querySelectorAll(".scenario")].map(section => ({
  section,
  details: section.querySelector("details"),
  words: section.dataset.name.toLowerCase(),
  tags: section.dataset.tags ? section.dataset.tags.split("\n") : [],
  buttons: [...section.querySelectorAll("button[data-cell]")],
}));
const haystacks = cells.map(cell => `${cell.cell} ${cell.head}`.toLowerCase());
let shown = sections.flatMap(item => item.buttons);

function filter() {
  const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = new Set(chips.filter(chip => chip.getAttribute("aria-pressed") === "true").map(chip => chip.dataset.status));
  const topic = tag ? tag.value : "";
  const loose = !words.length && !wanted.size;
  let scenarios = 0;
  shown = [];
  for (const { section, words: name, tags, buttons } of sections) {
    const open = words.filter(word => !name.includes(word));
    let hits = 0;
    if (!topic || tags.includes(topic)) {
      for (const button of buttons) {
        const number = button.dataset.cell;
        const hit = (!wanted.size || wanted.has(cells[number].status)) && open.every(word => haystacks[number].includes(word));
        if (hit === button.classList.contains("faded")) button.classList.toggle("faded", !hit);
        if (hit) { hits++; shown.push(button); }
      }
      if (!buttons.length && !wanted.size && !open.length) hits++;
    }
    section.hidden = !hits;
    if (hits) scenarios++;
  }
  const active = !loose || topic;
  left.textContent = active
    ? `${count(shown.length)} of ${count(cells.length)} cells, ${count(scenarios)} of ${count(sections.length)} scenarios` : "";
  $("none").hidden = scenarios > 0 || !sections.length;
}
const count = number => number.toLocaleString("en");

for (const chip of chips) chip.addEventListener("click", () => {
  chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
  filter();
});
text.addEventListener("input", filter);
if (tag) tag.addEventListener("change", filter);
$("reset").addEventListener("click", () => {
  text.value = "";
  if (tag) tag.value = "";
  for (const chip of chips) chip.setAttribute("aria-pressed", "false");
  filter();
  text.focus();
});
fold.addEventListener("click", () => {
  const open = fold.getAttribute("aria-expanded") !== "true";
  for (const { details } of sections) details.open = open;
  fold.setAttribute("aria-expanded", String(open));
  fold.textContent = open ? "Collapse all" : "Expand all";
});
document.addEventListener("keydown", event => {
  if (event.key === "/" && !event.ctrlKey && !event.metaKey && !dialog.open && !/^(INPUT|SELECT)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    text.focus();
  }
});

// -- Matrices: one stop of the tab key each, arrows inside ----------------------------------------------------
for (const table of document.querySelectorAll("table")) {
  const first = table.querySelector("button.failed, button.error") || table.querySelector("button[data-cell]");
  if (first) first.tabIndex = 0;
}
const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

function move(button, key, far) {
  const row = button.closest("tr"), column = button.closest("td").cellIndex;
  const rows = [...row.parentElement.rows];
  const at = (line, place) => line && line.cells[place] && line.cells[place].querySelector("button");
  if (key === "Home" || key === "End") {
    const all = [...(far ? row.parentElement : row).querySelectorAll("button")];
    return all.at(key === "Home" ? 0 : -1);
  }
  const [down, right] = steps[key];
  let line = rows.indexOf(row), place = column;
  while (true) {
    line += down;
    place += right;
    if (line < 0 || line >= rows.length || place < 1 || place >= row.cells.length) return null;
    const next = at(rows[line], place);
    if (next) return next;
  }
}

function focus(button) {
  const table = button.closest("table");
  for (const other of table.querySelectorAll('button[tabindex="0"]')) other.tabIndex = -1;
  button.tabIndex = 0;
  button.focus({ preventScroll: true });
  reveal(button);
}

// Sticky names must not lie over what has the focus.
function reveal(button) {
  const scroll = button.closest(".scroll");
  const box = button.getBoundingClientRect(), around = scroll.getBoundingClientRect();
  const names = button.closest("tr").cells[0].getBoundingClientRect().width;
  const head = button.closest("table").tHead.getBoundingClientRect().height;
  if (box.left < around.left + names) scroll.scrollLeft -= around.left + names - box.left;
  if (box.right > around.left + scroll.clientWidth) scroll.scrollLeft += box.right - around.left - scroll.clientWidth;
  if (box.top < around.top + head) scroll.scrollTop -= around.top + head - box.top;
  if (box.bottom > around.top + scroll.clientHeight) scroll.scrollTop += box.bottom - around.top - scroll.clientHeight;
  const now = button.getBoundingClientRect(), bar = document.querySelector(".filters").getBoundingClientRect().bottom;
  if (now.top < bar || now.bottom > innerHeight) button.scrollIntoView({ block: "center" });
}

const main = $("results");
// The name of a band moves along, beside the names of the rows.
main.addEventListener("scroll", event => {
  const corner = event.target.querySelector("th.corner");
  if (corner) event.target.style.setProperty("--names", `${corner.offsetWidth}px`);
}, { capture: true, passive: true });
main.addEventListener("keydown", event => {
  const button = event.target.closest("button[data-cell]");
  if (!button || !(event.key in steps || event.key === "Home" || event.key === "End")) return;
  event.preventDefault();
  const next = move(button, event.key, event.ctrlKey);
  if (next) focus(next);
});
main.addEventListener("click", event => {
  const button = event.target.closest("button[data-cell]");
  if (button) show(button);
});

// -- One cell ------------------------------------------------------------------------------------------------
const dialog = $("cell");
let current = null;

function show(button) {
  const cell = cells[button.dataset.cell];
  current = button;
  $("cell-where").textContent = cell.id.slice(0, cell.id.length - cell.cell.length).replace(/::$/, "").replaceAll("::", " › ");
  $("cell-id").replaceChildren(...breakable(cell.cell));
  $("cell-status").textContent = cell.status === "xfailed" ? "known to deviate" : cell.status;
  $("cell-status").className = `badge ${cell.status}`;
  $("cell-head").textContent = cell.head;
  $("cell-body").replaceChildren(...parts(cell));
  $("cell-body").scrollTop = 0;
  const place = shown.indexOf(button);
  $("before").disabled = place === 0 || !shown.length;
  $("after").disabled = place === shown.length - 1 || !shown.length;
  if (!dialog.open) dialog.showModal();
  history.replaceState(null, "", `#${encodeURIComponent(cell.id)}`);
}

// A long id may break after its separators; no character is added that would be copied.
function breakable(id) {
  return id.split(/(?<=->|\/|:)/).flatMap((part, number) => number ? [make("wbr"), part] : [part]);
}

function* parts(cell) {
  const answers = cell.rows.filter(([label]) => /^(expected|predicted|observed)$/.test(label));
  const verdicts = Object.fromEntries(answers.map(([label, value]) => [label, value.split(",")[0]]));
  if (answers.length) {
    const list = make("dl", undefined, "answers");
    for (const [label] of answers) {
      const box = make("div", undefined, label === cell.odd ? "odd" : "");
      box.append(make("dt", label), make("dd", verdicts[label]));
      list.append(box);
    }
    yield list;
  }
  const finding = cell.rows.find(([label]) => label === "finding");
  if (finding) yield make("p", finding[1], "finding");
  const rows = make("dl", undefined, "rows");
  const evidence = [];
  for (const [label, value] of cell.rows) {
    if (label === "evidence") evidence.push(value);
    else if (label === "predicted" && value !== verdicts.predicted) rows.append(make("dt", "on paper"), make("dd", value));
    else if (!(label in verdicts) && label !== "finding") rows.append(make("dt", label), make("dd", value));
  }
  rows.append(make("dt", "place"), make("dd", cell.place));
  yield rows;
  if (evidence.length) {
    yield make("h3", "Evidence");
    yield make("pre", evidence.join("\n"), "code");
  }
  for (const [number, title, marked] of cell.quotes || []) {
    yield make("h3", title);
    yield quote(excerpts[number], new Set(marked));
  }
  if (cell.rerun) {
    yield make("h3", "Run this cell again");
    yield command(cell.rerun);
  }
}

function command(line) {
  const box = make("div", undefined, "command"), copy = make("button", "Copy", "plain");
  copy.type = "button";
  box.append(make("pre", line, "code"));
  if (navigator.clipboard) box.append(copy);
  copy.addEventListener("click", () => navigator.clipboard.writeText(line).then(
    () => { copy.textContent = "Copied"; }, () => { copy.textContent = "Select it"; }));
  return box;
}

function quote(excerpt, marked) {
  const list = make("ol"), box = make("div", undefined, "quote");
  let before = 0;
  for (const [first, lines] of excerpt.parts) {
    if (before && first > before) {
      const gap = make("li", undefined, "gap");
      gap.append(make("span", "⋮"));
      list.append(gap);
    }
    lines.forEach((line, number) => {
      const item = make("li", undefined, marked.has(first + number) ? "marked" : "");
      item.append(make("span", first + number), ...yaml(line));
      if (item.className) item.setAttribute("aria-current", "true");
      list.append(item);
    });
    before = first + lines.length;
  }
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Policy");
  box.append(list);
  return box;
}

function yaml(line) {
  const comment = /^(\s*)(#.*)$/.exec(line);
  if (comment) return [comment[1], make("span", comment[2], "comment")];
  const pair = /^([\s-]*)([^\s:#{[][^:#{[]*)(:(?:\s.*)?)$/.exec(line);
  return pair ? [pair[1], make("span", pair[2], "key"), pair[3]] : [line];
}

function walk(by) {
  const next = shown[shown.indexOf(current) + by];
  if (next) show(next);
}
$("before").addEventListener("click", () => walk(-1));
$("after").addEventListener("click", () => walk(1));
$("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("keydown", event => {
  if (event.target.closest(".quote")) return;
  if (event.key === "ArrowLeft") walk(-1);
  else if (event.key === "ArrowRight") walk(1);
});
dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => {
  history.replaceState(null, "", location.pathname + location.search);
  if (current) { current.closest("details").open = true; focus(current); }
});

// A link to one cell: its id after the #.
function follow() {
  let id = "";
  try { id = decodeURIComponent(location.hash.slice(1)); } catch { return; }
  const number = id ? cells.findIndex(cell => cell.id === id) : -1;
  const button = number < 0 ? null : document.querySelector(`button[data-cell="${number}"]`);
  if (button) { button.closest("details").open = true; show(button); }
}
addEventListener("hashchange", follow);
filter();
follow();
