//! An S3 server: versitygw, over a directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use flamestore_objstore::s3::{Settings, Style};
use tempfile::TempDir;

use super::process::Process;
use super::{BUCKET, installed};
use crate::run::{fetch, run};
use crate::tools;

const VERSION: &str = "v1.8.0";
const BUILD_LIMIT: Duration = Duration::from_secs(1800);
const RUN_LIMIT: Duration = Duration::from_secs(60);
const KEY: &str = "flamestore-test";

/// A running server with an empty bucket.
pub struct S3 {
    process: Process,
    /// Its certificate and key, where it speaks HTTPS.
    tls: Option<TempDir>,
}

impl S3 {
    /// What the secret key is; nothing that is shown may have it.
    pub const SECRET: &str = "a-secret-that-nobody-sees";

    /// In plain HTTP. `None` where Go is missing; in CI that fails.
    pub fn start() -> Option<S3> {
        Some(Self::run(&program()?, None))
    }

    /// With HTTPS and a certificate that only [`Self::certificate`] vouches for.
    pub fn start_with_tls() -> Option<S3> {
        let program = program()?;
        let dir = tempfile::tempdir().expect("a directory for the certificate");
        let root = run(Command::new("go").args(["env", "GOROOT"]), RUN_LIMIT);
        let generator = Path::new(root.trim()).join("src/crypto/tls/generate_cert.go");
        let mut go = Command::new("go");
        go.arg("run").arg(generator).args(["--host=127.0.0.1", "--ecdsa-curve=P256"]).current_dir(dir.path());
        run(&mut go, BUILD_LIMIT);
        Some(Self::run(&program, Some(dir)))
    }

    fn run(program: &Path, tls: Option<TempDir>) -> S3 {
        let process = Process::start(|addr, dir| {
            let root = dir.path().join("buckets");
            std::fs::create_dir_all(root.join(BUCKET)).expect("a bucket");
            let mut command = Command::new(program);
            command.env("ROOT_ACCESS_KEY", KEY).env("ROOT_SECRET_KEY", Self::SECRET);
            command.args(["--quiet", "--port", &addr.to_string()]);
            if let Some(tls) = &tls {
                command.arg("--cert").arg(tls.path().join("cert.pem")).arg("--key").arg(tls.path().join("key.pem"));
            }
            command.arg("posix").arg(root);
            command
        });
        S3 { process, tls }
    }

    /// The file of the certificate, where it speaks HTTPS.
    pub fn certificate(&self) -> Option<PathBuf> {
        self.tls.as_ref().map(|dir| dir.path().join("cert.pem"))
    }

    pub fn addr(&self) -> SocketAddr {
        self.process.addr()
    }

    pub fn settings(&self) -> Settings {
        Settings {
            endpoint: self.process.addr().to_string(),
            region: String::new(),
            bucket: BUCKET.into(),
            access_key_id: KEY.into(),
            secret_access_key: Self::SECRET.into(),
            insecure: self.tls.is_none(),
            style: Style::Auto,
            encryption: None,
        }
    }

    /// The same as flags of the server.
    pub fn flags(&self) -> Vec<String> {
        vec![
            "-storage.backend=s3".into(),
            format!("-storage.s3.endpoint={}", self.process.addr()),
            format!("-storage.s3.bucket-name={BUCKET}"),
            format!("-storage.s3.access-key-id={KEY}"),
            format!("-storage.s3.secret-access-key={}", Self::SECRET),
            format!("-storage.s3.insecure={}", self.tls.is_none()),
        ]
    }
}

fn program() -> Option<PathBuf> {
    if !tools::have("go", "go", &["version"]) {
        return None;
    }
    let home = installed(&format!("versitygw-{VERSION}"), |bin| {
        let package = format!("github.com/versity/versitygw/cmd/versitygw@{VERSION}");
        fetch(Command::new("go").args(["install", &package]).env("GOBIN", bin), BUILD_LIMIT);
    });
    Some(home.join("versitygw"))
}
