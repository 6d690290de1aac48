//! The timeline: a recording as an SVG picture.
//!
//! ```text
//!   Recording --score--> lanes, bars, arrows, gaps --here--> rectangles, lines, texts, and a key to them
//! ```
//!
//! Promises: one file, with no script and nothing to load; it follows the reader's wish for light or dark; every bar and
//! arrow says more when it is pointed at; the same recording gives the same bytes.
//! Does not know: what happened when.

use std::collections::BTreeSet;

use svg::node::element::Element;
use svg::node::{Node, Text};

use crate::study::layout::score;
use crate::study::recording::{ClockKind, Outcome, Recording};
use crate::study::score::{Arrow, Bar, Lane, Mark, Score, Shape, Sort, Who, first_line, width_of};
use crate::study::shapes::{circle, cut, head_of_an_arrow, line, middle_text, px, rectangle, text, titled, wrapped};

const MARGIN: f64 = 14.0;
/// The explanation, and above it a line of the title.
const HEAD: f64 = 44.0;
/// One more line of the title.
const TITLE_LINE: f64 = 19.0;
/// A title that needs more lines is cut.
const MOST_TITLE_LINES: usize = 3;
/// Its letters are bold, and a little wider for it.
const TITLE_SIZE: f64 = 16.5;
/// Above each strip: the time.
const SCALE: f64 = 24.0;
/// Names of tasks longer than this are cut.
const LONGEST_LABEL: f64 = 190.0;
/// What is said may be in bold, and is then a little wider than its letters of 11.
const SAID_SIZE: f64 = 12.0;
/// What is written behind the end of a lane and is longer than this is cut.
const LONGEST_NOTES: f64 = 420.0;

const STYLE: &str = include_str!("timeline.css");

/// Draws the recording: a lane for each task and thread, their turns and waits, and who woke whom.
///
/// It is meant for runs of up to some fifty tasks and a few hundred turns. Of a longer one the beginning is drawn, and
/// the picture says how many steps and tasks it leaves out.
pub fn svg(recording: &Recording) -> String {
    let score = score(recording);
    let mut picture = Picture::new(recording, &score);
    picture.title();
    picture.lanes();
    picture.times();
    picture.bars();
    picture.arrows();
    picture.marks();
    picture.key();
    picture.finish()
}

struct Picture<'a> {
    score: &'a Score,
    recording: &'a Recording,
    /// Where the lanes begin.
    left: f64,
    title: Vec<String>,
    /// The height of one whose task holds one thing at a time.
    lane: f64,
    /// Whether lanes have a place for what their task holds.
    holds: bool,
    strips: Vec<Strip>,
    drawn: Vec<Element>,
    width: f64,
    bottom: f64,
}

/// Where the lanes are of one strip.
struct Strip {
    top: f64,
    bottom: f64,
    /// From where to where each lane goes. Those in which nothing happens have no place.
    lanes: Vec<Option<(f64, f64)>>,
}

impl<'a> Picture<'a> {
    fn new(recording: &'a Recording, score: &'a Score) -> Picture<'a> {
        let holds = score.bars.iter().any(|bar| bar.shape == Shape::Hold);
        let lane = match score.lanes.len() {
            0..=12 => {
                if holds {
                    48.0
                } else {
                    38.0
                }
            }
            13..=26 => {
                if holds {
                    36.0
                } else {
                    30.0
                }
            }
            _ if holds => 27.0,
            _ => 22.0,
        };
        let widest = score.lanes.iter().map(label_width).fold(40.0, f64::max);
        let left = MARGIN + widest.min(LONGEST_LABEL) + 14.0;
        let width = (left + rightmost(score) + MARGIN).max(860.0);
        let title = if recording.title.is_empty() {
            format!("A run of {}", count(recording.tasks.len(), "task"))
        } else {
            recording.title.clone()
        };
        let title = wrapped(&title, TITLE_SIZE, width - 2.0 * MARGIN, MOST_TITLE_LINES);
        let bottom = HEAD + TITLE_LINE * (title.len() - 1) as f64;
        let (strips, drawn) = (Vec::new(), Vec::new());
        let mut picture = Picture { score, recording, left, title, lane, holds, strips, drawn, width, bottom };
        score.strips.iter().for_each(|&(from, to)| picture.add_strip(from, to));
        picture
    }

    /// Below those that are there.
    fn add_strip(&mut self, from: f64, to: f64) {
        let busy = busy_lanes(self.score, from, to);
        let rows = rows(self.score, from, to);
        let top = self.bottom + SCALE;
        let mut bottom = top;
        let place = |lane| {
            busy.contains(&lane).then(|| {
                let top = bottom;
                // Of one row there is room for in any case.
                bottom += self.lane + self.row() * rows[lane].saturating_sub(1) as f64;
                (top, bottom)
            })
        };
        let lanes = (0..self.score.lanes.len()).map(place).collect();
        self.strips.push(Strip { top, bottom, lanes });
        self.bottom = bottom + 14.0;
    }

    /// The upper edge of a lane in a strip, and its height, if it has a place there.
    fn lane(&self, strip: usize, lane: usize) -> Option<(f64, f64)> {
        self.strips[strip].lanes[lane].map(|(top, bottom)| (top, bottom - top))
    }

    /// From where to where a strip's lanes go.
    fn edges(&self, strip: usize) -> (f64, f64) {
        let Strip { top, bottom, .. } = &self.strips[strip];
        (*top, *bottom)
    }

    /// The line in a lane on which things stand.
    fn middle(&self, strip: usize, lane: usize) -> Option<f64> {
        // Below it there is what is held, above it a text, if a small one.
        let down = match self.lane {
            low if low < 30.0 && self.holds => 13.0,
            lane if self.holds => lane * 0.39,
            lane => lane / 2.0,
        };
        Some(self.lane(strip, lane)?.0 + down)
    }

    /// The height of something held, and of its row.
    fn hold(&self) -> f64 {
        if self.lane >= 48.0 { 11.0 } else { 3.0 }
    }

    fn row(&self) -> f64 {
        self.hold() + 2.0
    }

    /// Half the height of a turn's bar.
    fn half(&self) -> f64 {
        if self.lane < 30.0 { 6.5 } else { 10.5 }
    }

    /// The strip in which this place is, and how far from the left edge.
    fn place(&self, at: f64) -> (usize, f64) {
        let (strip, x) = place(self.score, at);
        (strip, self.left + x)
    }

    /// The parts of a stretch, each with its strip.
    fn parts(&self, from: f64, to: f64) -> Vec<(usize, f64, f64)> {
        let strips = self.score.strips.iter().enumerate();
        let inside = strips.filter(|(_, (begins, ends))| from < *ends && to > *begins);
        inside
            .map(|(nr, (begins, ends))| {
                (nr, self.left + from.max(*begins) - begins, self.left + to.min(*ends) - begins)
            })
            .collect()
    }

    fn draw(&mut self, element: Element) {
        self.drawn.push(element);
    }

    fn title(&mut self) {
        let mut group = Element::new("g");
        let mut y = 24.0;
        for line in &self.title {
            group.append(text("ink title", MARGIN, y, line));
            y += TITLE_LINE;
        }
        self.draw(titled(group, &self.recording.title));
        let clock = match self.recording.clock {
            ClockKind::Virtual => "a virtual clock stands still, and jumps when all tasks wait",
            ClockKind::Real => "what takes next to none of it is drawn without",
        };
        let order = format!("To the right: one step after another. Grey: time passes ({clock}).");
        self.draw(text("faint small", MARGIN, y - 2.0, &order));
    }

    fn lanes(&mut self) {
        let score = self.score;
        for strip in 0..score.strips.len() {
            for (nr, lane) in score.lanes.iter().enumerate() {
                self.label(strip, nr, lane);
            }
            let (_, bottom) = self.edges(strip);
            self.draw(line("rule", 0.0, bottom, self.width, bottom));
        }
    }

    fn label(&mut self, strip: usize, nr: usize, lane: &Lane) {
        let width = self.width;
        let Some((top, height)) = self.lane(strip, nr) else { return };
        if nr % 2 == 1 {
            self.draw(rectangle("even", 0.0, top, width, height, 0.0));
        }
        self.draw(line("rule", 0.0, top, width, top));
        let mut group = Element::new("g");
        group.assign(
            "data-lane",
            match lane.who {
                Who::World => "world".to_owned(),
                Who::Task(task) => format!("task {task}"),
                Who::Thread(thread) => format!("thread {thread}"),
            },
        );
        let name = cut(&lane.label, 12.0, LONGEST_LABEL);
        let two_lines = self.lane >= 30.0 && !lane.below.is_empty();
        let middle = top + self.lane / 2.0;
        group.append(text("ink label", MARGIN, if two_lines { middle - 1.0 } else { middle + 4.0 }, &name));
        if two_lines {
            group.append(text("faint small", MARGIN, middle + 12.0, &cut(&lane.below, 11.0, LONGEST_LABEL)));
        }
        let said = if lane.below.is_empty() { lane.label.clone() } else { format!("{} ({})", lane.label, lane.below) };
        self.draw(titled(group, &said));
    }

    /// Where time passes, and what time it is.
    fn times(&mut self) {
        let score = self.score;
        let mut written = vec![f64::MIN; score.strips.len()];
        self.tick(0.0, "0", &mut written);
        for gap in &score.gaps {
            for (strip, from, to) in self.parts(gap.from, gap.to) {
                let (top, bottom) = self.edges(strip);
                let area = rectangle("gap", from, top, to - from, bottom - top, 0.0);
                self.draw(titled(area, &format!("{} pass", gap.lasts)));
                let passes = format!("+{}", gap.lasts);
                if width_of(&passes, 11.0) <= to - from && from >= written[strip] {
                    self.draw(middle_text("faint small", (from + to) / 2.0, top - 6.0, &passes));
                }
            }
            self.tick(gap.to, &gap.until, &mut written);
        }
    }

    fn tick(&mut self, at: f64, time: &str, written: &mut [f64]) {
        let (strip, x) = self.place(at);
        let (top, bottom) = self.edges(strip);
        self.draw(line("tick", x, top - 4.0, x, bottom));
        if x >= written[strip] {
            self.draw(text("ink small", x + 2.0, top - 6.0, time));
            written[strip] = x + width_of(time, 11.0) + 8.0;
        }
    }

    fn bars(&mut self) {
        let score = self.score;
        let mut bars: Vec<&Bar> = score.bars.iter().collect();
        bars.sort_by_key(|bar| bar.shape);
        for bar in bars {
            for (strip, from, to) in self.parts(bar.from, bar.to) {
                if let Some(y) = self.middle(strip, bar.lane) {
                    self.bar(bar, from, to - from, y);
                }
            }
        }
    }

    fn bar(&mut self, bar: &Bar, x: f64, long: f64, y: f64) {
        let half = self.half();
        let said = cut(&bar.text, 11.0, long - 6.0);
        let mut group = Element::new("g");
        match bar.shape {
            Shape::Wait => {
                group.append(line("wait", x + 2.0, y, x + long - 2.0, y));
                // Something to point at.
                let mut area = rectangle("paper", x, y - 4.0, long, 8.0, 0.0);
                area.assign("fill-opacity", 0);
                group.append(area);
                group.append(text("faint small halo", x + 5.0, y - 4.0, &said));
            }
            Shape::Ready => group.append(rectangle("ready", x, y - 2.5, long, 5.0, 0.0)),
            Shape::Turn | Shape::Work => {
                let class = if bar.shape == Shape::Turn { "turn" } else { "work" };
                group.append(rectangle(class, x, y - half, long, 2.0 * half, 2.5));
                if half >= 8.0 {
                    group.append(text("on small", x + 4.0, y + 4.0, &said));
                }
            }
            Shape::Hold => {
                let (high, top) = (self.hold(), y + half + 3.0 + self.row() * bar.row as f64);
                group.append(rectangle("hold", x, top, long, high, 2.0));
                if high > 9.0 {
                    let held = cut(&format!("has {}", bar.text), 9.0, long - 6.0);
                    group.append(text("on tiny", x + 4.0, top + 8.5, &held));
                }
            }
        }
        self.draw(titled(group, &bar.title));
    }

    fn arrows(&mut self) {
        let score = self.score;
        let crowded = |nr: usize| {
            let near = |other: Option<&Arrow>| {
                other.is_some_and(|other| {
                    other.from == score.arrows[nr].from && (other.at - score.arrows[nr].at).abs() < 3.5
                })
            };
            near(score.arrows.get(nr + 1)) || (nr > 0 && near(score.arrows.get(nr - 1)))
        };
        for (nr, arrow) in score.arrows.iter().enumerate() {
            let (strip, x) = self.place(arrow.at);
            let (Some(from), Some(to)) = (self.middle(strip, arrow.from), self.middle(strip, arrow.to)) else {
                continue;
            };
            let of_the_world = score.lanes[arrow.from].who == Who::World;
            let down = if arrow.to > arrow.from { 1.0 } else { -1.0 };
            let from = from + if of_the_world { 0.0 } else { down * self.half() };
            let to = to - down * 2.5;
            let (shaft, head) = if arrow.spawns { ("spawns", "spawns-head") } else { ("wakes", "wakes-head") };
            let class = if crowded(nr) { format!("{shaft} crowd") } else { shaft.to_owned() };
            let mut group = Element::new("g");
            group.append(line(&class, x, from, x, to - down * 4.0));
            group.append(head_of_an_arrow(head, x, to, down));
            if of_the_world {
                group.append(circle(head, x, from, 2.5));
            }
            self.draw(titled(group, &arrow.title));
        }
    }

    fn marks(&mut self) {
        let score = self.score;
        for mark in &score.marks {
            let (strip, x) = self.place(mark.at);
            let Some(y) = self.middle(strip, mark.lane) else { continue };
            let (class, said) = match mark.sort {
                Sort::Note => ("ink", ""),
                Sort::Verdict => ("bad", ""),
                Sort::Ended(Outcome::Returned) => ("good", "returned"),
                Sort::Ended(Outcome::Panicked) => ("bad", "panicked"),
                Sort::Ended(Outcome::Cancelled) => ("off", "cancelled"),
            };
            let ends = !said.is_empty();
            let dot = if ends { x + 5.0 } else { x };
            let mut group = Element::new("g");
            group.append(circle(class, dot, y, if ends { 3.5 } else { 2.5 }));
            let right = self.width - MARGIN;
            let mut pen = dot + 6.0;
            for (class, words) in self.words(mark, class, said) {
                let words = cut(&words, SAID_SIZE, (right - pen).min(LONGEST_NOTES));
                group.append(text(&format!("{class} small halo"), pen, y + 4.0, &words));
                pen += width_of(&words, SAID_SIZE) + 4.0;
            }
            let all = [said, &mark.text, &mark.notes].into_iter().filter(|words| !words.is_empty());
            self.draw(titled(group, &all.collect::<Vec<_>>().join(": ")));
        }
    }

    /// What is written beside a mark, each with its class: how it ended, and what was said.
    fn words(&self, mark: &Mark, class: &'static str, said: &str) -> Vec<(&'static str, String)> {
        if mark.sort == Sort::Verdict {
            return vec![("bad verdict", first_line(&mark.text))];
        }
        if said.is_empty() {
            return vec![("ink note", first_line(&mark.text))];
        }
        let mut words = Vec::new();
        if !mark.text.is_empty() {
            words.push((class, format!("{said}: {}", first_line(&mark.text))));
        } else if self.lane >= 30.0 || class != "good" {
            // In low lanes the colour of a good end has to do.
            words.push((class, said.to_owned()));
        }
        if !mark.notes.is_empty() {
            words.push(("ink note", mark.notes.clone()));
        }
        words
    }

    /// What the shapes and colours mean, of those that are there; and what is not there.
    fn key(&mut self) {
        let score = self.score;
        let shapes: BTreeSet<Shape> = score.bars.iter().map(|bar| bar.shape).collect();
        let mut pen = (MARGIN, self.bottom + 12.0);
        for (shape, words) in [
            (Shape::Turn, "runs: its turn"),
            (Shape::Ready, "ready: stands in line for its turn"),
            (Shape::Wait, "waits for what is written there"),
            (Shape::Hold, "has a lock or permit"),
            (Shape::Work, "a thread, and what it does"),
        ] {
            if shapes.contains(&shape) {
                self.explain(&mut pen, words, |x, y| match shape {
                    Shape::Turn => rectangle("turn", x, y - 9.5, 18.0, 11.0, 2.5),
                    Shape::Work => rectangle("work", x, y - 9.5, 18.0, 11.0, 2.5),
                    Shape::Ready => rectangle("ready", x, y - 6.5, 18.0, 5.0, 0.0),
                    Shape::Wait => line("wait", x + 1.0, y - 4.0, x + 18.0, y - 4.0),
                    Shape::Hold => rectangle("hold", x, y - 8.5, 18.0, 9.0, 2.0),
                });
            }
        }
        let says = |mark: &Mark| mark.sort == Sort::Note || !mark.notes.is_empty();
        if score.marks.iter().any(says) {
            self.explain(&mut pen, "what was said", |x, y| text("ink note small", x, y, "abc"));
        }
        for (spawns, class, words) in [(true, "spawns", "makes a task, or gives work"), (false, "wakes", "wakes")] {
            if score.arrows.iter().any(|arrow| arrow.spawns == spawns) {
                self.explain(&mut pen, words, |x, y| {
                    let mut sample = Element::new("g");
                    sample.append(line(class, x + 9.0, y - 11.0, x + 9.0, y - 2.0));
                    sample.append(head_of_an_arrow(&format!("{class}-head"), x + 9.0, y + 2.0, 1.0));
                    sample
                });
            }
        }
        let y = pen.1;
        self.bottom = y + 8.0;
        let mut missing = Vec::new();
        if score.tasks_left > 0 {
            missing.push(format!("{} without a lane", count(score.tasks_left, "task")));
        }
        if score.holds_left > 0 {
            let locks = count(score.holds_left, "lock or permit").replace("lock or permits", "locks or permits");
            missing.push(format!("{locks} of a task that holds many"));
        }
        if score.steps_left > 0 {
            missing.push(format!("{} after the end of this picture", count(score.steps_left, "step")));
        }
        if self.recording.lost > 0 {
            let lost = usize::try_from(self.recording.lost).unwrap_or(usize::MAX);
            missing.push(format!("{} before its beginning, which the ring has lost", count(lost, "step")));
        }
        if !missing.is_empty() {
            let said = format!("Not drawn: {}.", missing.join("; "));
            for said in wrapped(&said, 11.0, self.width - 2.0 * MARGIN, MOST_TITLE_LINES) {
                self.bottom += 18.0;
                self.draw(text("bad small", MARGIN, self.bottom - 6.0, &said));
            }
        }
    }

    fn explain(&mut self, pen: &mut (f64, f64), words: &str, sample: impl FnOnce(f64, f64) -> Element) {
        let long = 24.0 + width_of(words, 11.0);
        if pen.0 + long > self.width {
            *pen = (MARGIN, pen.1 + 18.0);
        }
        let (x, y) = *pen;
        self.draw(sample(x, y));
        self.draw(text("ink small", x + 24.0, y, words));
        pen.0 += long + 16.0;
    }

    fn finish(self) -> String {
        let (width, height) = (self.width, self.bottom + 10.0);
        let mut root = Element::new("svg");
        root.assign("xmlns", "http://www.w3.org/2000/svg");
        root.assign("width", px(width));
        root.assign("height", px(height));
        root.assign("viewBox", format!("0 0 {} {}", px(width), px(height)));
        root.assign("role", "img");
        let mut style = Element::new("style");
        style.append(Text::new(STYLE));
        root.append(style);
        root.append(rectangle("paper", 0.0, 0.0, width, height, 6.0));
        self.drawn.into_iter().for_each(|element| root.append(element));
        format!("{root}\n")
    }
}

/// The strip in which this place is, and how far from its beginning.
fn place(score: &Score, at: f64) -> (usize, f64) {
    let strip = score.strips.iter().rposition(|(from, _)| *from <= at).unwrap_or(0);
    (strip, at - score.strips[strip].0)
}

/// How far things go to the right, words included as far as that is fitting.
fn rightmost(score: &Score) -> f64 {
    let ends = score.strips.iter().map(|(from, to)| to - from + 10.0);
    let words = score.marks.iter().map(|mark| {
        let least = if matches!(mark.sort, Sort::Ended(_)) { width_of("cancelled: ", SAID_SIZE) + 4.0 } else { 0.0 };
        let long = |text: &str| width_of(&first_line(text), SAID_SIZE).min(LONGEST_NOTES);
        place(score, mark.at).1 + 18.0 + least + long(&mark.text) + long(&mark.notes)
    });
    let times = score.gaps.iter().map(|gap| place(score, gap.to).1 + 2.0 + width_of(&gap.until, 11.0));
    ends.chain(words).chain(times).fold(0.0, f64::max)
}

/// How many rows each lane needs there for what its task holds.
fn rows(score: &Score, from: f64, to: f64) -> Vec<usize> {
    let mut rows = vec![0; score.lanes.len()];
    for bar in score.bars.iter().filter(|bar| bar.shape == Shape::Hold && bar.from < to && bar.to > from) {
        rows[bar.lane] = rows[bar.lane].max(bar.row + 1);
    }
    rows
}

/// Lanes that something happens in; of a picture in one strip, all.
fn busy_lanes(score: &Score, from: f64, to: f64) -> BTreeSet<usize> {
    if score.strips.len() == 1 {
        return (0..score.lanes.len()).collect();
    }
    let inside = |at: f64| (from..to).contains(&at);
    let bars = score.bars.iter().filter(|bar| bar.from < to && bar.to > from).map(|bar| bar.lane);
    let arrows = score.arrows.iter().filter(|arrow| inside(arrow.at)).flat_map(|arrow| [arrow.from, arrow.to]);
    let marks = score.marks.iter().filter(|mark| inside(mark.at)).map(|mark| mark.lane);
    bars.chain(arrows).chain(marks).collect()
}

fn label_width(lane: &Lane) -> f64 {
    width_of(&lane.label, 12.0).max(width_of(&lane.below, 11.0))
}

/// `1 task`, `2 tasks`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
