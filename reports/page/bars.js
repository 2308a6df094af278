// Scores by dataset: a panel each, bars from zero with their intervals, or points on an axis that leaves zero out.

const MOST_BARS = 24;

function drawBars() {
  const set = current();
  const rows = shownRows();
  const cells = rows.flatMap(({ row }) => row.cells.filter(Boolean));
  byId("bars").querySelector(".daggers").textContent = daggers(cells);
  const panels = set.columns.map((column, c) => panel(column, c, rows)).filter(Boolean);
  byId("bars")
    .querySelector(".panels")
    .replaceChildren(...panels);
}

function panel(column, c, rows) {
  const found = rows.filter(({ row }) => row.cells[c]);
  if (!found.length) return null;
  const competes = ({ row }) => isModel(row) && row.cells[c].ranked;
  found.sort((a, b) => competes(b) - competes(a) || b.row.cells[c].value - a.row.cells[c].value);
  const drawn = found.slice(0, MOST_BARS);
  const zoomed = byId("zoom").checked;
  const cells = drawn.map(({ row }) => row.cells[c]);
  const low = zoomed ? Math.min(...cells.map((cell) => Math.min(cell.low, cell.value))) : 0;
  const high = Math.max(...cells.map((cell) => Math.max(cell.high, cell.value)));
  const marks = ticks(100 * low, 100 * high || 1, 5);
  const x = (value) => (100 * (100 * value - marks[0])) / (marks.at(-1) - marks[0]);
  const lines = drawn.map(({ row, index }) => bar(row, index, c, x, marks, zoomed));
  lines[0].querySelector("button").tabIndex = 0;
  const more = found.length - drawn.length;
  return el(
    "figure",
    { class: "panel" },
    el("figcaption", {}, column.name, el("small", {}, `${column.metric}, %`)),
    el("ol", { onkeydown: alongBars }, lines),
    el("div", { class: "axis", "aria-hidden": "true" }, el("span"), axis(marks, x)),
    more ? el("small", {}, `${more} more rows: filter to see them`) : null,
  );
}

// Tab stops once a panel; arrows, Home and End go along its bars.
function alongBars(event) {
  const buttons = [...event.currentTarget.querySelectorAll("button")];
  const at = buttons.indexOf(event.target);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (!buttons[to]) return;
  event.preventDefault();
  buttons.forEach((button, i) => (button.tabIndex = i === to ? 0 : -1));
  buttons[to].focus();
}

function bar(row, index, c, x, marks, zoomed) {
  const cell = row.cells[c];
  const at = (value) => `${x(value).toFixed(2)}%`;
  const line = (y1, y2, x1, x2, name) => svg("line", { class: name, x1, x2, y1, y2 });
  const spread =
    cell.high > cell.low
      ? [
          line("50%", "50%", at(cell.low), at(cell.high), "whisker"),
          ...[cell.low, cell.high].map((end) => line("36%", "64%", at(end), at(end), "whisker")),
        ]
      : [];
  const value = zoomed
    ? svg("circle", { class: "dot", cx: at(cell.value), cy: "50%", r: 4.5 })
    : svg("rect", { class: "bar", x: 0, y: "20%", width: at(cell.value), height: "60%" });
  const grid = marks.map((mark) => line("0", "100%", at(mark / 100), at(mark / 100), "grid"));
  return el(
    "li",
    {
      class: isModel(row) && cell.ranked ? null : "rest",
      "data-row": index,
      "data-column": c,
      title: `${named(row)}: ${percent(cell.value)} ${interval(cell) && `[${interval(cell)}]`}`,
    },
    el(
      "button",
      { type: "button", class: "who", tabindex: -1, "aria-haspopup": "dialog", "aria-label": `${named(row)}, ${percent(cell.value)}` },
      el("span", {}, row.title),
      row.fuser ? el("b", {}, ` · ${row.fuser}`) : null,
    ),
    svg("svg", { "aria-hidden": "true" }, grid, zoomed ? [spread, value] : [value, spread]),
    el("span", { class: "figure" }, percent(cell.value), dagger(cell)),
  );
}

function axis(marks, x) {
  const texts = marks.map((mark) =>
    svg("text", { x: `${x(mark / 100)}%`, y: 11, "text-anchor": "middle" }, String(mark)),
  );
  return svg("svg", {}, texts);
}
