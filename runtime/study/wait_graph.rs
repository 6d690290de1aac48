//! The picture of a deadlock: tasks, and arrows to those whom they wait for.
//!
//! ```text
//!        ( task 1 ) --Lock "b"--> ( task 2 )         [ task 0 waits for task 1 to end ]
//!             ^                       |              [ task 3 waits for Event "go"    ]
//!             `-------Lock "a"--------'
//! ```
//!
//! Tasks of a circle stand in a circle, the others in columns beside it, each to the right of whom it waits for.
//!
//! Promises: the same deadlock gives the same bytes; it can be read on a light and on a dark ground.
//! Does not know: how it came to that; `deadlock` has the words.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use svg::Document;
use svg::node::element::path::Data;
use svg::node::element::{Definitions, Group, Line, Marker, Path, Rectangle, Style, Text, Title};

use crate::observer::TaskId;
use crate::study::deadlock::{Deadlock, Stuck, Waiting, Why};

/// Width and height of a task's box, and the space below one.
const BOX: (f64, f64) = (150.0, 44.0);
const GAP: f64 = 48.0;
/// Between two columns: an arrow with its label.
const BETWEEN: f64 = 130.0;
const MARGIN: f64 = 24.0;
/// More would be a wall; whoever has more reads the text.
const MOST: usize = 40;

const STYLE: &str = "
text { font: 13px system-ui, sans-serif; fill: #1f2328; text-anchor: middle; }
.small { font-size: 11px; fill: #59636e; }
.task rect { fill: #fff; stroke: #59636e; }
.circle rect { stroke: #cf222e; stroke-width: 2; }
.wait { stroke: #59636e; fill: none; stroke-width: 1.5; marker-end: url(#tip); }
.wait.red { stroke: #cf222e; stroke-width: 2; marker-end: url(#red-tip); }
.what { font-size: 12px; paint-order: stroke; stroke: #fff; stroke-width: 4px; }
#tip path { fill: #59636e; } #red-tip path { fill: #cf222e; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .small { fill: #9198a1; }
  .task rect { fill: #161b22; stroke: #9198a1; } .circle rect { stroke: #ff7b72; }
  .wait { stroke: #9198a1; } .wait.red { stroke: #ff7b72; }
  .what { stroke: #0d1117; }
  #tip path { fill: #9198a1; } #red-tip path { fill: #ff7b72; }
}";

type Place = (f64, f64);

impl Deadlock {
    /// The deadlock as a picture, an SVG document: each circle of tasks as one, and beside it who else waits.
    pub fn svg(&self) -> String {
        let places = places(self);
        let right = places.values().map(|place| place.0).fold(0.0, f64::max) + BOX.0 / 2.0 + 2.0 * MARGIN;
        let bottom = places.values().map(|place| place.1).fold(0.0, f64::max) + BOX.1 / 2.0 + MARGIN + 14.0;
        let mut picture = Document::new()
            .set("viewBox", (0.0, 0.0, right, bottom))
            .set("width", right)
            .set("height", bottom)
            .add(Title::new("Who waits for whom"))
            .add(Style::new(STYLE))
            .add(Definitions::new().add(tip("tip")).add(tip("red-tip")));
        for task in self.tasks.iter().filter(|task| places.contains_key(&task.id)) {
            for wait in &task.waits {
                picture = picture.add(self.arrows(task, wait, &places));
            }
        }
        for task in self.tasks.iter().filter(|task| places.contains_key(&task.id)) {
            picture = picture.add(self.task_box(task, places[&task.id]));
        }
        let left_out = self.tasks.len() - places.len();
        if left_out > 0 {
            let more = Text::new(format!("and {left_out} more, which the text names")).set("class", "small");
            picture = picture.add(more.set("x", right / 2.0).set("y", bottom - 6.0));
        }
        picture.to_string()
    }

    fn is_in_a_circle(&self, id: TaskId) -> bool {
        self.cycles.iter().any(|cycle| cycle.contains(&id))
    }

    fn follows_in_a_circle(&self, from: TaskId, to: TaskId) -> bool {
        let next = |cycle: &Vec<TaskId>| {
            let at = cycle.iter().position(|&id| id == from)?;
            Some(cycle[(at + 1) % cycle.len()])
        };
        self.cycles.iter().any(|cycle| next(cycle) == Some(to))
    }

    fn task_box(&self, task: &Stuck, (x, y): Place) -> Group {
        let class = if self.is_in_a_circle(task.id) { "task circle" } else { "task" };
        let frame = Rectangle::new()
            .set("x", x - BOX.0 / 2.0)
            .set("y", y - BOX.1 / 2.0)
            .set("width", BOX.0)
            .set("height", BOX.1)
            .set("rx", 8);
        let name = shortened(task.name.as_deref().unwrap_or("no name"), 20);
        let spawned = task.site.map_or_else(String::new, |site| format!("spawned at {site}"));
        Group::new()
            .set("class", class)
            .add(Title::new(spawned))
            .add(frame)
            .add(Text::new(name).set("x", x).set("y", y - 2.0))
            .add(Text::new(task.id.to_string()).set("class", "small").set("x", x).set("y", y + 14.0))
    }

    /// From the task to everyone whom it waits for; where that is nobody who is here, the reason beside it.
    fn arrows(&self, task: &Stuck, wait: &Waiting, places: &BTreeMap<TaskId, Place>) -> Group {
        let from = places[&task.id];
        let what = match &wait.why {
            Why::Unfinished(_) => "its end".to_owned(),
            Why::Never => "a moment that never comes".to_owned(),
            _ => shortened(&wait.what, 24),
        };
        let here: Vec<TaskId> = whom(wait).into_iter().filter(|id| places.contains_key(id)).collect();
        let mut group = Group::new();
        if here.is_empty() {
            let reason = Text::new(format!("waits for {what}")).set("class", "what");
            return group.add(reason.set("x", from.0).set("y", from.1 + BOX.1 / 2.0 + 15.0));
        }
        for id in here {
            let red = self.follows_in_a_circle(task.id, id);
            let class = if red { "wait red" } else { "wait" };
            let to = places[&id];
            if id == task.id {
                let data = Data::new().move_to((from.0 - 30.0, from.1 - BOX.1 / 2.0)).cubic_curve_to((
                    from.0 - 60.0,
                    from.1 - 80.0,
                    from.0 + 60.0,
                    from.1 - 80.0,
                    from.0 + 30.0,
                    from.1 - BOX.1 / 2.0 - 2.0,
                ));
                group = group.add(Path::new().set("class", class).set("d", data));
                group = group.add(label(&what, (from.0, from.1 - 66.0)));
                continue;
            }
            // A little to the left of the way, so that two who wait for each other have two arrows.
            let (from, to) = beside(from, to);
            let (begin, end) = (edge_of_box(from, to), edge_of_box(to, from));
            let arrow = Line::new().set("x1", begin.0).set("y1", begin.1).set("x2", end.0).set("y2", end.1);
            group = group.add(arrow.set("class", class));
            // Nearer to the one who waits, so that arrows to one task do not write over each other.
            let at = (begin.0 + (end.0 - begin.0) * 0.42, begin.1 + (end.1 - begin.1) * 0.42);
            group = group.add(label(&what, outside(at, from, to, &what)));
        }
        group
    }
}

fn label(what: &str, (x, y): Place) -> Text {
    Text::new(what).set("class", "what").set("x", x).set("y", y)
}

fn tip(id: &str) -> Marker {
    Marker::new()
        .set("id", id)
        .set("viewBox", "0 0 10 10")
        .set("refX", 9)
        .set("refY", 5)
        .set("markerWidth", 7)
        .set("markerHeight", 7)
        .set("orient", "auto-start-reverse")
        .add(Path::new().set("d", "M0,0 L10,5 L0,10 z"))
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['\u{2026}']).collect()
}

/// Where the way from the middle of one box to another leaves it.
fn edge_of_box(from: Place, to: Place) -> Place {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let scale = f64::min(half_over(BOX.0 / 2.0 + 3.0, dx), half_over(BOX.1 / 2.0 + 3.0, dy));
    (from.0 + dx * scale, from.1 + dy * scale)
}

/// The way between the same two, moved to its left.
fn beside(from: Place, to: Place) -> (Place, Place) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = f64::max(dx.hypot(dy), 1.0);
    let (x, y) = (dy / length * 9.0, -dx / length * 9.0);
    ((from.0 + x, from.1 + y), (to.0 + x, to.1 + y))
}

/// Where the middle of a label stands that is at the left of an arrow.
fn outside(at: Place, from: Place, to: Place, what: &str) -> Place {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = f64::max(dx.hypot(dy), 1.0);
    let width = what.chars().count() as f64 * 6.5;
    (at.0 + dy / length * (width / 2.0 + 6.0), at.1 - dx / length * 9.0 + 4.0)
}

fn half_over(half: f64, way: f64) -> f64 {
    if way == 0.0 { f64::INFINITY } else { half / way.abs() }
}

/// Circles one below the other on the left; to the right of them who waits for one of those, and so on.
fn places(deadlock: &Deadlock) -> BTreeMap<TaskId, Place> {
    let mut places = BTreeMap::new();
    let (mut top, mut right) = (MARGIN, MARGIN);
    for cycle in deadlock.cycles.iter().filter(|cycle| cycle.len() <= MOST) {
        let count = cycle.len() as f64;
        // Wide enough that two boxes and a label fit between neighbours.
        let radius = match cycle.len() {
            1 => 0.0,
            2 => 85.0,
            _ => (BOX.0 + BETWEEN) / 2.0 / (TAU / 2.0 / count).sin(),
        };
        let beside = if cycle.len() == 2 { 0.0 } else { radius };
        let middle = (MARGIN + BOX.0 / 2.0 + beside, top + BOX.1 / 2.0 + f64::max(radius, 60.0));
        for (number, &id) in cycle.iter().enumerate() {
            let angle = TAU * (number as f64 / count - 0.25);
            places.insert(id, (middle.0 + radius * angle.cos(), middle.1 + radius * angle.sin()));
        }
        top = middle.1 + radius + BOX.1 / 2.0 + 2.0 * GAP;
        right = f64::max(right, middle.0 + beside + BOX.0 / 2.0 + BETWEEN);
    }
    // Column by column: who waits for somebody who has a place, or for nobody.
    let mut rest: Vec<&Stuck> = deadlock.tasks.iter().filter(|task| !places.contains_key(&task.id)).collect();
    rest.truncate(MOST);
    while !rest.is_empty() {
        let placed = |id: &TaskId| places.contains_key(id);
        let (mut next, mut others): (Vec<&Stuck>, Vec<&Stuck>) = rest.iter().partition(|task| {
            let whom: Vec<TaskId> = task.waits.iter().flat_map(whom).collect();
            whom.is_empty() || whom.iter().any(placed)
        });
        if next.is_empty() {
            std::mem::swap(&mut next, &mut others);
        }
        for (row, task) in next.iter().enumerate() {
            places.insert(task.id, (right + BOX.0 / 2.0, MARGIN + BOX.1 / 2.0 + row as f64 * (BOX.1 + GAP)));
        }
        right += BOX.0 + BETWEEN;
        rest = others;
    }
    places
}

/// The tasks that a wait is for.
fn whom(wait: &Waiting) -> Vec<TaskId> {
    match &wait.why {
        Why::HeldBy(holders) => holders.iter().filter_map(|(who, _)| who.task()).collect(),
        Why::Unfinished(tasks) => tasks.clone(),
        Why::Nobody | Why::Never => Vec::new(),
    }
}
