// As mailcore/visible.py has it, whose pattern the page hands over: what a sender or a server wrote cannot pretend.
"use strict";

const UNSEEN = JSON.parse(document.currentScript.dataset.unseen);
const IN_LINES = new RegExp(`${UNSEEN}|\\p{Cs}`, "gu");
const IN_ONE_LINE = new RegExp(`${UNSEEN}|\\p{Cs}|[\\t\\n]`, "gu");
const SHORT = { "\t": "\\t", "\n": "\\n", "\r": "\\r" };

function escaped(one) {
  const code = one.codePointAt(0), digits = code.toString(16);
  if (code < 0x100) return SHORT[one] ?? `\\x${digits.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${digits.padStart(4, "0")}` : `\\U${digits.padStart(8, "0")}`;
}

function oneLine(text) {
  return String(text).replace(IN_ONE_LINE, (found, kept) => kept ?? escaped(found));
}

function lines(text) {
  return text.replaceAll("\r\n", "\n").replace(IN_LINES, (found, kept) => kept ?? escaped(found));
}
