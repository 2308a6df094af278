// The scatter plot of `cost.js`: axes, points with their names, and the front.

const PLOT = { height: 430, left: 52, right: 24, top: 16, bottom: 52 };

function scatter(points, best, kind, label, width) {
  const { height, left, right, top, bottom } = PLOT;
  const x = logScale(
    points.map((p) => p.cost),
    left + 14,
    width - right - 14,
  );
  const marks = ticks(
    100 * Math.min(...points.map((p) => p.low ?? p.score)),
    100 * Math.max(...points.map((p) => p.high ?? p.score)),
    6,
  );
  const y = (score) =>
    height - bottom - ((100 * score - marks[0]) / (marks.at(-1) - marks[0] || 1)) * (height - top - bottom);
  const text = (content, attributes) => svg("text", { "text-anchor": "middle", ...attributes }, content);
  const aside = `translate(12 ${(top + height - bottom) / 2}) rotate(-90)`;
  const grid = [
    marks.map((mark) => [
      svg("line", { class: "grid", x1: left, x2: width - right, y1: y(mark / 100), y2: y(mark / 100) }),
      text(String(mark), { x: left - 8, y: y(mark / 100) + 4, "text-anchor": "end" }),
    ]),
    x.marks.map((mark) => [
      svg("line", { class: "grid", x1: x.at(mark), x2: x.at(mark), y1: top, y2: height - bottom }),
      text(short(mark), { x: x.at(mark), y: height - bottom + 18 }),
    ]),
    text(kind.title, { x: (left + width - right) / 2, y: height - 8, class: "axisname" }),
    text(label, { transform: aside, class: "axisname" }),
  ];
  const places = points.map((p) => ({ ...p, x: x.at(p.cost), y: y(p.score), onFront: best.includes(p) }));
  const onFront = places.filter((p) => p.onFront);
  const steps = onFront.length > 1 ? staircase(onFront, kind.better) : [];
  const names = labels(places, steps, width - right, top);
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": `${label} against ${kind.title}` },
    grid,
    steps.length
      ? svg("path", { class: "front", d: `M${steps.map(([px, py]) => `${px.toFixed(1)} ${py.toFixed(1)}`).join("L")}` })
      : null,
    places.sort((a, b) => a.ranked - b.ranked).map((p) => mark(p, y, names.get(p.index), kind)),
  );
}

// Corners of the front: between two of its points, what can be had is the cheaper one's score; steps, not slopes.
function staircase(places, better) {
  const along = [...places].sort((a, b) => (better === "less" ? a.x - b.x : b.x - a.x));
  return along.flatMap((p, i) => [...(i ? [[p.x, along[i - 1].y]] : []), [p.x, p.y]]);
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
      { x: p.x + 11, y: p.y - 7, anchor: "start" },
      { x: p.x - 11 - w, y: p.y - 7, anchor: "end" },
      { x: p.x - w / 2, y: p.y - 24, anchor: "middle" },
      { x: p.x - w / 2, y: p.y + 10, anchor: "middle" },
      { x: p.x + 6 - w, y: p.y - 24, anchor: "end", dx: 6 },
      { x: p.x - 6, y: p.y + 10, anchor: "start", dx: -6 },
      { x: p.x + 6 - w, y: p.y + 10, anchor: "end", dx: 6 },
      { x: p.x - 6, y: p.y - 24, anchor: "start", dx: -6 },
    ];
    const free = spots.find(
      (s) =>
        s.x >= PLOT.left &&
        s.x + w <= right + 20 &&
        s.y >= top - 8 &&
        s.y + 14 <= PLOT.height - PLOT.bottom &&
        taken.every((t) => s.x + w < t.x || s.x > t.x + t.w || s.y + 14 < t.y || s.y > t.y + t.h),
    );
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
    "g",
    {
      class: classes,
      tabindex: 0,
      role: "button",
      "data-row": p.index,
      "data-column": byId("cost-score").value,
      "data-tip": `${named(p.row)}\n${score} at ${short(p.cost)}${kind.unit}`,
      "aria-label": `${named(p.row)}: score ${score}, ${kind.title.toLowerCase()} ${short(p.cost)}`,
      transform: `translate(${p.x.toFixed(1)} ${p.y.toFixed(1)})`,
    },
    p.high > p.low ? svg("line", { class: "spread", x1: 0, x2: 0, y1: y(p.low) - p.y, y2: y(p.high) - p.y }) : null,
    shape(p.row.section),
    name ? svg("text", { x: name.dx, y: name.dy, "text-anchor": name.anchor }, name.text) : null,
  );
}

const SHAPES = {
  models: "M0-6A6 6 0 1 1 0 6A6 6 0 1 1 0-6Z",
  variants: "M-6.5-5.5H6.5L0 6.5Z",
  controls: "M0-7L7 0 0 7-7 0Z",
  floors: "M-5.5-5.5H5.5V5.5H-5.5Z",
  "not ranked": "M0-6.5L6.5 5.5H-6.5Z",
};
const shape = (section) => svg("path", { class: "shape", d: SHAPES[section] });

function legend(points) {
  const kinds = SECTIONS.map((name) => [name, name === "models", name]);
  kinds.splice(1, 0, ["models", false, "models with an unranked score"]);
  const present = kinds.filter(([name, ranked]) => points.some((p) => p.row.section === name && p.ranked === ranked));
  return el(
    "div",
    { class: "key" },
    present.map(([name, ranked, text]) =>
      el(
        "span",
        {},
        svg(
          "svg",
          { viewBox: "-12 -8 24 16", "aria-hidden": "true" },
          svg("g", { class: ranked ? "point" : "point rest" }, shape(name)),
        ),
        text,
      ),
    ),
  );
}
