// The list of messages: what has come since it was made is told, and nothing of what is being read moves.
"use strict";

const PAUSE_MS = 1000; // many at once are asked for together
const AGAIN_MS = 30000; // after an answer that was no stream: signed out, or NATS is away

const place = document.querySelector(".news");
const link = place.firstElementChild;
const title = document.title;
let source = null;
let waiting = null;

async function ask() {
  waiting = null;
  let found;
  try {
    const answer = await fetch(place.dataset.newer);
    if (!answer.ok) return;
    found = await answer.json();
  } catch {
    return; // the next event asks again
  }
  const count = found.messages.length;
  const number = found.next ? `${count}+` : String(count);
  link.hidden = count === 0;
  link.textContent = count === 1 ? "1 new message" : `${number} new messages`;
  document.title = count ? `(${number}) ${title}` : title;
}

function soon() {
  waiting ??= setTimeout(ask, PAUSE_MS);
}

// A browser has six connections to a server: those whom nobody looks at keep none.
function listen() {
  if (source || document.hidden) return;
  source = new EventSource(place.dataset.events);
  source.addEventListener("open", ask); // what came while nobody listened
  source.addEventListener("stored", soon);
  source.addEventListener("error", () => {
    if (source?.readyState !== EventSource.CLOSED) return;
    rest();
    setTimeout(listen, AGAIN_MS);
  });
}

function rest() {
  source?.close();
  source = null;
}

document.addEventListener("visibilitychange", () => document.hidden ? rest() : listen());
addEventListener("pagehide", rest);
addEventListener("pageshow", listen);
