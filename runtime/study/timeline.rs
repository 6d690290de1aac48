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
use crate::study::score::{Arrow, Bar, Lane, Score, Shape, Sort, Who, width_of};
use crate::study::shapes::{circle, cut, head_of_an_arrow, line, middle_text, px, rectangle, text, titled};

const MARGIN: f64 = 14.0;
/// Title and explanation.
const HEAD: f64 = 44.0;
/// Above each strip: the time.
const SCALE: f64 = 24.0;
/// Names of tasks longer than this are cut.
const LONGEST_LABEL: f64 = 190.0;

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
    /// The height of one.
    lane: f64,
    /// Whether lanes have a place for what their task holds.
    holds: bool,
    /// Of each strip, where it begins, how many lanes it has, and which one of these each lane is. Lanes in which nothing
    /// happens have no place there.
    strips: Vec<(f64, usize, Vec<Option<usize>>)>,
    drawn: Vec<Element>,
    width: f64,
    bottom: f64,
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
            _ => 22.0,
        };
        let widest = score.lanes.iter().map(label_width).fold(40.0, f64::max);
        let left = MARGIN + widest.min(LONGEST_LABEL) + 14.0;
        let width = (left + rightmost(score) + MARGIN).max(860.0);
        let mut bottom = HEAD;
        let mut strips = Vec::new();
        for (from, to) in &score.strips {
            let busy = busy_lanes(score, *from, *to);
            let mut rows = 0;
            let row_of = (0..score.lanes.len()).map(|lane| {
                rows += usize::from(busy.contains(&lane));
                busy.contains(&lane).then(|| rows - 1)
            });
            let row_of = row_of.collect();
            strips.push((bottom + SCALE, rows, row_of));
            bottom += SCALE + lane * rows as f64 + 14.0;
        }
        Picture { score, recording, left, lane, holds, strips, drawn: Vec::new(), width, bottom }
    }

    /// The upper edge of a lane in a strip, if it has a place there.
    fn top(&self, strip: usize, lane: usize) -> Option<f64> {
        let (top, _, row_of) = &self.strips[strip];
        Some(top + self.lane * row_of[lane]? as f64)
    }

    /// From where to where a strip's lanes go.
    fn edges(&self, strip: usize) -> (f64, f64) {
        let (top, rows, _) = &self.strips[strip];
        (*top, top + self.lane * *rows as f64)
    }

    /// The line in a lane on which things stand.
    fn middle(&self, strip: usize, lane: usize) -> Option<f64> {
        Some(self.top(strip, lane)? + if self.holds { self.lane * 0.39 } else { self.lane / 2.0 })
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
        let title = if self.recording.title.is_empty() {
            format!("A run of {}", count(self.recording.tasks.len(), "task"))
        } else {
            self.recording.title.clone()
        };
        self.draw(text("ink title", MARGIN, 24.0, &title));
        let clock = match self.recording.clock {
            ClockKind::Virtual => "a virtual clock stands still while tasks run, and jumps when all of them wait",
            ClockKind::Real => "what takes next to none of it is drawn without",
        };
        let order = format!("To the right: one step after another. Grey: time passes ({clock}).");
        self.draw(text("faint small", MARGIN, 41.0, &order));
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
        let (height, width) = (self.lane, self.width);
        let Some(top) = self.top(strip, nr) else { return };
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
        let two_lines = height >= 30.0 && !lane.below.is_empty();
        let middle = top + height / 2.0;
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
                let high = if self.lane >= 48.0 { 11.0 } else { 3.0 };
                group.append(rectangle("hold", x, y + half + 3.0, long, high, 2.0));
                if high > 9.0 {
                    let held = cut(&format!("has {}", bar.text), 9.0, long - 6.0);
                    group.append(text("on tiny", x + 4.0, y + half + 11.5, &held));
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
                Sort::Ended(Outcome::Returned) => ("good", "returned"),
                Sort::Ended(Outcome::Panicked) => ("bad", "panicked"),
                Sort::Ended(Outcome::Cancelled) => ("off", "cancelled"),
            };
            let ends = mark.sort != Sort::Note;
            let dot = if ends { x + 5.0 } else { x };
            let mut group = Element::new("g");
            group.append(circle(class, dot, y, if ends { 3.5 } else { 2.5 }));
            // In low lanes the colour of an end has to do.
            let words = if mark.text.is_empty() && (self.lane >= 30.0 || class != "good") { said } else { &mark.text };
            let room = self.width - MARGIN - dot - 6.0;
            group.append(text(&format!("{class} small halo"), dot + 6.0, y + 4.0, &cut(words, 11.0, room)));
            let separator = if said.is_empty() || mark.text.is_empty() { "" } else { ": " };
            self.draw(titled(group, &format!("{said}{separator}{}", mark.text)));
        }
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
        if score.steps_left > 0 {
            missing.push(format!("{} after the end of this picture", count(score.steps_left, "step")));
        }
        if self.recording.lost > 0 {
            let lost = usize::try_from(self.recording.lost).unwrap_or(usize::MAX);
            missing.push(format!("{} before its beginning, which the ring has lost", count(lost, "step")));
        }
        if !missing.is_empty() {
            let said = format!("Not drawn: {}.", missing.join("; "));
            self.draw(text("bad small", MARGIN, y + 20.0, &said));
            self.bottom += 18.0;
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
        let least = if mark.sort == Sort::Note { 0.0 } else { width_of("cancelled", 11.0) };
        place(score, mark.at).1 + 18.0 + width_of(&mark.text, 11.0).clamp(least, 150.0)
    });
    ends.chain(words).fold(0.0, f64::max)
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
