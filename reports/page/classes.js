// Scores by class, from the confusion of a cell: images or pixels by truth and prediction, added over its seeds.

const CLASS_SCORES = [
  ["f1", "F1", (hits, truths, predictions) => (2 * hits) / (truths + predictions)],
  ["iou", "IoU", (hits, truths, predictions) => hits / (truths + predictions - hits)],
  ["recall", "Recall", (hits, truths) => hits / truths],
  ["precision", "Precision", (hits, truths, predictions) => hits / predictions],
];

// [hits, truths, predictions] of each class.
function classCounts(confusion) {
  const { size, cells } = confusion;
  if (confusion.kind !== "matrix") return Array.from({ length: size }, (_, k) => cells.slice(3 * k, 3 * k + 3));
  return Array.from({ length: size }, (_, k) => {
    let [truths, predictions] = [0, 0];
    for (let j = 0; j < size; j++)
      [truths, predictions] = [truths + cells[k * size + j], predictions + cells[j * size + k]];
    return [cells[k * size + k], truths, predictions];
  });
}

const className = (column, k) => DATA.classes[column.classes]?.[k] ?? `class ${k}`;
// 0/0: the class is neither in the truth nor predicted, or not predicted at all: no score.
const classScore = (counts, kind) => CLASS_SCORES.find(([name]) => name === kind)[2](...counts);

function chooseClasses() {
  const { columns, rows } = current();
  const known = columns
    .map((column, c) => [String(c), column.name])
    .filter(([c]) => rows.some((row) => row.cells[c]?.confusion));
  fill(byId("classes-dataset"), known);
  byId("classes").hidden = !known.length;
  fill(
    byId("classes-score"),
    CLASS_SCORES.map(([name, title]) => [name, title]),
    current().task === "segmentation" ? "iou" : "f1",
  );
}

function drawClasses() {
  const [c, kind] = [Number(byId("classes-dataset").value), byId("classes-score").value];
  const column = current().columns[c];
  const found = shownRows().filter(({ row }) => row.cells[c]?.confusion);
  const section = byId("classes");
  const place = section.querySelector(".scroll");
  if (!found.length) return place.replaceChildren(said("No row to show."));
  const scores = found.map(({ row }) => classCounts(row.cells[c].confusion).map((counts) => classScore(counts, kind)));
  const competes = (row) => isModel(row) && row.cells[c].ranked;
  const best = bestOfBlocks(found, scores, competes);
  const seeds = found.some(({ row }) => row.cells[c].seeds > 1) ? ", added over seeds" : "";
  section.querySelector(".said").textContent =
    `Percent, of the test split's confusion${seeds}; the best of models that compete bold; – where a class has no score.${daggers(found.map(({ row }) => row.cells[c]))}`;
  const head = el(
    "tr",
    {},
    el("th", { scope: "col", class: "name" }, "Encoder"),
    scores[0].map((_, k) => el("th", { scope: "col" }, className(column, k))),
  );
  const lines = found.map(({ row, index }, i) => {
    const top = competes(row) ? best.get(row.block) : null;
    const cells = scores[i].map((score, k) => {
      const share = Number.isFinite(score) ? score.toFixed(3) : "0";
      return el("td", { "--share": share, class: score === top?.[k] ? "top" : null }, percentOrDash(score));
    });
    return el("tr", { "data-row": index }, el("th", { scope: "row", class: "name" }, named(row), randomTag(row), dagger(row.cells[c])), cells);
  });
  return place.replaceChildren(el("table", { class: "heat" }, el("thead", {}, head), el("tbody", {}, lines)));
}

// The best score of each class, by block of models that compete; none where a model stands alone.
function bestOfBlocks(found, scores, competes) {
  const blocks = new Map();
  found.forEach(({ row }, i) => competes(row) && blocks.set(row.block, [...(blocks.get(row.block) ?? []), scores[i]]));
  const several = [...blocks].filter(([, lines]) => lines.length > 1);
  return new Map(
    several.map(([block, lines]) => [
      block,
      lines[0].map((_, k) => Math.max(...lines.map((line) => line[k]).filter(Number.isFinite))),
    ]),
  );
}

const MANY_CLASSES = 20;

// A confusion matrix as a table: shares of each true class, the counts when pointed at.
function confusionTable(confusion, column) {
  const { size, cells } = confusion;
  const many = size > MANY_CLASSES;
  const head = el(
    "tr",
    {},
    el("th", {}, "truth \\ predicted"),
    Array.from({ length: size }, (_, k) =>
      el("th", { scope: "col", title: className(column, k) }, el("span", {}, className(column, k))),
    ),
  );
  const lines = Array.from({ length: size }, (_, k) => {
    const line = cells.slice(k * size, (k + 1) * size);
    const total = line.reduce((sum, n) => sum + n, 0);
    return el(
      "tr",
      {},
      el("th", { scope: "row", title: className(column, k) }, className(column, k)),
      line.map((n, j) => {
        const share = total ? n / total : 0;
        const text = share >= 0.005 ? String(Math.round(100 * share)) : "";
        return el(
          "td",
          {
            "--share": share.toFixed(3),
            class: share > 0.55 ? "deep" : null,
            title: `${className(column, k)} → ${className(column, j)}: ${n} of ${total}`,
          },
          text,
        );
      }),
    );
  });
  return el("table", { class: many ? "confusion many" : "confusion" }, el("thead", {}, head), el("tbody", {}, lines));
}
