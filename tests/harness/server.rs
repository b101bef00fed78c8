//! A real server process with its own directories and ports.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::client::Client;

/// How long a server may take to say where it listens and that it is ready: two minutes, for a machine with much else to do.
const START_TRIES: u32 = 2400;
const START_PAUSE: Duration = Duration::from_millis(50);

/// A running `flamestore`. Dropping it kills the process and removes its data.
pub struct Server {
    dir: TempDir,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    child: Child,
    http: SocketAddr,
    grpc: SocketAddr,
    starts: u32,
}

impl Server {
    /// Starts a server with a new directory on free ports; returns when it is ready.
    pub fn start(flags: &[&str]) -> Server {
        Self::start_with(flags, &[])
    }

    pub fn start_with(flags: &[&str], environment: &[(&str, &str)]) -> Server {
        let dir = tempfile::tempdir().expect("a directory for the server");
        let flags: Vec<String> = flags.iter().map(|f| (*f).to_owned()).collect();
        let environment: Vec<_> = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let child = spawn(dir.path(), &flags, &environment, 0);
        let unset = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Server { dir, flags, environment, child, http: unset, grpc: unset, starts: 1 };
        server.wait_until_ready();
        server
    }

    pub fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.http))
    }

    pub fn http(&self) -> SocketAddr {
        self.http
    }

    pub fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    pub fn bucket(&self) -> PathBuf {
        self.dir.path().join("bucket")
    }

    pub fn local(&self) -> PathBuf {
        self.dir.path().join("local")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the system says of the process's memory, in bytes: `VmRSS` what it has, `VmHWM` the most that it has had.
    pub fn memory_bytes(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the server's status");
        let line = status.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':')).expect(field);
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") * 1024
    }

    /// SIGKILL: nothing of the process gets a chance to tidy up.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("the server's end can be waited for");
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) {
        let done = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(done.success());
        let status = self.child.wait().expect("the server's end can be waited for");
        assert!(status.success(), "the server ended with {status}:\n{}", self.log());
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Starts the process again on the same data, with other flags and environment if given; on new ports.
    pub fn start_again(&mut self) {
        self.start_again_with(&[]);
    }

    pub fn start_again_with(&mut self, environment: &[(&str, &str)]) {
        self.environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.child = spawn(self.dir.path(), &self.flags, &self.environment, self.starts);
        self.starts += 1;
        self.wait_until_ready();
    }

    /// Flags for the next start, instead of the ones before.
    pub fn set_flags(&mut self, flags: Vec<String>) {
        self.flags = flags;
    }

    /// Everything that the process last started has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(log_path(self.dir.path(), self.starts - 1)).unwrap_or_default()
    }

    fn wait_until_ready(&mut self) {
        for _ in 0..START_TRIES {
            let log = self.log();
            if let (Some(http), Some(grpc)) = (listening(&log, "http"), listening(&log, "grpc")) {
                (self.http, self.grpc) = (http, grpc);
                if self.client().get("/ready").is_ok_and(|body| body.trim() == "ready") {
                    return;
                }
            }
            assert!(!self.has_ended(), "the server ended instead of starting:\n{log}");
            thread::sleep(START_PAUSE);
        }
        panic!("the server is not ready after {:?}:\n{}", START_PAUSE * START_TRIES, self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address after `http=` in the line that says where the server listens.
fn listening(log: &str, door: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|l| l.contains("msg=listening") || l.contains("msg=\"listening"))?;
    let rest = line.split_once(&format!(" {door}="))?.1;
    rest.split([' ', '"']).find(|w| !w.is_empty())?.parse().ok()
}

fn log_path(dir: &Path, start: u32) -> PathBuf {
    dir.join(format!("log.{start}"))
}

fn spawn(dir: &Path, flags: &[String], environment: &[(String, String)], start: u32) -> Child {
    let log = File::create(log_path(dir, start)).expect("a log file");
    Command::new(binary())
        .args(["-target=all", "-server.http-listen-address=127.0.0.1", "-server.http-listen-port=0"])
        .args(["-server.grpc-listen-address=127.0.0.1", "-server.grpc-listen-port=0", "-storage.backend=filesystem"])
        .arg(format!("-storage.filesystem.dir={}", dir.join("bucket").display()))
        .arg(format!("-pyroscopedb.data-path={}", dir.join("local").display()))
        .args(flags)
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle of the log"))
        .stderr(log)
        .spawn()
        .expect("the server starts")
}

/// `target/debug/flamestore`.
pub fn binary() -> PathBuf {
    built("flamestore")
}

/// A program of this workspace in `target/debug`, beside the test that runs.
pub fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let binary = test.parent().and_then(Path::parent).expect("target/debug").join(name);
    assert!(binary.exists(), "{} is missing: run `cargo xtask test`, which builds it first", binary.display());
    binary
}
