// What the pages below /admin/ do beyond plain HTML: times grow older, regions refresh, forms that sync stay on the page,
// keys move about. Without it everything still works, by loading pages.
"use strict";

const SPANS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
const ATTENTION_MS = 30 * 60 * 1000; // nobody there for so long: stop asking, so that the session can end

let lastActive = Date.now();
for (const kind of ["pointerdown", "pointermove", "keydown", "scroll"]) {
  addEventListener(kind, () => { lastActive = Date.now(); }, { passive: true });
}

// The server's clock, as far as the page's own `Date` header told: the reader's may be wrong.
let clockOff = 0;

function ago(moment) {
  const seconds = (Date.now() + clockOff - moment) / 1000;
  if (seconds < 2) return "just now";
  for (const [length, unit] of SPANS) {
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit} ago`;
  }
  return "just now";
}

const ZONE = { timeZone: document.documentElement.dataset.zone }; // the one that the page tells
const day = (moment) => moment.toLocaleDateString("en", ZONE);

const FORMATS = {
  short: (moment) => day(moment) === day(new Date()) ? { timeStyle: "short" } : { dateStyle: "medium" },
  exact: () => ({ hourCycle: "h23", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 }),
};

function tellTimes(root) {
  for (const one of root.querySelectorAll("time[data-ago], time[data-for]")) {
    const past = ago(Date.parse(one.dateTime));
    const text = "for" in one.dataset && past.endsWith(" ago") ? `for ${past.slice(0, -4)}` : past;
    if (one.textContent !== text) one.textContent = text;
  }
  for (const one of root.querySelectorAll("time[data-local]:not([data-told])")) {
    one.dataset.told = "";
    const moment = new Date(one.dateTime);
    const style = FORMATS[one.dataset.local]?.(moment) ?? { dateStyle: "medium", timeStyle: "medium" };
    one.textContent = moment.toLocaleString(undefined, { ...style, ...ZONE });
  }
}

function put(fresh) {
  for (const now of document.querySelectorAll("[data-region]")) {
    const then = fresh.querySelector(`[data-region="${CSS.escape(now.dataset.region)}"]`);
    if (!then) continue;
    tellTimes(then);
    now.toggleAttribute("data-running", then.hasAttribute("data-running"));
    if (now.innerHTML === then.innerHTML) continue;
    // What had the focus keeps it, what was selected stays selected, what was open stays open.
    const focused = now.contains(document.activeElement) ? named(document.activeElement) : null;
    const selected = new Set([...now.querySelectorAll("input:checked")].map(named));
    const open = [...now.querySelectorAll("details")].map((one) => one.open);
    now.replaceChildren(...then.childNodes);
    for (const one of now.querySelectorAll("input[type=checkbox]")) one.checked = selected.has(named(one));
    [...now.querySelectorAll("details")].forEach((one, at) => { one.open = open[at] ?? one.open; });
    if (focused) [...now.querySelectorAll("a, button, input, summary")].find((one) => named(one) === focused)?.focus();
    now.dispatchEvent(new Event("change", { bubbles: true }));
  }
}

function named(one) {
  return [one.localName, one.getAttribute("aria-label") ?? "", one.getAttribute("href") ?? "", one.value ?? ""].join(" ");
}

let asking = false;

async function refresh() {
  if (asking) return;
  asking = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.status === 401) { location.reload(); return; }
    if (!answer.ok) return;
    const told = Date.parse(answer.headers.get("Date") ?? "");
    if (told && Math.abs(told - Date.now()) > 5000) clockOff = told - Date.now();
    put(new DOMParser().parseFromString(await answer.text(), "text/html"));
    document.body.removeAttribute("data-offline");
    busy();
  } catch {
    document.body.dataset.offline = "";
  } finally {
    asking = false;
  }
}

function busy() {
  const running = document.querySelector("[data-region][data-running]") !== null;
  const all = document.getElementById("sync-all");
  if (all) running ? all.setAttribute("aria-busy", "true") : all.removeAttribute("aria-busy");
}

function running() {
  return document.querySelector("[data-region][data-running]") !== null;
}

async function keepFresh(every) {
  for (;;) {
    await new Promise((wake) => setTimeout(wake, running() ? 250 : every));
    if (document.hidden || Date.now() - lastActive > ATTENTION_MS) continue;
    await refresh();
  }
}

async function sync(form) {
  const fields = new FormData(form);
  const wanted = {};
  for (const name of ["account", "mailbox"]) if (fields.get(name)) wanted[name] = fields.get(name);
  form.querySelector("button").setAttribute("aria-busy", "true");
  try {
    const answer = await fetch("/api/mailbox/sync/", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": fields.get("csrfmiddlewaretoken") },
      body: JSON.stringify(wanted),
    });
    const said = await answer.json();
    const query = new URLSearchParams(said.run_id ? { run: said.run_id } : { problem: said.detail ?? "The sync could not be started." });
    history.replaceState(null, "", `${location.pathname}?${query}`);
  } catch {
    history.replaceState(null, "", `${location.pathname}?problem=${encodeURIComponent("The api did not answer. Is it running?")}`);
  }
  form.querySelector("button").removeAttribute("aria-busy");
  await refresh();
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("form[data-sync]")) { event.preventDefault(); sync(form); }
  if (form.dataset.sure && !confirm(form.dataset.sure)) event.preventDefault();
});

const keys = document.getElementById("keys");
const showKeys = document.getElementById("show-keys");
showKeys.hidden = false;
showKeys.addEventListener("click", (event) => { event.preventDefault(); keys.showModal(); });

// The keys that the dialogue tells. With Shift, too, where a layout needs that for `/` or `?`.
let going = false; // `g` was pressed, a number follows
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
  if (event.target.matches("input:not([type=checkbox]), textarea, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const rows = [...document.querySelectorAll("[data-rows] a[data-row]")];
  const row = document.activeElement.closest("[data-rows] tr, [data-rows] li");
  const at = rows.findIndex((one) => row?.contains(one));
  const went = going;
  going = event.key === "g";
  const page = went && /^[0-9]$/.test(event.key) ? document.querySelectorAll(".nav a")[(Number(event.key) + 9) % 10] : null;
  if (page) page.click();
  else if (going) return;
  else if (event.key === "?") keys.showModal();
  else if (event.key === "x") row?.querySelector("input[type=checkbox]")?.click();
  else if (event.key === "/") document.querySelector("input[type=search]")?.focus();
  else if ((event.key === "j" || event.key === "k") && !rows.length) document.querySelector(`main a[rel=${event.key === "j" ? "next" : "prev"}]`)?.click();
  else if (event.key === "j") rows[Math.min(at + 1, rows.length - 1)]?.focus();
  else if (event.key === "k") rows[Math.max(at - 1, 0)]?.focus();
  else if (event.key === "u") document.querySelector("a.crumb")?.click();
  else return;
  event.preventDefault();
});

// Rows that can be selected: all at once.
function chooseAll() {
  for (const label of document.querySelectorAll("[data-all]")) {
    const every = [...label.closest("table").querySelectorAll("tbody input[type=checkbox]")];
    const chosen = every.filter((one) => one.checked).length;
    label.hidden = every.length === 0;
    Object.assign(label.firstElementChild, { checked: chosen > 0 && chosen === every.length, indeterminate: chosen > 0 && chosen < every.length });
  }
}

document.addEventListener("change", (event) => {
  const label = event.target.closest?.("[data-all]");
  if (label) for (const one of label.closest("table").querySelectorAll("tbody input[type=checkbox]")) one.checked = event.target.checked;
  chooseAll();
});

// Tabs: panels that are all there; without scripts they stand one under the other.
for (const tabs of document.querySelectorAll("[data-tabs]")) {
  const buttons = [...tabs.querySelectorAll("[role=tab]")];
  const show = (chosen) => {
    for (const one of buttons) {
      const mine = one === chosen;
      one.setAttribute("aria-selected", String(mine));
      one.tabIndex = mine ? 0 : -1;
      document.getElementById(one.getAttribute("aria-controls")).hidden = !mine;
    }
  };
  tabs.hidden = false;
  tabs.addEventListener("click", (event) => { const tab = event.target.closest("[role=tab]"); if (tab) show(tab); });
  tabs.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length];
    next.focus();
    show(next);
  });
  if (buttons.length) show(buttons[0]);
}

chooseAll();
tellTimes(document);
setInterval(() => tellTimes(document), 1000);
const every = Number(document.getElementById("refresh")?.dataset.every);
if (every) { busy(); keepFresh(every); }
