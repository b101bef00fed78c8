//! A server of others as a process that ends with the test.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// How long a server may take to listen.
const START_TRIES: u32 = 600;
const START_PAUSE: Duration = Duration::from_millis(100);
/// Below the ports that the kernel hands out: between our look and the server's start it would give one of those to any
/// other test's connection.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;

/// A running server with a directory of its own.
pub(super) struct Process {
    child: Child,
    addr: SocketAddr,
    dir: TempDir,
}

impl Process {
    /// `command` makes the command from the server's address and directory. Returns when the server listens.
    pub(super) fn start(command: impl Fn(SocketAddr, &TempDir) -> Command) -> Process {
        let dir = tempfile::tempdir().expect("a directory for the store");
        let addr = free();
        let log = File::create(dir.path().join("log")).expect("a log file");
        let child = command(addr, &dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .spawn()
            .expect("the store starts");
        let mut process = Process { child, addr, dir };
        for _ in 0..START_TRIES {
            if TcpStream::connect(addr).is_ok() {
                return process;
            }
            let ended = process.child.try_wait().ok().flatten();
            assert!(ended.is_none(), "the store ended with {ended:?}:\n{}", process.log());
            thread::sleep(START_PAUSE);
        }
        panic!("the store does not listen after {:?}:\n{}", START_PAUSE * START_TRIES, process.log());
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that nobody listens on. For servers that cannot say which port they were given.
fn free() -> SocketAddr {
    // From a place of this process, because another run of these tests may be looking too.
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() as u16 % PORTS;
    let mut candidates = std::iter::from_fn(|| Some(TAKEN.fetch_add(1, Ordering::Relaxed))).take(PORTS.into());
    let address = |n: u16| SocketAddr::from(([127, 0, 0, 1], FIRST_PORT + first.wrapping_add(n) % PORTS));
    candidates.find_map(|n| TcpListener::bind(address(n)).and_then(|l| l.local_addr()).ok()).expect("a free port")
}
