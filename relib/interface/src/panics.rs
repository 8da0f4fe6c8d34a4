//! Panics at the boundary: catching them in the image that raised them, and describing them to the other.
//!
//! A module's panic hook calls [`note`] while the panicking frames are still on the stack, so that the report has the
//! place and the backtrace; [`catch`] ends the unwinding and makes the report. The message connects the two, because not
//! every panic that is noted ends here, and not every one that ends here was noted. Nothing here uses a thread-local with a
//! destructor, because that would tie a host thread to the module.

use std::any::Any;
use std::backtrace::Backtrace;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Mutex, PoisonError};

use relib_abi::call::{Outcome, PanicReport, RawSlice, RawStr, TextSink};

/// Runs `body` and catches its panic.
#[inline]
pub fn catch<W>(body: impl FnOnce() -> W) -> Outcome<W> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => Outcome { value: MaybeUninit::new(value), panic: std::ptr::null_mut() },
        Err(payload) => Outcome { value: MaybeUninit::uninit(), panic: report(payload) },
    }
}

/// Runs `body`, whose panic is nobody's business, and swallows it.
pub(crate) fn catch_silently(body: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
        drop_payload(payload);
    }
}

/// Remembers where a panic happened, until [`catch`] describes it.
///
/// To be called by the panic hook of the image. A panic that is raised again by `resume_unwind` does not come by the hook;
/// it is told from others by its message.
pub fn note(info: &PanicHookInfo<'_>) {
    let place = Place {
        thread: thread_mark(),
        message: message_of(info.payload()),
        file: info.location().map(|location| location.file().to_owned()).unwrap_or_default(),
        line: info.location().map_or(0, |location| location.line()),
        column: info.location().map_or(0, |location| location.column()),
        backtrace: Backtrace::force_capture(),
    };
    let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    // A panic that the image caught by itself leaves its place behind; the oldest such places make room.
    places.retain(|other| other.thread != place.thread);
    if places.len() == MAX_PLACES {
        places.remove(0);
    }
    places.push(place);
}

/// Where a panic happened, as the hook saw it.
struct Place {
    thread: usize,
    message: String,
    file: String,
    line: u32,
    column: u32,
    backtrace: Backtrace,
}

/// Panics that were noted and not yet caught at the boundary, in their order, at most one for each thread.
static PLACES: Mutex<Vec<Place>> = Mutex::new(Vec::new());

/// More threads than this panicking at the same time lose their places, not their messages.
const MAX_PLACES: usize = 64;

/// Takes the place of the panic with this message: one of this thread's, or else the last of any thread, from which the
/// payload may have come to be raised again here. A panic whose place was not noted, or has made room, has none.
fn take_place(message: &str) -> Option<Place> {
    let thread = thread_mark();
    let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
    let of_message = |place: &Place| place.message == message;
    let index = places
        .iter()
        .position(|place| place.thread == thread && of_message(place))
        .or_else(|| places.iter().rposition(of_message))?;
    Some(places.remove(index))
}

/// A number that no other live thread has in this image.
fn thread_mark() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}

/// A report together with what it points to.
#[repr(C)]
struct OwnedReport {
    raw: PanicReport,
    message: String,
    place: Option<Place>,
}

#[cold]
fn report(payload: Box<dyn Any + Send>) -> *mut PanicReport {
    let message = message_of(&*payload);
    // Before the payload is dropped, which may be a panic of its own.
    let place = take_place(&message);
    drop_payload(payload);
    let (file, line, column) = match &place {
        Some(place) => (place.file.as_str(), place.line, place.column),
        None => ("", 0, 0),
    };
    let raw = PanicReport {
        message: RawSlice::new(message.as_bytes()),
        file: RawSlice::new(file.as_bytes()),
        line,
        column,
        write_backtrace,
        release,
    };
    // Moving the strings into the box leaves their bytes where `raw` points to.
    Box::into_raw(Box::new(OwnedReport { raw, message, place })).cast()
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    if let Some(message) = payload.downcast_ref::<&'static str>() {
        (*message).to_owned()
    } else if let Some(message) = payload.downcast_ref::<String>() {
        message.clone()
    } else {
        "a panic whose payload is not text".to_owned()
    }
}

/// How many payloads are dropped whose predecessor's `Drop` has panicked; the next one is leaked, or this could go on for
/// ever.
const MAX_PAYLOADS: usize = 8;

/// Drops a payload, and what its `Drop` panics with, and so on.
fn drop_payload(mut payload: Box<dyn Any + Send>) {
    for _ in 0..MAX_PAYLOADS {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
        // Nobody asks where that was.
        take_place(&message_of(&*payload));
    }
    std::mem::forget(payload);
}

unsafe extern "C" fn write_backtrace(report: *const PanicReport, context: *mut (), sink: TextSink) {
    // SAFETY: the function is only reachable through a report made by `report`, which is the first field of an
    // `OwnedReport`; the caller has not released it yet.
    let report = unsafe { &*report.cast::<OwnedReport>() };
    // `message` keeps the bytes behind `raw.message`; it is not read otherwise.
    let _ = &report.message;
    catch_silently(|| {
        if let Some(place) = &report.place {
            let text = place.backtrace.to_string();
            // SAFETY: `context` and `sink` come together from the caller; the text is in place during the call.
            unsafe { sink(context, RawSlice::new(text.as_bytes())) };
        }
    });
}

unsafe extern "C" fn release(report: *mut PanicReport) {
    // SAFETY: as in `write_backtrace`; the pointer came from `Box::into_raw`, and the caller gives it up here.
    let report = unsafe { Box::from_raw(report.cast::<OwnedReport>()) };
    catch_silently(|| drop(report));
}

/// A report that came from the other image; released when dropped.
#[derive(Debug)]
pub struct ReceivedReport(std::ptr::NonNull<PanicReport>);

// SAFETY: the report is plain data that nobody else refers to, in an allocator that works on every thread.
unsafe impl Send for ReceivedReport {}
// SAFETY: all access through `&self` reads data that never changes.
unsafe impl Sync for ReceivedReport {}

impl ReceivedReport {
    /// Takes over the report of an [`Outcome`], if it has one.
    ///
    /// # Safety
    /// `report` must be null or come from an `Outcome` and not have been released; the image that made it must stay
    /// loaded for as long as the result lives.
    pub unsafe fn take(report: *mut PanicReport) -> Option<Self> {
        std::ptr::NonNull::new(report).map(Self)
    }

    fn get(&self) -> &PanicReport {
        // SAFETY: `take`'s caller guarantees that the report is alive until this is dropped.
        unsafe { self.0.as_ref() }
    }

    /// The panic's message.
    pub fn message(&self) -> String {
        text_of(self.get().message)
    }

    /// Source file, line and column, the latter two counted from one; `None` if the place is not known.
    pub fn location(&self) -> Option<(String, u32, u32)> {
        let report = self.get();
        (report.line > 0).then(|| (text_of(report.file), report.line, report.column))
    }

    /// The backtrace with its symbols resolved; empty if there is none.
    pub fn backtrace(&self) -> String {
        let mut text = String::new();
        let report = self.get();
        // SAFETY: the function belongs to the report; the sink appends to the `String` that `context` points to.
        unsafe { (report.write_backtrace)(report, (&raw mut text).cast(), append) };
        text
    }
}

unsafe extern "C" fn append(context: *mut (), text: RawStr) {
    // SAFETY: `backtrace` passes a pointer to its `String`, which nobody else uses during the call.
    unsafe { &mut *context.cast::<String>() }.push_str(&text_of(text));
}

fn text_of(text: RawStr) -> String {
    // SAFETY: the other image keeps the text in place while its report is alive or the call lasts.
    String::from_utf8_lossy(unsafe { text.as_slice() }).into_owned()
}

impl Drop for ReceivedReport {
    fn drop(&mut self) {
        let release = self.get().release;
        // SAFETY: the report is alive and given up here, once.
        unsafe { release(self.0.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report_of(body: impl FnOnce()) -> Option<ReceivedReport> {
        // SAFETY: the report was just made by this image.
        unsafe { ReceivedReport::take(catch(body).panic) }
    }

    #[test]
    fn a_panic_becomes_a_report() {
        let report = report_of(|| panic!("number {}", 7)).expect("the body panicked");
        assert_eq!(report.message(), "number 7");
        assert!(report_of(|| ()).is_none());
    }

    #[test]
    fn a_panic_has_its_own_place_or_none() {
        use std::panic::resume_unwind;

        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            note(info);
            previous(info);
        }));
        let line_of = |body: fn()| {
            let report = report_of(body).expect("the body panicked");
            report.location().map(|(_, line, _)| line)
        };
        let swallow = |body: fn()| {
            catch_unwind(body).expect_err("the body panicked");
        };

        assert_eq!(line_of(|| panic!("noted")), Some(line!()));

        swallow(|| panic!("swallowed"));
        assert_eq!(line_of(|| resume_unwind(Box::new("raised without a hook"))), None);

        let line = line!() + 1;
        let raise_again = || resume_unwind(catch_unwind(|| panic!("raised again")).expect_err("it panicked"));
        assert_eq!(line_of(raise_again), Some(line));

        let line = line!() + 2;
        let bring_back = || {
            let panicking = std::thread::spawn(|| panic!("from another thread"));
            resume_unwind(panicking.join().expect_err("it panicked"))
        };
        assert_eq!(line_of(bring_back), Some(line));
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_survived() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        let report = report_of(|| std::panic::panic_any(Bomb)).expect("the body panicked");
        assert_eq!(report.message(), "a panic whose payload is not text");
    }
}
