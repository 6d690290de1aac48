//! The chart of the table: for each row how long we take for what takes tokio one.
//!
//! A bar from tokio's line to ours, on a scale on which twice and half are as far, and our share in figures beside
//! it; the others as points. It brings a background, for it will stand on light pages and on dark ones.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// One row, in shares of tokio's figure.
pub(crate) struct Line {
    pub(crate) title: &'static str,
    pub(crate) roundel: f64,
    /// In the order of `OTHERS`.
    pub(crate) others: [Option<f64>; 4],
}

const OTHERS: [(&str, RGBColor); 4] = [
    ("floor, by hand", RGBColor(110, 110, 110)),
    ("LocalPool", RGBColor(150, 90, 190)),
    ("smol", RGBColor(220, 130, 20)),
    ("tokio::main", RGBColor(190, 50, 60)),
];
const BACKGROUND: RGBColor = RGBColor(252, 252, 250);
const INK: RGBColor = RGBColor(40, 44, 52);
const GRID: RGBColor = RGBColor(222, 222, 216);
const AHEAD: RGBColor = RGBColor(36, 120, 180);
const BEHIND: RGBColor = RGBColor(150, 180, 205);

const WIDTH: u32 = 1000;
const TITLES: i32 = 390;
const HEAD: i32 = 64;
const ROW: i32 = 24;
/// Where our share is written out.
const SHARES: i32 = 60;
const FOOT: i32 = 40;
/// Shares beyond these are drawn at the edge.
const SCALE: std::ops::Range<f64> = 0.01..8.0;
const GRID_LINES: [(f64, &str); 9] = [
    (0.01, "1/100"),
    (0.02, "1/50"),
    (0.05, "1/20"),
    (0.1, "1/10"),
    (0.2, "1/5"),
    (0.5, "1/2"),
    (1.0, "tokio = 1"),
    (2.0, "2"),
    (5.0, "5"),
];

pub(crate) fn draw(path: &Path, lines: &[Line]) -> Result<(), Box<dyn Error>> {
    let bottom = HEAD + ROW * lines.len() as i32;
    let root = SVGBackend::new(path, (WIDTH, (bottom + FOOT) as u32)).into_drawing_area();
    root.fill(&BACKGROUND)?;
    let style = |size: i32, color: RGBColor, horizontal| {
        let style = ("sans-serif", size).into_text_style(&root);
        TextStyle { color: color.to_backend_color(), ..style }.pos(Pos::new(horizontal, VPos::Center))
    };

    legend(&root, &style(17, INK, HPos::Left))?;
    for (share, label) in GRID_LINES {
        let tokio = share == 1.0;
        let line = if tokio { INK.stroke_width(2) } else { GRID.stroke_width(1) };
        root.draw(&PathElement::new(vec![(place(share), HEAD), (place(share), bottom)], line))?;
        root.draw(&Text::new(label, (place(share), bottom + 14), style(15, INK, HPos::Center)))?;
    }
    for (n, line) in lines.iter().enumerate() {
        let middle = HEAD + ROW * n as i32 + ROW / 2;
        let title = line.title.replace('`', "");
        root.draw(&Text::new(title, (TITLES - 12, middle), style(17, INK, HPos::Right)))?;
        let color = if line.roundel < 1.0 { AHEAD } else { BEHIND };
        let (left, right) = (place(line.roundel.min(1.0)), place(line.roundel.max(1.0)));
        root.draw(&Rectangle::new([(left, middle - 7), (right, middle + 7)], color.filled()))?;
        let share = format!("{:.2}", line.roundel);
        root.draw(&Text::new(share, (WIDTH as i32 - 14, middle), style(17, color, HPos::Right)))?;
        for (other, (_, color)) in line.others.iter().zip(OTHERS) {
            if let Some(share) = *other {
                root.draw(&Circle::new((place(share), middle), 5, BACKGROUND.filled()))?;
                root.draw(&Circle::new((place(share), middle), 4, color.filled()))?;
            }
        }
    }
    root.present()?;
    Ok(())
}

fn legend(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    text: &TextStyle<'_>,
) -> Result<(), Box<dyn Error>> {
    let said = "Time or memory of an operation; tokio's current-thread runtime = 1, logarithmic, left is less. Right: our share";
    root.draw(&Text::new(said, (12, 18), text.clone()))?;
    let mut left = TITLES;
    root.draw(&Rectangle::new([(left, 37), (left + 22, 49)], AHEAD.filled()))?;
    root.draw(&Text::new("roundel", (left + 28, 43), text.clone()))?;
    left += 105;
    for (name, color) in OTHERS {
        root.draw(&Circle::new((left, 43), 4, color.filled()))?;
        root.draw(&Text::new(name, (left + 10, 43), text.clone()))?;
        left += 36 + 7 * name.len() as i32;
    }
    Ok(())
}

/// Where a share stands from left to right.
fn place(share: f64) -> i32 {
    let room = f64::from(WIDTH as i32 - TITLES - SHARES);
    let share = share.clamp(SCALE.start, SCALE.end);
    TITLES + (room * (share / SCALE.start).ln() / (SCALE.end / SCALE.start).ln()) as i32
}
