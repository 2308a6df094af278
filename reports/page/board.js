// The leaderboard: one set of comparable records at a time, sorted within its sections, never across them.

const SECTIONS = ["models", "variants", "controls", "floors", "not ranked"];
const view = { set: 0, words: [], hidden: new Set(), by: null, falling: true };

const current = () => DATA.sets[view.set];
const isShown = (row) => {
  const text = `${row.title} ${row.encoder} ${row.fuser} ${row.section}`.toLowerCase();
  return !view.hidden.has(row.section) && view.words.every((word) => text.includes(word));
};
// Rows of the current set that the filter leaves, with their numbers.
const shownRows = () =>
  current()
    .rows.map((row, index) => ({ row, index }))
    .filter(({ row }) => isShown(row));

function sortKey(row, by) {
  if (by === "title") return named(row).toLowerCase();
  if (by.startsWith("a")) return row.aggregates[Number(by.slice(1))];
  return row.cells[Number(by)]?.value ?? null;
}

function ordered(indices, rows) {
  if (view.by === null) return indices.sort((a, b) => a - b);
  const sign = view.falling ? -1 : 1;
  return indices.sort((a, b) => {
    const [x, y] = [sortKey(rows[a], view.by), sortKey(rows[b], view.by)];
    if (x === null || y === null) return (x === null) - (y === null) || a - b;
    return sign * (typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : x - y) || a - b;
  });
}

function arrange() {
  const { rows } = current();
  const table = byId(`set-${view.set}`).querySelector("table");
  for (const body of table.tBodies) {
    const found = new Map([...body.querySelectorAll("tr[data-row]")].map((line) => [Number(line.dataset.row), line]));
    const order = ordered([...found.keys()], rows);
    order.forEach((index) => (found.get(index).hidden = !isShown(rows[index])));
    body.append(...order.map((index) => found.get(index)));
    body.hidden = order.every((index) => found.get(index).hidden);
  }
  for (const head of table.tHead.rows[0].cells) {
    const by = head.firstElementChild.dataset.by;
    const state = by !== view.by ? "none" : view.falling ? "descending" : "ascending";
    head.setAttribute("aria-sort", state);
  }
  byId("count").textContent = `${shownRows().length} of ${rows.length} row${rows.length === 1 ? "" : "s"}`;
}

// First click: best first (names: A first); second: turned round; third: the table's own order.
function sortBy(by, better) {
  const first = by !== "title" && better !== "less";
  if (view.by !== by) [view.by, view.falling] = [by, first];
  else if (view.falling === first) view.falling = !first;
  else [view.by, view.falling] = [null, true];
  arrange();
}

function sectionBoxes() {
  const present = SECTIONS.filter((name) => current().rows.some((row) => row.section === name));
  const boxes = present.map((name) => {
    const box = el("input", { type: "checkbox", checked: !view.hidden.has(name) });
    box.addEventListener("change", () => {
      if (box.checked) view.hidden.delete(name);
      else view.hidden.add(name);
      refresh();
    });
    return el("label", { class: "check" }, box, name);
  });
  byId("sections").replaceChildren(byId("sections").querySelector("legend"), ...boxes);
  byId("sections").hidden = present.length < 2;
}

function chooseSet(number) {
  [view.set, view.by, view.falling] = [number, null, true];
  byId("set").value = String(number);
  for (const section of document.querySelectorAll(".set")) section.hidden = section.id !== `set-${number}`;
  for (const part of document.querySelectorAll(".of-set")) part.hidden = part.dataset.set !== String(number);
  for (const id of ["published", "pictures"]) byId(id).hidden = !byId(id).querySelector(".of-set:not([hidden]), .of-all");
  sectionBoxes();
  chooseCosts();
  chooseClasses();
  refresh();
}

function refresh() {
  arrange();
  drawBars();
  drawCost();
  drawClasses();
  drawFractions();
  markEdges();
}
