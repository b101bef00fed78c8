//! An S3 server: versitygw, over a directory.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use flamestore_objstore::s3::{Settings, Style};

use super::process::Process;
use super::{BUCKET, installed};
use crate::run::run;
use crate::tools;

const VERSION: &str = "v1.8.0";
const BUILD_LIMIT: Duration = Duration::from_secs(900);
const KEY: &str = "flamestore-test";

/// A running server with an empty bucket.
pub struct S3(Process);

impl S3 {
    /// What the secret key is; nothing that is shown may have it.
    pub const SECRET: &str = "a-secret-that-nobody-sees";

    /// `None` where Go is missing; in CI that fails.
    pub fn start() -> Option<S3> {
        let program = program()?;
        let process = Process::start(|addr, dir| {
            let root = dir.path().join("buckets");
            std::fs::create_dir_all(root.join(BUCKET)).expect("a bucket");
            let mut command = Command::new(&program);
            command.env("ROOT_ACCESS_KEY", KEY).env("ROOT_SECRET_KEY", Self::SECRET);
            command.args(["--quiet", "--port", &addr.to_string(), "posix"]).arg(root);
            command
        });
        Some(S3(process))
    }

    pub fn settings(&self) -> Settings {
        Settings {
            endpoint: self.0.addr().to_string(),
            region: String::new(),
            bucket: BUCKET.into(),
            access_key_id: KEY.into(),
            secret_access_key: Self::SECRET.into(),
            insecure: true,
            style: Style::Auto,
            encryption: None,
        }
    }

    /// The same as flags of the server.
    pub fn flags(&self) -> Vec<String> {
        vec![
            "-storage.backend=s3".into(),
            format!("-storage.s3.endpoint={}", self.0.addr()),
            format!("-storage.s3.bucket-name={BUCKET}"),
            format!("-storage.s3.access-key-id={KEY}"),
            format!("-storage.s3.secret-access-key={}", Self::SECRET),
            "-storage.s3.insecure=true".into(),
        ]
    }
}

fn program() -> Option<PathBuf> {
    if !tools::have("go", "go", &["version"]) {
        return None;
    }
    let home = installed(&format!("versitygw-{VERSION}"), |bin| {
        let package = format!("github.com/versity/versitygw/cmd/versitygw@{VERSION}");
        run(Command::new("go").args(["install", &package]).env("GOBIN", bin), BUILD_LIMIT);
    });
    Some(home.join("versitygw"))
}
