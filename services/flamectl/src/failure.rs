//! How a command ends: the exit codes, and the sentence that goes with a bad one.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// What a script can tell from the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Tripped = 1,
    Usage = 2,
    Refused = 3,
    Unreachable = 4,
    ServerFailed = 5,
    File = 6,
    Nothing = 7,
    Damaged = 8,
}

/// Every exit code with what it means, for the help, the man page and the reference.
pub(crate) const EXITS: &[(Exit, &str)] = &[
    (Exit::Done, "done"),
    (Exit::Tripped, "diff: a --fail-if condition holds"),
    (Exit::Usage, "the arguments are wrong"),
    (Exit::Refused, "the server or the bucket refused the request: change it (HTTP 4xx, 501)"),
    (Exit::Unreachable, "the server or the bucket cannot be reached, or did not answer in time"),
    (Exit::ServerFailed, "the server failed or is not ready: try again (HTTP 5xx)"),
    (Exit::File, "a local file cannot be read or written"),
    (Exit::Nothing, "query, diff, blocks: there is nothing that fits"),
    (Exit::Damaged, "blocks: something in the bucket is not what was written"),
];

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command could not do what it was asked, as a sentence for its user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Empty: there is nobody left to tell.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure { exit, message: message.into() }
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Failure::new(Exit::Usage, message.to_string())
    }

    /// The server's answer is not what it should be.
    pub(crate) fn bad_answer(why: impl fmt::Display) -> Self {
        Failure::new(Exit::ServerFailed, format!("the server's answer cannot be read: {why}"))
    }

    pub(crate) fn nothing(message: impl Into<String>) -> Self {
        Failure::new(Exit::Nothing, message)
    }

    /// What happened to a file, or to `-`.
    pub(crate) fn file(path: &str, error: &io::Error) -> Self {
        Failure::new(Exit::File, format!("{path}: {error}"))
    }

    /// The same with words put before its sentence.
    #[must_use]
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Of writing an answer. A reader that has seen enough (`flamectl … | head`) is no failure worth a word.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::new(Exit::Done, ""),
            _ => Failure::new(Exit::File, format!("the output cannot be written: {error}")),
        }
    }
}
