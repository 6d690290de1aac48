//! `yield_now`: gives the turn away, once.
//!
//! Promises: every task that is ready gets one turn before the caller goes on; works under any executor.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::observer;

/// Gives every other ready task one turn before this one goes on. asyncio's `sleep(0)`.
#[doc(alias = "sleep")]
pub fn yield_now() -> YieldNow {
    YieldNow { given: false }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "a future does nothing until it is awaited"]
pub struct YieldNow {
    given: bool,
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.given {
            return Poll::Ready(());
        }
        self.given = true;
        observer::waiting_for_a_turn();
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
