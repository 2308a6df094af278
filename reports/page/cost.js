// Score against cost, with the Pareto front of the ranked models: those that no other beats in both.

const COSTS = [
  { name: "images_per_second", title: "Images a second, frozen part", better: "more", ofRow: (one) => one.images_per_second },
  { name: "frozen_parameters", title: "Frozen parameters", better: "less", ofRow: (one) => one.frozen_parameters },
  { name: "trained_parameters", title: "Trained parameters", better: "less", ofRow: (one) => one.trained_parameters },
  { name: "flops_per_image", title: "Operations an image (FLOPs), frozen part", better: "less", ofRow: (one) => 1e9 * one.gflops },
];
const PLOT = { height: 430, left: 52, right: 24, top: 16, bottom: 52 };

function chooseCosts() {
  const { columns } = current();
  const all = columns.length > 1 ? [["all", `mean over the ${columns.length} datasets`]] : [];
  fill(byId("cost-score"), [...all, ...columns.map((column, c) => [String(c), `${column.name} (${column.metric})`])]);
  const known = COSTS.filter(({ name }) => current().rows.some((row) => row.cells.some((cell) => cell?.cost[name] > 0)));
  const kept = byId("cost-kind").value;
  fill(byId("cost-kind"), known.map(({ name, title }) => [name, title]), kept);
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// A row as a point; null where a score or cost of it is missing, so that no mean runs over fewer datasets.
function point({ row, index }, choice, kind) {
  const cells = choice === "all" ? row.cells : [row.cells[Number(choice)]];
  const cost = choice === "all" ? row.efficiency && kind.ofRow(row.efficiency) : cells[0]?.cost[kind.name];
  if (!cells.every(Boolean) || !Number.isFinite(cost) || (kind.better === "more" && !cost)) return null;
  const [one] = cells.length === 1 ? cells : [];
  const ranked = isModel(row) && cells.every((cell) => cell.ranked);
  return { row, index, cost, score: mean(cells.map((cell) => cell.value)), low: one?.low, high: one?.high, ranked };
}

// The points that no other equals or beats in both cost and score, cheapest first.
function front(points, better) {
  const sign = better === "less" ? 1 : -1;
  const sorted = points.filter((p) => p.ranked).sort((a, b) => sign * (a.cost - b.cost) || b.score - a.score);
  const found = [];
  for (const p of sorted) if (!found.length || p.score > found.at(-1).score) found.push(p);
  return found;
}

function drawCost() {
  const [choice, name] = [byId("cost-score").value, byId("cost-kind").value];
  const kind = COSTS.find((cost) => cost.name === name);
  const section = byId("cost");
  const rows = shownRows();
  const points = kind ? rows.map((one) => point(one, choice, kind)).filter(Boolean) : [];
  const devices = new Set(points.map((p) => p.row.efficiency?.device));
  const apart = kind?.better === "more" && devices.size > 1;
  const best = kind && !apart ? front(points, kind.better) : [];
  const left = rows.length - points.length;
  section.querySelector(".said").textContent = [
    kind?.better === "more" ? "Up and to the right is better." : "Up and to the left is better.",
    best.length ? "The line joins the ranked models that no other beats in both." : "",
    apart ? `Measured on ${devices.size} kinds of device, whose speeds don't compare: no front is drawn.` : "",
    best.length || apart ? "" : "No ranked model here, so no front is drawn.",
    left ? `${left} row${left === 1 ? " has" : "s have"} no such point (a score or cost is missing).` : "",
  ].filter(Boolean).join(" ");
  drawEfficiency(rows);
  const plot = section.querySelector(".plot");
  if (!points.length) return plot.replaceChildren(el("p", { class: "said" }, "Nothing to draw with this choice."));
  const label = choice === "all" ? "Mean score, %" : `${current().columns[Number(choice)].name}, ${current().columns[Number(choice)].metric}, %`;
  return plot.replaceChildren(scatter(points, best, kind, label, plot.clientWidth || 800), legend(points));
}

function scatter(points, best, kind, label, width) {
  const { height, left, right, top, bottom } = PLOT;
  const x = logScale(points.map((p) => p.cost), left + 14, width - right - 14);
  const marks = ticks(100 * Math.min(...points.map((p) => p.low ?? p.score)), 100 * Math.max(...points.map((p) => p.high ?? p.score)), 6);
  const y = (score) => height - bottom - ((100 * score - marks[0]) / (marks.at(-1) - marks[0] || 1)) * (height - top - bottom);
  const text = (at, attributes = {}) => svg("text", { ...at, ...attributes.a }, attributes.t);
  const grid = [
    marks.map((mark) => [
      svg("line", { class: "grid", x1: left, x2: width - right, y1: y(mark / 100), y2: y(mark / 100) }),
      text({ x: left - 8, y: y(mark / 100) + 4, "text-anchor": "end" }, { t: String(mark) }),
    ]),
    x.marks.map((mark) => [
      svg("line", { class: "grid", x1: x.at(mark), x2: x.at(mark), y1: top, y2: height - bottom }),
      text({ x: x.at(mark), y: height - bottom + 18, "text-anchor": "middle" }, { t: short(mark) }),
    ]),
    text({ x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle", class: "axisname" }, { t: kind.title }),
    text({ x: 0, y: 0, "text-anchor": "middle", class: "axisname", transform: `translate(12 ${(top + height - bottom) / 2}) rotate(-90)` }, { t: label }),
  ];
  const places = points.map((p) => ({ ...p, x: x.at(p.cost), y: y(p.score), onFront: best.includes(p) }));
  const steps = best.length > 1 ? staircase(places.filter((p) => p.onFront), kind.better) : [];
  const names = labels(places, steps, width - right, top);
  return svg(
    "svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": `${label} against ${kind.title}` },
    grid,
    steps.length ? svg("path", { class: "front", d: `M${steps.map(([px, py]) => `${px.toFixed(1)} ${py.toFixed(1)}`).join("L")}` }) : null,
    places.sort((a, b) => a.ranked - b.ranked).map((p) => mark(p, y, names.get(p.index), kind)),
  );
}

// Corners of the front: between two of its points, what can be had is the cheaper one's score; steps, not slopes.
function staircase(places, better) {
  const along = [...places].sort((a, b) => (better === "less" ? a.x - b.x : b.x - a.x));
  return along.flatMap((p, i) => (i ? [[p.x, along[i - 1].y], [p.x, p.y]] : [[p.x, p.y]]));
}

// A logarithmic axis; costs of zero stand apart at its left end.
function logScale(values, from, to) {
  const positive = values.filter((value) => value > 0);
  const [low, high] = positive.length ? [Math.min(...positive), Math.max(...positive)] : [1, 10];
  const [a, b] = [Math.log10(low) - 0.08, Math.log10(high) + 0.08];
  const hasZero = positive.length < values.length;
  const start = hasZero ? from + 0.1 * (to - from) : from;
  const at = (value) => (value > 0 ? start + ((Math.log10(value) - a) / (b - a)) * (to - start) : from);
  // The finest ticks that leave each 56 pixels.
  const fits = FINENESS.map((steps) => logTicks(a, b, steps)).find((found) => found.length * 56 <= to - start);
  return { at, marks: [...(hasZero ? [0] : []), ...(fits ?? [high])] };
}

const FINENESS = [[1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9], [1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1], [1, 1e3]];

function logTicks(a, b, steps) {
  const found = [];
  for (let power = Math.floor(a); power <= b; power++) {
    if (steps.at(-1) >= 1e3 && power % 3) continue;
    for (const step of steps) {
      const value = Number((step * 10 ** power).toPrecision(3));
      if (step < 10 && Math.log10(value) >= a && Math.log10(value) <= b) found.push(value);
    }
  }
  return found;
}

// Names beside their points where there is room: the front's first; the rest are named when pointed at.
function labels(places, steps, right, top) {
  const taken = places.map((p) => ({ x: p.x - 7, y: p.y - 7, w: 14, h: 14 }));
  steps.slice(1).forEach(([bx, by], i) => {
    const [ax, ay] = steps[i];
    taken.push({ x: Math.min(ax, bx), y: Math.min(ay, by), w: Math.abs(ax - bx), h: Math.abs(ay - by) });
  });
  const names = new Map();
  const order = [...places].sort((a, b) => b.onFront - a.onFront || b.ranked - a.ranked || b.score - a.score);
  for (const p of order) {
    const text = named(p.row).length > 34 ? `${named(p.row).slice(0, 33)}…` : named(p.row);
    const w = 6.1 * text.length + 4;
    const spots = [
      { x: p.x + 11, y: p.y - 7, anchor: "start" }, { x: p.x - 11 - w, y: p.y - 7, anchor: "end" },
      { x: p.x - w / 2, y: p.y - 24, anchor: "middle" }, { x: p.x - w / 2, y: p.y + 10, anchor: "middle" },
      { x: p.x + 6 - w, y: p.y - 24, anchor: "end", dx: 6 }, { x: p.x - 6, y: p.y + 10, anchor: "start", dx: -6 },
      { x: p.x + 6 - w, y: p.y + 10, anchor: "end", dx: 6 }, { x: p.x - 6, y: p.y - 24, anchor: "start", dx: -6 },
    ];
    const free = spots.find((s) => s.x >= PLOT.left && s.x + w <= right + 20 && s.y >= top - 8 && s.y + 14 <= PLOT.height - PLOT.bottom &&
      taken.every((t) => s.x + w < t.x || s.x > t.x + t.w || s.y + 14 < t.y || s.y > t.y + t.h));
    if (!free) continue;
    taken.push({ x: free.x, y: free.y, w, h: 14 });
    const dx = free.dx ?? { start: 11, end: -11, middle: 0 }[free.anchor];
    names.set(p.index, { text, dx, dy: free.y - p.y + 11, anchor: free.anchor });
  }
  return names;
}

function mark(p, y, name, kind) {
  const score = `${percent(p.score)}${p.high > p.low ? ` [${percent(p.low)}–${percent(p.high)}]` : ""}`;
  const classes = ["point", p.ranked ? "" : "rest", p.onFront ? "onfront" : ""].join(" ");
  return svg(
    "g", {
      class: classes, tabindex: 0, role: "button", "data-row": p.index, "data-column": byId("cost-score").value,
      "data-tip": `${named(p.row)}\n${score} at ${short(p.cost)}${kind.name === "images_per_second" ? " images a second" : ""}`,
      "aria-label": `${named(p.row)}: score ${score}, ${kind.title.toLowerCase()} ${short(p.cost)}`, transform: `translate(${p.x.toFixed(1)} ${p.y.toFixed(1)})`,
    },
    p.high > p.low ? svg("line", { class: "spread", x1: 0, x2: 0, y1: y(p.low) - p.y, y2: y(p.high) - p.y }) : null,
    shape(p.row.section),
    name ? svg("text", { x: name.dx, y: name.dy, "text-anchor": name.anchor }, name.text) : null,
  );
}

const SHAPES = { models: "M0-6A6 6 0 1 1 0 6A6 6 0 1 1 0-6Z", controls: "M0-7L7 0 0 7-7 0Z", floors: "M-5.5-5.5H5.5V5.5H-5.5Z", "not ranked": "M0-6.5L6.5 5.5H-6.5Z" };
const shape = (section) => svg("path", { class: "shape", d: SHAPES[section] });

function legend(points) {
  const kinds = SECTIONS.flatMap((name) => (isModel({ section: name }) ? [[name, true, name], [name, false, "models with an unranked score"]] : [[name, false, name]]));
  const present = kinds.filter(([name, ranked]) => points.some((p) => p.row.section === name && p.ranked === ranked));
  return el("div", { class: "key" }, present.map(([name, ranked, text]) =>
    el("span", {}, svg("svg", { viewBox: "-12 -8 24 16", "aria-hidden": "true" }, svg("g", { class: ranked ? "point" : "point rest" }, shape(name))), text)));
}

const EFFICIENCY = [
  ["Frozen parameters", (one) => short(one.frozen_parameters)], ["Trained parameters", (one) => short(one.trained_parameters)],
  ["GFLOPs an image", (one) => Number(one.gflops.toPrecision(3)).toLocaleString("en")],
  ["Images a second", (one) => (one.images_per_second ? short(one.images_per_second) : "–")],
  ["Peak memory", (one) => `${short(one.peak_memory_bytes)}B`], ["Features an image", (one) => `${short(one.feature_bytes_per_image)}B`],
  ["Finest grid", (one) => [...new Set(one.finest_grid)].join("–")], ["Seconds a cell", (one) => short(one.seconds)],
];

// What the rows cost, as numbers; means over their datasets.
function drawEfficiency(rows) {
  const head = [["Encoder"], ...EFFICIENCY, ["Device"]].map(([title], i) => el("th", { scope: "col", class: i ? (i <= EFFICIENCY.length ? "number" : null) : "name" }, title));
  const lines = rows.filter(({ row }) => row.efficiency).map(({ row, index }) => el(
    "tr", { "data-row": index }, el("th", { scope: "row", class: "name" }, named(row)),
    EFFICIENCY.map(([, say]) => el("td", { class: "number" }, say(row.efficiency))), el("td", {}, row.efficiency.device),
  ));
  byId("efficiency").replaceChildren(el("table", { class: "plainly" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, lines)));
}
