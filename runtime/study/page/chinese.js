/* What happened, and what there is, in Chinese. */

WORDS.zh = {
  language: "zh",
  otherLanguage: "English",
  page: {
    steps: "事件循环的七步",
    queue: "运行队列",
    tasks: "任务",
    source: "源代码",
    wheel: "时间轮",
    wheelHint: "每条 64 槽；灰色是现在",
    locks: "锁与排队",
    world: "套接字与线程",
    threads: "线程",
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
    ready: "就绪，按到达先后",
    task: "任务",
    state: "状态",
    reason: "原因",
    made: "创建处",
    turns: "轮次",
    guide: "怎样看这个页面",
    noTimers: "没有任务在等时钟。",
    now: "现在",
    noLocks: "没有谁持有，也没有谁在等。",
    holds: "持有者",
    free: "空闲",
    onItsWay: "正交给队首",
    tooFew: "没有谁持有，但许可不够给队首：要有谁来增加许可",
    inLine: "排队",
    noWorld: "没有打开的套接字，线程里也没有闭包。",
    noneKnown: "就保留的事件来看，没有。",
    noThreads: "还没有线程开始做事。",
    noOutput: "还没有。程序用 roundel::study::note 在这里说话。",
    noSource: "这一步不涉及哪一行。",
    unreadable: "写这个页面时读不到这个文件的内容。",
    waitingTasks: "在等它的",
    idle: "空闲",
    inThread: "所在",
    forThread: "等一个线程",
    jobDone: "已完成",
    countedFrom: "槽位从记录开始时数起。",
    clock: { virtual: "虚拟时钟", real: "真实时钟" },
  },
  stages: { waiting: "等待", ready: "就绪", running: "运行", done: "跑完", finished: "结束", unknown: "未知" },
  outcomes: { returned: "已返回", panicked: "已崩溃", cancelled: "已取消" },
  ends: { returned: "它有了结果", panicked: "它崩溃了", cancelled: "它被取消了" },
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
  nTasksKnown: (live, all) => `已知 ${all} 个，${live} 个未结束`,
  nTasks: (live, all) => `共 ${all} 个，${live} 个未结束`,
  lost: (n) => `最早的 ${n} 个事件没有保留：之前的情况不得而知。`,
  levelWidth: (text) => `每槽 ${text}`,
  dueIn: (nanos) => (nanos <= 0 ? "已到期" : `${duration(nanos)} 后`),
  loop: {
    before: "循环尚未启动。",
    underWay: "循环早已在运行。",
    running: (who) => say`循环让 ${who} 运行。`,
    parked: (limit) => (limit === null ? "循环在睡眠，直到有事发生。" : `循环在睡眠，最多 ${duration(limit)}。`),
    choosing: "循环在看下一步做什么。",
    closing: "循环正在关闭。",
  },
  guide: [
    ["运行队列", "谁在运行，谁可以运行：一次只运行一个任务，也没有谁会被打断。"],
    ["任务", "所有的任务；在等待的，写着等什么。"],
    ["源代码", "刚刚这个事件所在的那一行。"],
    ["时间轮", "任务在等的期限。近的在上面，远的在下面。"],
    ["锁与排队", "什么东西在谁手里，谁在排队等它。"],
    ["套接字与线程", "循环交给系统去做的事，它自己不停下来。"],
  ],
  begin: "第一个事件之前。按 → 键或播放按钮，看循环怎样工作。",
  beginThreads: "第一个事件之前。按 → 键或播放按钮，看线程怎样工作。",
  caption: {
    spawned(e, o) {
      if (e.task === 0) return say`循环启动。交给 block_on 的 future 成为任务 ${task(0)}。`;
      if (o.taskBy === null) return say`${o.by}创建了任务 ${task(e.task)}。它还没有开始运行。`;
      return say`${o.by} 创建了任务 ${task(e.task)}。新任务还不会运行，${o.by} 继续往下走。`;
    },
    woken(e, o) {
      if (o.isNew) return say`${task(e.task)} 排到运行队列的末尾。`;
      const end = say`${task(e.task)} 重新就绪，排到运行队列的末尾。`;
      if (e.by === "timer") return say`期限到了。${end}`;
      if (e.by === "socket") return say`${e.cause ? thing(e.cause) : "套接字"} 有消息了。${end}`;
      if (e.by === "thread") return say`${e.cause ? thing(e.cause) : "别的线程"} 有结果了。${end}`;
      if (e.by === "loop") return say`循环问 ${task(e.task)} 在等什么：它还等得到吗？`;
      if (e.by === "outside") return say`它被循环之外的代码唤醒。${end}`;
      if (o.taskBy === e.task) return say`${task(e.task)} 请求再运行一次。${end}`;
      if (e.cause) return say`${o.by} 结束了对 ${thing(e.cause)} 的等待。${end}`;
      return say`${o.by} 促成了 ${task(e.task)} 所等的事。${end}`;
    },
    poll_started(e, o) {
      if (o.isFirst) return say`循环从队列里取出 ${task(e.task)}，让它第一次运行。`;
      return say`循环从队列里取出 ${task(e.task)}：它从上次停下的 await 处接着跑。`;
    },
    poll_ended(e, o) {
      if (!e.pending) return say`${task(e.task)} 跑到了终点。`;
      if (o.isReady) return say`${task(e.task)} 把控制权还给循环。它已经在队列里了。`;
      return say`${task(e.task)} 在这里暂停，把控制权还给循环。`;
    },
    waiting: (e, o) => say`${o.by} 走到一个 await，走不下去了：它在等${o.reason}。`,
    acquired: (e, o) => say`${o.by} 拿到了 ${thing(e.resource)}${e.resource.kind === "semaphore" ? " 的一份许可" : ""}。`,
    released: (e, o) =>
      say`${o.by} 归还了 ${thing(e.resource)}。${o.first === undefined ? "" : say`排在最前面的是 ${task(o.first)}。`}`,
    finished: (e) => say`${task(e.task)} 结束了：${WORDS.zh.ends[e.outcome]}。`,
    unread: (e) => say`${task(e.task)} 因崩溃而结束，却没有谁会知道：${quote(e.text)}`,
    member: (e) => say`${thing(e.family)} 得知 ${task(e.task)} 结束了。`,
    opened: (e, o) => say`${o.by} 打开了 ${thing(e.socket)}。`,
    closed: (e) => say`${thing(e.socket)} 关闭了。`,
    submitted: (e, o) => say`${o.by} 把 ${thing(e.job)} 交给线程，循环就不必停下来等它。`,
    answered: (e) => say`${thing(e.job)} 的结果到了循环这里。`,
    began: (e, o) => say`${o.thread} 开始做 ${e.job ? thing(e.job) : quote(e.text)}。${o.hasLoop ? "循环不等它。" : ""}`,
    ended: (e, o) => say`${o.thread} 做完了${e.job ? say` ${thing(e.job)}` : ""}。`,
    noted: (e, o) => say`${o.by} 说：${quoteFirstLine(e.text)}`,
    closing: () => say`循环走到了终点，丢弃剩下的任务。`,
    parked: (e) => (e.limit === null
      ? say`没有就绪的任务。循环睡眠，直到套接字或线程有消息。`
      : say`没有就绪的任务。循环最多睡眠 ${duration(e.limit)}：到下一个期限，或者有消息为止。`),
    unparked: () => say`循环醒来，看看发生了什么。`,
    fired: (e) => say`时钟走到 ${duration(e.at)}：时间轮交出 ${e.timers} 个到期的定时器。`,
    unknown: () => say`发生了一件这个页面不会描述的事。`,
  },
  reason: {
    timer: (w, o) => (o.deadline === null
      ? say`一个永远不会来的时刻`
      : say`时钟走到 ${duration(o.deadline)}${o.left > 0 ? `（${duration(o.left)} 之后）` : ""}`),
    lock: (w, o) => (o.holders.length
      ? say`${thing(w.resource)}，它在 ${o.holders} 手里`
      : say`${thing(w.resource)}，它正要交给队首`),
    semaphore(w, o) {
      if (o.holders.length) return say`${thing(w.resource)} 的许可，它在 ${o.holders} 手里`;
      return say`${thing(w.resource)} 的许可${o.last.length ? say`，最后拿到它的是 ${o.last}` : ""}`;
    },
    task: (w, o) => (o.task === null ? say`一个任务结束` : say`${task(o.task)} 结束`),
    children: (w) => say`它的任务都结束（${thing(w.resource)}）`,
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
    began: (e, o) => say`${o.thread} 开始 ${e.job ? thing(e.job) : quote(e.text)}`,
    ended: (e, o) => say`${o.thread} 做完`,
    noted: (e, o) => say`${e.by.lane ? o.by + "：" : ""}${quoteFirstLine(e.text)}`,
    closing: () => say`循环关闭`,
    parked: () => say`循环睡眠`,
    unparked: () => say`循环醒来`,
    fired: (e) => say`到期定时器：${e.timers}`,
    unknown: () => say`？`,
  },
  comma: "、",
  others: " 等任务",
};
