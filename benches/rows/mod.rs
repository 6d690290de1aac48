//! All rows, in the order of the table.

pub(crate) mod memory;
pub(crate) mod net;
pub(crate) mod scheduler;
pub(crate) mod sync;
pub(crate) mod threads;
pub(crate) mod timers;

use crate::support::Row;

pub(crate) fn all() -> Vec<Row> {
    let groups = [
        scheduler::task_rows(),
        timers::rows(),
        sync::rows(),
        scheduler::loop_rows(),
        threads::rows(),
        net::rows(),
        memory::rows(),
    ];
    groups.into_iter().flatten().collect()
}
