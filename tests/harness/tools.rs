//! Which tools of other languages are here. In CI all of them must be; elsewhere a test that misses one is skipped, and says so.

use std::process::Command;

/// The Python with the packages of `tests/requirements.txt`.
pub fn python() -> String {
    std::env::var("FLAMESTORE_TEST_PYTHON").unwrap_or_else(|_| "python3".into())
}

/// Whether Python can import `module`.
pub fn python_has(module: &str) -> bool {
    have(&format!("python with {module} (tests/requirements.txt)"), &python(), &["-c", &format!("import {module}")])
}

/// Whether `program` runs with these arguments. Panics in CI if not.
pub fn have(tool: &str, program: &str, args: &[&str]) -> bool {
    let found = Command::new(program).args(args).output().is_ok_and(|o| o.status.success());
    assert!(found || std::env::var_os("CI").is_none(), "{tool} is missing");
    if !found {
        println!("skipped: {tool} is missing");
    }
    found
}
