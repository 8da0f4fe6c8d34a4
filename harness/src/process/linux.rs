//! Processes on Linux: a process group of its own, resource limits, and an end that leaves nobody behind.

use std::fs;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::{End, Exit};
use crate::scenario::Limits;

/// How long a process that was started by the scenario may take to go after the scenario's own process.
const SURVIVOR_GRACE: Duration = Duration::from_millis(300);

/// Runs the command to its end or to its time limit.
pub fn run(mut command: Command, limits: &Limits) -> io::Result<End> {
    let address_space = limits.address_space;
    let limit = move || -> io::Result<()> {
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        if let Some(bytes) = address_space {
            setrlimit(Resource::RLIMIT_AS, bytes, bytes)?;
        }
        // Nobody else ends the group when the harness itself is killed.
        set_pdeathsig(Signal::SIGKILL)?;
        Ok(())
    };
    command
        .stdin(Stdio::null())
        .process_group(0)
        // glibc raises its threshold for blocks with a mapping of their own when one is freed, and from then on keeps
        // large blocks for later. A fixed one gives them back, so that the resident set says what is in use.
        .env("MALLOC_MMAP_THRESHOLD_", "131072");
    // SAFETY: between fork and exec only async-signal-safe functions may run. The closure makes three system calls
    // (setrlimit, setrlimit, prctl) on values that it owns, and turns an errno into an `io::Error` without allocating.
    unsafe { command.pre_exec(limit) };

    let mut child = command.spawn()?;
    let group = Pid::from_raw(child.id() as i32);
    let watched = watch(&mut child, group, limits.time);
    // Also when watching failed: whatever is still in the group must not outlive the scenario. The leader has not been
    // reaped yet, so the number of the group cannot belong to somebody else by now.
    let survivors = match &watched {
        Ok(None) => survivors(group),
        _ => Vec::new(),
    };
    kill_group(group)?;
    let status = child.wait()?;
    let exit = match watched? {
        Some(limit) => Exit::Timeout(limit),
        None => exit(status),
    };
    Ok(End { exit, survivors })
}

/// Waits for the end of the process without reaping it; `Some(limit)` when it had to be killed at the limit.
fn watch(child: &mut Child, group: Pid, limit: Option<Duration>) -> io::Result<Option<Duration>> {
    let (sender, ended) = mpsc::channel();
    thread::Builder::new().name("scenario-waiter".into()).spawn(move || {
        // The receiver lives until this was received, unless the harness is going down.
        let _ = sender.send(wait_without_reaping(group));
    })?;
    let Some(limit) = limit else {
        ended.recv().map_err(io::Error::other)??;
        return Ok(None);
    };
    match ended.recv_timeout(limit) {
        Ok(result) => result.map(|()| None),
        Err(_) => {
            kill_group(group)?;
            // A process that left its group is killed by its own number.
            child.kill()?;
            ended.recv().map_err(io::Error::other)??;
            Ok(Some(limit))
        }
    }
}

fn wait_without_reaping(process: Pid) -> io::Result<()> {
    loop {
        match waitid(Id::Pid(process), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn kill_group(group: Pid) -> io::Result<()> {
    match killpg(group, Signal::SIGKILL) {
        // ESRCH: nobody there. EPERM: only processes of another user, which are not ours to end.
        Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The processes of the group besides its leader, after those that were about to go had time to.
fn survivors(group: Pid) -> Vec<String> {
    let end = Instant::now() + SURVIVOR_GRACE;
    loop {
        let names = members(group);
        if names.is_empty() || Instant::now() >= end {
            return names;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The names of the living processes of the group besides its leader.
fn members(group: Pid) -> Vec<String> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut names: Vec<String> = processes
        .filter_map(|entry| {
            let id: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            // Processes come and go while this reads; one that has gone is no survivor.
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            let (name, state, process_group) = parse_stat(&stat)?;
            (process_group == group.as_raw() && id != group.as_raw() && !matches!(state, 'Z' | 'X'))
                .then(|| name.to_owned())
        })
        .collect();
    names.sort();
    names
}

/// Name, state and process group in a line of `/proc/PID/stat`: `pid (name) state ppid pgrp ...`.
fn parse_stat(stat: &str) -> Option<(&str, char, i32)> {
    // A name may hold spaces and parentheses of its own.
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let mut fields = after.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let group = fields.nth(1)?.parse().ok()?;
    Some((name, state, group))
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(number)) => Exit::Signal(
            Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.to_string()),
        ),
        // Unix reports one of the two for a process that has ended.
        (None, None) => Exit::Signal(format!("unknown wait status {status}")),
    }
}

/// Makes the directory for temporary files that the harness chose this process's: `TMPDIR` does.
pub fn adopt_temporary_directory() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_with_odd_names_are_understood() {
        assert_eq!(parse_stat("17 (a) b (c)) S 1 42 42 0"), Some(("a) b (c)", 'S', 42)));
        assert_eq!(parse_stat("garbage"), None);
    }

    #[test]
    fn the_exit_code_and_the_signal_are_told_apart() {
        assert_eq!(exit(ExitStatus::from_raw(3 << 8)), Exit::Code(3));
        assert_eq!(exit(ExitStatus::from_raw(11)), Exit::Signal("SIGSEGV".into()));
        assert_eq!(exit(ExitStatus::from_raw(40)), Exit::Signal("signal 40".into()));
    }
}
