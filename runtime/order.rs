//! The third seam: in which [`Order`] ready tasks take their turns.
//!
//! ```text
//!   ready: 3 1 2      fifo -> 3        shuffled(seed) -> any, by the seed        schedule([1, ..]) -> 1
//! ```
//!
//! Promises: the same seed or the same schedule gives the same run.
//! Does not know: the queue it picks from.

use std::collections::VecDeque;
use std::panic::Location;

use crate::observer::TaskId;

/// The rule by which the loop picks the next of its ready tasks.
#[derive(Clone, Debug, Default)]
pub struct Order(Rule);

#[derive(Clone, Debug, Default)]
enum Rule {
    #[default]
    Fifo,
    Shuffled(u64),
    Schedule {
        tasks: VecDeque<u64>,
        site: &'static Location<'static>,
        /// Whether the root had a turn since the last one that was named.
        root_went: bool,
    },
}

impl Order {
    /// First in, first out, in rounds: asyncio's order, and the default.
    pub fn fifo() -> Order {
        Order(Rule::Fifo)
    }

    /// Any ready task may be next, chosen by a generator that `seed` starts.
    ///
    /// Code that is right only under one order fails under some seed, and fails again under the same.
    pub fn shuffled(seed: u64) -> Order {
        Order(Rule::Shuffled(seed))
    }

    /// The tasks named, one a turn, counted from 0: 0 is the first task spawned, whose `TaskId` is 1.
    /// First in, first out when the schedule is used up. The future given to `block_on` is not named: when it
    /// is ready it runs before the next task named, once.
    ///
    /// The loop panics at a turn whose task is not ready, and says which tasks are, and which line
    /// made the schedule.
    #[track_caller]
    pub fn schedule(tasks: impl IntoIterator<Item = u64>) -> Order {
        Order(Rule::Schedule { tasks: tasks.into_iter().collect(), site: Location::caller(), root_went: false })
    }

    /// Whether the queue's own order is the rule.
    pub(crate) fn is_fifo(&self) -> bool {
        matches!(self.0, Rule::Fifo)
    }

    /// The position in `ready` of the task whose turn it is. `ready` is not empty.
    pub(crate) fn pick(&mut self, ready: &[TaskId]) -> usize {
        match &mut self.0 {
            Rule::Fifo => 0,
            Rule::Shuffled(state) => (next_random(state) % ready.len() as u64) as usize,
            Rule::Schedule { tasks, site, root_went } => {
                let Some(&number) = tasks.front() else { return 0 };
                let root = ready.iter().position(|task| task.0 == 0);
                // Once between two named turns: a root that only yields must not keep the others waiting.
                if let Some(root) = root.filter(|_| !*root_went || ready.len() == 1) {
                    *root_went = true;
                    return root;
                }
                *root_went = false;
                tasks.pop_front();
                let turn = ready.iter().position(|task| task.0.checked_sub(1) == Some(number));
                turn.unwrap_or_else(|| {
                    let ready: Vec<u64> = ready.iter().filter_map(|task| task.0.checked_sub(1)).collect();
                    panic!(
                        "the schedule made at {site} names task {number}, which is not ready; ready are {ready:?}, \
                         counted from 0: was it recorded from another program?"
                    )
                })
            }
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood, 2014): one addition and a mix, full period, any seed will do.
pub(crate) fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
