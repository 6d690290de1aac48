//! What a loop did, recorded: as data, as trace events, as a picture.
//!
//! | promise | test |
//! |---|---|
//! | every event is kept, in plain values | a_small_program_is_recorded_step_by_step |
//! | a ring keeps the newest | a_ring_keeps_the_newest_steps_and_says_how_many_it_lost |
//! | a ring knows a task whose spawning it lost | a_ring_still_names_a_task_that_was_spawned_before_its_oldest_step |
//! | a ring forgets what is over | a_ring_forgets_the_names_of_what_is_over |
//! | the cause of a wake | each_wake_names_what_was_waited_for |
//! | no cause is guessed | a_wake_that_could_have_two_causes_names_none |
//! | at any time | a_task_may_ask_for_the_recording_while_it_runs |
//! | the same run, the same bytes | a_run_in_virtual_time_gives_the_same_bytes_twice |
//! | saved and loaded is the same | what_is_saved_as_json_is_loaded_as_it_was |
//! | endings | a_name_with_another_ending_is_refused_and_nothing_is_written |
//! | a later version's events | an_event_of_a_later_version_is_read_as_unknown |
//! | trace events are valid | the_trace_has_matching_flows_and_slices_that_do_not_cross |
//! | the picture is XML | the_picture_is_well_formed_and_has_a_lane_for_each_task |
//! | what a task holds at one time is all seen | what_a_task_holds_has_a_row_each_and_a_long_hand_is_counted |
//! | nothing leaves the picture | long_words_are_wrapped_or_cut_and_nothing_leaves_the_picture |
//! | a note is no outcome | a_note_behind_a_lane_stands_apart_from_how_the_task_ended |
//! | a deadlock is seen in its picture | the_verdict_of_a_deadlock_stands_in_the_picture |
//! | closures by that name | a_closure_is_called_a_closure |
//! | strange names | names_with_signs_quotes_and_chinese_come_through_all_forms |
//! | a long run | a_long_run_is_drawn_in_part_and_the_picture_says_so |
//! | many tasks | fifty_tasks_have_fifty_lanes |
//! | nothing happened | an_empty_recording_can_be_drawn_and_saved |
//! | closures on threads | a_closure_on_a_thread_has_a_lane_with_its_true_beginning_and_end |
//! | threads of one's own | a_thread_with_a_lane_is_merged_by_the_machines_clock |
//! | a closure that nobody watches | a_closure_is_timed_only_under_an_observer |
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Poll;
use std::{env, fs, process, thread};

use roundel::net::{TcpListener, TcpStream};
use roundel::study::recording::{Actor, ClockKind, Kind, Recording, Step, Thread, What, Which};
use roundel::study::{Recorder, note, timeline, trace};
use roundel::sync::{Lock, Semaphore};
use roundel::{
    Builder, Clock, Event, EventLoop, Observer, gather, sleep, spawn, spawn_named, sync, timeout, to_thread, yield_now,
};
use serde_json::Value;
use support::millis;

/// With `PICTURES=DIR`, pictures are kept there for whoever wants to see them.
fn keep(name: &str, picture: &str) {
    if let Some(dir) = env::var_os("PICTURES") {
        fs::write(PathBuf::from(dir).join(name).with_extension("svg"), picture).unwrap();
    }
}

/// Runs a program on the virtual clock and gives the recording of it.
fn recorded<F: Future>(program: F) -> Recording {
    recorded_by(Recorder::whole(), EventLoop::builder().clock(Clock::virtual_time()), program)
}

fn recorded_by<F: Future>(recorder: Recorder, builder: Builder, program: F) -> Recording {
    let recorder = Rc::new(recorder);
    let event_loop = builder.observer(recorder.clone()).build().unwrap();
    event_loop.block_on(program);
    drop(event_loop);
    recorder.recording()
}

/// `at: what`, in the words of the JSON, without lines and columns.
fn told(step: &Step) -> String {
    let mut value = serde_json::to_value(step).unwrap();
    let fields = value.as_object_mut().unwrap();
    let (at, event) = (fields.remove("at").unwrap(), fields.remove("event").unwrap());
    without_sites(fields);
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name} {value}")).collect();
    format!("{} {} {}", at.as_u64().unwrap() / 1_000_000, event.as_str().unwrap(), fields.join(", "))
        .trim_end()
        .replace('"', "")
}

fn without_sites(fields: &mut serde_json::Map<String, Value>) {
    fields.remove("site");
    for value in fields.values_mut() {
        match value {
            Value::Object(inner) => without_sites(inner),
            Value::Array(all) => all.iter_mut().filter_map(Value::as_object_mut).for_each(without_sites),
            _ => {}
        }
    }
}

/// Two tasks, one lock, one timer.
async fn lock_and_timer() {
    let lock = Rc::new(Lock::new(()).named("a"));
    let other = lock.clone();
    let child = spawn_named("child", async move {
        let _guard = other.acquire().await;
        sleep(millis(10)).await;
        note("done");
    });
    yield_now().await;
    drop(lock.acquire().await);
    child.await.unwrap();
}

#[test]
fn a_small_program_is_recorded_step_by_step() {
    let recording = recorded(lock_and_timer());
    let steps: Vec<String> = recording.steps.iter().map(told).collect();
    let lock = "{kind:lock,number:1}";
    assert_eq!(
        steps,
        [
            "0 spawned by outside, name main, task 0".to_owned(),
            "0 woken by outside, cause null, task 0".to_owned(),
            "0 poll_started task 0".to_owned(),
            "0 spawned by {task:0}, name child, task 1".to_owned(),
            "0 woken by {task:0}, cause null, task 1".to_owned(),
            "0 waiting behind anyone, by {task:0}, resource {kind:turn,number:0}".to_owned(),
            "0 woken by {task:0}, cause {kind:turn,number:0}, task 0".to_owned(),
            "0 poll_ended pending true, task 0".to_owned(),
            "0 poll_started task 1".to_owned(),
            format!("0 acquired by {{task:1}}, resource {lock}"),
            "0 waiting behind {deadline:10000000}, by {task:1}, resource {kind:timer,number:2}".to_owned(),
            "0 poll_ended pending true, task 1".to_owned(),
            "0 poll_started task 0".to_owned(),
            format!("0 waiting behind {{holders:[{{who:{{task:1}}}}]}}, by {{task:0}}, resource {lock}"),
            "0 poll_ended pending true, task 0".to_owned(),
            "10 fired timers 1".to_owned(),
            "10 woken by timer, cause {kind:timer,number:2}, task 1".to_owned(),
            "10 poll_started task 1".to_owned(),
            "10 noted by {task:1}, text done".to_owned(),
            format!("10 released by {{task:1}}, resource {lock}"),
            format!("10 woken by {{task:1}}, cause {lock}, task 0"),
            "10 poll_ended pending false, task 1".to_owned(),
            "10 finished outcome returned, task 1".to_owned(),
            "10 poll_started task 0".to_owned(),
            format!("10 acquired by {{task:0}}, resource {lock}"),
            format!("10 released by {{task:0}}, resource {lock}"),
            "10 poll_ended pending false, task 0".to_owned(),
            "10 finished outcome returned, task 0".to_owned(),
            "10 closing".to_owned(),
        ]
    );
}

#[test]
fn a_ring_keeps_the_newest_steps_and_says_how_many_it_lost() {
    let whole = recorded(lock_and_timer());
    let ring = recorded_by(Recorder::ring(5), EventLoop::builder().clock(Clock::virtual_time()), lock_and_timer());
    assert_eq!(ring.lost as usize, whole.steps.len() - 5);
    let newest: Vec<String> = whole.steps[whole.steps.len() - 5..].iter().map(told).collect();
    // This thread's numbers go on from loop to loop.
    let renumbered: Vec<String> = ring.steps.iter().map(|step| told(step).replace("number:3", "number:1")).collect();
    assert_eq!(renumbered, newest);
    assert_eq!(recorded_by(Recorder::ring(0), EventLoop::builder(), async {}).steps.len(), 1);
}

#[test]
fn a_ring_still_names_a_task_that_was_spawned_before_its_oldest_step() {
    let recording = recorded_by(Recorder::ring(40), EventLoop::builder(), async {
        let old = spawn_named("old", std::future::pending::<()>());
        for _ in 0..100 {
            spawn(yield_now()).await.unwrap();
        }
        old.cancel();
        yield_now().await;
    });
    assert!(recording.lost > 100);
    let old = recording.task(1).unwrap();
    assert_eq!((old.name.as_deref(), old.site.as_ref().unwrap().file.as_str()), (Some("old"), file!()));
    assert!(recording.task(2).is_none(), "nothing is left of the first of the hundred");
    assert!(recording.tasks.len() < 20);
}

#[test]
fn a_ring_forgets_the_names_of_what_is_over() {
    let recorder = Rc::new(Recorder::ring(10));
    let event_loop = EventLoop::builder().observer(recorder.clone()).build().unwrap();
    event_loop.block_on(async {
        for number in 0..1000 {
            drop(Lock::new(()).named(&format!("lock {number}")).acquire().await);
        }
    });
    let named = |recording: &Recording| recording.resources.iter().filter(|one| one.name.is_some()).count();
    let recording = recorder.recording();
    assert!(named(&recording) > 0 && recording.resources.len() <= 10, "{:?}", recording.resources);
    assert_eq!(recording.resource_label(Which { kind: Kind::Lock, number: 1000 }), "Lock \"lock 999\"");
}

/// Who woke this task, and what it had waited for, wake by wake.
fn wakes_of(recording: &Recording, task: u64) -> Vec<(Actor, Option<Kind>)> {
    let woken = |step: &Step| match step.what {
        What::Woken { task: woken, by, cause } if woken == task => Some((by, cause.map(|cause| cause.kind))),
        _ => None,
    };
    recording.steps.iter().filter_map(woken).skip(1).collect()
}

#[test]
fn each_wake_names_what_was_waited_for() {
    let recording = recorded(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (semaphore, lock) = (Rc::new(Semaphore::new(1)), Rc::new(Lock::new(())));
        let permit = semaphore.acquire().await.unwrap();
        let (waiting, locked) = (semaphore.clone(), lock.clone());
        // Who waits here goes on when the task has begun its next wait.
        let gate = Rc::new(sync::Event::new());
        let go_on = gate.clone();
        let all = spawn(async move {
            sleep(millis(1)).await;
            drop(waiting.acquire().await);
            drop(locked.acquire().await);
            // The closure ends when somebody waits for it, and not before.
            let (release, released) = mpsc::channel::<()>();
            let closure = to_thread(move || released.recv().is_err());
            assert!(futures::join!(closure, async { drop(release) }).0.unwrap());
            go_on.set();
            let peer = listener.accept().await.unwrap().0;
            go_on.set();
            assert_eq!(peer.read(&mut [0; 8]).await.unwrap(), 2);
            spawn(yield_now()).await.unwrap();
        });
        let guard = lock.acquire().await;
        sleep(millis(2)).await;
        drop(permit);
        yield_now().await;
        drop(guard);
        gate.wait().await;
        gate.clear();
        let stream = TcpStream::connect(address).await.unwrap();
        gate.wait().await;
        stream.write_all(b"hi").await.unwrap();
        all.await.unwrap();
    });
    let root = Actor::Task(0);
    let mut causes = wakes_of(&recording, 1);
    // How often the system reports a socket is its own affair.
    causes.dedup();
    let expected = [
        (Actor::Timer, Kind::Timer),
        (root, Kind::Semaphore),
        (root, Kind::Lock),
        (Actor::Thread, Kind::Thread),
        (Actor::Socket, Kind::Socket),
        (Actor::Task(2), Kind::Task),
    ];
    assert_eq!(causes, expected.map(|(by, kind)| (by, Some(kind))));
}

#[test]
fn a_wake_that_could_have_two_causes_names_none() {
    let recording = recorded(async {
        let locks = [Rc::new(Lock::new(())), Rc::new(Lock::new(()))];
        let guards = [locks[0].acquire().await, locks[1].acquire().await];
        let (one, other) = (locks[0].clone(), locks[1].clone());
        let either = spawn(async move {
            let (mut one, mut other) = (Box::pin(one.acquire()), Box::pin(other.acquire()));
            poll_fn(|cx| {
                let first = one.as_mut().poll(cx).is_ready();
                if first | other.as_mut().poll(cx).is_ready() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        });
        // Of two timers it is the one that is due.
        let both = spawn(timeout(millis(5), sleep(millis(50))));
        yield_now().await;
        drop(guards);
        either.await.unwrap();
        assert!(both.await.unwrap().is_err());
    });
    assert_eq!(wakes_of(&recording, 1), [(Actor::Task(0), None)]);
    let deadline_of = |which: Which| {
        recording.steps.iter().find_map(|step| match &step.what {
            What::Waiting { resource, behind, .. } if *resource == which => Some(format!("{behind:?}")),
            _ => None,
        })
    };
    let causes = recording.steps.iter().filter_map(|step| match step.what {
        What::Woken { task: 2, cause: Some(cause), .. } => deadline_of(cause),
        _ => None,
    });
    assert_eq!(causes.collect::<Vec<_>>(), ["Deadline(Some(5000000))"]);
}

#[test]
fn a_task_may_ask_for_the_recording_while_it_runs() {
    let recorder = Rc::new(Recorder::whole().titled("half-way"));
    let event_loop = EventLoop::builder().observer(recorder.clone()).build().unwrap();
    let before = event_loop.block_on(async { recorder.recording() });
    assert_eq!((before.title.as_str(), before.steps.len()), ("half-way", 3));
    assert_eq!(before.steps[..], recorder.recording().steps[..3]);
}

#[test]
fn a_run_in_virtual_time_gives_the_same_bytes_twice() {
    let bytes = || {
        // A thread of its own, whose primitives are numbered from 1.
        let run = || {
            let recording = recorded(lock_and_timer());
            (timeline::svg(&recording), trace::json(&recording).unwrap())
        };
        thread::spawn(run).join().unwrap()
    };
    assert_eq!(bytes(), bytes());
}

/// A file that is gone when this is.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> File {
        File(env::temp_dir().join(format!("roundel-{}-{name}", process::id())))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Something of everything.
fn varied() -> Recording {
    recorded(async {
        let family = gather((1..4).map(|n| async move { sleep(millis(n)).await }));
        let slip = spawn_named("slip", async {
            yield_now().await;
            panic!("on purpose");
        });
        drop(slip);
        let never = spawn(std::future::pending::<()>());
        family.await;
        never.cancel();
        to_thread(|| ()).await.unwrap();
        lock_and_timer().await;
        let _left = spawn(sleep(millis(100)));
        yield_now().await;
    })
}

#[test]
fn what_is_saved_as_json_is_loaded_as_it_was() {
    let (recording, file) = (varied(), File::new("varied.json"));
    let outcomes: BTreeSet<String> = recording
        .steps
        .iter()
        .filter_map(|step| match step.what {
            What::Finished { outcome, .. } => Some(format!("{outcome:?}")),
            _ => None,
        })
        .collect();
    assert!(outcomes.into_iter().eq(["Cancelled", "Panicked", "Returned"]));
    recording.save(&file.0).unwrap();
    assert_eq!(Recording::load(&file.0).unwrap(), recording);
    fs::write(&file.0, "{}").unwrap();
    let error = Recording::load(&file.0).unwrap_err().to_string();
    assert!(error.contains("varied.json holds no recording"), "{error}");
}

#[test]
fn a_name_with_another_ending_is_refused_and_nothing_is_written() {
    let recording = recorded(async {});
    for name in ["run.png", "run", "run.SVG.gz"] {
        let file = File::new(name);
        let error = recording.save(&file.0).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().ends_with("give a name that ends in .svg, .json or .html"), "{error}");
        assert!(Recording::check_name(&file.0).is_err() && !file.0.exists());
    }
    Recording::check_name("run.html").unwrap();
}

#[test]
fn an_event_of_a_later_version_is_read_as_unknown() {
    let step: Step = serde_json::from_str(r#"{"at":7,"event":"teleported","task":1}"#).unwrap();
    assert_eq!(step, Step { at: 7, what: What::Unknown });
}

/// Every slice's beginning and end, row by row.
fn slices(events: &[Value]) -> BTreeMap<u64, Vec<(f64, f64)>> {
    let mut rows: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let (from, lasts) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
        assert!(lasts >= 0.0 && from >= 0.0);
        rows.entry(event["tid"].as_u64().unwrap()).or_default().push((from, from + lasts));
    }
    rows
}

#[test]
fn the_trace_has_matching_flows_and_slices_that_do_not_cross() {
    let recording = varied();
    let trace: Value = serde_json::from_str(&trace::json(&recording).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    for event in events {
        let phase = event["ph"].as_str().unwrap();
        assert!(["M", "X", "i", "s", "f"].contains(&phase), "{event}");
        assert!(event["pid"] == 1 && event["name"].is_string(), "{event}");
        assert!(phase == "M" || (event["ts"].is_number() && event["tid"].is_u64()), "{event}");
    }
    let rows = slices(events);
    for row in rows.values() {
        for (nr, one) in row.iter().enumerate() {
            for other in &row[nr + 1..] {
                assert!(one.1 <= other.0 || other.1 <= one.0, "{one:?} and {other:?} cross");
            }
        }
    }
    let ends = |phase: &str| -> BTreeMap<u64, (u64, f64)> {
        let ends = events.iter().filter(|event| event["ph"] == phase);
        let end =
            |end: &Value| (end["id"].as_u64().unwrap(), (end["tid"].as_u64().unwrap(), end["ts"].as_f64().unwrap()));
        ends.map(end).collect()
    };
    let (starts, finishes) = (ends("s"), ends("f"));
    assert!(starts.len() > 5 && starts.keys().eq(finishes.keys()));
    for (id, (tid, ts)) in starts {
        assert!(ts <= finishes[&id].1 && tid != finishes[&id].0);
        for (tid, ts) in [(tid, ts), finishes[&id]] {
            assert!(rows[&tid].iter().any(|slice| slice.0 <= ts && ts <= slice.1), "flow {id} ends in no slice");
        }
    }
    let named = events.iter().filter(|event| event["name"] == "thread_name").count();
    assert_eq!(named, 1 + recording.tasks.len() + recording.threads.len());
}

/// The lanes of a picture, checked to be XML.
fn lanes(picture: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(picture).unwrap();
    let mut lanes: Vec<String> =
        document.descendants().filter_map(|node| Some(node.attribute("data-lane")?.to_owned())).collect();
    // Of a picture in strips, each has its own.
    lanes.sort();
    lanes.dedup();
    lanes
}

#[test]
fn the_picture_is_well_formed_and_has_a_lane_for_each_task() {
    let recording = varied();
    let lanes = lanes(&timeline::svg(&recording));
    let tasks = recording.tasks.iter().map(|task| format!("task {}", task.id));
    let mut expected: Vec<String> = tasks.chain(["world".to_owned(), "thread 1".to_owned()]).collect();
    expected.sort();
    assert_eq!(lanes, expected);
}

#[test]
fn names_with_signs_quotes_and_chinese_come_through_all_forms() {
    let name = "a<b> & \"c\" 'd' ]]> 计数 \u{1b}[1m\0";
    let recording = recorded(async move {
        let lock = Rc::new(Lock::new(()).named(name));
        let guard = lock.acquire().await;
        let other = lock.clone();
        let task = spawn_named(name, async move { drop(other.acquire().await) });
        yield_now().await;
        note(name);
        drop(guard);
        task.await.unwrap();
    });
    let shown = name.replace(['\u{1b}', '\0'], " ");
    let picture = timeline::svg(&recording);
    let document = roxmltree::Document::parse(&picture).unwrap();
    assert!(document.descendants().any(|node| node.text() == Some(&shown)), "{picture}");
    let lock = format!("Lock \"{shown}\"");
    assert!(document.descendants().any(|node| node.text().is_some_and(|text| text.contains(&lock))));
    let trace: Value = serde_json::from_str(&trace::json(&recording).unwrap()).unwrap();
    assert!(trace["traceEvents"].as_array().unwrap().iter().any(|event| event["args"]["name"] == name));
    let file = File::new("names.json");
    recording.save(&file.0).unwrap();
    assert_eq!(Recording::load(&file.0).unwrap(), recording);
}

#[test]
fn a_long_run_is_drawn_in_part_and_the_picture_says_so() {
    let recording = recorded(async {
        for _ in 0..3000 {
            yield_now().await;
        }
    });
    let picture = timeline::svg(&recording);
    assert!(picture.len() < 300_000, "{}", picture.len());
    assert!(picture.contains("Not drawn: ") && picture.contains(" steps after the end of this picture"));
    let ring =
        recorded_by(Recorder::ring(20), EventLoop::builder(), async { gather((0..100).map(|_| yield_now())).await });
    assert!(timeline::svg(&ring).contains("before its beginning, which the ring has lost"));
}

#[test]
fn fifty_tasks_have_fifty_lanes() {
    let run = |tasks: u64| recorded(async move { gather((0..tasks).map(|n| sleep(millis(n % 7)))).await });
    let lanes_of = |recording: &Recording| lanes(&timeline::svg(recording)).len();
    assert_eq!(lanes_of(&run(50)), 52, "the world, main and fifty");
    let picture = timeline::svg(&run(500));
    assert!(picture.contains("441 tasks without a lane"));
}

/// Where the shapes of one class are: left, top, right, bottom.
fn places(document: &roxmltree::Document<'_>, class: &str) -> Vec<[f64; 4]> {
    let of_class = document.descendants().filter(|node| node.attribute("class") == Some(class));
    let drawn = of_class.filter(|node| node.has_tag_name("rect"));
    let place = |node: roxmltree::Node<'_, '_>| {
        let [x, y, width, height] = ["x", "y", "width", "height"].map(|name| number(node, name));
        [x, y, x + width, y + height]
    };
    drawn.map(place).collect()
}

fn number(node: roxmltree::Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).map_or(0.0, |value| value.parse().unwrap())
}

/// Each of so many tasks takes two locks and a permit, and keeps them.
async fn full_hands(tasks: usize) {
    let door = Rc::new(Semaphore::new(tasks));
    gather((0..tasks).map(|_| {
        let door = door.clone();
        async move {
            let [outer, inner] = ["outer", "inner"].map(|name| Lock::new(()).named(name));
            let _outer = outer.acquire().await;
            let _inner = inner.acquire().await;
            let _permit = door.acquire().await.unwrap();
            sleep(millis(1)).await;
            note("has all three");
        }
    }))
    .await;
}

#[test]
fn what_a_task_holds_has_a_row_each_and_a_long_hand_is_counted() {
    for tasks in [1, 3, 20, 50] {
        let picture = timeline::svg(&recorded(full_hands(tasks)));
        keep(&format!("hands-{tasks}"), &picture);
        let document = roxmltree::Document::parse(&picture).unwrap();
        let holds = places(&document, "hold");
        // The last one is the key's. In strips, a hold has several parts.
        assert!(holds.len() > 3 * tasks, "{}", holds.len());
        for (nr, one) in holds.iter().enumerate() {
            for other in &holds[nr + 1..] {
                let apart = one[2] <= other[0] || other[2] <= one[0] || one[3] <= other[1] || other[3] <= one[1];
                assert!(apart, "{one:?} and {other:?} are one over the other, of {tasks}");
            }
        }
    }
    let many = recorded(async {
        let door = Semaphore::new(20);
        let permits: Vec<_> = (0..20).map(|_| door.try_acquire().unwrap()).collect();
        sleep(millis(1)).await;
        drop(permits);
    });
    let picture = timeline::svg(&many);
    assert_eq!(places(&roxmltree::Document::parse(&picture).unwrap(), "hold").len(), 8 + 1);
    assert!(picture.contains("Not drawn: 12 locks or permits of a task that holds many."));
}

/// Every text and shape, with the text's width by a broad font.
fn check_that_all_is_inside(picture: &str) {
    let document = roxmltree::Document::parse(picture).unwrap();
    let (width, height) = (number(document.root_element(), "width"), number(document.root_element(), "height"));
    for node in document.descendants() {
        let long = match node.tag_name().name() {
            "rect" => number(node, "width"),
            "text" => {
                let class = node.attribute("class").unwrap();
                let size = if class.contains("title") { 16.0 } else { 11.0 };
                node.text().unwrap_or_default().chars().count() as f64 * 0.58 * size
            }
            _ => continue,
        };
        let long = if node.attribute("text-anchor").is_some() { long / 2.0 } else { long };
        let right = number(node, "x") + long;
        assert!(right <= width + 0.5, "{:?} goes to {right} of {width}", node.text());
        assert!(number(node, "y") + number(node, "height") <= height + 0.5, "{:?} of {height}", node.text());
    }
}

#[test]
fn long_words_are_wrapped_or_cut_and_nothing_leaves_the_picture() {
    let talkative = |tasks: u64, words: usize| {
        let mut recording = recorded(async move {
            let say = |n: u64| async move {
                sleep(millis(n * n + 1)).await;
                note(&"so many words ".repeat(words));
                assert!(n != 1, "{}", "a long complaint ".repeat(words));
            };
            let tasks: Vec<_> = (0..tasks).map(|n| spawn_named(&"a long name ".repeat(words), say(n))).collect();
            for task in tasks {
                drop(task.await);
            }
            sleep(millis(123_456)).await;
        });
        recording.title = "schedule 0.1.0.1: deadlock: nobody is left who could wake anybody. ".repeat(words);
        recording
    };
    for (tasks, words) in [(1, 1), (3, 2), (12, 4), (12, 20), (40, 3)] {
        let recording = talkative(tasks, words);
        let picture = timeline::svg(&recording);
        keep(&format!("talk-{tasks}-{words}"), &picture);
        check_that_all_is_inside(&picture);
        let document = roxmltree::Document::parse(&picture).unwrap();
        let lines = document.descendants().filter(|node| node.attribute("class") == Some("ink title"));
        let lines: Vec<&str> = lines.filter_map(|node| node.text()).collect();
        assert!(lines.len() <= 3);
        let title = lines.join(" ");
        assert!(title == recording.title.trim_end() || (words > 3 && title.ends_with('…')), "{title}");
    }
    let mut long = recorded(async {
        let door = Semaphore::new(20);
        let _permits: Vec<_> = (0..20).map(|_| door.try_acquire().unwrap()).collect();
        gather((0..100).map(|_| async {
            for _ in 0..20 {
                yield_now().await;
            }
        }))
        .await;
    });
    long.lost = 1_000_000;
    let picture = timeline::svg(&long);
    keep("long", &picture);
    check_that_all_is_inside(&picture);
    check_that_all_is_inside(&timeline::svg(&varied()));
    check_that_all_is_inside(&timeline::svg(&recorded(lock_and_timer())));
}

#[test]
fn a_note_behind_a_lane_stands_apart_from_how_the_task_ended() {
    // So many that there is no room for notes in the bars.
    let picture = timeline::svg(&recorded(full_hands(20)));
    let document = roxmltree::Document::parse(&picture).unwrap();
    let class_of = |words: &str| {
        let node = document.descendants().find(|node| node.has_tag_name("text") && node.text() == Some(words));
        node.and_then(|node| node.attribute("class")).unwrap_or_default()
    };
    assert_eq!(class_of("has all three"), "ink note small halo");
    assert_eq!(class_of("returned"), "good small halo");
}

#[test]
fn the_verdict_of_a_deadlock_stands_in_the_picture() {
    let recorder = Rc::new(Recorder::whole());
    let builder = EventLoop::builder().clock(Clock::virtual_time()).observer(recorder.clone());
    let deadlock = builder.build().unwrap().try_block_on(sync::Event::new().wait()).unwrap_err();
    let recording = recorder.recording();
    let said = recording.steps.iter().filter_map(|step| match &step.what {
        What::Noted { by: Actor::Loop, text } => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(said.collect::<Vec<_>>(), [deadlock.to_string()]);
    let picture = timeline::svg(&recording);
    let document = roxmltree::Document::parse(&picture).unwrap();
    let mut verdict = document.descendants().filter(|node| node.attribute("class") == Some("bad verdict small halo"));
    assert_eq!(verdict.next().unwrap().text(), Some("deadlock: nobody is left who could wake anybody …"));
    assert!(picture.contains("which nobody is left to set"), "all of it is shown when it is pointed at");
}

#[test]
fn a_closure_is_called_a_closure() {
    let recording = recorded(async { to_thread(|| ()).await.unwrap() });
    let picture = timeline::svg(&recording);
    assert!(picture.contains("closure 1") && !picture.contains("Thread 1"));
}

#[test]
fn an_empty_recording_can_be_drawn_and_saved() {
    let (empty, file) = (Recorder::whole().recording(), File::new("empty.json"));
    assert_eq!(empty, Recording::default());
    lanes(&timeline::svg(&empty));
    empty.save(&file.0).unwrap();
    assert_eq!(Recording::load(&file.0).unwrap(), empty);
}

#[test]
fn a_closure_on_a_thread_has_a_lane_with_its_true_beginning_and_end() {
    let recording = recorded_by(Recorder::whole(), EventLoop::builder().threads(1), async {
        let jobs = [to_thread(|| thread::sleep(millis(3))), to_thread(|| thread::sleep(millis(2)))];
        for job in jobs {
            job.await.unwrap();
        }
    });
    assert_eq!(recording.threads, [Thread { id: 1, name: "pool thread 1".into() }]);
    let told: Vec<(u64, String)> = recording
        .steps
        .iter()
        .filter_map(|step| match &step.what {
            What::Submitted { job, .. } => Some((step.at, format!("submitted {}", job.number))),
            What::Began { thread, job: Some(job), .. } => Some((step.at, format!("{thread} began {}", job.number))),
            What::Ended { thread, job: Some(job) } => Some((step.at, format!("{thread} ended {}", job.number))),
            What::Answered { job } => Some((step.at, format!("answered {}", job.number))),
            _ => None,
        })
        .collect();
    let moment = |what: &str| told.iter().find(|(_, told)| told == what).unwrap_or_else(|| panic!("{told:?}")).0;
    let order = ["submitted 1", "1 began 1", "1 ended 1", "1 began 2", "1 ended 2", "answered 2"];
    assert!(order.windows(2).all(|pair| moment(pair[0]) <= moment(pair[1])), "{told:?}");
    assert!(moment("1 ended 1") - moment("1 began 1") >= 3_000_000, "{told:?}");
    assert!(moment("1 ended 2") - moment("1 began 2") >= 2_000_000, "{told:?}");
    assert!(lanes(&timeline::svg(&recording)).contains(&"thread 1".to_owned()));
}

#[test]
fn a_thread_with_a_lane_is_merged_by_the_machines_clock() {
    let recorder = Rc::new(Recorder::whole());
    let lane = recorder.lane("worker");
    let event_loop = EventLoop::builder().observer(recorder.clone()).clock(Clock::virtual_time()).build().unwrap();
    event_loop.block_on(async {
        sleep(millis(10)).await;
        note("before");
        thread::spawn(move || {
            let _span = lane.span("works");
            lane.note("half-way");
        })
        .join()
        .unwrap();
        note("after");
    });
    let recording = recorder.recording();
    let steps: Vec<String> = recording.steps.iter().map(told).collect();
    let noted = steps.iter().position(|step| step.ends_with("text before")).unwrap();
    let expected = [
        "10 began job null, text works, thread 1",
        "10 noted by {lane:1}, text half-way",
        "10 ended job null, thread 1",
        "10 noted by {task:0}, text after",
    ];
    assert_eq!(steps[noted + 1..noted + 5], expected);
    let alone = Recorder::whole();
    drop(alone.lane("one").span("alone"));
    let recording = alone.recording();
    assert_eq!((recording.clock, recording.steps.len(), recording.steps[0].at), (ClockKind::Real, 2, 0));
    assert_eq!(lanes(&timeline::svg(&recording)), ["thread 1"]);
}

#[test]
fn a_closure_is_timed_only_under_an_observer() {
    #[derive(Default)]
    struct Timed(RefCell<Vec<bool>>, Cell<bool>);
    impl Observer for Timed {
        fn event(&self, event: &Event<'_>) {
            if let Event::Answered { ran, .. } = event {
                self.0.borrow_mut().push(ran.is_some());
                self.1.set(ran.is_none_or(|ran| ran.began <= ran.ended));
            }
        }
    }
    let timed = Rc::new(Timed::default());
    let event_loop = EventLoop::builder().observer(timed.clone()).threads(1).build().unwrap();
    event_loop.block_on(async {
        to_thread(|| ()).await.unwrap();
        assert!(to_thread(|| panic!("as well")).await.is_err());
        let (begun, first) = (to_thread(|| thread::sleep(millis(2))), to_thread(|| ()));
        assert!(first.cancel() && first.await.is_err(), "the only thread is at another");
        begun.await.unwrap();
    });
    assert_eq!(timed.0.take(), [true, true, false, true]);
    assert!(timed.1.get());
}
