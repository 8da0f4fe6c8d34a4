//! The probe sees what a process takes and what it gives back.
//!
//! Each test runs in a process of its own, since the other tests of this file take and give back as well.

use std::process::Command;
use std::time::Duration;

use relib_harness::probe::{self, ENVIRONMENT, Leak, Probe, Tolerance};

/// With room for what glibc maps for the first threads of a process, and keeps.
fn with_threads() -> Tolerance {
    Tolerance { mappings: 64, ..Tolerance::default() }
}

fn soon() -> Tolerance {
    Tolerance { grace: Duration::from_millis(100), ..with_threads() }
}

fn leaks(before: &Probe) -> Vec<Leak> {
    before.leaks_now(&soon()).unwrap()
}

/// Tests that each run in a process of their own, which is started so that the probe sees what is in use.
macro_rules! in_own_process {
    ($(#[test] fn $name:ident() $body:block)*) => {$(
        #[test]
        fn $name() {
            let name = rusty_fork::rusty_fork_test_name!($name);
            let supervise = |child: &mut rusty_fork::ChildWrapper, _: &mut _| {
                let status = child.wait().expect("a child can be waited for");
                assert!(status.success(), "the test's process ended with {status:?}");
            };
            let settle = |command: &mut Command| {
                command.envs(ENVIRONMENT.iter().copied());
            };
            rusty_fork::fork(name, rusty_fork::rusty_fork_id!(), settle, supervise, || $body)
                .expect("a process can be started");
        }
    )*};
}

in_own_process! {
    #[test]
    fn nothing_taken_is_no_leak() {
        let before = Probe::take().unwrap();
        assert_eq!(leaks(&before), []);
    }

    #[test]
    fn a_thread_is_seen_until_it_ends() {
        let before = Probe::take().unwrap();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (named, is_named) = std::sync::mpsc::channel();
        let body = move || {
            // A new thread sets its own name, before it gets here.
            named.send(()).unwrap();
            stopped.recv()
        };
        let thread = std::thread::Builder::new().name("probed".into()).spawn(body).unwrap();
        is_named.recv().unwrap();
        assert_eq!(leaks(&before), [Leak::Threads { names: vec!["probed".into()] }]);
        drop(stop);
        let _ = thread.join();
        assert_eq!(before.leaks_now(&with_threads()).unwrap(), []);
    }

    #[test]
    fn a_thread_that_is_about_to_end_is_waited_for() {
        let before = Probe::take().unwrap();
        drop(std::thread::spawn(|| std::thread::sleep(Duration::from_millis(300))));
        assert_eq!(before.leaks_now(&with_threads()).unwrap(), []);
    }

    #[test]
    fn descriptors_are_seen_with_their_kind() {
        let before = Probe::take().unwrap();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = leaks(&before);
        assert!(matches!(&found[..], [Leak::Descriptor { kind, .. }] if kind == "socket"), "{found:?}");
        drop(socket);
        assert_eq!(leaks(&before), []);
    }

    #[test]
    fn heap_is_seen_on_every_arena() {
        let before = Probe::take().unwrap();
        let blocks: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..100).map(|_| vec![1; 1024]).collect::<Vec<_>>())).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let found = leaks(&before);
        assert!(matches!(found[..], [Leak::HeapBytes { bytes: 400_000.. }]), "{found:?}");
        drop(blocks);
        assert_eq!(leaks(&before), []);
    }

    #[test]
    fn a_large_block_is_resident_until_it_is_freed() {
        let before = Probe::take().unwrap();
        let block = std::hint::black_box(vec![1_u8; 32 << 20]);
        let found = leaks(&before);
        assert!(matches!(found[..], [Leak::HeapBytes { .. }, Leak::ResidentBytes { .. }]), "{found:?}");
        drop(block);
        assert_eq!(leaks(&before), []);
    }

    #[test]
    fn a_descriptor_that_was_closed_is_missed() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let before = Probe::take().unwrap();
        drop(socket);
        let found = leaks(&before);
        assert!(matches!(&found[..], [Leak::DescriptorLost { kind, .. }] if kind == "socket"), "{found:?}");
    }

    #[test]
    fn a_key_that_was_deleted_is_missed() {
        let mut key = 0;
        // SAFETY: `key` is a live local that the call writes to; there is no destructor.
        assert_eq!(unsafe { libc::pthread_key_create(&mut key, None) }, 0);
        let before = Probe::take().unwrap();
        // SAFETY: the key was created above, and no thread has a value for it.
        unsafe { libc::pthread_key_delete(key) };
        assert_eq!(leaks(&before), [Leak::PthreadKeysLost { count: 1 }]);
    }

    #[test]
    fn a_thread_that_was_run_leaves_no_trace() {
        probe::run_a_thread().unwrap();
        let before = Probe::take().unwrap();
        for _ in 0..200 {
            probe::run_a_thread().unwrap();
            assert_eq!(before.leaks_since(&Probe::take().unwrap(), &Tolerance::default()), []);
        }
    }

    #[test]
    fn every_pthread_key_is_given_back() {
        let first = Probe::take().unwrap().free_pthread_keys;
        assert!(first > 900, "{first}");
        assert_eq!(Probe::take().unwrap().free_pthread_keys, first);
    }

    #[test]
    fn a_mapped_file_is_seen() {
        // Loads the C library's own helper; nothing in this process uses it otherwise.
        let before = Probe::take().unwrap();
        // SAFETY: the name is a C string, and libutil is a part of glibc whose constructors do nothing.
        let handle = unsafe { libc::dlopen(c"libutil.so.1".as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null());
        let found = leaks(&before);
        assert!(
            matches!(&found[..], [Leak::Mapping { path }] if path.ends_with("libutil.so.1")),
            "{found:?}"
        );
        // SAFETY: the handle came from dlopen above and is closed once.
        unsafe { libc::dlclose(handle) };
        assert_eq!(leaks(&before), []);
    }
}
