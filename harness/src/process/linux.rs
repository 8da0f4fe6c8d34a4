//! Processes on Linux: a process group of its own, resource limits, and an end that leaves nobody behind.

use std::fs;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::end::{End, Exit};
use crate::limits::Limits;
use crate::probe;

/// How long a process that was started by the scenario may take to go after the scenario's own process.
const SURVIVOR_GRACE: Duration = Duration::from_millis(300);

/// The environment variable by whose value the processes are known that a scenario has started, whatever group or session
/// they have moved to. One that empties its environment as well is missed.
const MARK: &str = "RELIB_HARNESS_PROCESS";

/// Runs the command to its end or to its time limit.
pub fn run(mut command: Command, limits: &Limits) -> io::Result<End> {
    let address_space = limits.address_space;
    let limit = move || -> io::Result<()> {
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        if let Some(bytes) = address_space {
            setrlimit(Resource::RLIMIT_AS, bytes, bytes)?;
        }
        // Nobody else ends the scenario when the harness itself is killed. Processes that it has started live on then.
        set_pdeathsig(Signal::SIGKILL)?;
        Ok(())
    };
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mark = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    command.stdin(Stdio::null()).process_group(0).env(MARK, &mark).envs(probe::ENVIRONMENT.iter().copied());
    // SAFETY: between fork and exec only async-signal-safe functions may run. The closure makes three system calls
    // (setrlimit, setrlimit, prctl) on values that it owns, and turns an errno into an `io::Error` without allocating.
    unsafe { command.pre_exec(limit) };

    let mut child = command.spawn()?;
    let group = Pid::from_raw(child.id() as i32);
    let watched = watch(&mut child, group, limits.time);
    // Also when watching failed: whatever the scenario has started must not outlive it. The leader has not been reaped
    // yet, so the number of the group cannot belong to somebody else by now.
    let survivors = match &watched {
        Ok(None) => survivors(group, &mark),
        _ => Vec::new(),
    };
    kill_group(group)?;
    for (id, _) in descendants(group, &mark) {
        // It may have ended meanwhile.
        let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
    }
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
            // It may have left its group.
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

/// The names of the processes that the scenario has started, after those that were about to go had time to.
fn survivors(leader: Pid, mark: &str) -> Vec<String> {
    let end = Instant::now() + SURVIVOR_GRACE;
    loop {
        let mut names: Vec<String> = descendants(leader, mark).into_iter().map(|(_, name)| name).collect();
        if names.is_empty() || Instant::now() >= end {
            names.sort();
            return names;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Number and name of the living processes besides the leader that are in its group or bear the mark.
fn descendants(leader: Pid, mark: &str) -> Vec<(i32, String)> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let variable = format!("{MARK}={mark}").into_bytes();
    let descendant = |id: i32| {
        // Processes come and go while this reads; one that has gone is no survivor.
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (name, state, group) = parse_stat(&stat)?;
        if id == leader.as_raw() || matches!(state, 'Z' | 'X') {
            return None;
        }
        // The environment of other users' processes cannot be read; none of them is ours.
        let is_marked = || {
            let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry == variable)
        };
        (group == leader.as_raw() || is_marked()).then(|| (id, name.to_owned()))
    };
    processes.filter_map(|entry| descendant(entry.ok()?.file_name().to_str()?.parse().ok()?)).collect()
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
