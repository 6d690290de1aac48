/* What happened, and what there is, in English. */

WORDS.en = {
  language: "en",
  otherLanguage: "中文",
  page: {
    steps: "How an event loop works",
    queue: "Run queue",
    tasks: "Tasks",
    source: "Source",
    wheel: "Timer wheel",
    wheelHint: "64 slots a strip; grey is now",
    locks: "Locks and lines",
    world: "Sockets and threads",
    threads: "Threads",
    output: "Output so far",
    events: "All events",
    first: "To the beginning (Home)",
    back: "One event back (←)",
    play: "Play (space)",
    pause: "Pause (space)",
    forward: "One event forward (→)",
    last: "To the end (End)",
    speed: "Events a second",
    slider: "Position in the recording",
    keys: "Keys: ← → one event · ↑ ↓ one turn · Home, End · space plays",
    running: "running",
    nobodyRuns: "nobody",
    nobodyReady: "nobody is ready",
    ready: "ready, in order of arrival",
    task: "Task",
    state: "State",
    reason: "Why",
    made: "Spawned at",
    turns: "Turns",
    guide: "How to read this page",
    noTimers: "Nobody waits for the clock.",
    now: "now",
    noLocks: "Nobody holds or waits for one.",
    holds: "held by",
    free: "free",
    onItsWay: "on its way to the first in line",
    tooFew: "nobody holds it, and there are too few permits for the first in line: somebody has to add some",
    inLine: "in line",
    noWorld: "No socket is open, no closure is in a thread.",
    noneKnown: "Nothing, as far as the events kept tell.",
    noThreads: "No thread has begun anything yet.",
    noOutput: "Nothing yet. A program says something here by roundel::study::note.",
    noSource: "No line is concerned.",
    unreadable: "The text of this file was not at hand when the page was written.",
    waitingTasks: "waited for by",
    idle: "idle",
    inThread: "in",
    forThread: "waits for a thread",
    jobDone: "done",
    countedFrom: "Slots are counted from the beginning of the recording.",
    clock: { virtual: "virtual clock", real: "real clock" },
  },
  stages: { waiting: "waiting", ready: "ready", running: "running", done: "done", finished: "finished", unknown: "unknown" },
  outcomes: { returned: "returned", panicked: "panicked", cancelled: "cancelled" },
  ends: { returned: "it has its result", panicked: "it panicked", cancelled: "it was cancelled" },
  kinds: {
    foreign: "something", turn: "turn", timer: "timer", socket: "socket", thread: "closure", task: "task",
    children: "group", lock: "Lock", semaphore: "Semaphore", event: "Event", condition: "Condition",
    barrier: "Barrier", queue: "Queue", oneshot: "oneshot", once_cell: "OnceCell",
  },
  actors: { outside: "code outside", timer: "a timer", socket: "a socket", thread: "another thread", loop: "the loop" },
  taskName: (id) => (id === 0 ? "main" : "task " + id),
  threadName: (id) => "thread " + id,
  steps: [
    ["Start the loop", "block_on starts the loop and gives it a first task."],
    ["Queue the tasks", "A coroutine becomes a task and joins the run queue."],
    ["Pause at an await", "A task that has to wait steps aside and hands control back."],
    ["Run the others", "Meanwhile the loop runs whoever is ready."],
    ["Hear the news", "A deadline comes, a socket answers, a lock is free: a task is ready again."],
    ["Resume", "The loop goes on with that task, from the await where it paused."],
    ["Repeat to the end", "Round and round, until every task is over."],
  ],
  count: (n, total) => `event ${n} of ${total}`,
  moreTasks: (n) => `and ${n} more`,
  nTasks: (live, all) => `${live} alive of ${all}`,
  nTasksKnown: (live, all) => `${live} alive of ${all} known`,
  lost: (n) => `The first ${n} events were not kept: what happened before is not known.`,
  levelWidth: (text) => `${text} a slot`,
  dueIn: (nanos) => (nanos <= 0 ? "due" : `in ${duration(nanos)}`),
  loop: {
    before: "The loop has not started yet.",
    underWay: "The loop has been under way for some time.",
    running: (who) => say`The loop gives ${who} its turn.`,
    parked: (limit) =>
      (limit === null ? "The loop sleeps until something happens." : `The loop sleeps, ${duration(limit)} at most.`),
    choosing: "The loop looks for what is next.",
    closing: "The loop closes.",
  },
  guide: [
    ["Run queue", "who runs now, and who could: one task at a time, and nobody is interrupted."],
    ["Tasks", "everybody there is, and for whoever waits, what for."],
    ["Source", "the line that the last event is about."],
    ["Timer wheel", "the deadlines that tasks wait for. What is near is above, what is far below."],
    ["Locks and lines", "who has what, and who stands in line for it."],
    ["Sockets and threads", "what the loop leaves to the system, and goes on meanwhile."],
  ],
  begin: "Before the first event. Go on with → or with the play button, and watch the loop work.",
  beginThreads: "Before the first event. Go on with → or with the play button, and watch the threads work.",
  caption: {
    spawned(e, o) {
      if (e.task === 0) return say`The loop starts. The future given to block_on becomes the task ${task(0)}.`;
      if (o.taskBy === null) return say`${o.by} makes the task ${task(e.task)}. It does not run yet.`;
      return say`${o.by} makes the task ${task(e.task)}. The new task does not run yet; ${o.by} goes on.`;
    },
    woken(e, o) {
      if (o.isNew) return say`${task(e.task)} joins the end of the run queue.`;
      const end = say`${task(e.task)} is ready again and joins the end of the run queue.`;
      if (e.by === "timer") return say`A deadline has come. ${end}`;
      if (e.by === "socket") return say`${e.cause ? thing(e.cause) : "A socket"} has news. ${end}`;
      if (e.by === "thread") return say`${e.cause ? thing(e.cause) : "Another thread"} has an answer. ${end}`;
      if (e.by === "loop") return say`The loop asks ${task(e.task)} what it waits for: can that still come?`;
      if (e.by === "outside") return say`It is woken from outside. ${end}`;
      if (o.taskBy === e.task) return say`${task(e.task)} asks for one more turn. ${end}`;
      if (e.cause) return say`${o.by} ends the wait for ${thing(e.cause)}. ${end}`;
      return say`${o.by} brings about what ${task(e.task)} waits for. ${end}`;
    },
    poll_started(e, o) {
      if (o.isFirst) return say`The loop takes ${task(e.task)} out of the queue and runs it for the first time.`;
      return say`The loop takes ${task(e.task)} out of the queue: it goes on from the await where it paused.`;
    },
    poll_ended(e, o) {
      if (!e.pending) return say`${task(e.task)} has run to its end.`;
      if (o.isReady) return say`${task(e.task)} hands control back to the loop. It is in the queue already.`;
      return say`${task(e.task)} pauses here and hands control back to the loop.`;
    },
    waiting: (e, o) => say`${o.by} comes to an await and cannot go on: it waits for ${o.reason}.`,
    acquired: (e, o) =>
      say`${o.by} takes ${e.resource.kind === "semaphore" ? "a permit of " : ""}${thing(e.resource)}.`,
    released: (e, o) =>
      say`${o.by} gives ${thing(e.resource)} back.${o.first === undefined ? "" : say` ${task(o.first)} is first in line.`}`,
    finished: (e) => say`${task(e.task)} is over: ${WORDS.en.ends[e.outcome]}.`,
    unread: (e) => say`${task(e.task)} ended with a panic that nobody will hear of: ${quote(e.text)}`,
    member: (e) => say`${thing(e.family)} hears that ${task(e.task)} is over.`,
    opened: (e, o) => say`${o.by} opens ${thing(e.socket)}.`,
    closed: (e) => say`${thing(e.socket)} is closed.`,
    submitted: (e, o) =>
      say`${o.by} hands ${thing(e.job)} to a thread, so that the loop need not stand still for it.`,
    answered: (e) => say`The result of ${thing(e.job)} has arrived at the loop.`,
    began(e, o) {
      const begins = say`${o.thread} begins ${e.job ? thing(e.job) : quote(e.text)}.`;
      return o.hasLoop ? say`${begins} The loop does not wait for it.` : begins;
    },
    ended: (e, o) => say`${o.thread} is done${e.job ? say` with ${thing(e.job)}` : ""}.`,
    noted: (e, o) => say`${o.by} says: ${quoteFirstLine(e.text)}`,
    closing: () => say`The loop comes to its end, and drops the tasks that are left.`,
    parked: (e) => (e.limit === null
      ? say`No task is ready. The loop sleeps until a socket or a thread has something for it.`
      : say`No task is ready. The loop sleeps for ${duration(e.limit)} at most: until the next deadline, or news.`),
    unparked: () => say`The loop is awake again, and looks what has happened.`,
    fired: (e) => say`The clock has come to ${duration(e.at)}. The timer wheel hands out what is due: ${e.timers}.`,
    unknown: () => say`Something happened that this page has no words for.`,
  },
  reason: {
    timer: (w, o) => (o.deadline === null
      ? say`a moment that never comes`
      : say`the clock to reach ${duration(o.deadline)}${o.left > 0 ? `, ${duration(o.left)} from now` : ""}`),
    lock: (w, o) => (o.holders.length
      ? say`${thing(w.resource)}, which ${o.holders} holds`
      : say`${thing(w.resource)}, which is on its way to the next in line`),
    semaphore(w, o) {
      if (o.holders.length) return say`a permit of ${thing(w.resource)}, held by ${o.holders}`;
      return say`a permit of ${thing(w.resource)}${o.last.length ? say`, which ${o.last} took last` : ""}`;
    },
    task: (w, o) => (o.task === null ? say`a task to finish` : say`${task(o.task)} to finish`),
    children: (w) => say`its tasks to finish (${thing(w.resource)})`,
    socket: (w) => say`${thing(w.resource)} to be ready`,
    thread: (w) => say`the result of ${thing(w.resource)}`,
    event: (w) => say`${thing(w.resource)} to be set`,
    condition: (w) => say`${thing(w.resource)} to be notified`,
    barrier: (w) => say`the others at ${thing(w.resource)}`,
    queue: (w) => say`an item or room in ${thing(w.resource)}`,
    oneshot: (w) => say`a value through ${thing(w.resource)}`,
    once_cell: (w) => say`${thing(w.resource)} to be filled`,
    turn: () => say`its next turn, for it gave this one away`,
    foreign: () => say`something that this runtime did not make`,
  },
  brief: {
    spawned: (e) => say`${task(e.task)} is made`,
    woken: (e, o) => say`${task(e.task)} ready, by ${o.by}`,
    poll_started: (e) => say`${task(e.task)} runs`,
    poll_ended: (e) => say`${task(e.task)} ${e.pending ? "pauses" : "returns"}`,
    waiting: (e, o) => say`${o.by} waits: ${thing(e.resource)}`,
    acquired: (e, o) => say`${o.by} takes ${thing(e.resource)}`,
    released: (e, o) => say`${o.by} gives ${thing(e.resource)} back`,
    finished: (e) => say`${task(e.task)} ${WORDS.en.outcomes[e.outcome]}`,
    unread: (e) => say`${task(e.task)}: unread panic`,
    member: (e) => say`${thing(e.family)}: ${task(e.task)} over`,
    opened: (e) => say`${thing(e.socket)} opens`,
    closed: (e) => say`${thing(e.socket)} closes`,
    submitted: (e) => say`${thing(e.job)} to a thread`,
    answered: (e) => say`${thing(e.job)} answered`,
    began: (e, o) => say`${o.thread} begins ${e.job ? thing(e.job) : quote(e.text)}`,
    ended: (e, o) => say`${o.thread} is done`,
    noted: (e, o) => say`${e.by.lane ? o.by + ": " : ""}${quoteFirstLine(e.text)}`,
    closing: () => say`the loop closes`,
    parked: () => say`the loop sleeps`,
    unparked: () => say`the loop wakes`,
    fired: (e) => say`timers due: ${e.timers}`,
    unknown: () => say`?`,
  },
  comma: ", ",
  others: " and others",
};
