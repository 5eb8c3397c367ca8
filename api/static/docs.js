// Sends what the forms of /api/docs/ say, as whoever is signed in, and shows what comes back.
"use strict";

const SAFE = new Set(["GET", "HEAD"]);
const MOST_SHOWN = 200_000;

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const cookie = (name) =>
  document.cookie.split("; ").find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";

function requestOf(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  const headers = {};
  let body;
  for (const field of form.querySelectorAll("[data-place]")) {
    const value = field.value.trim();
    if (field.dataset.place === "path") path = path.replace(`{${field.name}}`, value ? encodeURIComponent(value) : `{${field.name}}`);
    else if (value === "") continue;
    else if (field.dataset.place === "query") query.set(field.name, value);
    else if (field.dataset.place === "header") headers[field.name] = value;
    else body = value;
  }
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const search = query.toString();
  return { method: form.dataset.method, url: location.origin + path + (search ? `?${search}` : ""), headers, body };
}

function curlOf({ method, url, headers, body }) {
  const words = ["curl"];
  if (method !== "GET") words.push("-X", method);
  words.push("-H", '"Authorization: Bearer $TOKEN"');
  for (const [name, value] of Object.entries(headers)) words.push("-H", quoted(`${name}: ${value}`));
  if (body !== undefined) words.push("-d", quoted(body));
  return [...words, quoted(url)].join(" ");
}

async function show(response, answer) {
  const type = response.headers.get("Content-Type") ?? "";
  const attached = (response.headers.get("Content-Disposition") ?? "").startsWith("attachment");
  if (attached || !/^text\/|json|rfc822/.test(type)) {
    const { size } = await response.blob();
    answer.textContent = `${size} bytes of ${type || "an unknown type"}`;
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    text = (text + value).slice(-MOST_SHOWN);
    answer.textContent = lines(text);
  }
  if (type.includes("json")) {
    try {
      answer.textContent = lines(JSON.stringify(JSON.parse(text), null, 2));
    } catch {
      answer.textContent = lines(text); // longer than what is shown
    }
  }
}

async function send(form) {
  const [status, answer, stop] = ["status", "answer", "stop"].map((name) => form.querySelector(`[data-${name}]`));
  const button = form.querySelector("[type=submit]");
  const empty = [...form.querySelectorAll("[data-place=path]")].find((field) => field.value.trim() === "");
  if (empty) {
    status.textContent = `${empty.name} is needed.`;
    empty.focus();
    return;
  }
  const { url, ...options } = requestOf(form);
  if (!SAFE.has(options.method)) options.headers["X-CSRFToken"] = cookie("csrftoken");
  const ending = new AbortController();
  stop.onclick = () => ending.abort();
  stop.hidden = false;
  button.disabled = true;
  answer.hidden = false;
  answer.textContent = "";
  status.textContent = "…";
  const began = performance.now();
  try {
    const response = await fetch(url, { ...options, signal: ending.signal, redirect: "manual" });
    status.textContent = `${response.status} ${response.statusText} · ${Math.round(performance.now() - began)} ms`;
    status.className = response.ok ? "good-text" : "bad-text";
    await show(response, answer);
  } catch (error) {
    const stopped = error.name === "AbortError";
    status.className = stopped ? "soft" : "bad-text";
    status.textContent = stopped ? "stopped" : `No answer: ${error.message}`;
  } finally {
    stop.hidden = true;
    button.disabled = false;
    if (answer.textContent === "") answer.hidden = true;
  }
}

for (const form of document.querySelectorAll("[data-try]")) {
  const curl = form.querySelector("[data-curl]");
  const write = () => { curl.textContent = curlOf(requestOf(form)); };
  form.addEventListener("input", write);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
  write();
}

function openNamed() {
  const named = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named instanceof HTMLDetailsElement) {
    named.open = true;
    named.scrollIntoView();
  }
}
addEventListener("hashchange", openNamed);
openNamed();
