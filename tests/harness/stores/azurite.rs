//! Azurite, the emulator of Azure Blob Storage.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::Process;
use super::{BUCKET, installed};
use crate::run::{fetch, run};
use crate::tools;

/// Of `azurite/package.json`.
const VERSION: &str = "3.35.0";
const BUILD_LIMIT: Duration = Duration::from_secs(1800);
const RUN_LIMIT: Duration = Duration::from_secs(60);
/// The account that every Azurite has.
const ACCOUNT: &str = "devstoreaccount1";

/// A running server with an empty container.
pub struct Azurite(Process);

impl Azurite {
    /// The account's key, which is the same in every Azurite and no secret; here nothing may show it all the same.
    pub const SECRET: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    /// `None` where Node is missing; in CI that fails.
    pub fn start() -> Option<Azurite> {
        let home = home()?;
        let program = home.join("node_modules/.bin/azurite-blob");
        let process = Process::start(|addr, dir| {
            let mut command = Command::new(&program);
            command.args(["--silent", "--skipApiVersionCheck", "--disableTelemetry", "--disableProductStyleUrl"]);
            command.args(["--blobHost", "127.0.0.1", "--blobPort", &addr.port().to_string()]);
            command.arg("--location").arg(dir.path());
            command
        });
        let server = Azurite(process);
        run(
            Command::new("node").arg(sources().join("make_container.js")).args([
                &server.url(),
                ACCOUNT,
                Self::SECRET,
                BUCKET,
            ]),
            RUN_LIMIT,
        );
        Some(server)
    }

    fn url(&self) -> String {
        format!("http://{}/{ACCOUNT}", self.0.addr())
    }

    pub fn connection_string(&self) -> String {
        format!("AccountName={ACCOUNT};AccountKey={};BlobEndpoint={};", Self::SECRET, self.url())
    }

    /// Flags of the server to use it.
    pub fn flags(&self) -> Vec<String> {
        vec![
            "-storage.backend=azure".into(),
            format!("-storage.azure.container-name={BUCKET}"),
            format!("-storage.azure.connection-string={}", self.connection_string()),
        ]
    }
}

/// As its lock file says.
fn home() -> Option<PathBuf> {
    if !tools::have("node", "node", &["--version"]) || !tools::have("npm", "npm", &["--version"]) {
        return None;
    }
    Some(installed(&format!("azurite-{VERSION}"), |home| {
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(sources().join(file), home.join(file)).expect("a copy");
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(home);
        fetch(&mut npm, BUILD_LIMIT);
    }))
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/stores/azurite")
}
