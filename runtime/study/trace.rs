//! The trace: a recording as JSON that tracing viewers open.
//!
//! ```text
//!   { "traceEvents": [ {"ph":"X","name":"turn 2","tid":1,"ts":10000,"dur":3,..},   chrome://tracing, ui.perfetto.dev
//!                      {"ph":"s","id":7,..} waker --> woken {"ph":"f","id":7,..} ],
//!     "roundel": { the recording itself } }                                        Recording::load
//! ```
//!
//! A row a task and a thread, turns and waits as slices, a flow from a waker's turn to the turn it led to. Viewers
//! know no order of things at the same moment: under a virtual clock each step is made to last a microsecond, on top of
//! the clock's own time, which stands beside it as `at`.
//!
//! Promises: every slice lies in the row of whoever it belongs to and no two of a row cross; every flow has both ends.
//! Does not know: how a picture is laid out.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::study::recording::{Actor, Behind, ClockKind, Recording, Site, What, Which};
use crate::study::score::first_line;

/// Row numbers of threads begin here; those of tasks are one more than the task's.
const THREADS: u64 = 1 << 31;
/// The row of what is neither.
const WORLD: u64 = 0;

/// The recording as trace events, with itself inside.
///
/// # Errors
///
/// None that is known: every recording can be written.
pub fn json(recording: &Recording) -> serde_json::Result<String> {
    let mut trace = Trace { recording, events: Vec::new(), rows: BTreeMap::new(), flows: 0, last: 0.0 };
    trace.names();
    for (number, step) in recording.steps.iter().enumerate() {
        let extra = if recording.clock == ClockKind::Virtual { number as f64 } else { 0.0 };
        trace.take(step.at as f64 / 1e3 + extra, step.at, &step.what);
    }
    trace.close();
    let events = trace.events;
    serde_json::to_string(&json!({ "displayTimeUnit": "ns", "traceEvents": events, "roundel": recording }))
}

struct Trace<'a> {
    recording: &'a Recording,
    events: Vec<Value>,
    rows: BTreeMap<u64, Row>,
    flows: u64,
    /// The time of the step before.
    last: f64,
}

/// What goes on in a row.
#[derive(Default)]
struct Row {
    turns: u64,
    reasons: Vec<String>,
    /// The slices that are open, outermost first.
    open: Vec<Slice>,
    /// The flow that ends at this task's next turn, with its beginning.
    flow: Option<Value>,
}

struct Slice {
    name: String,
    kind: &'static str,
    from: f64,
    at: u64,
    args: Value,
}

impl Trace<'_> {
    fn names(&mut self) {
        let title = if self.recording.title.is_empty() { "roundel" } else { &self.recording.title };
        self.events.push(json!({ "ph": "M", "pid": 1, "name": "process_name", "args": { "name": title } }));
        let mut rows = vec![(WORLD, "the world: clock, sockets, others".to_owned())];
        rows.extend(self.recording.tasks.iter().map(|task| (row_of_task(task.id), self.recording.task_label(task.id))));
        let threads = &self.recording.threads;
        rows.extend(threads.iter().map(|thread| (row_of_thread(thread.id), thread.name.clone())));
        for (order, (tid, name)) in rows.into_iter().enumerate() {
            let named = json!({ "ph": "M", "pid": 1, "tid": tid, "name": "thread_name", "args": { "name": name } });
            let sorted = json!({ "ph": "M", "pid": 1, "tid": tid, "name": "thread_sort_index",
                "args": { "sort_index": order } });
            self.events.extend([named, sorted]);
        }
    }

    fn take(&mut self, ts: f64, at: u64, what: &What) {
        self.last = ts;
        match what {
            What::Spawned { task, site, by, .. } => {
                let words = format!("spawns {}", self.recording.task_label(*task));
                self.instant(ts, row_of(*by), &words, json!({ "site": site.to_string() }));
            }
            What::Woken { task, by, cause } => self.wake(ts, at, *task, *by, *cause),
            What::PollStarted { task } => self.begin_turn(ts, at, *task),
            What::PollEnded { task, pending: true } => {
                self.end_all(ts, row_of_task(*task));
                let reasons = self.row(row_of_task(*task)).reasons.join(", or ");
                let reason = if reasons.is_empty() { "something foreign".to_owned() } else { reasons };
                self.begin(ts, at, row_of_task(*task), reason, "wait", json!({}));
            }
            // The last turn lasts until the task is over: meanwhile it wakes whoever waits for it.
            What::PollEnded { .. } => {}
            What::Waiting { by: Actor::Task(task), resource, site, behind } => {
                let reason = reason(self.recording, *resource, site.as_ref(), behind, at);
                self.row(row_of_task(*task)).reasons.push(reason);
            }
            What::Finished { task, outcome } => {
                self.end_all(ts, row_of_task(*task));
                self.instant(ts, row_of_task(*task), &format!("{outcome:?}").to_lowercase(), json!({}));
            }
            What::Acquired { by, resource, site } => {
                let words = format!("takes {}", self.recording.resource_label(*resource));
                self.instant(ts, row_of(*by), &words, json!({ "site": site.to_string() }));
            }
            What::Released { by, resource } => {
                let words = format!("gives {} back", self.recording.resource_label(*resource));
                self.instant(ts, row_of(*by), &words, json!({}));
            }
            What::Noted { by, text } => self.instant(ts, row_of(*by), &first_line(text), json!({ "text": text })),
            What::Unread { task, text, .. } => self.instant(ts, row_of_task(*task), text, json!({})),
            What::Began { thread, job, text } => {
                let name = job.map_or_else(|| text.clone(), |job| self.recording.resource_label(job));
                self.begin(ts, at, row_of_thread(*thread), name, "thread", json!({}));
            }
            What::Ended { thread, .. } => self.end(ts, row_of_thread(*thread)),
            What::Parked { .. } => self.begin(ts, at, WORLD, "the loop sleeps".into(), "loop", json!({})),
            What::Unparked => self.end_all(ts, WORLD),
            What::Fired { timers } => self.instant(ts, WORLD, &format!("timers that came due: {timers}"), json!({})),
            What::Closing => self.instant(ts, WORLD, "the loop ends", json!({})),
            _ => {}
        }
    }

    fn wake(&mut self, ts: f64, at: u64, task: u64, by: Actor, cause: Option<Which>) {
        let tid = row_of_task(task);
        let cause = cause.map(|cause| self.recording.resource_label(cause));
        // A wake in its own turn is the end of no wait.
        if self.row(tid).open.last().is_none_or(|slice| slice.kind != "turn") {
            self.end_all(ts, tid);
            self.begin(
                ts,
                at,
                tid,
                "ready".into(),
                "ready",
                json!({ "woken by": said(self.recording, by), "cause": cause }),
            );
        }
        // A flow begins in a slice: in that of the waker's turn.
        if self.row(row_of(by)).open.last().is_some_and(|slice| slice.kind == "turn") && row_of(by) != tid {
            self.flows += 1;
            let start = json!({ "ph": "s", "pid": 1, "tid": row_of(by), "ts": ts, "id": self.flows,
                "name": "wake", "cat": "wake" });
            self.row(tid).flow = Some(start);
        }
    }

    fn begin_turn(&mut self, ts: f64, at: u64, task: u64) {
        let tid = row_of_task(task);
        self.end_all(ts, tid);
        let row = self.row(tid);
        row.turns += 1;
        row.reasons.clear();
        let name = format!("turn {}", row.turns);
        let flow = row.flow.take();
        let site = self.recording.task(task).and_then(|task| task.site.as_ref()).map(Site::to_string);
        self.begin(ts, at, tid, name, "turn", json!({ "spawned at": site }));
        if let Some(start) = flow {
            let end = json!({ "ph": "f", "bp": "e", "pid": 1, "tid": tid, "ts": ts, "id": start["id"],
                "name": "wake", "cat": "wake" });
            self.events.extend([start, end]);
        }
    }

    fn begin(&mut self, ts: f64, at: u64, tid: u64, name: String, kind: &'static str, args: Value) {
        self.row(tid).open.push(Slice { name, kind, from: ts, at, args });
    }

    fn end(&mut self, ts: f64, tid: u64) {
        let Some(Slice { name, kind, from, at, mut args }) = self.row(tid).open.pop() else { return };
        args["at"] = json!(at);
        self.events.push(json!({ "ph": "X", "pid": 1, "tid": tid, "ts": from, "dur": ts - from, "name": name,
            "cat": kind, "args": args }));
    }

    fn end_all(&mut self, ts: f64, tid: u64) {
        while !self.row(tid).open.is_empty() {
            self.end(ts, tid);
        }
    }

    fn instant(&mut self, ts: f64, tid: u64, name: &str, args: Value) {
        self.events.push(json!({ "ph": "i", "s": "t", "pid": 1, "tid": tid, "ts": ts, "name": name, "cat": "event",
            "args": args }));
    }

    /// What still goes on ends with the recording.
    fn close(&mut self) {
        let rows: Vec<u64> = self.rows.keys().copied().collect();
        rows.into_iter().for_each(|tid| self.end_all(self.last, tid));
    }

    fn row(&mut self, tid: u64) -> &mut Row {
        self.rows.entry(tid).or_default()
    }
}

fn row_of_task(task: u64) -> u64 {
    // Row numbers have 32 bits where they are looked at, and the upper half is the threads'.
    1 + task % (THREADS - 1)
}

fn row_of_thread(thread: u32) -> u64 {
    THREADS + u64::from(thread) % THREADS
}

fn row_of(actor: Actor) -> u64 {
    match actor {
        Actor::Task(task) => row_of_task(task),
        Actor::Lane(thread) => row_of_thread(thread),
        _ => WORLD,
    }
}

fn said(recording: &Recording, actor: Actor) -> String {
    match actor {
        Actor::Task(task) => recording.task_label(task),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn reason(recording: &Recording, resource: Which, site: Option<&Site>, behind: &Behind, now: u64) -> String {
    let what = match behind {
        Behind::Deadline(Some(deadline)) => {
            format!("Timer {:?}", std::time::Duration::from_nanos(deadline.saturating_sub(now)))
        }
        Behind::Task(task) => format!("the end of {}", recording.task_label(*task)),
        _ => recording.resource_label(resource),
    };
    site.map_or(what.clone(), |site| format!("{what} ({site})"))
}
