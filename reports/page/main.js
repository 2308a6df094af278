// What listens: theme, set, filter, sorting, rows that light up together, and the address that leads back here.

const THEMES = ["system", "light", "dark"];

function applyTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").dataset.now = theme;
  byId("theme").replaceChildren(
    el("span", { class: "unseen" }, "Colours: "),
    { system: "Auto", light: "Light", dark: "Dark" }[theme],
  );
}

function storedTheme() {
  // A browser may forbid storage to a page read from disk.
  try {
    return THEMES.find((theme) => theme === localStorage.getItem("theme")) ?? "system";
  } catch {
    return "system";
  }
}

function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(byId("theme").dataset.now) + 1) % THEMES.length];
  applyTheme(theme);
  try {
    localStorage.setItem("theme", theme);
  } catch {
    /* it lasts as long as the page */
  }
}

// The address names set, row and dataset, counted from 1: #2 or #2/5/1.
function remember() {
  const parts = [view.set + 1, ...(byId("detail").open ? [shown.row + 1, shown.column + 1] : [])];
  history.replaceState(null, "", `#${parts.join("/")}`);
}

function recall() {
  const match = /^#(\d+)(?:\/(\d+)\/(\d+))?$/.exec(location.hash);
  const [set, row, column] = match ? match.slice(1).map((text) => Number(text) - 1) : [0];
  if (byId("detail").open) byId("detail").close();
  chooseSet(DATA.sets[set] ? set : 0);
  if (match?.[2] && current().rows[row]) openRow(row, column);
}

function light(event) {
  const over = event.target.closest?.("[data-row]");
  const row = over && !over.closest("dialog") ? over.dataset.row : null;
  for (const lit of document.querySelectorAll(".lit")) lit.classList.remove("lit");
  if (row !== null)
    for (const one of document.querySelectorAll(`main section:not([hidden]) [data-row="${row}"]`))
      one.classList.add("lit");
  const tip = byId("tip");
  const text = over?.dataset.tip;
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const box = over.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${box.top - tip.offsetHeight - 10 < 0 ? box.bottom + 10 : box.top - tip.offsetHeight - 10}px`;
}

function opened(event) {
  const column = Number(event.target.closest("[data-column]")?.dataset.column ?? 0);
  const row = event.target.closest("[data-row]");
  if (!row || row.closest(".heat, .plainly") || event.target.closest(".missing, .aggregate")) return;
  openRow(Number(row.dataset.row), Number.isNaN(column) ? 0 : column);
}

function listen() {
  byId("theme").addEventListener("click", nextTheme);
  byId("set").addEventListener("change", () => {
    chooseSet(Number(byId("set").value));
    remember();
  });
  byId("filter").addEventListener("input", () => {
    view.words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    refresh();
  });
  byId("zoom").addEventListener("change", drawBars);
  for (const id of ["cost-score", "cost-kind"]) byId(id).addEventListener("change", drawCost);
  for (const id of ["classes-dataset", "classes-score"]) byId(id).addEventListener("change", drawClasses);
  for (const head of document.querySelectorAll(".scores thead button"))
    head.addEventListener("click", () => sortBy(head.dataset.by, head.dataset.better));
  document.querySelector("main").addEventListener("click", opened);
  document.querySelector("main").addEventListener("keydown", (event) => {
    if (event.target.matches(".point, .line circle") && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      opened(event);
    }
  });
  for (const name of ["pointerover", "focusin"]) document.addEventListener(name, light);
  byId("detail").addEventListener("click", (event) => {
    if (event.target === byId("detail")) byId("detail").close();
  });
  byId("detail").addEventListener("close", remember);
  addEventListener("hashchange", recall);
  for (const name of ["scroll", "toggle"]) document.addEventListener(name, markEdges, { capture: true, passive: true });
  let width = innerWidth;
  addEventListener("resize", () => {
    markEdges();
    if (innerWidth !== width) {
      width = innerWidth;
      drawCost();
    }
  });
}

for (const id of ["theme", "bars", "cost", "classes"]) byId(id).hidden = false;
document.querySelector(".tools").hidden = false;
applyTheme(storedTheme());
listen();
recall();
