//! Who chooses: every way in turn, the dice, or a schedule.
//!
//! ```text
//!   points of a run:   [0 1]  [0 1]  [1]  [1]        ways taken: 0 0 1 1
//!                        |      ^ the last with a way not taken: the next run goes 0 1, and on
//! ```
//!
//! Promises: whoever goes back comes by the same points, or finds out that it did not.
//! Does not know: the loop.

use crate::order::next_random;
use crate::study::schedule::{self, Pick};
use crate::study::steered::{Choice, Chooser, Point};

/// What there is to say if a run came by other points than the one before.
pub(crate) const NOT_THE_SAME: &str = "the program that is explored is not the same in every run: under the same \
    schedule it did something else, so it depends on something beside the order of its tasks, such as a random \
    number, the machine's clock, an address, or what an earlier run left";

/// The points of the last run, and at each the way that was taken: the next run takes the same ones, up to the last
/// point that has a way not taken.
#[derive(Default)]
pub(crate) struct Ways {
    points: Vec<Fork>,
    at: usize,
    strayed: bool,
}

struct Fork {
    candidates: Vec<Pick>,
    taken: usize,
    print: u64,
}

impl Ways {
    /// Takes the next way at the last point that has one. False if there is none.
    pub(crate) fn go_back(&mut self) -> bool {
        self.at = 0;
        while let Some(last) = self.points.last_mut() {
            if last.taken + 1 < last.candidates.len() {
                last.taken += 1;
                return true;
            }
            self.points.pop();
        }
        false
    }

    /// What to say if the last run did not come by the points it had to come by.
    pub(crate) fn strayed(&self, picks: &[Pick]) -> Option<String> {
        let is_on_its_way = !self.strayed && self.at == self.points.len();
        (!is_on_its_way).then(|| format!("{NOT_THE_SAME}; seen after the schedule {:?}", schedule::write(picks)))
    }
}

impl Chooser for Ways {
    fn choose(&mut self, point: &Point<'_>) -> Choice {
        if self.at == self.points.len() {
            self.points.push(Fork { candidates: point.candidates.to_vec(), taken: 0, print: point.print });
        }
        let fork = &self.points[self.at];
        if fork.candidates != point.candidates || fork.print != point.print {
            self.strayed = true;
            return Choice::Stop;
        }
        self.at += 1;
        Choice::This(fork.taken)
    }
}

/// Chooses at random.
pub(crate) struct Dice(pub(crate) u64);

impl Chooser for Dice {
    fn choose(&mut self, point: &Point<'_>) -> Choice {
        Choice::This((next_random(&mut self.0) % point.candidates.len() as u64) as usize)
    }
}

/// Chooses as it is written, and then as the loop would.
pub(crate) struct Script<'a> {
    pub(crate) picks: &'a [Pick],
    /// How many of them were chosen.
    pub(crate) at: usize,
    pub(crate) misfit: Option<String>,
}

impl Chooser for Script<'_> {
    fn choose(&mut self, point: &Point<'_>) -> Choice {
        let Some(pick) = self.picks.get(self.at) else { return Choice::FirstInLine };
        // Where nobody but the root can go on, it does, until who is named can.
        let nobody = point.candidates.iter().position(|candidate| *candidate == Pick::Nobody);
        if let Some(nobody) = nobody.filter(|_| !point.candidates.contains(pick)) {
            return Choice::This(nobody);
        }
        if let Some(position) = point.candidates.iter().position(|candidate| candidate == pick) {
            self.at += 1;
            return Choice::This(position);
        }
        let drops = matches!(pick, Pick::Drop(_));
        let like_it = point.candidates.iter().filter(|other| matches!(other, Pick::Drop(_)) == drops);
        let may = like_it.map(Pick::to_string).collect::<Vec<_>>().join(", ");
        let may = match (drops, &*may) {
            (false, may) => format!("but who may be next there is {may}"),
            (true, "") => {
                "which drops a task, as under cancelling(), but there is none there that has waited".to_owned()
            }
            (true, may) => format!("which drops a task, as under cancelling(), but what may be dropped there is {may}"),
        };
        self.misfit = Some(format!(
            "at its step {} it has {pick}, {may}; was it found with another program, or under racing_timers()?",
            self.at + 1
        ));
        Choice::Stop
    }
}
