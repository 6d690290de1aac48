/* The page: reads the recording, listens to the buttons, and has the panels drawn at one position.
 *
 *   button, key, slider, list, address --> goTo(position) --> film.at(position) --> every panel
 *
 * The address may say where to open: page.html#at=120&lang=zh
 * Does not know: what any event means.
 */

const $ = (id) => document.getElementById(id);

/* How often a playing page is drawn at most; at more events a second it goes on by several. */
const DRAWS_A_SECOND = 50;

const page = {
  recording: null,
  sources: null,
  film: null,
  names: null,
  list: null,
  hasLoop: true,
  words: WORDS.en,
  position: 0,
  playing: null,     /* the timer that goes on with it */
};

function begin() {
  page.recording = JSON.parse($("recording").textContent);
  page.sources = JSON.parse($("sources").textContent);
  page.film = new Film(page.recording);
  page.names = new Names(page.recording);
  page.list = new EventList($("events"), goTo);
  page.hasLoop = hasLoop(page.recording);
  document.body.classList.toggle("no-loop", !page.hasLoop);
  $("slider").max = page.film.length;
  listen();
  speak(navigator.language.startsWith("zh") ? "zh" : "en");
  readAddress();
}

function listen() {
  const actions = {
    first: () => goTo(0),
    back: () => goTo(page.position - 1),
    play: playOrPause,
    forward: () => goTo(page.position + 1),
    last: () => goTo(page.film.length),
    language: () => speak(page.words === WORDS.en ? "zh" : "en"),
  };
  for (const [id, action] of Object.entries(actions)) $(id).addEventListener("click", action);
  /* After a click the space bar is to play, not to click once more. */
  document.addEventListener("click", (click) => click.detail > 0 && document.activeElement.blur());
  $("slider").addEventListener("input", () => goTo(Number($("slider").value)));
  $("speed").addEventListener("change", () => page.playing && play());
  document.addEventListener("keydown", pressed);
  window.addEventListener("hashchange", readAddress);
  window.addEventListener("resize", show);
}

/* ---- Where we are ---- */

function goTo(position) {
  page.position = Math.max(0, Math.min(page.film.length, position));
  if (page.position === page.film.length) pause();
  show();
}

function show() {
  const state = page.film.at(page.position);
  const { film, words, names, sources, recording, hasLoop } = page;
  const view = { state, film, words, names, sources, recording, hasLoop };
  for (const drawPanel of PANELS) drawPanel(view);
  page.list.draw(view);
  $("slider").value = page.position;
  $("count").textContent = words.count(page.position, film.length);
  $("first").disabled = $("back").disabled = page.position === 0;
  $("last").disabled = $("forward").disabled = page.position === film.length;
  document.body.dataset.position = page.position;
}

const PANELS = [
  drawCaption, drawClock, drawSteps, drawQueue, drawTasks, drawWheel, drawLocks, drawWorld, drawOutput, drawSource,
];

/* The next position, or the one before, at which a task begins its turn. */
function nextTurn(direction) {
  let position = page.position + direction;
  while (position > 0 && position < page.film.length && page.film.events[position - 1].event !== "poll_started") {
    position += direction;
  }
  return position;
}

function readAddress() {
  const wishes = new URLSearchParams(location.hash.slice(1));
  if (wishes.has("lang")) speak(wishes.get("lang"));
  if (wishes.has("at")) goTo(Number(wishes.get("at")) || 0);
}

/* ---- Playing ---- */

function playOrPause() {
  if (page.playing) return pause();
  if (page.position === page.film.length) goTo(0);
  play();
}

function play() {
  clearInterval(page.playing);
  const speed = Number($("speed").value);
  const perDraw = Math.max(1, Math.round(speed / DRAWS_A_SECOND));
  page.playing = setInterval(() => goTo(page.position + perDraw), 1000 * perDraw / speed);
  showPlaying();
}

function pause() {
  clearInterval(page.playing);
  page.playing = null;
  showPlaying();
}

function showPlaying() {
  $("play").classList.toggle("playing", page.playing !== null);
  label($("play"), page.words.page[page.playing ? "pause" : "play"]);
}

/* ---- Keys ---- */

const KEYS = {
  ArrowRight: () => goTo(page.position + 1),
  ArrowLeft: () => goTo(page.position - 1),
  ArrowDown: () => goTo(nextTurn(1)),
  ArrowUp: () => goTo(nextTurn(-1)),
  Home: () => goTo(0),
  End: () => goTo(page.film.length),
  " ": playOrPause,
};

function pressed(key) {
  const action = KEYS[key.key];
  const hasOwnUse = key.target.tagName === "SELECT" || (key.key === " " && key.target.tagName === "BUTTON");
  if (!action || hasOwnUse || key.ctrlKey || key.metaKey || key.altKey) return;
  key.preventDefault();
  action();
}

/* ---- Languages ---- */

function speak(language) {
  page.words = WORDS[language] || WORDS.en;
  const { words } = page;
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  $("language").textContent = words.otherLanguage;
  document.querySelectorAll("[data-text]").forEach((place) => { place.textContent = words.page[place.dataset.text]; });
  document.querySelectorAll("[data-title]").forEach((place) => label(place, words.page[place.dataset.title]));
  showPlaying();
  show();
}

function label(place, text) {
  place.title = text;
  place.setAttribute("aria-label", text);
}

begin();
