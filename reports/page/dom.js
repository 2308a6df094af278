// Making elements and texts. Text from records enters the page through `textContent` alone, so it can't become markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function made(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("--")) element.style.setProperty(name, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== "") element.append(child);
  }
  return element;
}

const el = (name, attributes = {}, ...children) => made(document.createElement(name), attributes, children);
const svg = (name, attributes = {}, ...children) =>
  made(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

const percent = (value) => (100 * value).toFixed(1);
const interval = (cell) => (cell.high > cell.low ? `${percent(cell.low)}–${percent(cell.high)}` : "");
const percentOrDash = (value) => (Number.isFinite(value) ? percent(value) : "–");
const grouped = (count) => count.toLocaleString("en");
const isModel = (row) => row.section === "models";
const randomTag = (row) => (row.random ? [" ", el("span", { class: "tag faint" }, "random weights")] : null);
const dagger = (cell) => (cell.ranked ? null : el("sup", {}, "†"));
// What a dagger means, where one of the cells has it.
const daggers = (cells) => (cells.every((cell) => cell.ranked) ? "" : ` † ${DATA.not_ranked}.`);
const named = (row) => (row.fuser ? `${row.title} · ${row.fuser}` : row.title);

// 1234567 -> "1.23 M": three figures, as people read parameters, operations and bytes.
function short(value) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const [scale, unit] = [
    [1e12, " T"],
    [1e9, " G"],
    [1e6, " M"],
    [1e3, " k"],
    [0, ""],
  ].find(([s]) => Math.abs(value) >= s);
  const scaled = scale ? value / scale : value;
  const text = Math.abs(scaled) >= 1000 ? scaled.toFixed(0) : scaled.toPrecision(3);
  return String(Number(text)) + unit;
}

const bytes = (value) => `${short(value)}${value < 1e3 ? " " : ""}B`;

// The ticks of an axis at 1, 2 or 5 times a power of ten, at most `most` steps; its first and last enclose the values.
function ticks(low, high, most) {
  const span = high - low || Math.abs(high) || 1;
  const power = 10 ** Math.floor(Math.log10(span / most));
  const step = power * [1, 2, 5, 10].find((factor) => span / (factor * power) <= most);
  const found = [];
  for (let k = Math.floor(low / step + 1e-9); ; k++) {
    found.push(Number((k * step).toPrecision(12)));
    if (found.length > 1 && k * step >= high - 1e-12) return found;
  }
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => el("option", { value, selected: value === chosen }, text)));
}

const said = (text) => el("p", { class: "said" }, text);
const bullets = (texts) =>
  el(
    "ul",
    { class: "flags" },
    texts.map((text) => el("li", {}, text)),
  );

// A wide table fades at the edge behind which there is more of it.
function markEdges() {
  for (const one of document.querySelectorAll(".scroll"))
    one.classList.toggle("more", one.scrollLeft + one.clientWidth < one.scrollWidth - 2);
}

// A table of lines, each headed by its first; columns are [title, class].
function plainTable(columns, lines) {
  const head = columns.map(([title, kind]) => el("th", { scope: "col", class: kind }, title));
  const cell = (content, i) => el(i ? "td" : "th", { scope: i ? null : "row", class: columns[i][1] }, content);
  const body = lines.map((line) => el("tr", {}, line.map(cell)));
  const table = el("table", { class: "plainly" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body));
  return el("div", { class: "scroll" }, table);
}
