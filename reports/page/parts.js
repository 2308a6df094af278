// The parts of a row's detail that are tables: paired tests, classes, input card, provenance.

// The tests that this row took part in on this dataset, from its own side.
function testsPart() {
  const { tests, rows } = current();
  const isOwn = ([column, , better, worse]) => column === shown.column && [better, worse].includes(shown.row);
  const lines = tests.filter(isOwn).map(([, family, better, worse, difference, low, high, p, adjusted]) => {
    const [other, sign] = better === shown.row ? [worse, 1] : [better, -1];
    const ends = [sign * low, sign * high]
      .sort((a, b) => a - b)
      .map(signed)
      .join(" to ");
    const numbers = [signed(sign * difference), ends, p.toFixed(3), adjusted.toFixed(3)];
    return [named(rows[other]), DATA.families[family], ...numbers];
  });
  if (!lines.length) return null;
  const numbers = ["Difference", "95 % interval", "p", "p, Holm"].map((title) => [title, "number"]);
  return [
    said("Paired bootstrap over the same test groups; points of the metric; p corrected by Holm within each family."),
    plainTable([["Against"], ["Family"], ...numbers], lines),
  ];
}

function missingPart(row) {
  const lines = row.missing.map(([dataset, kind, why]) => [dataset, kind, why || "–"]);
  return lines.length ? plainTable([["Dataset"], ["State"], ["Why"]], lines) : null;
}

function signed(value) {
  const size = percent(Math.abs(value));
  return size === "0.0" ? size : `${value < 0 ? "−" : "+"}${size}`;
}

function classesPart(cell, column) {
  const { confusion } = cell;
  if (!confusion) return null;
  const lines = classCounts(confusion).map((counts, k) => {
    const scores = CLASS_SCORES.map(([name]) => classScore(counts, name));
    const [, truths, predictions] = counts;
    return [className(column, k), ...scores.map(percentOrDash), grouped(truths), grouped(predictions)];
  });
  const numbers = [...CLASS_SCORES.map(([, title]) => title), "In truth", "Predicted"].map((title) => [
    title,
    "number",
  ]);
  const seeds = cell.seeds > 1 ? `, ${cell.seeds} seeds added` : "";
  const matrix =
    confusion.kind === "matrix"
      ? [
          said(`Confusion: per cent of each true class${seeds}; counts when pointed at.`),
          el("div", { class: "scroll" }, confusionTable(confusion, column)),
        ]
      : said(`Counts by class${seeds}; several labels an image, or too many classes, have no matrix here.`);
  return [matrix, plainTable([["Class"], ...numbers], lines)];
}

function cardPart(cell) {
  if (!DATA.cards[cell.card]) return null;
  const [lead, channels, notes] = DATA.cards[cell.card];
  const columns = DATA.card_columns.map((title, i) => [title, i > 3 ? "number" : null]);
  return [said(lead), plainTable(columns, channels), notes.length ? bullets(notes) : null];
}

function provenancePart(cell) {
  const lines = cell.records.map(([key, seed, value, created]) => {
    const name = el("code", {}, key);
    const link = DATA.linked ? el("a", { href: `records/${encodeURIComponent(key)}.json` }, name) : name;
    return [String(seed), percent(value), created, link];
  });
  const places = [...new Set(cell.records.map((record) => record.at(-1)))];
  return [
    plainTable([["Seed", "number"], ["Score", "number"], ["Made"], ["Record"]], lines),
    places.map((place) => factList(DATA.environments[place])),
    factList([DATA.facts[cell.packages]]),
  ];
}
