/* The words: what happened, and what there is, in English and in Chinese.
 *
 *   say`${task(3)} takes ${thing(which)}.`  -->  [ {task: 3}, " takes ", {thing: which}, "." ]
 *
 * A text is a list of strings and of names; the panels draw the names in their colours.
 * Promises: both languages have the same entries.
 * Does not know: the page, or the model beyond what a state holds.
 */

const task = (id) => ({ task: id });
const thing = (which) => ({ thing: which });
const place = (site) => ({ site });
const quote = (text) => ({ quote: text });

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

WORDS.en = {
  language: "en",
  otherLanguage: "中文",
  page: {
    steps: "How an event loop works",
    queue: "Run queue",
    tasks: "Tasks",
    source: "Source",
    wheel: "Timer wheel",
    locks: "Locks and lines",
    world: "Sockets and threads",
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
    next: "next",
    task: "Task",
    state: "State",
    reason: "Why",
    made: "Spawned at",
    turns: "Turns",
    noTasks: "No task yet.",
    noTimers: "Nobody waits for the clock.",
    now: "now",
    farther: "beyond",
    noLocks: "Nobody holds or waits for one.",
    holds: "held by",
    free: "free",
    onItsWay: "on its way to the first in line",
    inLine: "in line",
    noWorld: "No socket is open, no closure is in a thread.",
    noOutput: "Nothing yet. A program says something here by roundel::study::note.",
    noSource: "No line is concerned.",
    unreadable: "The text of this file was not at hand when the page was written.",
    waitingTasks: "waited for by",
    idle: "idle",
    inThread: "in",
    forThread: "waits for a thread",
    jobDone: "done",
    clock: { virtual: "virtual clock", real: "real clock" },
    asIfBegun: "The slots are counted from the beginning of the recording.",
  },
  stages: { waiting: "waiting", ready: "ready", running: "running", done: "done", finished: "finished" },
  outcomes: { returned: "returned", panicked: "panicked", cancelled: "cancelled" },
  kinds: {
    foreign: "something", turn: "turn", timer: "timer", socket: "socket", thread: "closure", task: "task",
    children: "family", lock: "Lock", semaphore: "Semaphore", event: "Event", condition: "Condition",
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
  lost: (n) => `The first ${n} events were not kept: what happened before is not known.`,
  levelWidth: (text) => `${text} a slot`,
  dueIn: (nanos) => (nanos <= 0 ? "due" : `in ${duration(nanos)}`),
  loop: {
    before: "not started",
    running: (who) => say`gives ${who} its turn`,
    parked: (limit) => (limit === null ? "sleeps until something happens" : `sleeps, ${duration(limit)} at most`),
    choosing: "looks for what is next",
    closing: "closes",
  },
  begin: "Before the first event. Go on with → or with the play button, and watch the loop work.",
  caption: {
    spawned(e, o) {
      if (e.task === 0) return say`The loop starts. The future given to block_on becomes the task ${task(0)}.`;
      if (o.taskBy === null) return say`${o.by} makes the task ${task(e.task)}. It does not run yet.`;
      return say`${o.by} makes the task ${task(e.task)}. The new task does not run yet; ${o.by} goes on.`;
    },
    woken(e, o) {
      if (o.isNew) return say`${task(e.task)} joins the end of the run queue.`;
      const end = say`${task(e.task)} is ready again and joins the end of the run queue.`;
      if (e.by === "timer") return say`The moment that ${task(e.task)} waited for has come. It is ready again and joins the end of the run queue.`;
      if (e.by === "socket") return say`${e.cause ? thing(e.cause) : "A socket"} has news. ${end}`;
      if (e.by === "thread") return say`${e.cause ? thing(e.cause) : "Another thread"} has an answer. ${end}`;
      if (o.taskBy === e.task) return say`${task(e.task)} asks for one more turn, and joins the end of the run queue.`;
      if (e.cause) return say`${o.by} ends the wait for ${thing(e.cause)}. ${end}`;
      return say`${o.by} brings about what ${task(e.task)} waits for. ${end}`;
    },
    poll_started(e, o) {
      if (o.polls <= 1) return say`The loop takes ${task(e.task)} out of the queue and runs it for the first time.`;
      return say`The loop takes ${task(e.task)} out of the queue: it goes on from the await where it paused.`;
    },
    poll_ended(e, o) {
      if (!e.pending) return say`${task(e.task)} has run to its end.`;
      if (o.isReady) return say`${task(e.task)} hands control back to the loop. It is in the queue already.`;
      return say`${task(e.task)} pauses here and hands control back to the loop.`;
    },
    waiting: (e, o) => say`${o.by} comes to an await and cannot go on: it waits for ${o.reason}.`,
    acquired: (e, o) => say`${o.by} takes ${e.resource.kind === "semaphore" ? "a permit of " : ""}${thing(e.resource)}.`,
    released: (e, o) => say`${o.by} gives ${thing(e.resource)} back.${o.first === undefined ? "" : say` ${task(o.first)} is first in line for it.`}`,
    finished: (e) => say`${task(e.task)} is over: ${{ returned: "it has its result", panicked: "it panicked", cancelled: "it was cancelled" }[e.outcome]}.`,
    unread: (e) => say`${task(e.task)} ended with a panic that nobody will hear of: ${quote(e.text)}`,
    member: (e) => say`${thing(e.family)} hears that ${task(e.task)} is over.`,
    opened: (e, o) => say`${o.by} opens ${thing(e.socket)}.`,
    closed: (e) => say`${thing(e.socket)} is closed.`,
    submitted: (e, o) => say`${o.by} hands ${thing(e.job)} to a thread, so that the loop need not stand still for it.`,
    answered: (e) => say`The result of ${thing(e.job)} has arrived at the loop.`,
    began: (e, o) => say`${o.thread} begins ${e.job ? thing(e.job) : quote(e.text)}. The loop does not wait for it.`,
    ended: (e, o) => say`${o.thread} is done${e.job ? say` with ${thing(e.job)}` : ""}.`,
    noted: (e, o) => say`${o.by} says: ${quote(e.text)}`,
    closing: () => say`The loop comes to its end, and drops the tasks that are left.`,
    parked: (e) => (e.limit === null
      ? say`No task is ready. The loop sleeps until a socket or a thread has something for it.`
      : say`No task is ready. The loop sleeps for ${duration(e.limit)} at most: until the next deadline, or news.`),
    unparked: () => say`The loop is awake again, and looks what has happened.`,
    fired: (e, o) => say`The clock stands at ${duration(e.at)}: the timer wheel hands out ${e.timers} ${e.timers === 1 ? "timer that is" : "timers that are"} due.`,
    unknown: () => say`Something happened that this page has no words for.`,
  },
  reason: {
    timer: (w, o) => (o.deadline === null ? say`a moment that never comes` : say`the clock to reach ${duration(o.deadline)}${o.left > 0 ? `, ${duration(o.left)} from now` : ""}`),
    lock: (w, o) => (o.holders.length ? say`${thing(w.resource)}, which ${o.holders} holds` : say`${thing(w.resource)}, which is on its way to the next in line`),
    semaphore: (w, o) => (o.holders.length ? say`a permit of ${thing(w.resource)}, held by ${o.holders}` : say`a permit of ${thing(w.resource)}`),
    task: (w, o) => (o.task === null ? say`a task to finish` : say`${task(o.task)} to finish`),
    children: (w) => say`the tasks of ${thing(w.resource)} to finish`,
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
    began: (e, o) => say`${o.thread} begins`,
    ended: (e, o) => say`${o.thread} is done`,
    noted: (e) => say`${quote(e.text)}`,
    closing: () => say`the loop closes`,
    parked: () => say`the loop sleeps`,
    unparked: () => say`the loop wakes`,
    fired: (e) => say`${e.timers} due`,
    unknown: () => say`?`,
  },
  comma: ", ",
};

WORDS.zh = {
  language: "zh",
  otherLanguage: "English",
  page: {
    steps: "事件循环的七步",
    queue: "运行队列",
    tasks: "任务",
    source: "源代码",
    wheel: "时间轮",
    locks: "锁与排队",
    world: "套接字与线程",
    output: "目前的输出",
    events: "全部事件",
    first: "回到开头（Home）",
    back: "后退一个事件（←）",
    play: "播放（空格）",
    pause: "暂停（空格）",
    forward: "前进一个事件（→）",
    last: "跳到结尾（End）",
    speed: "每秒事件数",
    slider: "在记录中的位置",
    keys: "按键：← → 一个事件 · ↑ ↓ 一个轮次 · Home、End · 空格播放",
    running: "正在运行",
    nobodyRuns: "没有任务",
    nobodyReady: "没有就绪的任务",
    next: "下一个",
    task: "任务",
    state: "状态",
    reason: "原因",
    made: "创建处",
    turns: "轮次",
    noTasks: "还没有任务。",
    noTimers: "没有任务在等时钟。",
    now: "现在",
    farther: "更远",
    noLocks: "没有谁持有，也没有谁在等。",
    holds: "持有者",
    free: "空闲",
    onItsWay: "正交给队首",
    inLine: "排队",
    noWorld: "没有打开的套接字，线程里也没有闭包。",
    noOutput: "还没有。程序用 roundel::study::note 在这里说话。",
    noSource: "这一步不涉及哪一行。",
    unreadable: "写这个页面时读不到这个文件的内容。",
    waitingTasks: "在等它的",
    idle: "空闲",
    inThread: "所在",
    forThread: "等一个线程",
    jobDone: "已完成",
    clock: { virtual: "虚拟时钟", real: "真实时钟" },
    asIfBegun: "槽位从记录开始时算起。",
  },
  stages: { waiting: "等待", ready: "就绪", running: "运行", done: "跑完", finished: "结束" },
  outcomes: { returned: "已返回", panicked: "已崩溃", cancelled: "已取消" },
  kinds: {
    foreign: "外部事物", turn: "轮次", timer: "定时器", socket: "套接字", thread: "闭包", task: "任务",
    children: "任务组", lock: "锁", semaphore: "信号量", event: "事件", condition: "条件变量",
    barrier: "屏障", queue: "队列", oneshot: "单次通道", once_cell: "单次单元",
  },
  actors: { outside: "循环之外的代码", timer: "定时器", socket: "套接字", thread: "别的线程", loop: "循环" },
  taskName: (id) => (id === 0 ? "main" : "任务 " + id),
  threadName: (id) => "线程 " + id,
  steps: [
    ["启动循环", "block_on 启动循环，并交给它第一个任务。"],
    ["任务入队", "协程包装成任务，排进运行队列。"],
    ["在 await 处暂停", "要等待的任务让到一边，把控制权还给循环。"],
    ["运行别的任务", "这段时间里，循环运行已经就绪的任务。"],
    ["等来消息", "时间到了、套接字有数据了、锁空出来了：任务重新就绪。"],
    ["恢复运行", "循环让那个任务从停下的 await 处接着跑。"],
    ["周而复始", "一轮又一轮，直到所有任务都结束。"],
  ],
  count: (n, total) => `第 ${n} / ${total} 个事件`,
  moreTasks: (n) => `另有 ${n} 个`,
  nTasks: (live, all) => `共 ${all} 个，${live} 个未结束`,
  lost: (n) => `最早的 ${n} 个事件没有保留：之前的情况不得而知。`,
  levelWidth: (text) => `每槽 ${text}`,
  dueIn: (nanos) => (nanos <= 0 ? "已到期" : `${duration(nanos)} 后`),
  loop: {
    before: "尚未启动",
    running: (who) => say`让 ${who} 运行`,
    parked: (limit) => (limit === null ? "睡眠，直到有事发生" : `睡眠，最多 ${duration(limit)}`),
    choosing: "在看下一步做什么",
    closing: "正在关闭",
  },
  begin: "第一个事件之前。按 → 键或播放按钮，看循环怎样工作。",
  caption: {
    spawned(e, o) {
      if (e.task === 0) return say`循环启动。交给 block_on 的 future 成为任务 ${task(0)}。`;
      if (o.taskBy === null) return say`${o.by}创建了任务 ${task(e.task)}。它还没有开始运行。`;
      return say`${o.by} 创建了任务 ${task(e.task)}。新任务还不会运行，${o.by} 继续往下走。`;
    },
    woken(e, o) {
      if (o.isNew) return say`${task(e.task)} 排到运行队列的末尾。`;
      const end = say`${task(e.task)} 重新就绪，排到运行队列的末尾。`;
      if (e.by === "timer") return say`${task(e.task)} 等的时刻到了。它重新就绪，排到运行队列的末尾。`;
      if (e.by === "socket") return say`${e.cause ? thing(e.cause) : "套接字"} 有消息了。${end}`;
      if (e.by === "thread") return say`${e.cause ? thing(e.cause) : "别的线程"} 有结果了。${end}`;
      if (o.taskBy === e.task) return say`${task(e.task)} 请求再运行一次，排到运行队列的末尾。`;
      if (e.cause) return say`${o.by} 结束了对 ${thing(e.cause)} 的等待。${end}`;
      return say`${o.by} 促成了 ${task(e.task)} 所等的事。${end}`;
    },
    poll_started(e, o) {
      if (o.polls <= 1) return say`循环从队列里取出 ${task(e.task)}，让它第一次运行。`;
      return say`循环从队列里取出 ${task(e.task)}：它从上次停下的 await 处接着跑。`;
    },
    poll_ended(e, o) {
      if (!e.pending) return say`${task(e.task)} 跑到了终点。`;
      if (o.isReady) return say`${task(e.task)} 把控制权还给循环。它已经在队列里了。`;
      return say`${task(e.task)} 在这里暂停，把控制权还给循环。`;
    },
    waiting: (e, o) => say`${o.by} 走到一个 await，走不下去了：它在等${o.reason}。`,
    acquired: (e, o) => say`${o.by} 拿到了 ${thing(e.resource)}${e.resource.kind === "semaphore" ? " 的一份许可" : ""}。`,
    released: (e, o) => say`${o.by} 归还了 ${thing(e.resource)}。${o.first === undefined ? "" : say`排在最前面的是 ${task(o.first)}。`}`,
    finished: (e) => say`${task(e.task)} 结束了：${{ returned: "它有了结果", panicked: "它崩溃了", cancelled: "它被取消了" }[e.outcome]}。`,
    unread: (e) => say`${task(e.task)} 因崩溃而结束，却没有谁会知道：${quote(e.text)}`,
    member: (e) => say`${thing(e.family)} 得知 ${task(e.task)} 结束了。`,
    opened: (e, o) => say`${o.by} 打开了 ${thing(e.socket)}。`,
    closed: (e) => say`${thing(e.socket)} 关闭了。`,
    submitted: (e, o) => say`${o.by} 把 ${thing(e.job)} 交给线程，循环就不必停下来等它。`,
    answered: (e) => say`${thing(e.job)} 的结果到了循环这里。`,
    began: (e, o) => say`${o.thread} 开始做 ${e.job ? thing(e.job) : quote(e.text)}。循环不等它。`,
    ended: (e, o) => say`${o.thread} 做完了${e.job ? say` ${thing(e.job)}` : ""}。`,
    noted: (e, o) => say`${o.by} 说：${quote(e.text)}`,
    closing: () => say`循环走到了终点，丢弃剩下的任务。`,
    parked: (e) => (e.limit === null
      ? say`没有就绪的任务。循环睡眠，直到套接字或线程有消息。`
      : say`没有就绪的任务。循环最多睡眠 ${duration(e.limit)}：到下一个期限，或者有消息为止。`),
    unparked: () => say`循环醒来，看看发生了什么。`,
    fired: (e) => say`时钟走到 ${duration(e.at)}：时间轮交出 ${e.timers} 个到期的定时器。`,
    unknown: () => say`发生了一件这个页面不会描述的事。`,
  },
  reason: {
    timer: (w, o) => (o.deadline === null ? say`一个永远不会来的时刻` : say`时钟走到 ${duration(o.deadline)}${o.left > 0 ? `（${duration(o.left)} 之后）` : ""}`),
    lock: (w, o) => (o.holders.length ? say`${thing(w.resource)}，它在 ${o.holders} 手里` : say`${thing(w.resource)}，它正要交给队首`),
    semaphore: (w, o) => (o.holders.length ? say`${thing(w.resource)} 的许可，它在 ${o.holders} 手里` : say`${thing(w.resource)} 的许可`),
    task: (w, o) => (o.task === null ? say`一个任务结束` : say`${task(o.task)} 结束`),
    children: (w) => say`${thing(w.resource)} 的成员都结束`,
    socket: (w) => say`${thing(w.resource)} 就绪`,
    thread: (w) => say`${thing(w.resource)} 的结果`,
    event: (w) => say`${thing(w.resource)} 被设置`,
    condition: (w) => say`${thing(w.resource)} 的通知`,
    barrier: (w) => say`${thing(w.resource)} 前的其他任务`,
    queue: (w) => say`${thing(w.resource)} 里有东西或有空位`,
    oneshot: (w) => say`${thing(w.resource)} 送来的值`,
    once_cell: (w) => say`${thing(w.resource)} 被填好`,
    turn: () => say`下一轮，这一轮它让给了别人`,
    foreign: () => say`一件不归这个运行时管的事`,
  },
  brief: {
    spawned: (e) => say`创建 ${task(e.task)}`,
    woken: (e, o) => say`${task(e.task)} 就绪（${o.by}）`,
    poll_started: (e) => say`${task(e.task)} 运行`,
    poll_ended: (e) => say`${task(e.task)} ${e.pending ? "暂停" : "返回"}`,
    waiting: (e, o) => say`${o.by} 等待 ${thing(e.resource)}`,
    acquired: (e, o) => say`${o.by} 拿到 ${thing(e.resource)}`,
    released: (e, o) => say`${o.by} 归还 ${thing(e.resource)}`,
    finished: (e) => say`${task(e.task)} ${WORDS.zh.outcomes[e.outcome]}`,
    unread: (e) => say`${task(e.task)}：崩溃无人过问`,
    member: (e) => say`${thing(e.family)}：${task(e.task)} 结束`,
    opened: (e) => say`${thing(e.socket)} 打开`,
    closed: (e) => say`${thing(e.socket)} 关闭`,
    submitted: (e) => say`${thing(e.job)} 交给线程`,
    answered: (e) => say`${thing(e.job)} 有结果`,
    began: (e, o) => say`${o.thread} 开始`,
    ended: (e, o) => say`${o.thread} 做完`,
    noted: (e) => say`${quote(e.text)}`,
    closing: () => say`循环关闭`,
    parked: () => say`循环睡眠`,
    unparked: () => say`循环醒来`,
    fired: (e) => say`${e.timers} 个到期`,
    unknown: () => say`？`,
  },
  comma: "、",
};
