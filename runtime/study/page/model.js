/* The model: what the loop looks like after each event of the recording.
 *
 *   blank state --apply(event 1)--> state 1 --apply(event 2)--> state 2 --> ..
 *                                      |                           |
 *                               a checkpoint is kept every so many events
 *
 * Promises: the state at a position depends on the events before it and on nothing else; what a state holds of
 * a task, a resource, a socket is never changed but replaced, so that a copy of a state is a copy of its tables.
 * Does not know: how it is shown, or in which language.
 */

/* Events between two checkpoints: going back one event costs at most this many steps forward, about 1 ms. */
const CHECKPOINT_EVERY = 1000;
/* And at most so many checkpoints, for each may hold tables of thousands of tasks. */
const CHECKPOINTS = 128;

const NANOS_PER_TICK = 1e6;
const WHEEL_LEVELS = 6;
const WHEEL_SLOTS = 64;

/* The seven working steps of an event loop, of which an event belongs to one. */
const START = 1, QUEUE = 2, PAUSE = 3, RUN = 4, NEWS = 5, RESUME = 6, REPEAT = 7;

/* Of a recording whose beginning was lost, the tasks that it names and does not see made are there from the start. */
function blankState(recording) {
  const state = {
    position: 0,          /* how many events have happened */
    at: 0,                /* nanoseconds on the loop's clock */
    step: 0,              /* which of the seven */
    turnStep: RUN,        /* of the turn that goes on: a first one, or one more */
    passed: new Array(8).fill(0),
    running: null,        /* the number of the task whose turn it is */
    queue: [],            /* numbers of the ready tasks, next first */
    tasks: new Map(),
    things: new Map(),    /* locks, semaphores and whatever else has a holder or a line */
    sockets: new Map(),
    jobs: new Map(),      /* closures given to threads */
    threads: new Map(),   /* what each is at */
    site: null,           /* the line concerned, or the last that was */
    siteIsExact: false,   /* whether the event itself names it */
    parked: null,         /* { limit } while the loop waits for the world */
    firedUpTo: -1,        /* the tick up to which the wheel has handed out its timers */
    closing: false,
    isWhole: recording.lost === 0,
  };
  for (const { id, name, site } of eldersOf(recording)) {
    state.tasks.set(id, { ...newTask(id, name, site, null), stage: "unknown", isElder: true });
  }
  return state;
}

function eldersOf({ lost, tasks, steps }) {
  if (lost === 0) return [];
  const made = new Set(steps.filter((step) => step.event === "spawned").map((step) => step.task));
  return tasks.filter((task) => !made.has(task.id));
}

function copyOf(state) {
  return {
    ...state,
    passed: state.passed.slice(),
    queue: state.queue.slice(),
    tasks: new Map(state.tasks),
    things: new Map(state.things),
    sockets: new Map(state.sockets),
    jobs: new Map(state.jobs),
    threads: new Map(state.threads),
  };
}

/* ---- One event ---- */

function apply(state, event) {
  state.position += 1;
  state.at = event.at;
  const happen = HAPPEN[event.event];
  if (happen) happen(state, event);
  state.step = stepOf(state, event);
  lookAtSite(state, event);
  state.passed[state.step] += 1;
}

const HAPPEN = {
  spawned(state, event) {
    const { task: id, name, site, by } = event;
    state.tasks.set(id, newTask(id, name, site, by));
    state.closing = false;
  },
  woken(state, event) {
    if (taskOf(state, event.task).stage !== "ready") state.queue.push(event.task);
    change(state, event.task, { stage: "ready", wokenBy: event.by });
  },
  poll_started(state, event) {
    leaveQueue(state, event.task);
    const { polls } = taskOf(state, event.task);
    state.turnStep = isNew(taskOf(state, event.task)) ? RUN : RESUME;
    state.running = event.task;
    change(state, event.task, { stage: "running", polls: polls + 1, waits: [] });
  },
  waiting(state, event) {
    const id = taskBy(event.by);
    if (id === null) return;
    const { resource, site, behind } = event;
    change(state, id, { waits: [...taskOf(state, id).waits, { resource, site, behind }] });
    learnHolders(state, resource, behind);
    joinLine(state, resource, id);
  },
  poll_ended(state, event) {
    state.running = null;
    const task = taskOf(state, event.task);
    if (!event.pending) change(state, event.task, { stage: "done", waits: [] });
    else if (task.stage === "running") change(state, event.task, { stage: "waiting" });
    forgetGivenUpLocks(state, event.task);
    leaveLines(state, event.task);
  },
  acquired(state, event) {
    const thing = thingOf(state, event.resource);
    putThing(state, { ...thing, isKnown: true, holders: [...thing.holders, { who: event.by, site: event.site }] });
    if (taskBy(event.by) !== null) leaveLine(state, keyOf(event.resource), taskBy(event.by));
  },
  released(state, event) {
    const thing = thingOf(state, event.resource);
    putThing(state, { ...thing, isKnown: true, holders: withoutHolder(thing.holders, event.by) });
  },
  finished(state, event) {
    leaveQueue(state, event.task);
    change(state, event.task, { stage: "finished", outcome: event.outcome, waits: [] });
    leaveLines(state, event.task);
    if (state.running === event.task) state.running = null;
  },
  opened(state, event) {
    state.sockets.set(keyOf(event.socket), { which: event.socket, by: event.by });
  },
  closed(state, event) {
    state.sockets.delete(keyOf(event.socket));
  },
  submitted(state, event) {
    state.jobs.set(keyOf(event.job), { which: event.job, by: event.by, site: event.site, thread: null, done: false });
  },
  answered(state, event) {
    state.jobs.delete(keyOf(event.job));
  },
  began(state, event) {
    state.threads.set(event.thread, { id: event.thread, job: event.job, text: event.text });
    const job = event.job && state.jobs.get(keyOf(event.job));
    if (job) state.jobs.set(keyOf(event.job), { ...job, thread: event.thread });
  },
  ended(state, event) {
    state.threads.set(event.thread, { id: event.thread, job: null, text: "" });
    const job = event.job && state.jobs.get(keyOf(event.job));
    if (job) state.jobs.set(keyOf(event.job), { ...job, done: true });
  },
  closing(state) {
    state.closing = true;
  },
  parked(state, event) {
    state.parked = { limit: event.limit };
  },
  unparked(state) {
    state.parked = null;
  },
  fired(state, event) {
    state.firedUpTo = Math.floor(event.at / NANOS_PER_TICK);
  },
};

/* To which of the seven steps an event belongs. What a task does in its turn belongs to the turn. */
function stepOf(state, event) {
  switch (event.event) {
    case "spawned": return event.task === 0 ? START : QUEUE;
    case "woken": return isNew(taskOf(state, event.task)) ? QUEUE : NEWS;
    case "poll_started": return state.turnStep;
    case "waiting": return PAUSE;
    case "poll_ended": return event.pending ? PAUSE : REPEAT;
    case "finished": case "closing": case "member": case "unread": return REPEAT;
    case "parked": case "unparked": case "fired": case "answered": return NEWS;
    default: return state.running === null ? state.step || START : state.turnStep;
  }
}

/* The line that an event is about: its own, or where the task concerned was last seen. */
function lookAtSite(state, event) {
  const id = "task" in event ? event.task : taskBy(event.by ?? null);
  if (event.site && id !== null && event.event !== "spawned") change(state, id, { seenAt: event.site });
  const site = event.site || (id === null ? null : taskOf(state, id).seenAt);
  state.siteIsExact = Boolean(event.site);
  if (site) state.site = site;
}

/* ---- Tasks ---- */

/* A recording whose beginning was lost names tasks that it has not seen made. */
function taskOf(state, id) {
  return state.tasks.get(id) || newTask(id, null, null, null);
}

function newTask(id, name, site, by) {
  return {
    id, name, site, by,
    stage: "waiting",     /* or ready, running, done, finished; of an elder that was not heard of yet, unknown */
    polls: 0,
    isElder: false,       /* made before the first event that was kept */
    waits: [],            /* what it said in its last turn */
    lines: [],            /* the keys of the things in whose lines it stands */
    seenAt: site,         /* the line it was last seen at */
    outcome: null,
    wokenBy: null,
  };
}

/* Whether it has not had a turn yet. Of an elder nobody knows; it most likely had. */
function isNew(task) {
  return task.polls === 0 && !task.isElder;
}

function change(state, id, news) {
  state.tasks.set(id, { ...taskOf(state, id), ...news });
}

/* The number of the task that acts; null if it is the loop, a timer, a thread, or code outside. */
function taskBy(actor) {
  return actor !== null && typeof actor === "object" && "task" in actor ? actor.task : null;
}

function leaveQueue(state, id) {
  const place = state.queue.indexOf(id);
  if (place >= 0) state.queue.splice(place, 1);
}

/* ---- Locks and other things with a line ---- */

/* These waits have a panel of their own. */
const HAS_NO_LINE = new Set(["foreign", "turn", "timer", "socket", "thread", "task", "children"]);

function keyOf(which) {
  return which.kind + " " + which.number;
}

function thingOf(state, which) {
  return state.things.get(keyOf(which)) || { which, holders: [], line: [] };
}

function putThing(state, thing) {
  state.things.set(keyOf(thing.which), thing);
}

/* Of a lock that was taken before the first event that was kept, a waiter says who has it. */
function learnHolders(state, which, behind) {
  const thing = thingOf(state, which);
  if (which.kind !== "lock" || thing.isKnown || !behind.holders) return;
  putThing(state, { ...thing, isKnown: true, holders: behind.holders.slice().reverse() });
}

function joinLine(state, which, id) {
  if (HAS_NO_LINE.has(which.kind)) return;
  const thing = thingOf(state, which);
  if (thing.line.includes(id)) return;
  putThing(state, { ...thing, line: [...thing.line, id] });
  change(state, id, { lines: [...taskOf(state, id).lines, keyOf(which)] });
}

function leaveLine(state, key, id) {
  const thing = state.things.get(key);
  if (!thing || !thing.line.includes(id)) return;
  putThing(state, { ...thing, line: thing.line.filter((other) => other !== id) });
  change(state, id, { lines: taskOf(state, id).lines.filter((other) => other !== key) });
}

/* Takes a task out of the lines for what it did not ask for in the turn that ends. */
function leaveLines(state, id) {
  const { lines, waits } = taskOf(state, id);
  if (lines.length === 0) return;
  const asked = waits.map((wait) => keyOf(wait.resource));
  lines.filter((key) => !asked.includes(key)).forEach((key) => leaveLine(state, key, id));
}

/* A lock that nobody holds goes to the first in line, who is woken for it. Who is first and was not woken has given
 * the wait up in the very turn in which he said it. (Who is first is not known where the beginning was lost.) */
function forgetGivenUpLocks(state, id) {
  const { stage, waits } = taskOf(state, id);
  if (!state.isWhole || stage !== "waiting" || waits.length === 0) return;
  const isGivenUp = ({ resource }) => {
    const { holders, line } = thingOf(state, resource);
    return resource.kind === "lock" && holders.length === 0 && line[0] === id;
  };
  if (waits.some(isGivenUp)) change(state, id, { waits: waits.filter((wait) => !isGivenUp(wait)) });
}

/* Whoever gives back is named; if he never took it, it was taken on another's behalf. */
function withoutHolder(holders, by) {
  const same = (holder) => JSON.stringify(holder.who) === JSON.stringify(by);
  const place = holders.findLastIndex(same);
  return holders.filter((_, index) => index !== (place >= 0 ? place : 0));
}

/* ---- The timer wheel ---- */

/* Every deadline that somebody waits for and that has not been handed out, earliest first. */
function timersOf(state) {
  const timers = [];
  for (const task of state.tasks.values()) {
    for (const wait of task.waits) {
      const deadline = deadlineOf(wait);
      if (deadline === null) continue;
      const tick = Math.ceil(deadline / NANOS_PER_TICK);
      if (tick > state.firedUpTo) timers.push({ deadline, tick, task: task.id });
    }
  }
  return timers.sort((one, other) => one.tick - other.tick);
}

/* Null where nothing, or a moment that never comes, is waited for. */
function deadlineOf(wait) {
  const { behind } = wait;
  return typeof behind === "object" && "deadline" in behind ? behind.deadline : null;
}

/* Where the wheel keeps a timer: on the level of the highest base-64 digit in which its tick differs from now.
 * Level -1 is beyond all levels. */
function placeInWheel(tick, now) {
  const away = Math.max(tick, now);
  for (let level = WHEEL_LEVELS; level >= 0; level -= 1) {
    const width = WHEEL_SLOTS ** level;
    if (level > 0 && Math.floor(away / width) === Math.floor(now / width)) continue;
    return level === WHEEL_LEVELS ? { level: -1, slot: 0 } : { level, slot: Math.floor(away / width) % WHEEL_SLOTS };
  }
  return { level: 0, slot: now % WHEEL_SLOTS };
}

function tickNow(state) {
  return Math.floor(state.at / NANOS_PER_TICK);
}

/* ---- All positions ---- */

class Film {
  constructor(recording) {
    const events = recording.steps;
    this.events = events;
    this.spacing = Math.max(CHECKPOINT_EVERY, Math.ceil(events.length / CHECKPOINTS));
    this.notes = positionsOf(events, "noted");
    this.checkpoints = [blankState(recording)];
    this.state = blankState(recording);
  }

  get length() {
    return this.events.length;
  }

  /* The state after the first `position` events. It is valid until the next call. */
  at(position) {
    if (position < this.state.position) this.state = copyOf(this.nearest(position));
    else if (this.nearest(position).position > this.state.position) this.state = copyOf(this.nearest(position));
    while (this.state.position < position) this.forward();
    return this.state;
  }

  nearest(position) {
    const last = this.checkpoints.length - 1;
    return this.checkpoints[Math.min(last, Math.floor(position / this.spacing))];
  }

  forward() {
    apply(this.state, this.events[this.state.position]);
    if (this.state.position === this.checkpoints.length * this.spacing) this.checkpoints.push(copyOf(this.state));
  }
}

/* Whether a loop was recorded, and not only threads with lanes of their own. */
function hasLoop({ steps }) {
  const isOfThread = ({ event, by, job }) =>
    (event === "noted" && by.lane !== undefined) || ((event === "began" || event === "ended") && !job);
  return steps.length === 0 || !steps.every(isOfThread);
}

/* The positions after the events of one kind. */
function positionsOf(events, kind) {
  const positions = [];
  events.forEach((event, index) => event.event === kind && positions.push(index + 1));
  return positions;
}

/* How many of these ascending numbers are `most` or less. */
function countUpTo(numbers, most) {
  let from = 0;
  let to = numbers.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (numbers[middle] <= most) from = middle + 1;
    else to = middle;
  }
  return from;
}
