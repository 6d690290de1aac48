//! The shapes of a picture: rectangles, lines and texts, each in one call.
//!
//! Promises: the same places give the same bytes; whatever a text holds, it stays text, and XML.
//! Does not know: what they stand for.

use svg::node::element::Element;
use svg::node::{Node, Text, Value};

use crate::study::score::width_of;

/// As much of the text as fits, or nothing if that would be no more than a letter or two.
pub(crate) fn cut(text: &str, size: f64, room: f64) -> String {
    if width_of(text, size) <= room {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        short.push(c);
        if width_of(&short, size) + size > room {
            short.pop();
            break;
        }
    }
    if short.chars().count() < 4 { String::new() } else { short + "…" }
}

/// The text in lines that fit, cut after so many.
pub(crate) fn wrapped(text: &str, size: f64, room: f64, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().filter(|line| line.is_empty() || width_of(&format!("{line} {word}"), size) <= room);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => *line = format!("{line} {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    if lines.len() > most {
        let rest = lines.split_off(most.saturating_sub(1));
        lines.push(rest.join(" "));
    }
    lines.iter().map(|line| cut(line, size, room)).collect()
}

/// XML has no words for control characters.
fn printable(text: &str) -> String {
    let sign = |c: char| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { ' ' } else { c };
    text.chars().map(sign).collect()
}

/// A tenth of a pixel is fine enough, and the same everywhere.
pub(crate) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn with<const N: usize>(name: &str, class: &str, places: [(&str, f64); N]) -> Element {
    let mut element = Element::new(name);
    element.assign("class", class);
    places.into_iter().for_each(|(place, value)| element.assign(place, Value::from(px(value))));
    element
}

pub(crate) fn rectangle(class: &str, x: f64, y: f64, width: f64, height: f64, round: f64) -> Element {
    with("rect", class, [("x", x), ("y", y), ("width", width.max(0.5)), ("height", height), ("rx", round)])
}

pub(crate) fn line(class: &str, x1: f64, y1: f64, x2: f64, y2: f64) -> Element {
    with("line", class, [("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2)])
}

pub(crate) fn circle(class: &str, x: f64, y: f64, radius: f64) -> Element {
    with("circle", class, [("cx", x), ("cy", y), ("r", radius)])
}

pub(crate) fn text(class: &str, x: f64, y: f64, words: &str) -> Element {
    let mut element = with("text", class, [("x", x), ("y", y)]);
    element.append(Text::new(printable(words)));
    element
}

/// Its point is at the end of the way.
pub(crate) fn head_of_an_arrow(class: &str, x: f64, to: f64, down: f64) -> Element {
    let (base, side) = (to - down * 6.0, 3.2);
    let mut head = Element::new("path");
    head.assign("class", class);
    head.assign("d", format!("M{} {}L{} {}L{} {}Z", px(x - side), px(base), px(x + side), px(base), px(x), px(to)));
    head
}

pub(crate) fn middle_text(class: &str, x: f64, y: f64, words: &str) -> Element {
    let mut element = text(class, x, y, words);
    element.assign("text-anchor", "middle");
    element
}

/// Shown when it is pointed at.
pub(crate) fn titled(mut element: Element, words: &str) -> Element {
    let mut title = Element::new("title");
    title.append(Text::new(printable(words)));
    // First, as the standard wants it.
    element.get_children_mut().insert(0, Box::new(title));
    element
}
