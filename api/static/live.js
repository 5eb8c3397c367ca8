// The page Live: /api/events/ as a list. The browser itself comes again with Last-Event-ID, so nothing is missed.
"use strict";

const MOST = 500;
const list = document.getElementById("stream");
const box = document.getElementById("box");
const quiet = document.getElementById("quiet");
const connection = document.getElementById("connection");
const pause = document.getElementById("pause");
const clear = document.getElementById("clear");
const filters = document.getElementById("filters");
const TONES = { new: "accent", backfill: "", copy: "", stored: "good", expunged: "warn", reset: "warn", dead: "bad", synced: "", flags: "", "mailbox-deleted": "warn", account: "warn" };
const OLD = new Set(["backfill", "copy"]); // their time says nothing of how quick new mail is

let waiting = []; // came while paused

function element(name, className, text) {
  const one = document.createElement(name);
  one.className = className;
  if (text !== undefined) one.textContent = oneLine(text); // never as HTML: names are the senders' and the servers'
  return one;
}

function bytes(count) {
  if (count < 1000) return `${count} B`;
  for (const unit of ["kB", "MB", "GB"]) {
    count /= 1000;
    if (count < 999.95) return `${count.toFixed(1)} ${unit}`;
  }
  return `${(count / 1000).toFixed(1)} TB`;
}

function words(event) {
  switch (event.type) {
    case "new": case "backfill": case "copy":
      return `UID ${event.uid}, ${bytes(event.size)}, found by ${event.found_by}`;
    case "stored":
      return `${event.from_name || event.from_email || "nobody"}: ${event.subject || "(no subject)"} · UID ${event.uid}, ${bytes(event.size)}` + (event.attachments ? `, ${event.attachments} attachment${event.attachments > 1 ? "s" : ""}` : "")
        + (event.rebound_from ? `, was UID ${event.rebound_from.uid} of ${event.rebound_from.uidvalidity}` : "")
        + (event.defects?.length ? `, ${event.defects.join(", ")}` : "");
    case "flags":
      return `UID ${event.uid}` + [...event.added.map((flag) => ` +${flag}`), ...event.removed.map((flag) => ` −${flag}`)].join("");
    case "expunged":
      return `UID ${event.uid} is no longer on the server`;
    case "dead":
      return `UID ${event.uid} could not be stored: ${event.error}`;
    case "reset":
      return `UIDVALIDITY ${event.old_uidvalidity} → ${event.uidvalidity}`;
    case "mailbox-created":
      return "is synced from now on";
    case "mailbox-renamed":
      return `was called ${event.old}`;
    case "mailbox-deleted":
      return "is not on the server any more";
    case "account":
      return event.reason ? `${event.state}: ${event.reason}` : event.state;
    case "synced":
      return event.status === "ok" ? `${event.found_by}: ${event.found} found, ${event.stored} stored, ${event.expunged} expunged` : `failed: ${event.error}`;
    default:
      return "";
  }
}

function took(event) {
  if (event.type === "synced") return `${event.duration_ms} ms`;
  const from = Date.parse(event.pushed_at ?? "");
  const to = Date.parse(event.type === "stored" ? event.at : event.published_at ?? "");
  if (!from || !to || OLD.has(event.kind) || OLD.has(event.type)) return "";
  return `+${Math.max(0, to - from)} ms`;
}

function row(event) {
  const item = element("li", "fresh");
  item.dataset.type = event.type;
  const when = element("time", "when", new Date(event.at).toLocaleTimeString(undefined, { ...ZONE, hourCycle: "h23", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 }));
  when.dateTime = event.at;
  const kind = element("span", "kind");
  kind.append(element("span", `badge ${TONES[event.type] ?? ""}`, event.type));
  const what = element("span", "what");
  what.append(element("strong", "", event.mailbox), " ", element("span", "more", `${words(event)}${event.account === "default" ? "" : ` · ${event.account}`}`));
  item.append(when, kind, what);
  const last = element("span", "took", took(event));
  if (event.type === "stored" && event.row_id) {
    const open = element("a", "", "open");
    open.href = `/admin/messages/${event.row_id}/`;
    open.dataset.row = "";
    last.append(" ", open);
  }
  item.append(last);
  return item;
}

function show(event) {
  if (pause.getAttribute("aria-pressed") === "true") {
    waiting.push(event);
    if (waiting.length > MOST) waiting.shift();
    pause.textContent = `Go on (${waiting.length})`;
    return;
  }
  list.prepend(row(event));
  while (list.childElementCount > MOST) list.lastElementChild.remove();
  box.hidden = false;
  quiet.hidden = true;
}

function tell(text, tone) {
  quiet.querySelector(".empty-title").textContent = tone === "good" ? "All quiet." : "Not connected.";
  quiet.lastElementChild.textContent = tone === "good" ? "New mail appears here a few milliseconds after the server has it."
    : "Nothing appears here until the badge above says “live”.";
  connection.textContent = text;
  connection.className = `badge dot ${tone}${tone === "good" ? " live" : ""}`;
}

let source = null;

function connect() {
  source?.close();
  const types = [...filters.querySelectorAll("input:checked")].map((one) => one.value);
  if (!types.length) { tell("no type chosen", "warn"); return; }
  source = new EventSource(`/api/events/?type=${types.join(",")}`);
  source.onopen = () => tell("live", "good");
  source.onerror = () => {
    if (source.readyState !== EventSource.CLOSED) { tell("reconnecting", "warn"); return; }
    tell("not connected", "bad");
    setTimeout(connect, 5000); // the answer was no stream: signed out, or NATS is away
  };
  for (const type of types) source.addEventListener(type, (event) => show(JSON.parse(event.data)));
}

pause.addEventListener("click", () => {
  const paused = pause.getAttribute("aria-pressed") !== "true";
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Go on" : "Pause";
  if (!paused) for (const event of waiting.splice(0)) show(event);
});
clear.addEventListener("click", () => { list.replaceChildren(); box.hidden = true; quiet.hidden = false; });
filters.addEventListener("change", connect);
pause.hidden = clear.hidden = false;
connect();
