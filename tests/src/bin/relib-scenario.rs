//! The runner executable: runs the body of one scenario in this process. See [`relib_harness::runner`].

use std::process::ExitCode;

fn main() -> ExitCode {
    relib_harness::runner::main(relib_tests::SCENARIOS)
}
