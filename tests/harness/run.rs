//! Runs other programs with a limit of time, so that one that hangs fails with what it has said.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use flamestore_clock::{Clock, SystemClock};

const PAUSE: Duration = Duration::from_millis(20);
/// How long to wait before each further try to fetch something.
const FETCH_PAUSES: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];

/// What `command` writes to its standard output. Panics with all that it has written when it fails, and when it is still
/// running after `limit`; it and what it has started are then killed.
pub fn run(command: &mut Command, limit: Duration) -> String {
    try_run(command, limit).unwrap_or_else(|why| panic!("{why}"))
}

/// The same for a command that may have to fetch from a registry: networks have hiccups, so it gets three tries.
pub fn fetch(command: &mut Command, limit: Duration) -> String {
    for pause in FETCH_PAUSES {
        match try_run(command, limit) {
            Ok(said) => return said,
            Err(why) => println!("trying again in {pause:?}: {why}"),
        }
        thread::sleep(pause);
    }
    run(command, limit)
}

fn try_run(command: &mut Command, limit: Duration) -> Result<String, String> {
    let clock = SystemClock::default();
    let until = clock.monotonic_nanos() + limit.as_nanos() as u64;
    run_until(command, limit, |_| clock.monotonic_nanos() >= until)
}

/// The same with the end of the limit as `is_over` says it, which sees the file of the standard output.
fn run_until(command: &mut Command, limit: Duration, is_over: impl Fn(&Path) -> bool) -> Result<String, String> {
    let dir = tempfile::tempdir().expect("a directory for what it writes");
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(fs::File::create(&out).expect("a file"))
        .stderr(fs::File::create(&err).expect("a file"))
        .process_group(0)
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let status = wait(&mut child, || is_over(&out));
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let said = read(&out);
    match status {
        Some(status) if status.success() => Ok(said),
        Some(status) => Err(format!("{command:?} ended with {status}:\n{said}\n{}", read(&err))),
        None => Err(format!("{command:?} is still running after {limit:?}:\n{said}\n{}", read(&err))),
    }
}

/// `None`: it had to be killed.
fn wait(child: &mut Child, is_over: impl Fn() -> bool) -> Option<ExitStatus> {
    while !is_over() {
        if let Some(status) = child.try_wait().expect("its end can be waited for") {
            return Some(status);
        }
        thread::sleep(PAUSE);
    }
    // The whole group: a profiler's target, a build tool's compiler.
    let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).status();
    let _ = child.wait();
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_output_is_what_it_writes() {
        assert_eq!(run(&mut shell("echo out; echo err >&2"), LONG), "out\n");
    }

    #[test]
    #[should_panic(expected = "is in trouble")]
    fn a_failure_shows_what_was_written() {
        run(&mut shell("echo it is in trouble >&2; exit 3"), LONG);
    }

    #[test]
    fn one_that_hangs_is_killed_with_its_children() {
        let has_spoken = |out: &Path| fs::metadata(out).is_ok_and(|file| file.len() > 0);
        let why = run_until(&mut shell("echo sleepy; sleep 60 & wait"), LONG, has_spoken).expect_err("it hangs");
        assert!(why.contains("is still running after 60s:\nsleepy"), "{why}");
    }
}
