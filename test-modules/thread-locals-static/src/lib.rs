//! A thread-local that is reached without asking the loader, as C libraries compiled with the initial-exec model have them:
//! the loader reserves a place for it on all threads when it maps the image.

use fixture_interface::thread_locals::StaticThreadLocal;

/// The model of ELF (ELF Handling For Thread-Local Storage, "initial exec"), which Rust has no stable option for.
#[cfg(target_os = "linux")]
mod counter {
    std::arch::global_asm!(
        ".pushsection .tbss.fixture_static_count, \"awT\", @nobits",
        ".balign 4",
        "fixture_static_count: .zero 4",
        ".popsection",
        ".pushsection .text.fixture_static_count_up, \"ax\", @progbits",
        "fixture_static_count_up:",
        ".cfi_startproc",
        "mov rcx, qword ptr [rip + fixture_static_count@gottpoff]",
        "mov eax, dword ptr fs:[rcx]",
        "add eax, 1",
        "mov dword ptr fs:[rcx], eax",
        "ret",
        ".cfi_endproc",
        ".popsection",
    );

    unsafe extern "C" {
        safe fn fixture_static_count_up() -> u32;
    }

    pub(crate) fn up() -> u32 {
        fixture_static_count_up()
    }
}

/// On Windows all thread-locals of an image are reached in the same way.
#[cfg(windows)]
mod counter {
    use std::cell::Cell;

    pub(crate) fn up() -> u32 {
        thread_local!(static COUNT: Cell<u32> = const { Cell::new(0) });
        COUNT.replace(COUNT.get() + 1) + 1
    }
}

#[relib_module::export]
impl StaticThreadLocal for StaticThreadLocalImpl {
    fn count() -> u32 {
        counter::up()
    }
}
