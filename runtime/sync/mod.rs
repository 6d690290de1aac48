//! asyncio's primitives: each stands on one wait list and runs under any executor of the same thread.
