//! Builds the fuzz targets of `tests/fuzz` with coverage instrumentation, on the stable compiler, and runs each for a while.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::shell::{Failure, root, target_dir};

/// What `cargo fuzz` passes when it uses no sanitizer: coverage counters that libFuzzer reads.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing";
const MAX_INPUT_BYTES: u32 = 64 << 10;
const MAX_RESIDENT_MIB: u32 = 1024;
/// By the wall clock: a busy machine may take long for what is done in no time.
const MAX_INPUT_SECONDS: u32 = 30;

/// Every target for `seconds`; a crash fails and leaves its input in `target/fuzz/artifacts`.
pub(crate) fn run(seconds: u32) -> Result<(), Failure> {
    let (home, out) = (root().join("tests/fuzz"), target_dir().join("fuzz"));
    let target = host()?;
    let built = Command::new("cargo")
        // Naming the target keeps the instrumentation out of build scripts.
        .args(["build", "--release", "--bins", "--target", &target])
        .env("RUSTFLAGS", COVERAGE)
        .env("CARGO_TARGET_DIR", &out)
        .current_dir(&home)
        .status()?;
    if !built.success() {
        return Err(Failure(format!("the fuzz targets cannot be built: {built}")));
    }
    for name in targets(&home)? {
        let (corpus, artifacts) = (out.join("corpus").join(&name), out.join("artifacts").join(&name));
        fs::create_dir_all(&corpus)?;
        fs::create_dir_all(&artifacts)?;
        println!("fuzzing {name} for {seconds} s");
        let ran = Command::new(out.join(&target).join("release").join(&name))
            .arg(&corpus)
            .arg(home.join("seeds").join(&name))
            .args([format!("-max_total_time={seconds}"), format!("-max_len={MAX_INPUT_BYTES}")])
            .args([
                format!("-rss_limit_mb={MAX_RESIDENT_MIB}"),
                format!("-timeout={MAX_INPUT_SECONDS}"),
                "-print_final_stats=1".into(),
            ])
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .output()?;
        let text = String::from_utf8_lossy(&ran.stderr);
        for line in text.lines().filter(|l| l.starts_with("stat::number_of_executed_units")) {
            println!("  {line}");
        }
        if !ran.status.success() {
            return Err(Failure(format!("fuzz target {name} found something:\n{text}")));
        }
    }
    Ok(())
}

fn targets(home: &Path) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = fs::read_dir(home.join("targets"))?
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn host() -> Result<String, Failure> {
    let text = crate::shell::output(Path::new("rustc"), &["-vV"])?;
    let line = text.lines().find_map(|l| l.strip_prefix("host: "));
    line.map(str::to_owned).ok_or_else(|| Failure("rustc -vV names no host".into()))
}
