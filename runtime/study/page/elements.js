/* The elements that panels are made of: names in their colours, texts, and the facts that the texts ask for.
 *
 *   [ {task: 3}, " waits for ", {thing: which} ]  --draw-->  a chip, text, a bold name
 *
 * Promises: a name is text, whatever it holds; what has not changed is not laid out again.
 * Does not know: which panel they are for.
 */

/* So many names can be written out. */
const FEW = 8;
/* Of those who hold permits, the newest are named beside a waiter. */
const MOST_HOLDERS_NAMED = 2;

/* ---- Elements ---- */

/* element("p", { className: "x", dataset: { task: 3 } }, "text", other) */
function element(name, properties, ...children) {
  const made = document.createElement(name);
  const { dataset, ...rest } = properties || {};
  Object.assign(made, rest);
  Object.assign(made.dataset, dataset);
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

/* Gives a place these children. What stands there already stays, so that the browser lays out what is new only. */
function fill(id, ...children) {
  const place = document.getElementById(id);
  const wanted = children.flat(Infinity).filter((child) => child !== null);
  wanted.forEach((child, index) => {
    const old = place.childNodes[index];
    if (typeof child === "string") child = document.createTextNode(child);
    if (!old) place.append(child);
    else if (!old.isEqualNode(child)) place.replaceChild(child, old);
  });
  while (place.childNodes.length > wanted.length) place.lastChild.remove();
}

function faint(text) {
  return element("p", { className: "faint" }, text);
}

/* Scrolls a box, and the box only, until a part of it can be seen. */
function bringIntoSight(box, top, height) {
  const isInSight = top >= box.scrollTop && top + height <= box.scrollTop + box.clientHeight;
  if (!isInSight) box.scrollTop = top - (box.clientHeight - height) / 2;
}

/* ---- Names ---- */

/* What tasks, resources and threads are called. */
class Names {
  constructor(recording) {
    this.tasks = new Map(recording.tasks.map((task) => [task.id, task.name]));
    this.things = new Map(recording.resources.map((thing) => [keyOf(thing), thing.name]));
    this.threads = new Map(recording.threads.map((thread) => [thread.id, thread.name]));
  }

  task(id, words) {
    return this.tasks.get(id) || words.taskName(id);
  }

  thing(which, words) {
    const kind = words.kinds[which.kind] || which.kind;
    const name = this.things.get(keyOf(which));
    if (name) return `${kind} “${name}”`;
    return which.number === 0 ? kind : `${kind} ${which.number}`;
  }

  thread(id, words) {
    return this.threads.get(id) || words.threadName(id);
  }
}

/* Neighbours in number are far apart in hue. */
function hueOf(id) {
  return Math.round((210 + id * 137.5) % 360);
}

/* A task in its colour. */
function chip(view, id) {
  const made = element("span", { className: "task", dataset: { task: id }, title: view.words.taskName(id) });
  made.textContent = view.names.task(id, view.words);
  made.style.setProperty("--hue", hueOf(id));
  return made;
}

/* Where there are many, those without a name are called by their number alone. */
function chips(view, ids, most) {
  const shown = ids.slice(0, most).map((id) => chip(view, id));
  const unnamed = (id) => ids.length > FEW && id !== 0 && !view.names.tasks.get(id);
  shown.forEach((made, index) => { if (unnamed(ids[index])) made.textContent = ids[index]; });
  if (ids.length > most) shown.push(element("span", { className: "faint" }, view.words.moreTasks(ids.length - most)));
  return shown;
}

/* The last part of a path; the whole of it is shown on hovering. */
function shortSite(site) {
  return site.file.split(/[/\\]/).pop() + ":" + site.line;
}

function siteMark(site) {
  return site ? element("span", { className: "site", title: `${site.file}:${site.line}` }, shortSite(site)) : null;
}

/* The pieces of a text as elements. */
function draw(view, pieces) {
  return pieceList(pieces).map((piece) => {
    if (typeof piece === "string") return piece;
    if ("task" in piece) return chip(view, piece.task);
    if ("thing" in piece) return element("b", { className: "thing" }, view.names.thing(piece.thing, view.words));
    if ("quote" in piece) return element("q", {}, piece.quote);
    return siteMark(piece.site);
  });
}

/* ---- What a text has to know ---- */

function actorPiece(view, actor) {
  const id = taskBy(actor ?? null);
  if (id !== null) return task(id);
  if (actor && actor.lane) return view.names.thread(actor.lane, view.words);
  return view.words.actors[actor] || "";
}

/* What the words for an event ask for beside the event. */
function factsOf(view, event) {
  const { state, words } = view;
  const facts = {
    by: actorPiece(view, event.by),
    taskBy: taskBy(event.by ?? null),
    thread: "thread" in event ? view.names.thread(event.thread, words) : "",
    hasLoop: view.hasLoop,
  };
  if ("task" in event) {
    const about = taskOf(state, event.task);
    const isFirst = about.polls <= 1 && !about.isElder;
    Object.assign(facts, { isFirst, isNew: isNew(about), isReady: about.stage === "ready" });
  }
  if (event.event === "released") facts.first = thingOf(state, event.resource).line[0];
  if (event.event === "waiting") facts.reason = reasonPieces(view, event);
  return facts;
}

function reasonPieces(view, wait) {
  const { behind } = wait;
  const deadline = deadlineOf(wait);
  const facts = {
    deadline,
    left: deadline === null ? 0 : deadline - view.state.at,
    holders: holderPieces(view, holdersFor(view.state, wait)),
    last: holderPieces(view, behind.holders || []),
    task: behind.task ?? null,
  };
  return (view.words.reason[wait.resource.kind] || view.words.reason.foreign)(wait, facts);
}

function holderPieces(view, holders) {
  const named = holders.slice(0, MOST_HOLDERS_NAMED).map((holder) => actorPiece(view, holder.who));
  const others = holders.length > MOST_HOLDERS_NAMED ? [view.words.others] : [];
  return [...joined(named, view.words.comma), ...others];
}

/* Who has what a wait is for, newest first: by what was seen since, or else as the waiter was told. Of a semaphore he
 * is told who took permits last, who may have them no more. */
function holdersFor(state, wait) {
  const seen = state.things.get(keyOf(wait.resource));
  if (seen && seen.holders.length > 0) return seen.holders.slice().reverse();
  return wait.resource.kind === "semaphore" ? [] : wait.behind.holders || [];
}
