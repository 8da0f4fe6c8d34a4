//! Thread-local objects whose destructors tell the host what they do.

use std::cell::{Cell, OnceCell};
use std::ffi::c_void;
use std::hint::black_box;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use fixture_interface::thread_locals::{ModuleDrops, ThreadLocals};
use fixture_system::Key;

/// Reports when it is dropped.
struct Plain(String);

impl Drop for Plain {
    fn drop(&mut self) {
        ModuleDrops::dropped(&self.0);
    }
}

struct Allocating(String);

impl Drop for Allocating {
    fn drop(&mut self) {
        let len = allocate_and_free();
        ModuleDrops::dropped(&format!("{} after {len} bytes", self.0));
    }
}

struct Nested(String);

impl Drop for Nested {
    fn drop(&mut self) {
        touch_plain(format!("{} (inner)", self.0));
        ModuleDrops::dropped(&self.0);
    }
}

struct Slow(String, Duration);

impl Drop for Slow {
    fn drop(&mut self) {
        ModuleDrops::dropping(&self.0);
        thread::sleep(self.1);
        allocate_and_free();
        ModuleDrops::dropped(&self.0);
    }
}

thread_local! {
    static PLAIN: OnceCell<Plain> = const { OnceCell::new() };
    static ALLOCATING: OnceCell<Allocating> = const { OnceCell::new() };
    static NESTED: OnceCell<Nested> = const { OnceCell::new() };
    static SLOW: OnceCell<Slow> = const { OnceCell::new() };
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

fn allocate_and_free() -> usize {
    let lines: Vec<String> = (0..100).map(|index| black_box(format!("line {index:04}"))).collect();
    lines.iter().map(String::len).sum()
}

fn touch_plain(name: String) {
    PLAIN.with(|plain| _ = plain.get_or_init(|| Plain(name)));
}

unsafe extern "C" fn drop_name(name: *mut c_void) {
    // SAFETY: `set_key` leaked the box for the key, which gives each value to one destructor.
    let name = unsafe { Box::from_raw(name.cast::<String>()) };
    ModuleDrops::dropped(&format!("{name} (key)"));
}

fn key() -> Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    *KEY.get_or_init(|| Key::new(Some(drop_name)))
}

#[relib_module::export]
impl ThreadLocals for ThreadLocalsImpl {
    fn touch(name: &str) {
        touch_plain(name.to_owned());
    }

    fn touch_allocating(name: &str) {
        ALLOCATING.with(|object| _ = object.get_or_init(|| Allocating(name.to_owned())));
    }

    fn touch_nested(name: &str) {
        NESTED.with(|object| _ = object.get_or_init(|| Nested(name.to_owned())));
    }

    fn touch_slow(name: &str, millis: u64) {
        SLOW.with(|object| _ = object.get_or_init(|| Slow(name.to_owned(), Duration::from_millis(millis))));
    }

    fn set_key(name: &str) {
        key().set(Box::into_raw(Box::new(name.to_owned())).cast());
    }

    fn clear_key() {
        // SAFETY: the scenario has called `set_key` on this thread, whose box nobody has taken.
        drop(unsafe { Box::from_raw(key().get().cast::<String>()) });
        key().set(std::ptr::null());
    }

    fn count() -> u32 {
        COUNT.replace(COUNT.get() + 1) + 1
    }

    fn touch_on_detached_thread(name: &str, millis: u64) {
        let name = name.to_owned();
        thread::spawn(move || {
            Self::touch_slow(&name, millis);
            Self::set_key(&name);
        });
    }

    fn touch_slow_in_scope(threads: usize, millis: u64) {
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| Self::touch_slow("scoped", millis));
            }
        });
    }

    fn call_back() {
        ModuleDrops::called_back();
    }
}
