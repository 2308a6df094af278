// What lies behind a row: one dataset at a time, its score, flags, input card, classes, protocol and provenance.

const shown = { row: 0, column: 0 };

function openRow(row, column) {
  const cells = current().rows[row].cells;
  const first = cells[column] ? column : cells.findIndex(Boolean);
  if (first < 0) return;
  [shown.row, shown.column] = [row, first];
  drawDetail();
  if (!byId("detail").open) byId("detail").showModal();
  byId("detail").scrollTop = 0;
  remember();
}

function drawDetail() {
  const row = current().rows[shown.row];
  const cell = row.cells[shown.column];
  const column = current().columns[shown.column];
  const parts = [
    ["Score", scorePart(cell, column)],
    ["Flags", flagsPart(row, cell)],
    ["Paired tests", testsPart()],
    ["Classes", classesPart(cell, column)],
    ["Input card", cardPart(cell)],
    ["Cost", factList(costFacts(cell.cost))],
    ["Protocol", factList(DATA.protocols[cell.protocol])],
    ["Encoder and run", factList([...cell.run.map((number) => DATA.facts[number]), ["licence of weights", row.licence || "–"]])],
    ["Provenance", provenancePart(cell)],
  ].filter(([, content]) => content);
  const sections = parts.map(([title, content]) => el("section", {}, el("h3", { tabindex: -1 }, title), content));
  const jumps = parts.map(([title], i) => el("button", {
    type: "button", onclick: () => { sections[i].scrollIntoView(); sections[i].firstElementChild.focus({ preventScroll: true }); },
  }, title));
  const select = el("select", { id: "detail-dataset" });
  const there = current().columns.map((one, c) => [String(c), one.name]).filter(([c]) => row.cells[c]);
  fill(select, there, String(shown.column));
  select.addEventListener("change", () => {
    openRow(shown.row, Number(select.value));
    byId("detail-dataset").focus();
  });
  byId("detail").replaceChildren(
    el("div", { class: "bar-top" },
      el("div", { class: "line" },
        el("h2", { id: "detail-title" }, row.title, " ", row.fuser ? el("span", { class: "tag" }, row.fuser) : ""),
        el("button", { type: "button", class: "plain", onclick: () => byId("detail").close() }, "Close")),
      el("div", { class: "controls" }, el("label", {}, el("span", {}, "Dataset"), select), el("nav", { class: "jumps", "aria-label": "Parts" }, jumps))),
    el("div", { class: "body" }, sections),
  );
}

function factList(facts) {
  if (!facts?.length) return null;
  return el("dl", { class: "facts" }, facts.map(([name, value]) =>
    el("div", { class: value.length > 48 || value.includes("\n") ? "all" : null }, el("dt", {}, name), el("dd", {}, value))));
}

// Names of `COSTS` in data.py with how people say them.
const COST_FACTS = [
  ["images_per_second", "Images a second, frozen part", (n) => (n ? short(n) : "nothing was encoded")],
  ["flops_per_image", "Operations an image, frozen part", (n) => `${short(n)} FLOPs`],
  ["frozen_parameters", "Frozen parameters", short], ["trained_parameters", "Trained parameters", short],
  ["encode_seconds", "Encoding", (n) => `${short(n)} s`], ["train_seconds", "Fitting", (n) => `${short(n)} s`],
  ["peak_memory_bytes", "Peak memory", (n) => `${short(n)}B`], ["feature_bytes_per_image", "Features an image", (n) => `${short(n)}B`],
  ["finest_grid", "Finest feature grid", (n) => `${n} × ${n}`],
];
const costFacts = (cost) => COST_FACTS.map(([name, title, say]) => [title, say(cost[name])]);

function scorePart(cell, column) {
  const spread = interval(cell);
  return [
    el("p", { class: "big" }, percent(cell.value), el("small", {}, [`% ${column.metric}`, spread && `interval ${spread}`, cell.seeds > 1 && `mean over ${cell.seeds} seeds`].filter(Boolean).join(", "))),
    el("p", { class: "said" }, DATA.methods[cell.method]),
    factList([
      ["Validation", percent(cell.validation)], ["Chosen on validation", cell.chosen || "nothing to choose"],
      ...(cell.seeds > 1 ? [["Deviation over seeds", percent(cell.std)]] : []),
      ...(cell.ranks ? [["Rank here, 95 % interval", [...new Set(cell.ranks)].join("–")]] : []),
      ["Images: train, test", cell.counts.slice(0, 2).map((n) => n.toLocaleString("en")).join(", ")],
      ["Independent test groups", cell.counts[2].toLocaleString("en")], ["Ranked", cell.ranked ? "yes" : "no"],
      ...cell.metrics.map(([name, value]) => [name, name === "ece" ? value.toFixed(4) : percent(value)]),
    ]),
  ];
}

function flagsPart(row, cell) {
  const flags = cell.notes.map((note) => current().notes[note]);
  if (row.overlap.includes(shown.column)) flags.unshift("the encoder's pre-training data may hold this dataset's imagery");
  return flags.length ? el("ul", { class: "flags" }, flags.map((flag) => el("li", {}, flag))) : null;
}

// The tests that this row took part in on this dataset, from its own side.
function testsPart() {
  const { tests, rows } = current();
  const own = tests.filter(([column, , better, worse]) => column === shown.column && (better === shown.row || worse === shown.row));
  if (!own.length) return null;
  const lines = own.map(([, family, better, worse, difference, low, high, p, adjusted]) => {
    const [other, sign] = better === shown.row ? [worse, 1] : [better, -1];
    const signed = (value) => (percent(Math.abs(value)) === "0.0" ? "0.0" : `${value < 0 ? "−" : "+"}${percent(Math.abs(value))}`);
    const ends = [sign * low, sign * high].sort((a, b) => a - b);
    return el("tr", {}, el("th", { scope: "row" }, named(rows[other])), el("td", {}, DATA.families[family]),
      [signed(sign * difference), ends.map(signed).join(" to "), p.toFixed(3), adjusted.toFixed(3)].map((text) => el("td", { class: "number" }, text)));
  });
  const heads = ["Difference", "95 % interval", "p", "p, Holm"].map((text) => el("th", { scope: "col", class: "number" }, text));
  return [
    el("p", { class: "said" }, "Paired bootstrap over the same test groups; points of the metric; p corrected by Holm within each family."),
    el("div", { class: "scroll" }, el("table", { class: "plainly" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Against"), el("th", { scope: "col" }, "Family"), heads)), el("tbody", {}, lines))),
  ];
}

function classesPart(cell, column) {
  const { confusion } = cell;
  if (!confusion) return null;
  const lines = classCounts(confusion).map((counts, k) => el(
    "tr", {}, el("th", { scope: "row" }, className(column, k)),
    CLASS_SCORES.map(([name]) => {
      const score = classScore(counts, name);
      return el("td", { class: "number" }, Number.isFinite(score) ? percent(score) : "–");
    }),
    el("td", { class: "number" }, counts[1].toLocaleString("en")), el("td", { class: "number" }, counts[2].toLocaleString("en")),
  ));
  const heads = [...CLASS_SCORES.map(([, title]) => title), "In truth", "Predicted"];
  const matrix = confusion.kind === "matrix"
    ? [el("p", { class: "said" }, `Confusion: per cent of each true class${cell.seeds > 1 ? `, ${cell.seeds} seeds added` : ""}; counts when pointed at.`), el("div", { class: "scroll" }, confusionTable(confusion, column)), el("br")]
    : [el("p", { class: "said" }, `Counts by class${cell.seeds > 1 ? `, ${cell.seeds} seeds added` : ""}: several labels an image, or too many classes, have no matrix here.`)];
  return [
    ...matrix,
    el("div", { class: "scroll" }, el("table", { class: "plainly" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Class"), heads.map((head) => el("th", { scope: "col", class: "number" }, head)))),
      el("tbody", {}, lines))),
  ];
}

function cardPart(cell) {
  if (!DATA.cards[cell.card]) return null;
  const [lead, channels, notes] = DATA.cards[cell.card];
  const lines = channels.map((channel) => el("tr", {}, channel.map((text, i) => el(i ? "td" : "th", { class: i > 3 ? "number" : null, scope: i ? null : "row" }, text))));
  return [
    el("p", { class: "said" }, lead),
    el("div", { class: "scroll" }, el("table", { class: "plainly" },
      el("thead", {}, el("tr", {}, DATA.card_columns.map((name, i) => el("th", { scope: "col", class: i > 3 ? "number" : null }, name)))),
      el("tbody", {}, lines))),
    notes.length ? el("ul", { class: "flags" }, notes.map((note) => el("li", {}, note))) : null,
  ];
}

function provenancePart(cell) {
  const lines = cell.records.map(([key, seed, value, created]) => el(
    "tr", {}, el("td", { class: "number" }, String(seed)), el("td", { class: "number" }, percent(value)), el("td", {}, created),
    el("td", {}, DATA.linked ? el("a", { href: `records/${encodeURIComponent(key)}.json` }, el("code", {}, key)) : el("code", {}, key)),
  ));
  const places = [...new Set(cell.records.map(([, , , , environment]) => environment))];
  return [
    el("div", { class: "scroll" }, el("table", { class: "plainly" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col", class: "number" }, "Seed"), el("th", { scope: "col", class: "number" }, "Score"), el("th", { scope: "col" }, "Made"), el("th", { scope: "col" }, "Record"))),
      el("tbody", {}, lines))),
    places.map((place) => factList(DATA.environments[place])),
    factList([DATA.facts[cell.packages]]),
  ];
}
