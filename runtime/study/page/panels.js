/* The panels: one function draws one part of the page from a state.
 *
 *   view = { state, film, words, names, sources, recording, hasLoop }  -->  the elements inside one panel
 *
 * Promises: a panel shows the state and nothing else; a long list is cut, and says how much is left out.
 * Does not know: how the state came about, or what the buttons do.
 */

/* Rows beyond this are counted, not drawn: nobody reads them, and drawing would take longer than a step. */
const MOST_TASKS = 200;
const MOST_IN_QUEUE = 100;
const MOST_IN_LINE = 20;
const MOST_THINGS = 60;
const MOST_DEADLINES = 4;
const MOST_LINES_OF_OUTPUT = 200;
/* Source lines shown before and after the one concerned. */
const LINES_AROUND = 5;

/* ---- Caption and clock ---- */

function drawCaption(view) {
  const { state, film, words } = view;
  if (state.position === 0) return fill("caption", lostText(view), view.hasLoop ? words.begin : words.beginThreads);
  const event = film.events[state.position - 1];
  const caption = words.caption[event.event] || words.caption.unknown;
  fill("caption", draw(view, capitalised(caption(event, factsOf(view, event)))));
}

/* A sentence that begins with a word begins with a capital; a name is left as it is. */
function capitalised([first, ...rest]) {
  return [typeof first === "string" ? first[0].toUpperCase() + first.slice(1) : first, ...rest];
}

function lostText({ recording, words }) {
  return recording.lost > 0 ? words.lost(recording.lost) + " " : "";
}

/* What an empty panel says. */
function nothing({ recording, words }, text) {
  return faint(recording.lost > 0 ? words.page.noneKnown : text);
}

function drawClock(view) {
  fill("clock", view.words.page.clock[view.recording.clock] || view.recording.clock);
  fill("now", duration(view.state.at) || "0 ms");
}

/* ---- The seven steps ---- */

function drawSteps(view) {
  const { state, words } = view;
  fill("steps", words.steps.map(([title, text], index) => {
    const step = index + 1;
    const row = element("li", {}, element("b", {}, title), element("span", {}, text));
    row.classList.toggle("current", state.step === step);
    row.classList.toggle("passed", state.passed[step] > 0);
    if (state.step === step) row.setAttribute("aria-current", "step");
    return row;
  }));
}

/* ---- Run queue ---- */

function drawQueue(view) {
  const { state, words } = view;
  const running = state.running === null
    ? element("span", { className: "faint" }, words.page.nobodyRuns)
    : chip(view, state.running);
  const ready = state.queue.length
    ? chips(view, state.queue, MOST_IN_QUEUE)
    : [element("span", { className: "faint" }, words.page.nobodyReady)];
  fill("queue",
    element("div", { id: "running" }, element("h3", {}, words.page.running), running),
    element("div", { className: "arrow" }, "←"),
    element("div", { id: "ready" }, element("h3", {}, words.page.ready), element("div", { className: "line" }, ready)),
    element("p", { id: "loop" }, draw(view, whatTheLoopDoes(view))));
}

function whatTheLoopDoes({ state, words, recording }) {
  if (state.position === 0) return recording.lost > 0 ? words.loop.underWay : words.loop.before;
  if (state.parked) return words.loop.parked(state.parked.limit);
  if (state.running !== null) return words.loop.running(task(state.running));
  return state.closing ? words.loop.closing : words.loop.choosing;
}

/* ---- Tasks ---- */

function drawTasks(view) {
  const { state, words } = view;
  const all = [...state.tasks.values()];
  const live = all.filter((one) => one.stage !== "finished");
  const rows = tasksToShow(all, live);
  const head = element("div", { className: "row head" },
    [words.page.task, words.page.state, words.page.reason, words.page.turns, words.page.made]
      .map((title) => element("span", {}, title)));
  const left = all.length - rows.length;
  fill("tasks",
    rows.length ? head : guide(view),
    rows.map((one) => taskRow(view, one)),
    left > 0 ? faint(words.moreTasks(left)) : null);
  const counted = view.recording.lost > 0 ? words.nTasksKnown : words.nTasks;
  heading("panel-tasks", words.page.tasks, all.length ? counted(live.length, all.length) : "");
  const about = document.querySelector("#tasks .about");
  if (about) bringIntoSight(document.getElementById("tasks"), about.offsetTop, about.offsetHeight);
}

/* The task that the last event is about. */
function taskConcerned({ state, film }) {
  if (state.position === 0) return null;
  const event = film.events[state.position - 1];
  return "task" in event ? event.task : taskBy(event.by ?? null);
}

/* In the place of the tasks, as long as there are none. */
function guide({ words }) {
  const rows = words.guide.map(([panel, text]) => element("li", {}, element("b", {}, panel), " ", text));
  return [element("p", {}, words.page.guide), element("ul", { className: "guide" }, rows)];
}

/* In order of spawning; where there are too many, those that are over are left out first. */
function tasksToShow(all, live) {
  if (all.length <= MOST_TASKS) return all;
  const over = all.filter((one) => one.stage === "finished");
  const shown = live.slice(0, MOST_TASKS);
  return [...shown, ...over.slice(over.length - Math.max(0, MOST_TASKS - shown.length))];
}

function stageOf(state, one) {
  return state.running === one.id && one.stage !== "finished" ? "running" : one.stage;
}

function taskRow(view, one) {
  const { state, words } = view;
  const stage = stageOf(state, one);
  const label = stage === "finished" ? words.outcomes[one.outcome] : words.stages[stage];
  const row = element("div", { className: "row " + stage, dataset: { row: one.id, stage } },
    element("span", {}, chip(view, one.id)),
    element("span", { className: "stage " + (one.outcome || stage) }, label),
    element("span", { className: "reason" }, taskReason(view, one, stage)),
    element("span", { className: "turns", title: words.page.turns }, one.polls + (one.isElder ? "+" : "")),
    element("span", {}, siteMark(one.site)));
  row.classList.toggle("about", one.id === taskConcerned(view));
  return row;
}

function taskReason(view, one, stage) {
  if (stage !== "waiting" && stage !== "running") return [];
  const waits = one.waits.map((wait) => reasonPieces(view, wait));
  if (stage === "waiting" && waits.length === 0) waits.push(view.words.reason.foreign());
  return waits.map((pieces) => element("div", {}, draw(view, pieces)));
}

function heading(panel, title, more) {
  const place = document.querySelector(`#${panel} h2`);
  place.replaceChildren(title, element("small", {}, more));
}

/* ---- Timer wheel ---- */

const LEVEL_NAMES = ["1 ms", "64 ms", "4.1 s", "4.4 min", "4.7 h", "12.4 d"];

function drawWheel(view) {
  const now = tickNow(view.state);
  const timers = timersOf(view.state).map((timer) => ({ ...timer, ...placeInWheel(timer.tick, now) }));
  const onLevel = (level) => timers.filter((timer) => timer.level === level);
  const levels = LEVEL_NAMES.map((_, level) => wheelLevel(view, level, now, onLevel(level)));
  const hint = view.recording.clock === "real" ? faint(view.words.page.countedFrom) : null;
  fill("wheel", levels, deadlineList(view, timers), hint);
  heading("panel-wheel", view.words.page.wheel, view.words.page.wheelHint);
}

function wheelLevel(view, level, now, timers) {
  const hand = element("i", { className: "hand", title: view.words.page.now });
  hand.style.setProperty("--slot", Math.floor(now / WHEEL_SLOTS ** level) % WHEEL_SLOTS);
  const name = LEVEL_NAMES[level];
  const label = element("span", { className: "label", title: view.words.levelWidth(name) }, name);
  const strip = element("div", { className: "strip" }, hand, slotMarks(view, timers));
  const made = element("div", { className: "level", dataset: { level } }, label, strip);
  made.classList.toggle("used", timers.length > 0);
  return made;
}

function slotMarks(view, timers) {
  const bySlot = new Map();
  for (const { slot, task } of timers) {
    if (!bySlot.has(slot)) bySlot.set(slot, []);
    bySlot.get(slot).push(task);
  }
  return [...bySlot].map(([slot, tasks]) => {
    const who = tasks.slice(0, MOST_IN_LINE).map((id) => view.names.task(id, view.words));
    const title = who.join(view.words.comma);
    const mark = element("i", { className: "mark", title, dataset: { slot, timers: tasks.length } });
    mark.style.setProperty("--slot", slot);
    mark.style.setProperty("--hue", hueOf(tasks[0]));
    return mark;
  });
}

function deadlineList(view, timers) {
  const { state, words } = view;
  if (timers.length === 0) return nothing(view, words.page.noTimers);
  const ticks = [...new Set(timers.map((timer) => timer.tick))];
  const rows = ticks.slice(0, MOST_DEADLINES).map((tick) => {
    const due = timers.filter((timer) => timer.tick === tick);
    return element("div", { className: "deadline", dataset: { tick } },
      element("span", {}, element("b", {}, duration(due[0].deadline)), " ",
        element("small", {}, words.dueIn(due[0].deadline - state.at))),
      element("span", { className: "line" }, chips(view, due.map((timer) => timer.task), MOST_IN_LINE)));
  });
  const left = ticks.length - rows.length;
  return [...rows, left > 0 ? faint(words.moreTasks(left)) : null];
}

/* ---- Locks and whatever has a line ---- */

function drawLocks(view) {
  const { state, words } = view;
  const things = [...state.things.values()].filter(isWorthShowing);
  const left = things.length - MOST_THINGS;
  fill("locks",
    things.length ? null : nothing(view, words.page.noLocks),
    things.slice(0, MOST_THINGS).map((one) => thingRow(view, one)),
    left > 0 ? faint(words.moreTasks(left)) : null);
}

function canBeHeld(one) {
  return one.which.kind === "lock" || one.which.kind === "semaphore";
}

function isWorthShowing(one) {
  return canBeHeld(one) || one.holders.length > 0 || one.line.length > 0;
}

function thingRow(view, one) {
  const { words } = view;
  return element("div", { className: "item", dataset: { thing: keyOf(one.which) } },
    element("b", { className: "thing" }, view.names.thing(one.which, words)),
    canBeHeld(one) ? element("div", { className: "holders" }, holderList(view, one)) : null,
    one.line.length
      ? element("div", { className: "waiters" }, element("small", {}, words.page.inLine), " ",
        element("span", { className: "line" }, chips(view, one.line, MOST_IN_LINE)))
      : null);
}

function holderList(view, one) {
  const { words } = view;
  if (one.holders.length === 0) {
    const said = (text, className) => [element("small", { className }, text)];
    if (one.line.length === 0) return said(words.page.free, "free");
    const isGiven = one.which.kind === "lock" || stageOf(view.state, taskOf(view.state, one.line[0])) === "ready";
    return isGiven ? said(words.page.onItsWay, "free") : said(words.page.tooFew, "too-few");
  }
  return [element("small", {}, words.page.holds), " ", element("span", { className: "line" }, holdersOf(view, one))];
}

/* With the line of each, if there is room for it. */
function holdersOf(view, one) {
  return one.holders.slice(-MOST_IN_LINE).map((holder) =>
    element("span", { className: "holder", title: `${holder.site.file}:${holder.site.line}` },
      draw(view, [actorPiece(view, holder.who)]), " ", one.holders.length === 1 ? siteMark(holder.site) : null));
}

/* ---- Sockets and threads ---- */

function drawWorld(view) {
  if (!view.hasLoop) heading("panel-world", view.words.page.threads, "");
  const { state, words } = view;
  const waiting = waitersOf(state);
  const sockets = [...state.sockets.values()].slice(0, MOST_THINGS);
  const jobs = [...state.jobs.values()].slice(0, MOST_THINGS);
  const threads = [...state.threads.values()].slice(0, MOST_THINGS);
  const isEmpty = sockets.length + jobs.length + threads.length === 0;
  fill("world",
    isEmpty ? nothing(view, view.hasLoop ? words.page.noWorld : words.page.noThreads) : null,
    sockets.map((one) => worldRow(view, one.which, waiting, null)),
    jobs.map((one) => worldRow(view, one.which, waiting, whereJobIs(view, one))),
    threads.filter((one) => !one.job).map((one) => threadRow(view, one)));
}

/* Who waits for which socket or closure. */
function waitersOf(state) {
  const waiting = new Map();
  for (const one of state.tasks.values()) {
    if (one.stage !== "waiting") continue;
    for (const { resource } of one.waits) {
      const key = keyOf(resource);
      waiting.set(key, [...(waiting.get(key) || []), one.id]);
    }
  }
  return waiting;
}

function worldRow(view, which, waiting, where) {
  const ids = waiting.get(keyOf(which)) || [];
  return element("div", { className: "item", dataset: { thing: keyOf(which) } },
    element("b", { className: "thing" }, view.names.thing(which, view.words)),
    where ? element("div", {}, element("small", {}, where)) : null,
    ids.length
      ? element("div", { className: "waiters" }, element("small", {}, view.words.page.waitingTasks), " ",
        element("span", { className: "line" }, chips(view, ids, MOST_IN_LINE)))
      : null);
}

function whereJobIs(view, job) {
  const { words } = view;
  if (job.done) return words.page.jobDone;
  return job.thread === null ? words.page.forThread : `${words.page.inThread} ${view.names.thread(job.thread, words)}`;
}

function threadRow(view, thread) {
  return element("div", { className: "item" },
    element("span", { className: "thing" }, view.names.thread(thread.id, view.words)), " ",
    element("small", {}, thread.text || view.words.page.idle));
}

/* ---- Output ---- */

function drawOutput(view) {
  const { state, film, words } = view;
  const count = countUpTo(film.notes, state.position);
  const said = film.notes.slice(Math.max(0, count - MOST_LINES_OF_OUTPUT), count);
  fill("output", said.length ? said.map((position) => noteRow(view, position)) : nothing(view, words.page.noOutput));
  const box = document.getElementById("output");
  box.scrollTop = box.scrollHeight;
  /* Of a long one the beginning. */
  const above = box.lastChild ? box.lastChild.getBoundingClientRect().top - box.getBoundingClientRect().top : 0;
  if (above < 0) box.scrollTop += above;
}

function noteRow(view, position) {
  const event = view.film.events[position - 1];
  const row = element("div", { className: "note" }, element("small", {}, duration(event.at)), " ",
    draw(view, [actorPiece(view, event.by)]), event.by === "loop" ? ": " : " ",
    element("span", { className: "said" }, event.text));
  row.classList.toggle("current", position === view.state.position);
  return row;
}

/* ---- Source ---- */

function drawSource(view) {
  const { state, words, sources } = view;
  if (!state.site) return fill("source", faint(words.page.noSource));
  const { file, line } = state.site;
  const text = sources[file];
  fill("source",
    element("p", { className: "site" }, `${file}:${line}`),
    text === undefined ? faint(words.page.unreadable) : codeAround(text, line, state.siteIsExact));
}

function codeAround(text, line, isExact) {
  const lines = text.split("\n");
  const from = Math.max(0, Math.min(line - 1 - LINES_AROUND, lines.length - 2 * LINES_AROUND - 1));
  const shown = lines.slice(from, from + 2 * LINES_AROUND + 1);
  return element("pre", {}, shown.map((code, index) => {
    const number = from + index + 1;
    const row = element("code", {}, element("span", { className: "number" }, String(number)), code || " ");
    if (number === line) row.className = isExact ? "here" : "was-here";
    return row;
  }));
}

/* ---- All events ---- */

/* A list of which only the rows in sight are drawn, so that 100,000 cost no more than a hundred. */
class EventList {
  constructor(box, jump) {
    this.box = box;
    this.rowHeight = 28;
    this.inside = element("div", { className: "inside" });
    box.append(this.inside);
    box.addEventListener("scroll", () => this.view && this.drawRows());
    box.addEventListener("click", (click) => {
      const row = click.target.closest("[data-position]");
      if (row) jump(Number(row.dataset.position));
    });
  }

  draw(view) {
    this.view = view;
    this.inside.style.height = view.film.length * this.rowHeight + "px";
    bringIntoSight(this.box, Math.max(0, view.state.position - 1) * this.rowHeight, this.rowHeight);
    this.drawRows();
  }

  drawRows() {
    const { film } = this.view;
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.rowHeight) - 2);
    const last = Math.min(film.length, first + Math.ceil(this.box.clientHeight / this.rowHeight) + 4);
    const rows = [];
    for (let index = first; index < last; index += 1) rows.push(this.row(index + 1));
    this.inside.replaceChildren(...rows);
  }

  row(position) {
    const { view } = this;
    const event = view.film.events[position - 1];
    const brief = (view.words.brief[event.event] || view.words.brief.unknown)(event, briefFacts(view, event));
    const row = element("button", { type: "button", tabIndex: -1, dataset: { position } },
      element("small", {}, duration(event.at)), element("span", {}, draw(view, brief)));
    row.style.top = (position - 1) * this.rowHeight + "px";
    row.classList.toggle("current", position === view.state.position);
    row.classList.toggle("future", position > view.state.position);
    return row;
  }
}

function briefFacts(view, event) {
  return {
    by: actorPiece(view, event.by),
    thread: "thread" in event ? view.names.thread(event.thread, view.words) : "",
  };
}
