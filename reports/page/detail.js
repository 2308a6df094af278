// What lies behind a row: one dataset at a time, its score, flags, input card, classes, protocol and provenance.

const shown = { row: 0, column: 0 };

function openRow(row, column) {
  const cells = current().rows[row].cells;
  const first = cells[column] ? column : cells.findIndex(Boolean);
  if (first < 0) return;
  [shown.row, shown.column] = [row, first];
  drawDetail();
  if (!byId("detail").open) byId("detail").showModal();
  markEdges();
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
    ["Datasets without a score", missingPart(row)],
    ["Classes", classesPart(cell, column)],
    ["Input card", cardPart(cell)],
    ["Cost", factList(costFacts(cell.cost))],
    ["Protocol", factList(DATA.protocols[cell.protocol])],
    [
      "Encoder and run",
      factList([...cell.run.map((number) => DATA.facts[number]), ["licence of weights", row.licence || "–"]]),
    ],
    ["Provenance", provenancePart(cell)],
  ].filter(([, content]) => content);
  const sections = parts.map(([title, content]) => el("section", {}, el("h3", { tabindex: -1 }, title), content));
  const jumps = parts.map(([title], i) =>
    el(
      "button",
      {
        type: "button",
        onclick: () => {
          sections[i].scrollIntoView();
          sections[i].firstElementChild.focus({ preventScroll: true });
        },
      },
      title,
    ),
  );
  const select = el("select", { id: "detail-dataset" });
  const there = current()
    .columns.map((one, c) => [String(c), one.name])
    .filter(([c]) => row.cells[c]);
  fill(select, there, String(shown.column));
  select.addEventListener("change", () => {
    openRow(shown.row, Number(select.value));
    byId("detail-dataset").focus();
  });
  byId("detail").replaceChildren(
    el(
      "div",
      { class: "bar-top" },
      el(
        "div",
        { class: "line" },
        el("h2", { id: "detail-title" }, row.title, " ", row.fuser ? el("span", { class: "tag" }, row.fuser) : ""),
        el("button", { type: "button", class: "plain", onclick: () => byId("detail").close() }, "Close"),
      ),
      el(
        "div",
        { class: "controls" },
        el("label", {}, el("span", {}, "Dataset"), select),
        el("nav", { class: "jumps", "aria-label": "Parts" }, jumps),
      ),
    ),
    el("div", { class: "body" }, sections),
  );
}

function factList(facts) {
  if (!facts?.length) return null;
  return el(
    "dl",
    { class: "facts" },
    facts.map(([name, value]) =>
      el(
        "div",
        { class: value.length > 48 || value.includes("\n") ? "all" : null },
        el("dt", {}, name),
        el("dd", {}, value),
      ),
    ),
  );
}

// Names of `COSTS` in data.py with how people say them.
const COST_FACTS = [
  ["images_per_second", "Images a second, frozen part", (n) => (n ? short(n) : "nothing was encoded")],
  ["flops_per_image", "Operations an image, frozen part", (n) => `${short(n)} FLOPs`],
  ["frozen_parameters", "Frozen parameters", short],
  ["trained_parameters", "Trained parameters", short],
  ["encode_seconds", "Encoding", (n) => `${short(n)} s`],
  ["train_seconds", "Fitting", (n) => `${short(n)} s`],
  ["peak_memory_bytes", "Peak memory", (n) => bytes(n)],
  ["feature_bytes_per_image", "Features an image", (n) => bytes(n)],
  ["finest_grid", "Finest feature grid", (n) => `${n} × ${n}`],
];
const costFacts = (cost) => COST_FACTS.map(([name, title, say]) => [title, say(cost[name])]);

function scorePart(cell, column) {
  const spread = interval(cell);
  const words = [
    `% ${column.metric}`,
    spread && `interval ${spread}`,
    cell.seeds > 1 && `mean over ${cell.seeds} seeds`,
  ];
  return [
    el("p", { class: "big" }, percent(cell.value), el("small", {}, words.filter(Boolean).join(", "))),
    said(DATA.methods[cell.method]),
    factList([
      ["Validation", percent(cell.validation)],
      ["Chosen on validation", cell.chosen || "nothing to choose"],
      ...(cell.seeds > 1 ? [["Deviation over seeds", percent(cell.std)]] : []),
      ...(cell.ranks ? [["Rank here, 95 % interval", [...new Set(cell.ranks)].join("–")]] : []),
      ["Images: train, test", `${grouped(cell.counts[0])}, ${grouped(cell.counts[1])}`],
      ["Independent test groups", grouped(cell.counts[2])],
      ["Ranked", cell.ranked ? "yes" : "no"],
      ...cell.metrics.map(([name, value]) => [name, name === "ece" ? value.toFixed(4) : percent(value)]),
    ]),
  ];
}

function flagsPart(row, cell) {
  const flags = cell.notes.map((note) => current().notes[note]);
  const overlaps = row.overlap.includes(shown.column);
  const all = overlaps ? ["the encoder's pre-training data may hold this dataset's imagery", ...flags] : flags;
  return all.length ? bullets(all) : null;
}
