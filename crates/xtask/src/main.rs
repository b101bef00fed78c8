//! One command for everything a developer does: `cargo xtask run | test | check | bench | load | ci`.

mod edges;
mod fuzz;
mod references;
mod shell;
mod walk;

use std::process::ExitCode;

use shell::{Failure, cargo, root};

const USAGE: &str = "\
cargo xtask run [flags]   build and start flamestore on port 4040, data in ./data (flags go to flamestore)
cargo xtask test          every test of the workspace, with the real binary and the SDKs whose toolchains are here
cargo xtask check         format, lints, import directions, walk links, generated references
cargo xtask references    write the generated references (docs/reference) anew
cargo xtask bench [crate] the benches, in release
cargo xtask load [flags]  what a month of profiles costs, on the release binary (minutes; flags: --store s3, --plot FILE, …)
cargo xtask fuzz [secs]   every fuzz target for so many seconds (20)
cargo xtask ci            check, then test
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["run", flags @ ..] => run(flags),
        ["test"] => test(),
        ["check"] => check(),
        ["references"] => references::write(),
        ["bench"] => cargo(&["bench", "--workspace", "--benches"]),
        ["bench", name] => cargo(&["bench", "--package", &format!("flamestore-{name}")]),
        ["load", flags @ ..] => load(flags),
        ["fuzz"] => fuzz::run(20),
        ["fuzz", seconds] => match seconds.parse() {
            Ok(seconds) => fuzz::run(seconds),
            Err(_) => Err(Failure(format!("{seconds:?} is no number of seconds"))),
        },
        ["ci"] => check().and_then(|()| test()),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &[&str]) -> Result<(), Failure> {
    eprintln!("xtask: building the release binary (the first time takes some minutes)");
    cargo(&["build", "--release", "--package", "flamestore"])?;
    let data = root().join("data");
    let bucket = format!("-storage.filesystem.dir={}", data.join("bucket").display());
    let local = format!("-pyroscopedb.data-path={}", data.join("local").display());
    let binary = shell::target_dir().join("release/flamestore");
    eprintln!("xtask: http://localhost:4040, data in {}", data.display());
    let mut all: Vec<&str> = vec!["-target=all", "-storage.backend=filesystem", &bucket, &local];
    all.extend(flags);
    shell::run(&binary, &all)
}

fn load(flags: &[&str]) -> Result<(), Failure> {
    cargo(&["build", "--release", "--package", "flamestore"])?;
    let bench = ["bench", "--package", "flamestore-tests", "--features", "load", "--bench", "history", "--"];
    cargo(&[&bench, flags].concat())
}

fn test() -> Result<(), Failure> {
    shell::build_for_tests()?;
    // All of them, so that one run tells everything that fails.
    cargo(&["test", "--workspace", "--features", "flamestore/failpoints", "--no-fail-fast"])
}

fn check() -> Result<(), Failure> {
    cargo(&["fmt", "--all", "--check"])?;
    edges::check()?;
    walk::check()?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    references::check()
}
