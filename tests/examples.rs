//! The examples, run as their readers run them, on the virtual clock.
//!
//! What an example prints the same way in every run is compared byte for byte with
//! `tests/golden/NAME.txt`; to accept a change, run `GOLDEN=write cargo test --test examples` and look
//! at the difference. Lines under a heading between tildes differ from run to run: of those the
//! invariants are checked, here and by the example itself, which ends with a status not 0 otherwise.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/programs.rs"]
mod programs;

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use programs::{Scratch, example};
use roundel::study::Recording;
use roundel::study::recording::What;

/// Those whose every line is the same in every run.
const DETERMINISTIC: [&str; 9] = [
    "hello",
    "round_robin",
    "gather",
    "semaphore",
    "producer_consumer",
    "user_input",
    "primitives",
    "echo",
    "deadlock",
];

/// Those with a part that differs.
const VARYING: [&str; 4] = ["counter", "bank", "to_thread", "threads_vs_tasks"];

/// Runs it alone: one measures the pulse of a task, another starts as many threads as it may.
fn run(mut example: Command) -> Output {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    example.output().unwrap()
}

fn text(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the example ended with {}:\n{errors}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn on_virtual_clock(name: &str, more: &[&str]) -> String {
    let mut example = example(name);
    example.args(["--clock", "virtual"]).args(more);
    text(&run(example))
}

/// The lines that are not under a heading between tildes.
fn same_in_every_run(printed: &str) -> String {
    let mut varies = false;
    let mut same = String::new();
    for line in printed.split_inclusive('\n') {
        match line.as_bytes() {
            [b'~', b'~', b'~', ..] => varies = true,
            [b'-', b'-', b'-', ..] | [b'=', b'=', b'=', ..] => varies = false,
            _ => {}
        }
        if !varies {
            same += line;
        }
    }
    same
}

/// The lines under the heading between tildes that begins so.
fn section<'a>(printed: &'a str, heading: &str) -> Vec<&'a str> {
    let mut lines = printed.lines().skip_while(|line| !line.starts_with(heading));
    assert!(lines.next().is_some(), "no heading {heading} in:\n{printed}");
    lines.take_while(|line| !line.starts_with("~~~") && !line.starts_with("---")).collect()
}

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name).with_extension("txt");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn compare(name: &str, printed: &str) {
    if env::var_os("GOLDEN").is_some_and(|wish| wish == "write") {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        fs::write(dir.join(name).with_extension("txt"), printed).unwrap();
    }
    let golden = golden(name);
    let differs = printed.lines().zip(golden.lines()).position(|(printed, golden)| printed != golden);
    assert!(printed == golden, "{name} differs from its golden transcript, first in line {differs:?}:\n{printed}");
}

fn tells_its_golden_transcript(name: &str) {
    let printed = on_virtual_clock(name, &[]);
    assert!(VARYING.contains(&name) || DETERMINISTIC.contains(&name));
    assert_eq!(printed.contains("~~~"), VARYING.contains(&name), "{name} is in the wrong list");
    compare(name, &same_in_every_run(&printed));
}

#[test]
fn hello_tells_its_golden_transcript() {
    tells_its_golden_transcript("hello");
    assert_eq!(golden("hello"), "Hello....\nworld...\n");
}

#[test]
fn deadlock_explains_the_circle_and_ends_with_status_1() {
    let mut deadlock = example("deadlock");
    deadlock.args(["--clock", "virtual"]);
    let output = run(deadlock);
    assert_eq!(output.status.code(), Some(1));
    compare("deadlock", &String::from_utf8(output.stdout).unwrap());
    let golden = golden("deadlock");
    assert!(golden.contains("holds Lock \"A\" (taken at ") && golden.contains("and waits for Lock \"B\" (at "));
    // README.md shows the circle as it is printed.
    let circle = golden.split_once("deadlock: ").unwrap().1.split_once("\n also").unwrap().0;
    assert!(fs::read_to_string("README.md").unwrap().contains(circle), "{circle}");
}

#[test]
fn round_robin_tells_the_seven_lines_twice() {
    tells_its_golden_transcript("round_robin");
    let seven = "hello~ 2\nhi~ 0\nhello~ 1\nhi~ 1\nsay hello\nhi~ 2\nsay hi\n";
    assert_eq!(golden("round_robin").matches(seven).count(), 2);
}

#[test]
fn gather_tells_its_golden_transcript() {
    tells_its_golden_transcript("gather");
    assert!(golden("gather").starts_with("async results [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]\nelapsed 0.200\n"));
}

#[test]
fn semaphore_tells_its_golden_transcript() {
    tells_its_golden_transcript("semaphore");
}

#[test]
fn semaphore_lets_in_three_and_no_more_whatever_the_seed() {
    for seed in ["2", "3", "18446744073709551615"] {
        let printed = on_virtual_clock("semaphore", &["--seed", seed]);
        let mut done: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("done ")).collect();
        done.sort_unstable();
        assert_eq!(done, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
        assert!(printed.contains("most inside at once: 3\n"));
    }
}

#[test]
fn producer_consumer_tells_its_golden_transcript() {
    tells_its_golden_transcript("producer_consumer");
    let golden = golden("producer_consumer");
    for i in 0..5 {
        assert_eq!(golden.matches(&format!("consume {i}\n")).count(), 4);
    }
}

#[test]
fn primitives_give_the_same_with_threads_and_with_tasks() {
    tells_its_golden_transcript("primitives");
    for name in ["Lock", "RLock", "Semaphore", "Event", "Condition", "Queue", "Barrier"] {
        assert_eq!(golden("primitives").lines().filter(|line| line.split(' ').next() == Some(name)).count(), 1);
    }
}

#[test]
fn echo_serves_a_thousand_connections() {
    tells_its_golden_transcript("echo");
}

/// What the tutorial printed, built from its program's logic by hand.
fn one_by_one() -> String {
    let mut lines = String::from("Testing simulation for no concurrency\n");
    let (mut total, mut inputs) = (100, [1, 3, 4, 4, 2].into_iter());
    while total > 0 {
        total -= 1;
        if total % 20 == 0 {
            let input = inputs.next().unwrap();
            lines += &format!("User enters the input {input}\n");
            total -= input;
        }
        lines += &format!("Now the total value is {total}\n");
    }
    assert_eq!(total, -2);
    lines + "Done!\nTime cost: 10.00 seconds\n"
}

fn at_once() -> String {
    let counted: String = (0..100).rev().map(|total| format!("Now the total value is: {total}\n")).collect();
    let entered: String = [2, 3, 4, 3, 1].map(|input| format!("User enters the input: {input}\n")).concat();
    format!("Testing simulation for concurrency\n{counted}{entered}Done!\nTime cost: 2.00 seconds\n")
}

#[test]
fn user_input_tells_both_of_the_tutorials_transcripts() {
    tells_its_golden_transcript("user_input");
    let golden = golden("user_input");
    assert!(golden.contains(&(one_by_one() + &at_once())), "{golden}");
    assert!(golden.contains("the total ends at -2") && golden.contains("the total ends at -13"));
    let spelled_out = ["--inputs", "1,3,4,4,2", "--later-inputs", "2,3,4,3,1"];
    assert_eq!(on_virtual_clock("user_input", &spelled_out), golden);
}

#[test]
fn user_input_refuses_inputs_that_make_no_sense() {
    for inputs in ["1,2,3", "0,1,1,1,1", "1,2,3,4,x", ""] {
        let mut refused = example("user_input");
        refused.args(["--inputs", inputs]);
        let refused = run(refused);
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("--inputs"));
    }
}

#[test]
fn counter_loses_with_threads_and_with_an_await_inside_and_else_never() {
    let printed = on_virtual_clock("counter", &[]);
    compare("counter", &same_in_every_run(&printed));
    let threads = section(&printed, "~~~ threads");
    let result = |way: &str| threads.iter().find_map(|line| line.strip_prefix(way)).unwrap().trim();
    assert_eq!(result("sleep, then add, with a Mutex"), "always 100 in 10 rounds");
    assert_ne!(result("a sleep between read and write"), "always 100 in 10 rounds");
    let rounds: usize =
        threads.iter().filter_map(|line| line.split_once("# ")).map(|bar| bar.1.parse::<usize>().unwrap()).sum();
    assert_eq!(rounds, 10, "the histogram counts every round once");
}

/// Made by `cargo run --example counter -- --clock virtual --record examples/pictures/counter.svg`; `GOLDEN=write`
/// does the same. The third is of threads, which count differently in every run.
#[test]
fn the_pictures_of_counter_are_what_its_command_makes_today() {
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/pictures");
    let scratch = Scratch::new("pictures");
    let writes = env::var_os("GOLDEN").is_some_and(|wish| wish == "write");
    let made = if writes { pictures.as_path() } else { &scratch.0 };
    let printed = on_virtual_clock("counter", &["--record", made.join("counter.svg").to_str().unwrap()]);
    assert!(
        printed.starts_with("--- recorded: one round of five, three times ---\ntasks: sleep, then add "),
        "{printed}"
    );
    let picture = |dir: &Path, name: &str| fs::read_to_string(dir.join(name)).unwrap();
    for name in ["counter.svg", "counter-2.svg"] {
        assert!(picture(made, name) == picture(&pictures, name), "{name} has changed: GOLDEN=write, and look at it");
    }
    for dir in [made, &pictures] {
        let threads = picture(dir, "counter-3.svg");
        assert!((1..=5).all(|nr| threads.contains(&format!("data-lane=\"thread {nr}\""))));
        assert!(threads.contains("reads 0") && threads.contains("writes 1"));
    }
}

/// Made by `cargo run --example deadlock -- --clock virtual --record examples/pictures/deadlock.svg`, in the same way.
#[test]
fn the_pictures_of_the_deadlock_are_what_its_command_makes_today() {
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/pictures");
    let scratch = Scratch::new("deadlock");
    let writes = env::var_os("GOLDEN").is_some_and(|wish| wish == "write");
    let made = if writes { pictures.as_path() } else { &scratch.0 };
    let mut deadlock = example("deadlock");
    deadlock.args(["--clock", "virtual", "--record"]).arg(made.join("deadlock.svg"));
    assert_eq!(run(deadlock).status.code(), Some(1));
    for name in ["deadlock.svg", "deadlock-waits.svg"] {
        let picture = |dir: &Path| fs::read_to_string(dir.join(name)).unwrap();
        assert!(picture(made) == picture(&pictures), "{name} has changed: GOLDEN=write, and look at it");
    }
}

#[test]
fn every_example_with_a_loop_records_it() {
    let scratch = Scratch::new("records");
    for name in DETERMINISTIC.into_iter().chain(VARYING).filter(|name| *name != "round_robin") {
        let file = scratch.0.join(name).with_extension("json");
        let mut recorded = example(name);
        recorded.args(["--clock", "virtual", "--record"]).arg(&file);
        let output = run(recorded);
        assert!(output.status.success() || name == "deadlock", "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let recording = Recording::load(&file).unwrap();
        assert!(recording.steps.len() > 10 && recording.title.len() > 3, "{name}: {}", recording.title);
    }
    let more: Vec<bool> = (2..=4).map(|nr| scratch.0.join(format!("producer_consumer-{nr}.json")).exists()).collect();
    assert_eq!(more, [true, true, false], "it makes three loops");
}

#[test]
fn where_nothing_can_be_recorded_the_program_does_not_begin() {
    let scratch = Scratch::new("refused");
    let cases = [
        ("hello", "run.png", "give a name that ends in .svg, .json or .html"),
        ("hello", "nowhere/run.svg", "No such file or directory"),
        ("round_robin", "run.svg", "without an event loop"),
        ("tour", "run.svg", "one program at a time"),
    ];
    for (name, file, why) in cases {
        let mut refused = example(name);
        refused.arg("--record").arg(scratch.0.join(file));
        let output = run(refused);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(why), "{name} {file}: {said}");
        assert!(output.stdout.is_empty() && fs::read_dir(&scratch.0).unwrap().next().is_none());
    }
}

#[cfg(unix)]
#[test]
fn what_was_recorded_before_stays_until_there_is_something_else() {
    let scratch = Scratch::new("stays");
    let file = scratch.0.join("old.html");
    let explored = |flags: &[&str], file: &Path| {
        let mut bank = example("bank");
        bank.args(flags).arg("--record").arg(file);
        run(bank)
    };
    for schedule in ["unlocked:9.9.9", "unlocked:abc", "open:0"] {
        fs::write(&file, "old").unwrap();
        assert_eq!(explored(&["--replay", schedule], &file).status.code(), Some(2));
        assert_eq!(fs::read_to_string(&file).unwrap(), "old", "{schedule}");
    }
    // Neither is a link that leads to no file replaced, nor the file made.
    let link = scratch.0.join("link.svg");
    std::os::unix::fs::symlink("linked.svg", &link).unwrap();
    assert_eq!(explored(&["--replay", "unlocked:abc"], &link).status.code(), Some(2));
    assert!(link.is_symlink() && !link.exists());
    assert_eq!(explored(&["--replay", "unlocked:0"], &link).status.code(), Some(1), "it fails as it should");
    assert!(link.is_symlink() && fs::read_to_string(&link).unwrap().starts_with("<svg"));
}

#[test]
fn an_example_that_cannot_write_its_recording_does_not_end_well() {
    let scratch = Scratch::new("unwritten");
    fs::create_dir(scratch.0.join("run-2.svg")).unwrap();
    let mut recorded = example("producer_consumer");
    recorded.args(["--clock", "virtual", "--record"]).arg(scratch.0.join("run.svg"));
    let output = run(recorded);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: nothing is recorded: ") && said.contains("run-2.svg"), "{said}");
}

#[test]
fn an_exploration_records_the_failure_with_what_it_prints_and_says_if_there_is_none() {
    let scratch = Scratch::new("explored");
    let mut explored = example("bank");
    explored.arg("--explore").arg("--record").arg(scratch.0.join("run.json"));
    let output = run(explored);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("nothing is recorded of locked: no schedule of it fails"),
        "{said}"
    );
    let recording = Recording::load(scratch.0.join("run.json")).unwrap();
    assert!(recording.title.starts_with("bank, schedule 0.1.0.1.2.3"), "{}", recording.title);
    let notes = recording.steps.iter().filter(|step| matches!(step.what, What::Noted { .. })).count();
    assert!(notes > 3, "{notes} lines of the program");
}

#[test]
fn bank_ends_below_zero_without_a_lock_and_never_with_one() {
    let printed = on_virtual_clock("bank", &[]);
    compare("bank", &same_in_every_run(&printed));
    let threads = section(&printed, "~~~ threads").join("\n");
    let [unlocked, locked] = threads.split(", but with lock").collect::<Vec<_>>()[..] else { panic!("{threads}") };

    let amounts = |text: &str, before: &str| {
        let mut amounts: Vec<i64> =
            text.lines().filter_map(|line| line.strip_prefix(before)).map(|n| n.parse().unwrap()).collect();
        amounts.sort_unstable();
        amounts
    };
    assert_eq!(amounts(unlocked, "Getting money..., the amount is "), [20, 50, 70, 80]);
    assert!(unlocked.contains(", -120 remaining...") && !unlocked.contains("Error!"));

    let got: i64 = amounts(locked, "Getting money..., the amount is ").iter().sum();
    assert!([100, 90, 70].contains(&got), "{locked}");
    assert_eq!(locked.matches("Error! You don't have enough money!").count(), 2);
    assert!(!locked.contains(", -"), "{locked}");
}

#[test]
fn bank_explored_has_1554_schedules_and_with_a_lock_336() {
    let mut explored = example("bank");
    explored.arg("--explore");
    let printed = text(&run(explored));
    compare("bank_explore", &printed);
    assert!(printed.starts_with("--- unlocked ---\n1,554 schedules, which are all there are\n     900  -120\n"));
    assert!(printed.contains("--- locked ---\n336 schedules, which are all there are\n     112  0\n"));

    // The schedule that it prints gives the same failure, twice, and the tutorial's words.
    let schedule = printed.lines().find_map(|line| line.split_once("-- --replay ")).unwrap().1;
    let replays = [(); 2].map(|()| {
        let mut replayed = example("bank");
        replayed.args(["--replay", schedule]);
        let output = run(replayed);
        assert_eq!(output.status.code(), Some(1), "it fails");
        String::from_utf8(output.stdout).unwrap()
    });
    assert_eq!(replays[0], replays[1]);
    let end = "Error! You don't have enough money!\nschedule 0.1.0.1.2.3 (0 is task 1)\nfailed: the outcome is -50\n";
    assert!(replays[0].ends_with(end), "{}", replays[0]);
}

#[test]
fn what_cannot_be_explored_or_replayed_says_why_in_one_line() {
    let refused = [
        ("echo", "--explore", "real sockets"),
        ("to_thread", "--replay=0.1", "real thread"),
        ("threads_vs_tasks", "--explore", "no order of tasks decides"),
        ("round_robin", "--explore", "no event loop"),
        ("tour", "--explore", "one of its programs"),
        ("bank", "--replay=0.1", "here is unlocked, locked"),
        ("bank", "--replay=open:0.1", "\"open\" is no program of bank; here is unlocked, locked"),
        ("bank", "--replay=locked:0.x", "is no schedule"),
        ("bank", "--replay=locked:0.9", "does not fit this program"),
    ];
    for (name, flag, why) in refused {
        let mut refused = example(name);
        refused.arg(flag);
        let output = run(refused);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{name} {flag}: {said}");
        assert!(said.contains(why) && output.stdout.is_empty(), "{name} {flag}: {said}");
    }
}

#[test]
fn every_other_example_is_explored_and_finds_what_it_should() {
    let fails = [("counter", "84 fail"), ("deadlock", "4 fail")];
    for name in ["hello", "gather", "semaphore", "producer_consumer", "user_input", "primitives", "counter", "deadlock"]
    {
        let mut explored = example(name);
        explored.arg("--explore");
        let printed = text(&run(explored));
        let failing: Vec<&str> =
            printed.lines().filter_map(|line| line.split_once(" (a schedule counts")).map(|it| it.0).collect();
        let expected = fails.iter().filter(|(failing, _)| *failing == name).map(|(_, count)| *count);
        assert_eq!(failing, expected.collect::<Vec<_>>(), "{name}:\n{printed}");
        assert!(!printed.contains("more: "), "{name}:\n{printed}");
    }
}

#[test]
fn to_thread_keeps_the_heart_beating_and_inline_stops_it() {
    let printed = on_virtual_clock("to_thread", &[]);
    compare("to_thread", &same_in_every_run(&printed));
    assert_eq!(golden("to_thread"), "cpu result 21081692.75\n");
    let lines = section(&printed, "~~~ the heartbeat");
    assert!(lines[1].starts_with("inline:    0 beats"), "{lines:?}");
}

#[test]
fn threads_vs_tasks_waits_a_tenth_of_a_second_with_20000_tasks() {
    let printed = on_virtual_clock("threads_vs_tasks", &[]);
    compare("threads_vs_tasks", &same_in_every_run(&printed));
    assert_eq!(section(&printed, "~~~ threads").iter().filter(|line| line.contains("threads elapsed")).count(), 3);
}

#[test]
fn the_tour_tells_all_of_them() {
    let printed = text(&run(example("tour")));
    let same = same_in_every_run(&printed);
    for name in DETERMINISTIC.into_iter().chain(VARYING) {
        assert_eq!(same.matches(&format!("\n=== {name}: ")).count(), 1, "{name} is not on the tour");
        assert!(same.contains(&golden(name)), "on the tour, {name} tells something else");
    }
    assert!(same.ends_with("\n=== all 13 programs gave the results they should ===\n"));
}

#[test]
fn every_example_has_a_test_and_takes_the_same_flags() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    // `inspect` runs no loop, and has flags of its own: tests/inspect.rs runs it.
    names.retain(|name| name != "inspect");
    let mut tested: Vec<&str> = DETERMINISTIC.into_iter().chain(VARYING).chain(["tour"]).collect();
    tested.sort_unstable();
    assert_eq!(names, tested);
    for name in names {
        let mut asked = example(&name);
        asked.arg("--help");
        let help = text(&run(asked));
        let flags = ["--clock", "--seed", "--record", "--explore", "--replay"];
        assert!(flags.iter().all(|flag| help.contains(flag)), "{name} --help:\n{help}");
    }
}
