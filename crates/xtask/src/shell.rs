//! Running other programs, and where things are.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A sentence for the developer.
#[derive(Debug)]
pub(crate) struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        Failure(e.to_string())
    }
}

/// The top of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").components().collect()
}

pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

pub(crate) fn cargo(args: &[&str]) -> Result<(), Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Path::new(&cargo), args)
}

/// The server that tests start, and the tests. All at once, as `cargo test` builds them: with fewer packages or targets
/// the features of what we use would resolve differently, and much would be built twice.
pub(crate) fn build_for_tests() -> Result<(), Failure> {
    cargo(&["build", "--workspace", "--bins", "--tests", "--features", "flamestore/failpoints"])
}

pub(crate) fn run(program: &Path, args: &[&str]) -> Result<(), Failure> {
    let status = Command::new(program).args(args).current_dir(root()).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure(format!("{} {} failed: {status}", program.display(), args.join(" "))))
    }
}

pub(crate) fn output(program: &Path, args: &[&str]) -> Result<String, Failure> {
    let out = Command::new(program).args(args).current_dir(root()).output()?;
    if !out.status.success() {
        return Err(Failure(format!(
            "{} {} failed: {}",
            program.display(),
            args.join(" "),
            String::from_utf8_lossy(&out.stderr)
        )));
    }
    String::from_utf8(out.stdout).map_err(|e| Failure(e.to_string()))
}
