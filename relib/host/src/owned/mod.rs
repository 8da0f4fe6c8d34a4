//! What the host keeps for one module while it is loaded: its heap, its threads and their destructors, what it took from the
//! system, its last panic, and the functions that it calls on its own behalf.
//!
//! It must not know how a file is verified, nor how an image is mapped or closed: it is told when that is over.

mod allocation;
mod calls;
mod context;
mod early;
mod heap;
mod ledger;
mod panics;
mod runtime;
mod state_heap;
mod threads;

pub(crate) use context::host_context;
pub(crate) use early::Early;
pub(crate) use heap::Heap;
pub(crate) use panics::PanicStore;
pub(crate) use runtime::Runtime;
pub(crate) use state_heap::{Holds, StateHeap};
pub(crate) use threads::InUse;

pub use heap::MemoryUse;
pub use ledger::{Descriptor, DescriptorPolicy, Mapping, OpenLibrary};
pub use panics::{PanicInfo, PanicLocation};
pub use threads::ThreadInfo;
