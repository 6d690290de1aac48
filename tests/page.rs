//! The step-through page, in a headless browser: whatever it shows at an event is what the recording says.
//!
//! | promise | test |
//! |---|---|
//! | it opens, forward and back, without an error | the_page_opens_and_goes_to_the_end_and_back_without_an_error |
//! | queue, tasks, timers, locks, output | it_shows_at_every_event_what_the_recording_says |
//! | back is as forward | going_back_shows_what_going_forward_showed |
//! | jumps, over checkpoints | a_jump_shows_what_the_recording_says_wherever_it_goes |
//! | a ring's recording, and none | a_recording_without_its_beginning_or_without_anything_opens_too |
//! | no loop, no panels of one | a_page_of_threads_alone_shows_nothing_of_a_loop |
//! | a line for what nobody gives | a_semaphore_with_a_line_is_not_called_free |
//! | the verdict | the_loop_says_that_it_has_found_a_deadlock |
//! | it plays by itself | it_plays_to_the_end_and_stops_there |
//! | English and Chinese | both_languages_have_words_for_every_kind_of_event |
//! | the reader's own language first | it_opens_in_the_language_of_its_reader |
//! | the seven steps | all_seven_steps_light_up_in_a_recording_of_sockets_and_timers |
//! | the source line | the_line_concerned_is_shown_as_it_stands_in_the_file |
//! | fits a phone | nothing_is_wider_than_a_phone |
//! | a name stays data | a_name_cannot_break_out_of_its_place |
//! | no network | the_page_names_no_other_address |
//!
//! All of them look at one run of the browser. Without one on the machine those that need it say so, and pass.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "page/browser.rs"]
mod browser;
#[path = "page/expected.rs"]
mod expected;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use browser::Frame;
use expected::Moment;
use roundel::net::{TcpListener, TcpStream};
use roundel::study::recording::{Actor, Behind, Holder, Kind, Outcome, Site, Step, Task, Thread, What, Which};
use roundel::study::{Recorder, Recording, note};
use roundel::sync::{Lock, Semaphore};
use roundel::{Clock, EventLoop, JoinHandle, gather, sleep, spawn, spawn_named, timeout, to_thread, yield_now};
use serde_json::Value;

const EVIL: &str = "</script><img src=x onerror=alert(1)>{{js}} &amp; \"A\"";

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn recorded<F: Future>(title: &str, program: F) -> Recording {
    let recorder = Rc::new(Recorder::whole().titled(title));
    let clock = Clock::virtual_time();
    let event_loop = EventLoop::builder().clock(clock).observer(recorder.clone()).build().unwrap();
    event_loop.block_on(program);
    drop(event_loop);
    recorder.recording()
}

async fn all(tasks: impl IntoIterator<Item = JoinHandle<()>>) {
    for task in tasks.into_iter().collect::<Vec<_>>() {
        let _ = task.await;
    }
}

/// A lock, a semaphore, timers near and far, a task that is cancelled while it waits, one that gives up.
async fn locks_and_timers() {
    let lock = Rc::new(Lock::new(0).named(EVIL));
    let door = Rc::new(Semaphore::new(2).named("door"));
    let far = spawn_named("far", async { sleep(Duration::from_secs(100_000)).await });
    let workers = ["ada", EVIL, "bo", "cy"].into_iter().zip([5, 70, 70, 5000]).map(|(name, length)| {
        let (lock, door) = (lock.clone(), door.clone());
        spawn_named(name, async move {
            let _permit = door.acquire().await.unwrap();
            for _ in 0..2 {
                let mut count = lock.acquire().await;
                sleep(millis(length)).await;
                *count += 1;
                note(&format!("{name} counts {count}"));
            }
            yield_now().await;
        })
    });
    let workers: Vec<_> = workers.collect();
    yield_now().await;
    let impatient = {
        let lock = lock.clone();
        spawn_named("impatient", async move { assert!(timeout(millis(9), lock.acquire()).await.is_err()) })
    };
    let unlucky = spawn_named("unlucky", async move { drop(lock.acquire().await) });
    sleep(millis(40)).await;
    unlucky.cancel();
    far.cancel();
    all(workers).await;
    all([impatient]).await;
}

/// A listener and two streams, a closure in a thread, timers.
async fn sockets_threads_and_timers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = spawn_named("server", async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut word = [0; 5];
        while stream.read_exact(&mut word).await.is_ok() {
            stream.write_all(&word).await.unwrap();
        }
    });
    let client = spawn_named("client", async move {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut word = *b"hello";
        for _ in 0..2 {
            stream.write_all(&word).await.unwrap();
            stream.read_exact(&mut word).await.unwrap();
            note("the client hears");
            sleep(millis(2)).await;
        }
    });
    assert_eq!(to_thread(|| 6 * 7).await.unwrap(), 42);
    all([server, client]).await;
}

/// Some thousands of events, beyond several of the page's checkpoints.
async fn a_crowd() {
    let door = Rc::new(Semaphore::new(3));
    let guests = (0..60).map(|guest| {
        let door = door.clone();
        spawn(async move {
            for round in 0..5 {
                let _permit = door.acquire().await.unwrap();
                sleep(millis(1 + (guest * 7 + round * 13) % 90)).await;
            }
        })
    });
    all(guests).await;
}

/// The last events of a run whose first ones are gone: it names tasks, locks and timers that it has not seen made.
fn the_end_of_a_run() -> Recording {
    let recorder = Rc::new(Recorder::ring(60));
    let event_loop = EventLoop::builder().clock(Clock::virtual_time()).observer(recorder.clone()).build().unwrap();
    event_loop.block_on(locks_and_timers());
    recorder.recording()
}

/// Two threads that report, and no loop.
fn threads_alone() -> Recording {
    let recorder = Recorder::whole();
    for name in ["one", "other"] {
        let lane = recorder.lane(name);
        let span = lane.span("reads and writes");
        lane.note("reads 0");
        drop(span);
    }
    recorder.recording()
}

/// A task waits for a permit that another one has, who forgets it; so nobody is left who has any.
fn a_deadlock() -> (Recording, String) {
    let recorder = Rc::new(Recorder::whole());
    let event_loop = EventLoop::builder().clock(Clock::virtual_time()).observer(recorder.clone()).build().unwrap();
    let deadlock = event_loop.try_block_on(async {
        let door = Rc::new(Semaphore::new(1).named("door"));
        let (held, wanted) = (door.clone(), door);
        let forgets = async move {
            let permit = held.acquire().await.unwrap();
            sleep(millis(1)).await;
            permit.forget();
        };
        gather!(forgets, async move { drop(wanted.acquire().await) }).await;
    });
    drop(event_loop);
    (recorder.recording(), deadlock.unwrap_err().to_string())
}

/// Every kind of event, and of wait, once.
fn one_of_each() -> Recording {
    let site = || Site { file: "no/such/file.rs".to_owned(), line: 7, column: 1 };
    let which = |kind| Which { kind, number: 3 };
    let by = Actor::Task(1);
    let kinds = [
        Kind::Foreign,
        Kind::Turn,
        Kind::Timer,
        Kind::Socket,
        Kind::Thread,
        Kind::Task,
        Kind::Children,
        Kind::Lock,
        Kind::Semaphore,
        Kind::Event,
        Kind::Condition,
        Kind::Barrier,
        Kind::Queue,
        Kind::Oneshot,
        Kind::OnceCell,
    ];
    let waiting = |kind, behind| What::Waiting { by, resource: which(kind), site: Some(site()), behind };
    let mut all = vec![
        What::Spawned { task: 0, name: None, site: site(), by: Actor::Outside },
        What::Spawned { task: 1, name: None, site: site(), by: Actor::Task(0) },
        What::Woken { task: 1, by: Actor::Task(0), cause: None },
        What::PollStarted { task: 1 },
    ];
    all.extend(kinds.map(|kind| waiting(kind, Behind::Anyone)));
    all.extend([
        waiting(Kind::Timer, Behind::Deadline(None)),
        waiting(Kind::Timer, Behind::Deadline(Some(5_000_000))),
        waiting(Kind::Lock, Behind::Holders(vec![Holder { who: Actor::Task(0), site: site() }])),
        waiting(Kind::Task, Behind::Task(0)),
        waiting(Kind::Children, Behind::Members),
        What::Acquired { by, resource: which(Kind::Lock), site: site() },
        What::Released { by, resource: which(Kind::Lock) },
        What::Opened { socket: which(Kind::Socket), by },
        What::Closed { socket: which(Kind::Socket) },
        What::Submitted { job: which(Kind::Thread), by, site: site() },
        What::Began { thread: 1, job: Some(which(Kind::Thread)), text: String::new() },
        What::Ended { thread: 1, job: Some(which(Kind::Thread)) },
        What::Answered { job: which(Kind::Thread) },
        What::Began { thread: 2, job: None, text: "counts".to_owned() },
        What::Noted { by: Actor::Lane(2), text: "one".to_owned() },
        What::Ended { thread: 2, job: None },
        What::PollEnded { task: 1, pending: true },
    ]);
    for by in [Actor::Outside, Actor::Task(0), Actor::Task(1), Actor::Timer, Actor::Socket, Actor::Thread, Actor::Loop]
    {
        all.push(What::Woken { task: 1, by, cause: None });
        all.push(What::PollStarted { task: 1 });
        all.push(What::PollEnded { task: 1, pending: true });
    }
    all.extend([
        What::Woken { task: 1, by: Actor::Socket, cause: Some(which(Kind::Socket)) },
        What::Member { family: which(Kind::Children), task: 1 },
        What::Unread { task: 1, site: site(), text: "boom".to_owned() },
        What::PollEnded { task: 1, pending: false },
        What::Parked { limit: None },
        What::Unparked,
        What::Parked { limit: Some(1_500_000) },
        What::Fired { timers: 2 },
    ]);
    all.extend(
        [Outcome::Returned, Outcome::Panicked, Outcome::Cancelled].map(|outcome| What::Finished { task: 1, outcome }),
    );
    all.push(What::Closing);
    let steps = all.into_iter().zip(0..).map(|(what, at)| Step { at: at * 300_000, what }).collect();
    let task = |id| Task { id, name: None, site: Some(site()) };
    let thread = |id| Thread { id, name: format!("thread {id}") };
    let (tasks, threads) = (vec![task(0), task(1)], vec![thread(1), thread(2)]);
    Recording { lost: 12, tasks, threads, steps, ..Recording::default() }
}

/// What was recorded, and what the browser showed of it.
struct Seen {
    locks: Recording,
    world: Recording,
    crowd: Recording,
    verdict: String,
    pages: Result<Value, String>,
}

fn seen() -> &'static Seen {
    static SEEN: OnceLock<Seen> = OnceLock::new();
    SEEN.get_or_init(|| {
        let locks = recorded(EVIL, locks_and_timers());
        let world = recorded("sockets", sockets_threads_and_timers());
        let crowd = recorded("a crowd", a_crowd());
        let deadlock = a_deadlock();
        let frame = |name, recording: &Recording, address, width, language| Frame {
            name,
            html: recording.html(),
            address,
            width,
            language,
        };
        let frames = [
            frame("locks", &locks, "probe=walk", 1280, "en-GB"),
            frame("world", &world, "probe=both", 375, "zh-CN"),
            frame("each", &one_of_each(), "probe=both&lang=en", 375, "zh-TW"),
            frame("crowd", &crowd, "probe=jumps", 1280, "en"),
            frame("play", &world, "probe=play&at=20", 800, "en"),
            frame("end", &the_end_of_a_run(), "probe=walk", 1280, "en"),
            frame("empty", &Recording::default(), "probe=walk", 800, "en"),
            frame("threads", &threads_alone(), "probe=walk", 1280, "en"),
            frame("deadlock", &deadlock.0, "probe=walk", 1280, "en"),
            frame("words", &world, "probe=words", 800, "en"),
        ];
        // For whoever wants to see them.
        if let Some(dir) = std::env::var_os("PICTURES").map(PathBuf::from) {
            frames
                .iter()
                .for_each(|frame| fs::write(dir.join(frame.name).with_extension("html"), &frame.html).unwrap());
        }
        let pages = browser::look_at(&frames);
        Seen { locks, world, crowd, verdict: deadlock.1, pages }
    })
}

/// What the probe of one page saw; `None` without a browser.
fn page(name: &str) -> Option<&'static Value> {
    let pages = seen().pages.as_ref().unwrap_or_else(|why| panic!("{why}"));
    if pages.is_null() {
        println!("skipped: there is no chromium on this machine");
        return None;
    }
    let page = &pages[name];
    assert_eq!(page["errors"].as_array().map(Vec::len), Some(0), "{name}: {}", page["errors"]);
    Some(&page["saw"])
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("a list, not {value}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Compares what was shown at one event with what the recording says.
fn compare(recording: &Recording, shown: &Value) {
    let position = usize::try_from(shown["position"].as_u64().unwrap()).unwrap();
    let moment = Moment::after(recording, position);
    let step = position.checked_sub(1).map(|last| &recording.steps[last]);
    let same = |what: &str, expected: Value| assert_eq!(shown[what], expected, "{what} after {position}: {step:?}");
    let running: Vec<u64> = moment.running().into_iter().collect();
    let queue = moment.queue();
    same("running", running.into());
    if queue.len() <= 8 {
        // Where there are more, those without a name are called by their number.
        same("names", queue.iter().map(|task| recording.task_label(*task)).collect::<Vec<_>>().into());
    }
    same("queue", queue.into());
    same("stages", moment.stages().into_iter().map(|(task, stage)| serde_json::json!([task, stage])).collect());
    same("timers", moment.wheel().into_iter().map(|(level, slot, n)| serde_json::json!([level, slot, n])).collect());
    same("output", moment.output().into());
    let locks: Vec<Value> = list(&shown["locks"])
        .iter()
        .filter(|row| text(&row[0]).starts_with("lock") || text(&row[0]).starts_with("semaphore"))
        .cloned()
        .collect();
    let expected = moment.locks();
    assert_eq!(locks.len(), expected.len(), "locks after {position}: {step:?}");
    for row in locks {
        let (holders, line) = &expected[text(&row[0])];
        // Of a long line the page shows the beginning.
        let line = &line[..line.len().min(20)];
        assert_eq!((&row[1], &row[2]), (&holders[..].into(), &line.into()), "{} after {position}: {step:?}", row[0]);
    }
    let timers = moment.timers();
    for row in list(&shown["deadlines"]) {
        let of_tick = timers.iter().filter(|(tick, _)| row[0] == *tick).map(|(_, task)| *task);
        assert_eq!(row[1], Value::from_iter(of_tick), "deadlines after {position}: {step:?}");
    }
}

#[test]
fn the_page_opens_and_goes_to_the_end_and_back_without_an_error() {
    let Some(page) = page("locks") else { return };
    let positions = |walk: &str| -> Vec<u64> {
        list(&page[walk]).iter().map(|shown| shown["position"].as_u64().unwrap()).collect()
    };
    let all: Vec<u64> = (0..=seen().locks.steps.len() as u64).collect();
    assert_eq!(positions("forward"), all);
    assert_eq!(positions("back"), all.into_iter().rev().collect::<Vec<_>>());
}

#[test]
fn it_shows_at_every_event_what_the_recording_says() {
    for (name, recording) in [("locks", &seen().locks), ("world", &seen().world)] {
        let Some(page) = page(name) else { return };
        list(&page["forward"]).iter().for_each(|shown| compare(recording, shown));
    }
}

#[test]
fn going_back_shows_what_going_forward_showed() {
    let Some(page) = page("locks") else { return };
    for (there, back) in list(&page["forward"]).iter().rev().zip(list(&page["back"])) {
        assert_eq!(there, back);
    }
}

#[test]
fn a_jump_shows_what_the_recording_says_wherever_it_goes() {
    let Some(page) = page("crowd") else { return };
    let crowd = &seen().crowd;
    let last = crowd.steps.len() as u64;
    assert!(last > 2600, "{last} events cross no checkpoint");
    let seen = list(&page["seen"]);
    let went: Vec<u64> = seen.iter().map(|shown| shown["position"].as_u64().unwrap()).collect();
    // By the slider, by End, two arrows back, Home, one arrow forward; the turns follow.
    assert_eq!(went[..11], [2500, 999, 1000, 1001, 1, 2001, last, last - 1, last - 2, 0, 1]);
    let begins_a_turn = |position: u64| matches!(crowd.steps[position as usize - 1].what, What::PollStarted { .. });
    assert!(went[11] < went[12] && went[13] == went[11], "{went:?}");
    assert!(went[11..14].iter().all(|position| begins_a_turn(*position)), "{went:?}");
    // By the buttons for the ends, by the slider, and by a click into the list.
    assert_eq!(went[14..], [last, 0, 1200, 1203]);
    seen.iter().for_each(|shown| compare(crowd, shown));
    assert!(page["rows"].as_u64().unwrap() < 100, "the list draws more than what is in sight");
}

#[test]
fn a_recording_without_its_beginning_or_without_anything_opens_too() {
    let Some(end) = page("end") else { return };
    let captions: Vec<&str> = list(&end["forward"]).iter().map(|shown| text(&shown["caption"])).collect();
    assert_eq!(captions.len(), 61);
    assert!(captions[0].starts_with("The first "), "it says that something is missing: {}", captions[0]);
    assert!(captions.iter().all(|caption| !caption.contains("undefined")));
    let shown = |what: &str| list(&end["forward"]).iter().map(|shown| text(&shown[what])).collect::<Vec<_>>();
    assert_eq!(shown("loop")[0], "The loop has been under way for some time.");
    let named = the_end_of_a_run().tasks.len();
    assert_eq!(shown("tasks")[0], format!("Tasks{named} alive of {named} known"));
    assert!(captions.iter().all(|caption| !caption.contains("for the first time")), "nobody knows whether it is");
    let reasons = list(&end["forward"]).iter().flat_map(|shown| list(&shown["reasons"])).map(text);
    assert!(reasons.clone().any(|reason| reason.starts_with("Lock")));
    assert!(!reasons.into_iter().any(|reason| reason.contains("did not make")), "all of it is ours");
    let Some(empty) = page("empty") else { return };
    assert_eq!(list(&empty["forward"]).len(), 1);
    assert_eq!(empty["forward"][0]["count"], "event 0 of 0");
}

#[test]
fn a_page_of_threads_alone_shows_nothing_of_a_loop() {
    let Some(page) = page("threads") else { return };
    for shown in list(&page["forward"]) {
        assert_eq!(shown["panels"], serde_json::json!(["events", "world", "output"]));
        assert!(!text(&shown["caption"]).contains("loop"), "{}", shown["caption"]);
    }
    let with_a_loop = list(&self::page("world").unwrap()["forward"]);
    assert_eq!(list(&with_a_loop[0]["panels"]).len(), 9);
    assert!(with_a_loop.iter().any(|shown| text(&shown["caption"]).ends_with("循环不等它。")));
}

#[test]
fn a_semaphore_with_a_line_is_not_called_free() {
    let Some(page) = page("deadlock") else { return };
    let shown = list(&page["forward"]);
    let has_a_line = |shown: &&Value| !list(&shown["locks"]).is_empty() && !list(&shown["locks"][0][2]).is_empty();
    let said: BTreeSet<&str> = shown.iter().filter(has_a_line).map(|shown| text(&shown["holders"][0])).collect();
    let nobody = "nobody holds it, and there are too few permits for the first in line: somebody has to add some";
    assert!(said.contains(nobody) && !said.contains("free"), "{said:?}");
    let reasons = |shown: &Value| {
        list(&shown["reasons"]).iter().any(|reason| reason == "a permit of Semaphore “door”, which task 1 took last")
    };
    assert!(shown.iter().any(reasons));
}

#[test]
fn the_loop_says_that_it_has_found_a_deadlock() {
    let Some(page) = page("deadlock") else { return };
    let shown = list(&page["forward"]);
    let first_line = seen().verdict.lines().next().unwrap();
    let caption = format!("The loop says: {first_line} …");
    assert!(shown.iter().any(|shown| text(&shown["caption"]) == caption), "{caption}");
    assert_eq!(shown.last().unwrap()["output"], serde_json::json!([seen().verdict]), "and all of it in the output");
    let waits =
        |shown: &Value| list(&shown["reasons"]).iter().any(|it| text(it).starts_with("its tasks to finish (group "));
    assert!(shown.iter().any(waits));
}

#[test]
fn it_plays_to_the_end_and_stops_there() {
    let Some(page) = page("play") else { return };
    let last = seen().world.steps.len() as u64;
    assert_eq!(page["starts"], 20, "the address says where it opens");
    let played: Vec<u64> = list(&page["seen"]).iter().map(|position| position.as_u64().unwrap()).collect();
    assert_eq!(played[..10], (21..=30).collect::<Vec<_>>(), "event by event, until it is made faster");
    assert_eq!(played[10], 50);
    assert_eq!(played.last(), Some(&last));
    assert_eq!(page["caption"], "Play (space)", "it has stopped");
}

fn is_chinese(text: &str) -> bool {
    text.chars().any(|char| ('\u{4e00}'..='\u{9fff}').contains(&char))
}

#[test]
fn both_languages_have_words_for_every_kind_of_event() {
    let Some(words) = page("words") else { return };
    let names = |language: &str| list(&words[language]).iter().map(text).collect::<BTreeSet<_>>();
    assert_eq!(names("en"), names("zh"));
    let Some(each) = page("each") else { return };
    let english: Vec<&str> = list(&each["forward"]).iter().map(|shown| text(&shown["caption"])).collect();
    let chinese: Vec<&str> = list(&each["other"]).iter().map(|shown| text(&shown["caption"])).collect();
    assert_eq!(english.len(), one_of_each().steps.len() + 1);
    for (english, chinese) in english.iter().zip(&chinese) {
        assert!(!english.is_empty() && !is_chinese(english), "{english}");
        assert!(is_chinese(chinese), "{chinese}");
        for caption in [english, chinese] {
            assert!(!caption.contains("undefined") && !caption.contains("[object"), "{caption}");
            assert!(!caption.contains("no words") && !caption.contains("不会描述"), "{caption}");
        }
    }
}

#[test]
fn it_opens_in_the_language_of_its_reader() {
    // The last one's address asks for English.
    for (name, language) in [("locks", "en"), ("world", "zh-CN"), ("each", "en")] {
        let Some(page) = page(name) else { return };
        assert_eq!(page["lang"], language, "{name}");
    }
}

#[test]
fn all_seven_steps_light_up_in_a_recording_of_sockets_and_timers() {
    let Some(page) = page("world") else { return };
    let shown = list(&page["forward"]);
    assert_eq!(shown[0]["step"], 0, "before the first event none is lit");
    let lit: BTreeSet<u64> = shown[1..].iter().map(|shown| shown["step"].as_u64().unwrap()).collect();
    assert_eq!(lit, (1..=7).collect());
    // And each where it belongs.
    for (shown, step) in shown[1..].iter().zip(&seen().world.steps) {
        let expected = match step.what {
            What::Spawned { task: 0, .. } => 1,
            What::Spawned { .. } => 2,
            What::Waiting { .. } | What::PollEnded { pending: true, .. } => 3,
            What::Parked { .. } | What::Unparked | What::Fired { .. } => 5,
            What::Woken { by: Actor::Timer | Actor::Socket | Actor::Thread, .. } => 5,
            What::Finished { .. } | What::Closing => 7,
            _ => continue,
        };
        assert_eq!(shown["step"], expected, "{step:?}");
    }
}

#[test]
fn the_line_concerned_is_shown_as_it_stands_in_the_file() {
    let Some(page) = page("locks") else { return };
    let program = include_str!("page.rs");
    let mut compared = 0;
    for (shown, step) in list(&page["forward"])[1..].iter().zip(&seen().locks.steps) {
        let (What::Acquired { site, .. } | What::Waiting { site: Some(site), .. }) = &step.what else { continue };
        assert_eq!(site.file, "tests/page.rs");
        let line = program.lines().nth(site.line as usize - 1).unwrap();
        assert_eq!(text(&shown["source"]), format!("{}{line}", site.line));
        compared += 1;
    }
    assert!(compared > 10);
}

#[test]
fn nothing_is_wider_than_a_phone() {
    for name in ["world", "each"] {
        let Some(page) = page(name) else { return };
        assert_eq!(page["width"], 375);
        assert_eq!(list(&page["wide"]).len(), 0, "{name}: {}", page["wide"]);
        assert!(list(&page["other"]).iter().all(|shown| shown["wide"] == false), "{name}");
    }
}

#[test]
fn a_name_cannot_break_out_of_its_place() {
    let Some(page) = page("locks") else { return };
    let shown = list(&page["forward"]);
    let captions = || shown.iter().map(|shown| text(&shown["caption"]));
    assert!(captions().any(|caption| caption.contains(EVIL)), "the name is shown as it is");
    // An element made of it would have called alert(), which is an error of the page's policy.
}

#[test]
fn the_page_names_no_other_address() {
    let html = Recording::default().html();
    for link in ["http:", "https:", "src=", "href=", "@import", "url("] {
        assert!(!html.contains(link), "{link}");
    }
    assert!(html.contains("default-src 'none'"), "and the browser would refuse one");
}
