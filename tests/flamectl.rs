//! The command line against the real server: what it prints, and how it ends.

use std::io::Write;
use std::process::{Command, Stdio};

use flamestore_tests::Server;
use flamestore_tests::server::built;
use serde_json::Value;

mod blocks;
mod diff;
mod exits;
mod fake;
mod generated;
mod push;
mod query;

/// What a run of `flamectl` left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    code: Option<i32>,
    out: Vec<u8>,
    err: String,
}

impl Ran {
    /// What it printed. Panics if it did not end well.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        assert_eq!(self.code, Some(0), "{}", self.err);
        std::str::from_utf8(&self.out).expect("text")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.text()).expect("JSON")
    }

    /// Panics unless it ended with this code and these words in its last message.
    #[track_caller]
    fn failed(&self, code: i32, words: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(words), "{words:?} is not in {:?}", self.err);
    }
}

/// Runs `flamectl` at this address, with `input` on its standard input.
pub(crate) fn run_at(url: &str, args: &[&str], input: &[u8]) -> Ran {
    let mut child = Command::new(built("flamectl"))
        .args(args)
        .env_clear()
        .env("FLAMESTORE_URL", url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("flamectl starts");
    let mut stdin = child.stdin.take().expect("its input");
    // One that does not read its input may be gone by now.
    let _ = stdin.write_all(input);
    drop(stdin);
    let done = child.wait_with_output().expect("its end can be waited for");
    Ran { code: done.status.code(), out: done.stdout, err: String::from_utf8_lossy(&done.stderr).into_owned() }
}

pub(crate) fn run(server: &Server, args: &[&str]) -> Ran {
    run_at(&format!("http://{}", server.http()), args, b"")
}

/// Pushes folded stacks as the CPU profile of a service; a sample is 10 ms.
#[track_caller]
fn push(server: &Server, service: &str, stacks: &str) {
    let ran = run_at(&format!("http://{}", server.http()), &["push", "-", "--service", service], stacks.as_bytes());
    assert!(ran.text().starts_with("-: stored (folded, "), "{ran:?}");
}
