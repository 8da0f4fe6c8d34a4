//! Where a run took place.

use std::fs;
use std::process::Command;

/// Lines about the machine and the versions, for the report.
pub fn description() -> Vec<(&'static str, String)> {
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(": ")?.1.to_owned())
    });
    let threads = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let others = load.split(' ').next().unwrap_or("?").to_owned();
    vec![
        ("Date", output("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
        ("Processor", format!("{}, {threads} threads", processor.unwrap_or_else(|| "unknown".to_owned()))),
        ("System", output("uname", &["-srm"])),
        ("C library", output("ldd", &["--version"]).lines().next().unwrap_or_default().to_owned()),
        ("Compiler", output("rustc", &["--version"])),
        ("Load average at the end of the run", others),
        ("Peers", peers()),
    ]
}

/// The peers' versions, from the lock file that they were built by.
fn peers() -> String {
    const NAMES: [&str; 5] = ["libloading", "relib_host", "hot-lib-reloader", "wasmtime", "libmimalloc-sys"];
    let lock = include_str!("../../Cargo.lock");
    let mut versions = Vec::new();
    let mut name = "";
    for line in lock.lines() {
        if let Some(found) = line.strip_prefix("name = ") {
            name = found.trim_matches('"');
        } else if let Some(version) = line.strip_prefix("version = ")
            && NAMES.contains(&name)
            && (name != "wasmtime" || cfg!(feature = "wasmtime"))
        {
            versions.push(format!("{name} {}", version.trim_matches('"')));
        }
    }
    versions.join(", ")
}

/// What a command prints, or a dash.
fn output(command: &str, arguments: &[&str]) -> String {
    Command::new(command)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map_or_else(|| "—".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The resident memory of this process in bytes.
pub fn resident_memory() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    // SAFETY: the function has no preconditions.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as f64
}

/// The number of threads of this process.
pub fn threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
