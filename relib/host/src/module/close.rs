//! Closing a module's image, and freeing what the module owned: the end of an unload, and of a load that fails late.

use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use super::{Module, Parts};
use crate::owned::{Descriptor, DescriptorPolicy, InUse, Mapping, MemoryUse, OpenLibrary};
use crate::platform::{self, Stayed};

/// What an unload has reclaimed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unloaded {
    /// Memory that the module had allocated and not freed.
    pub memory: MemoryUse,
    /// Mappings that the module had made and not removed; they are removed now.
    pub mappings: Vec<Mapping>,
    /// Number of thread-specific keys that the module had made and not deleted; they are deleted now.
    pub keys: usize,
    /// Descriptors that the module had opened and not closed.
    pub descriptors: Vec<Descriptor>,
    /// Whether the descriptors have been closed, see [`DescriptorPolicy`].
    pub descriptors_closed: bool,
    /// Libraries that the module had opened and not closed. They stay loaded: whether anybody else uses their code, only
    /// the module knew. It had better close them in `before_unload`.
    pub libraries: Vec<OpenLibrary>,
}

/// How long threads may take to end that are about to.
pub(crate) const SHORT_WAIT: Duration = Duration::from_millis(20);

/// What is in the way of closing an image.
#[derive(Debug)]
pub(crate) enum InTheWay {
    /// Threads run its code, or hold thread-local objects of its.
    Threads(InUse),
    /// Handlers of these signals are inside the image.
    SignalHandlers(Vec<i32>),
    /// These descriptors are open, and the options say that they must not be.
    Descriptors(Vec<Descriptor>),
}

impl<E> Module<E> {
    /// Makes sure that nothing is in the way of closing the image; waits for threads until `deadline`.
    pub(crate) fn refuse_if_in_use(&self, deadline: Instant) -> Result<(), InTheWay> {
        let parts = &**self.parts;
        parts.runtime.threads.wait_until_unused(deadline).map_err(InTheWay::Threads)?;
        let ledger = parts.runtime.ledger();
        let signals = platform::handlers_inside(&self.address_range(), ledger.signals());
        if !signals.is_empty() {
            return Err(InTheWay::SignalHandlers(signals));
        }
        if parts.descriptors == DescriptorPolicy::Refuse {
            let descriptors = ledger.descriptors();
            if !descriptors.is_empty() {
                return Err(InTheWay::Descriptors(descriptors));
            }
        }
        Ok(())
    }

    /// Closes the image and frees what the module owned. If the image stays, the module can be used as before.
    ///
    /// Nothing may be in the way, and destructors of the calling thread must have run.
    #[allow(clippy::result_large_err, reason = "the error is the module, which is two pointers and a handle")]
    pub(crate) fn close(mut self) -> Result<Unloaded, Self> {
        // The report lives in the module.
        self.parts.panics.clear();
        let memory = self.memory();
        // SAFETY: the image is mapped.
        let early = unsafe { self.parts.early.block() };
        self.parts.runtime.threads.set_closing(true);
        // SAFETY: no thread runs code of the module, and no destructor of it is registered on any thread; the functions
        // in `exports` are out of reach, because `self` is ours alone.
        if let Err(Stayed) = unsafe { self.parts.library.close() } {
            self.parts.runtime.threads.set_closing(false);
            return Err(self);
        }
        let mut module = ManuallyDrop::new(self);
        // SAFETY: each is taken once, and `module` is not dropped.
        let (parts, exports) =
            unsafe { (ManuallyDrop::take(&mut module.parts), ManuallyDrop::take(&mut module.exports)) };
        drop(exports);
        if let Some(early) = early {
            // SAFETY: the image is gone, and nothing else has seen its blocks, or else the unload was refused.
            unsafe { early.free() };
        }
        Ok(free(*parts, memory))
    }
}

/// Frees what a module owned whose image is gone.
fn free(parts: Parts, memory: MemoryUse) -> Unloaded {
    let runtime = &parts.runtime;
    // What the image's own destructors have registered while it was closed can never run.
    runtime.threads.clear();
    let (mappings, mapped_files, descriptors, handles) = {
        let ledger = runtime.ledger();
        let mapped_files: Vec<_> = ledger.mapped_files().collect();
        (ledger.mappings(), mapped_files, ledger.descriptors(), ledger.libraries())
    };
    let libraries = OpenLibrary::of_handles(handles);
    for mapping in &mappings {
        // SAFETY: the module made the mapping and did not give it back; its code is gone.
        unsafe { platform::unmap(mapping.address, mapping.len) };
    }
    mapped_files.into_iter().for_each(platform::close_descriptor);
    let keys = runtime.threads.take_keys();
    keys.iter().for_each(|key| platform::delete_key(*key));
    let descriptors_closed = parts.descriptors == DescriptorPolicy::Close;
    if descriptors_closed {
        descriptors.iter().for_each(|descriptor| platform::close_descriptor(descriptor.number));
    }
    // SAFETY: the code that used the heap is gone.
    unsafe { runtime.heap.destroy() };
    Unloaded { memory, mappings, keys: keys.len(), descriptors, descriptors_closed, libraries }
}
