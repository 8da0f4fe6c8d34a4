//! Threads that C code starts.

use fixture_interface::threads::CThreads;

unsafe extern "C" {
    safe fn fixture_start() -> i32;
    safe fn fixture_stop_and_join() -> i32;
    safe fn fixture_start_exiting() -> i32;
    safe fn fixture_start_other() -> i32;
    safe fn fixture_stop_and_join_other() -> i32;
    safe fn fixture_destroyed() -> i32;
}

#[relib_module::export]
impl CThreads for CThreadsImpl {
    fn start() {
        assert_eq!(fixture_start(), 0);
    }

    fn stop_and_join() {
        assert_eq!(fixture_stop_and_join(), 0);
    }

    fn start_exiting() {
        assert_eq!(fixture_start_exiting(), 0);
    }

    fn start_other() {
        assert_eq!(fixture_start_other(), 0);
    }

    fn stop_and_join_other() -> i32 {
        fixture_stop_and_join_other()
    }

    fn destroyed() -> u32 {
        fixture_destroyed() as u32
    }
}
