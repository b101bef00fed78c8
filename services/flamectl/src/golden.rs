//! Golden files: what a command printed when somebody last looked at it and found it good.
//!
//! `FLAMECTL_BLESS=1 cargo test -p flamectl` writes them anew; look at the difference before you keep it.

use std::fs;
use std::path::Path;

/// Compares with `tests/golden/<name>`.
pub(crate) fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("FLAMECTL_BLESS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(text, golden, "{name}");
}
