//! A server of others as a process that ends with the test.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// How long a server may take to listen.
const START_TRIES: u32 = 600;
const START_PAUSE: Duration = Duration::from_millis(100);

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
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port")
}
