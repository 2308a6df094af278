// Label fractions: a panel a dataset, a line a row, its score with a part of the training labels; never ranked.

const MOST_LINES = 8;
const CHART = { width: 420, height: 230, left: 34, right: 14, top: 10, bottom: 40 };
const DASHES = 4;
const ORIGINS = { ours: "stratified draws of our own", "GEO-Bench": "GEO-Bench's one draw" };

// The number of an encoder among those of all sets, floors last, and of a fuser: its line looks the same in every set.
const ENCODERS = [
  ...new Set(
    DATA.sets
      .flatMap(({ rows }) => rows)
      .sort((a, b) => (a.section === "floors") - (b.section === "floors") || a.encoder.localeCompare(b.encoder, "en"))
      .map(({ encoder }) => encoder),
  ),
];
const FUSERS = [...new Set(DATA.sets.flatMap(({ rows }) => rows).map(({ fuser }) => fuser))].sort();

function lineLook(row) {
  const number = ENCODERS.indexOf(row.encoder);
  const dash = number + Math.floor(number / MOST_LINES) + FUSERS.indexOf(row.fuser);
  return `line k${number % MOST_LINES} d${dash % DASHES}`;
}

// Curves of the rows that the filter leaves: of the first of them, in the table's order.
function shownCurves() {
  const { curves, rows } = current();
  const found = curves.filter(({ row }) => isShown(rows[row]));
  const drawn = [...new Set(found.map(({ row }) => row))].sort((a, b) => a - b);
  return { found, drawn: drawn.slice(0, MOST_LINES), more: Math.max(0, drawn.length - MOST_LINES) };
}

function drawFractions() {
  const section = byId("fractions");
  const { curves, rows, columns } = current();
  section.hidden = !curves.length;
  if (section.hidden) return;
  const { found, drawn, more } = shownCurves();
  section.querySelector(".said").textContent = [
    "Mean over draws and seeds; bars are their deviation, none where there is but one; the last point has all of the",
    "training split.",
    "Whatever the fraction, nothing here is ranked.",
    more ? `${more} more row${more === 1 ? "" : "s"}: filter to see ${more === 1 ? "it" : "them"}.` : "",
  ].join(" ");
  const panels = new Map();
  for (const curve of found) {
    const name = `${curve.column}/${curve.origin}`;
    panels.set(name, [...(panels.get(name) ?? []), curve]);
  }
  const charts = [...panels.values()].map((own) => fractionPanel(own, drawn, columns[own[0].column]));
  section.querySelector(".panels").replaceChildren(...(charts.length ? charts : [said("No row to show.")]));
  section.querySelector(".key").replaceChildren(...drawn.map((row) => lineKey(rows[row], row)));
  byId("fraction-numbers").replaceChildren(fractionTable(found));
}

function fractionPanel(curves, drawn, column) {
  const { width, height, left, right, top, bottom } = CHART;
  const shownOnes = curves.filter(({ row }) => drawn.includes(row));
  const all = shownOnes.flatMap(({ points }) => points);
  const fractions = [...new Set(curves.flatMap(({ points }) => points.map(([fraction]) => fraction)))].sort(
    (a, b) => a - b,
  );
  const marks = all.length
    ? ticks(Math.min(...all.map(([, mean, std]) => 100 * (mean - std))), Math.max(...all.map(([, mean, std]) => 100 * (mean + std))), 5)
    : [0, 100];
  const start = Math.log(fractions[0]);
  const x = (fraction) => left + 16 + (1 - Math.log(fraction) / (start || -1)) * (width - left - right - 32);
  const y = (score) => height - bottom - ((100 * score - marks[0]) / (marks.at(-1) - marks[0])) * (height - top - bottom);
  const grid = [
    marks.map((mark) => [
      svg("line", { class: "grid", x1: left, x2: width - right, y1: y(mark / 100), y2: y(mark / 100) }),
      svg("text", { x: left - 6, y: y(mark / 100) + 4, "text-anchor": "end" }, String(mark)),
    ]),
    fractions.map((fraction) =>
      svg("text", { x: x(fraction), y: height - bottom + 16, "text-anchor": "middle" }, String(Number((100 * fraction).toPrecision(3)))),
    ),
    svg("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, "training labels, %"),
  ];
  const lines = shownOnes.map((curve) => fractionLine(curve, drawn.indexOf(curve.row), x, y));
  return el(
    "figure",
    { class: "panel" },
    el("figcaption", {}, column.name, el("small", {}, `${column.metric}, %; ${ORIGINS[curves[0].origin]}`)),
    svg("svg", { class: "curves", viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `${column.name} by label fraction` }, grid, lines),
  );
}

function fractionLine({ row, column, points }, k, x, y) {
  // Beside one another, so that no deviation hides another.
  const at = (fraction) => x(fraction) + 2 * (k - (MOST_LINES - 1) / 2);
  const place = points.map(([fraction, mean]) => `${at(fraction).toFixed(1)} ${y(mean).toFixed(1)}`);
  const name = named(current().rows[row]);
  return svg(
    "g",
    { class: lineLook(current().rows[row]), "data-row": row, "data-column": column },
    svg("path", { d: `M${place.join("L")}` }),
    points.map(([fraction, mean, std, draws]) => [
      std ? svg("line", { x1: at(fraction), x2: at(fraction), y1: y(mean - std), y2: y(mean + std) }) : null,
      svg("circle", {
        cx: at(fraction),
        cy: y(mean),
        r: 3.5,
        tabindex: 0,
        role: "button",
        "data-row": row,
        "data-column": column,
        "data-tip": `${name}\n${100 * fraction} %: ${percent(mean)}${draws > 1 ? ` ± ${percent(std)} over ${draws}` : ""}`,
        "aria-label": `${name}, ${100 * fraction} % of the labels: ${percent(mean)}`,
      }),
    ]),
  );
}

function lineKey(row, number) {
  const line = svg("g", { class: lineLook(row) }, svg("path", { d: "M-12 0H12" }), svg("circle", { r: 4 }));
  const drawn = svg("svg", { viewBox: "-12 -8 24 16", "aria-hidden": "true" }, line);
  return el("span", { "data-row": number }, drawn, named(row));
}

function fractionTable(curves) {
  const { rows, columns } = current();
  const fractions = [...new Set(curves.flatMap(({ points }) => points.map(([fraction]) => fraction)))].sort((a, b) => a - b);
  const heads = fractions.map((fraction) => [`${Number((100 * fraction).toPrecision(3))} %`, "number"]);
  const lines = curves.map(({ row, column, origin, points }) => {
    const at = new Map(points.map(([fraction, ...rest]) => [fraction, rest]));
    const say = ([mean, std, draws]) => (draws > 1 ? `${percent(mean)} ± ${percent(std)}` : percent(mean));
    const scores = fractions.map((fraction) => (at.has(fraction) ? say(at.get(fraction)) : "–"));
    return [named(rows[row]), columns[column].name, ORIGINS[origin], ...scores];
  });
  return plainTable([["Encoder", "name"], ["Dataset"], ["Drawn"], ...heads], lines);
}
