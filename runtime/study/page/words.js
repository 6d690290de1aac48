/* The words of both languages, and what they are made of.
 *
 *   say`${task(3)} takes ${thing(which)}.`  -->  [ {task: 3}, " takes ", {thing: which}, "." ]
 *
 * A text is a list of strings and of names; the panels draw the names in their colours. English and Chinese have a
 * file each, with the same entries:
 *
 *   page     what stands still          caption   one sentence about an event, for the reader
 *   stages, kinds, actors, ..  names    brief     the same in a few words, for the list
 *   steps    the seven                  reason    what a task waits for
 *
 * An entry that speaks of an event is given the event and a few facts beside it: see factsOf in elements.js.
 * Does not know: the page, or the model.
 */

const task = (id) => ({ task: id });
const thing = (which) => ({ thing: which });
const place = (site) => ({ site });
const quote = (text) => ({ quote: text });
/* A sentence has room for the first line of what was said; the output has the rest. */
const quoteFirstLine = (text) => quote(text.trimEnd().replace(/\n[^]*/, " …"));

/* A template whose values are pieces, or lists of pieces, or plain values. */
function say(strings, ...values) {
  const pieces = [];
  strings.forEach((string, index) => {
    if (string) pieces.push(string);
    if (index < values.length) pieces.push(...pieceList(values[index]));
  });
  return pieces;
}

function pieceList(value) {
  if (Array.isArray(value)) return value.flatMap(pieceList);
  if (value === null || value === undefined || value === "") return [];
  return [typeof value === "object" ? value : String(value)];
}

function joined(pieces, comma) {
  return pieces.flatMap((piece, index) => (index === 0 ? [piece] : [comma, piece]));
}

/* 250 ms, 1.25 s, 2 min 5 s: as many digits as a reader needs. */
function duration(nanos) {
  const ms = nanos / 1e6;
  if (ms < 1 && ms > 0) return round(nanos / 1e3, 1) + " µs";
  if (ms < 1000) return round(ms, 2) + " ms";
  if (ms < 120e3) return round(ms / 1e3, 3) + " s";
  if (ms < 7200e3) return Math.floor(ms / 60e3) + " min " + Math.floor((ms % 60e3) / 1e3) + " s";
  return round(ms / 3600e3, 1) + " h";
}

function round(value, digits) {
  return String(Number(value.toFixed(digits)));
}

const WORDS = {};
