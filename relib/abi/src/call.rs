//! How one call crosses the boundary, and how a panic comes back.
//!
//! Every function that crosses is an `extern "C"` thunk. It catches unwinding, so that no panic ever leaves the image
//! that raised it, and it returns an [`Outcome`]: a value, or a [`PanicReport`].

use core::ffi::c_void;
use core::mem::MaybeUninit;

/// A function of an interface: the thunk to call, and the thunk that takes back what it returned.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FunctionEntry {
    /// The `extern "C"` thunk. Its exact type follows from the interface, whose fingerprint both sides have compared.
    pub call: *const (),
    /// Drops a returned value where it was made: `unsafe extern "C" fn(*mut Wire)`, or null if the value owns nothing.
    pub release: *const (),
}

// SAFETY: the entry holds two code addresses, which are constants of an image; sharing them between threads is no
// access to anything that they point to.
unsafe impl Sync for FunctionEntry {}
// SAFETY: as for `Sync`: a code address is the same on every thread.
unsafe impl Send for FunctionEntry {}

impl FunctionEntry {
    /// An entry that no function has been put into yet.
    pub const EMPTY: Self = Self { call: core::ptr::null(), release: core::ptr::null() };
}

/// What a thunk returns: the value, or the report of the panic that prevented it.
///
/// For a value of up to one register the pair comes back in two registers (System V AMD64 ABI, section 3.2.3).
#[repr(C)]
pub struct Outcome<W> {
    /// The value; initialised exactly when `panic` is null.
    pub value: MaybeUninit<W>,
    /// Null if the function returned; otherwise a report that the caller must release.
    pub panic: *mut PanicReport,
}

/// A sequence of `T` that its owner keeps in place for the time of a call.
#[repr(C)]
#[derive(Debug)]
pub struct RawSlice<T> {
    /// The first element; dangling but aligned if there is none.
    pub data: *const T,
    /// Number of elements.
    pub len: usize,
}

impl<T> Clone for RawSlice<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for RawSlice<T> {}

impl<T> RawSlice<T> {
    /// Describes `slice`.
    pub const fn new(slice: &[T]) -> Self {
        Self { data: slice.as_ptr(), len: slice.len() }
    }

    /// The slice that this describes.
    ///
    /// # Safety
    /// `data` and `len` must come from [`RawSlice::new`], and the slice must outlive `'a` without being written to.
    pub const unsafe fn as_slice<'a>(self) -> &'a [T] {
        // SAFETY: the caller guarantees that the parts come from a slice that is alive and unwritten for `'a`.
        unsafe { core::slice::from_raw_parts(self.data, self.len) }
    }
}

/// Text in UTF-8 that its owner keeps in place for the time of a call.
pub type RawStr = RawSlice<u8>;

/// Takes a piece of text: `context` is the pointer that was given together with the function.
///
/// The text is valid UTF-8 and stays in place only for the time of the call. The function must not unwind.
pub type TextSink = unsafe extern "C" fn(context: *mut (), text: RawStr);

/// A panic, as the image that caught it describes it.
///
/// It lives in the allocator of that image; whoever receives it copies what it needs and then calls `release`.
#[repr(C)]
pub struct PanicReport {
    /// The panic's message, or a description of its payload if it is not text.
    pub message: RawStr,
    /// The source file of the panic; empty if it is not known.
    pub file: RawStr,
    /// The line in `file`, counted from one; zero if it is not known.
    pub line: u32,
    /// The column in `file`, counted from one; zero if it is not known.
    pub column: u32,
    /// Writes the backtrace of the panic, symbols resolved, into a sink.
    pub write_backtrace: unsafe extern "C" fn(report: *const PanicReport, context: *mut (), sink: TextSink),
    /// Frees the report.
    pub release: unsafe extern "C" fn(report: *mut PanicReport),
}

/// A destructor of one thread-local object (Itanium C++ ABI, section 3.3.5.3), or of the value of a POSIX thread-specific
/// key.
pub type Destructor = unsafe extern "C" fn(object: *mut c_void);
