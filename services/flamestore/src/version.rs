//! What this binary is.

/// The version of the release.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, where the builder said it.
pub(crate) const REVISION: &str = match option_env!("FLAMESTORE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};
pub(crate) const BRANCH: &str = match option_env!("FLAMESTORE_BRANCH") {
    Some(branch) => branch,
    None => "unknown",
};

/// The oldest compiler that builds it.
pub(crate) const COMPILER: &str = concat!("rust ", env!("CARGO_PKG_RUST_VERSION"));

/// What `-version` prints.
pub(crate) fn line() -> String {
    format!("flamestore, version {VERSION} (branch: {BRANCH}, revision: {REVISION})")
}
