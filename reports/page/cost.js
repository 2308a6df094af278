// Score against cost, with the Pareto front of the ranked models: those that no other beats in both.

const COSTS = [
  { name: "images_per_second", title: "Images a second, frozen part", better: "more", unit: " images a second" },
  { name: "frozen_parameters", title: "Frozen parameters", better: "less", unit: "" },
  { name: "trained_parameters", title: "Trained parameters", better: "less", unit: "" },
  { name: "flops_per_image", title: "Operations an image (FLOPs), frozen part", better: "less", unit: "" },
];
const ofRow = (efficiency, name) => (name === "flops_per_image" ? 1e9 * efficiency.gflops : efficiency[name]);

function chooseCosts() {
  const { columns, mean } = current();
  const several = mean.columns.length > 1;
  const all = several ? [["mean", `mean ${mean.metric} over ${mean.columns.length} datasets`]] : [];
  fill(byId("cost-score"), [...all, ...columns.map((column, c) => [String(c), `${column.name} (${column.metric})`])]);
  const known = COSTS.filter(({ name }) =>
    current().rows.some((row) => row.cells.some((cell) => cell?.cost[name] > 0)),
  );
  const kept = byId("cost-kind").value;
  fill(
    byId("cost-kind"),
    known.map(({ name, title }) => [name, title]),
    kept,
  );
}

const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// A row as a point; null where a score or cost of it is missing, so that no mean runs over fewer datasets.
function point({ row, index }, choice, kind) {
  const cells = (choice === "mean" ? current().mean.columns : [Number(choice)]).map((c) => row.cells[c]);
  const cost = choice === "mean" ? row.efficiency && ofRow(row.efficiency, kind.name) : cells[0]?.cost[kind.name];
  if (!cells.every(Boolean) || !Number.isFinite(cost) || (kind.better === "more" && !cost)) return null;
  const [one] = cells.length === 1 ? cells : [];
  const device = choice === "mean" ? row.efficiency.device : DATA.devices[cells[0].device];
  const place = choice === "mean" ? row.efficiency.encoded : device;
  const ranked = isModel(row) && cells.every((cell) => cell.ranked);
  const score = average(cells.map((cell) => cell.value));
  return { row, index, cost, device, place, score, low: one?.low, high: one?.high, ranked };
}

// The points that no other equals or beats in both cost and score, cheapest first.
function front(points, better) {
  const sign = better === "less" ? 1 : -1;
  const sorted = points.filter((p) => p.ranked).sort((a, b) => sign * (a.cost - b.cost) || b.score - a.score);
  const found = [];
  for (const p of sorted) if (!found.length || p.score > found.at(-1).score) found.push(p);
  return found;
}

// Why the speeds of points don't compare; empty where they do.
function apartness(points) {
  const [devices, places] = ["device", "place"].map((name) => new Set(points.map((p) => p[name])).size);
  if (devices > 1) return `Measured on ${devices} kinds of device, whose speeds don't compare: no front is drawn.`;
  return places > 1 ? "Speeds are means over different datasets, which don't compare: no front is drawn." : "";
}

function drawCost() {
  const [choice, name] = [byId("cost-score").value, byId("cost-kind").value];
  const kind = COSTS.find((cost) => cost.name === name);
  const section = byId("cost");
  const rows = shownRows();
  const points = kind ? rows.map((one) => point(one, choice, kind)).filter(Boolean) : [];
  const ranked = points.filter((p) => p.ranked);
  const ofSpeed = kind?.better === "more";
  const apart = ofSpeed ? apartness(ranked) : "";
  const best = kind && !apart ? front(points, kind.better) : [];
  const left = rows.length - points.length;
  section.querySelector(".said").textContent = [
    choice === "mean" ? `Score: ${current().mean.words}; costs are means over a row's datasets.` : "",
    ofSpeed ? "Up and to the right is better." : "Up and to the left is better.",
    best.length ? "The line joins the ranked models that no other ranked model beats in both." : "",
    apart,
    ofSpeed && best.length && best[0].place !== best[0].device ? `Its speeds are of ${best[0].place}.` : "",
    best.length || apart ? "" : "No ranked model here, so no front is drawn.",
    left ? `${left} row${left === 1 ? " has" : "s have"} no such point (a score or cost is missing).` : "",
  ]
    .filter(Boolean)
    .join(" ");
  drawEfficiency(rows);
  const plot = section.querySelector(".plot");
  if (!points.length) return plot.replaceChildren(said("Nothing to draw with this choice."));
  const label =
    choice === "mean"
      ? `Mean ${current().mean.metric} over ${current().mean.columns.length} datasets, %`
      : `${current().columns[Number(choice)].name}, ${current().columns[Number(choice)].metric}, %`;
  return plot.replaceChildren(scatter(points, best, kind, label, plot.clientWidth || 800), legend(points));
}

const EFFICIENCY = [
  ["Frozen parameters", (one) => short(one.frozen_parameters)],
  ["Trained parameters", (one) => short(one.trained_parameters)],
  ["GFLOPs an image", (one) => Number(one.gflops.toPrecision(3)).toLocaleString("en")],
  ["Images a second", (one) => (one.images_per_second ? short(one.images_per_second) : "–")],
  ["Peak memory", (one) => bytes(one.peak_memory_bytes)],
  ["Features an image", (one) => bytes(one.feature_bytes_per_image)],
  ["Finest grid", (one) => [...new Set(one.finest_grid)].join("–")],
  ["Seconds a cell", (one) => short(one.seconds)],
];

// What the rows cost, as numbers; means over their datasets, but speed, memory and seconds of those on the device.
function drawEfficiency(rows) {
  const columns = [["Encoder", "name"], ...EFFICIENCY.map(([title]) => [title, "number"]), ["Device"]];
  const known = rows.map(({ row }) => row).filter((row) => row.efficiency);
  const lines = known.map((row) => [
    named(row),
    ...EFFICIENCY.map(([, say]) => say(row.efficiency)),
    row.efficiency.timed,
  ]);
  byId("efficiency").replaceChildren(plainTable(columns, lines));
}
