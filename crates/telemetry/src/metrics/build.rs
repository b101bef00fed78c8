//! Which build this is.

use super::registrar::Registrar;

/// What the build knows of itself.
#[derive(Debug, Clone, Copy)]
pub struct BuildInfo {
    pub version: &'static str,
    /// The commit, or empty.
    pub revision: &'static str,
    pub branch: &'static str,
    /// The compiler; it stands in the label `goversion`, which dashboards show.
    pub compiler: &'static str,
}

pub(super) fn register(r: &mut Registrar, build: &BuildInfo) {
    r.component("process")
        .gauge_by(
            "pyroscope_build_info",
            "Always 1; the labels say which build this is",
            ["version", "revision", "branch", "goversion", "goos", "goarch"],
        )
        .with([
            build.version,
            build.revision,
            build.branch,
            build.compiler,
            std::env::consts::OS,
            std::env::consts::ARCH,
        ])
        .set(1);
}
