//! All rows, in the order of the table.

pub(crate) mod memory;
pub(crate) mod net;
pub(crate) mod scheduler;
pub(crate) mod sync;
pub(crate) mod threads;
pub(crate) mod timers;

use crate::support::Row;

pub(crate) fn all() -> Vec<Row> {
    let (mut rows, mut late) = (scheduler::rows(), Vec::new());
    // Here the loop itself is the question, so these two come after what is done in one.
    while let Some(row) = rows.pop_if(|row| matches!(row.id, "block_on_ready" | "make_and_drop")) {
        late.insert(0, row);
    }
    rows.extend(timers::rows());
    rows.extend(sync::rows());
    rows.extend(late);
    rows.extend(threads::rows());
    rows.extend(net::rows());
    rows.extend(memory::rows());
    rows
}
