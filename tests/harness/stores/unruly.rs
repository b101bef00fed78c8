//! A proxy before a store that drops, refuses and delays requests on purpose.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use flamestore_clock::{Chance, SeededChance};

/// How long a request may be held up.
const LATE: Duration = Duration::from_millis(80);
/// Neither side waits longer for the other.
const PATIENCE: Duration = Duration::from_secs(20);
const SLOW_DOWN: &str = "<Error><Code>SlowDown</Code></Error>";

/// Listens as long as the process lives; behaves well until it is told not to.
pub struct Unruly {
    addr: SocketAddr,
    inside: Arc<Inside>,
}

struct Inside {
    store: SocketAddr,
    chance: SeededChance,
    unruly: AtomicBool,
    struck: Struck,
}

/// What happened to requests.
#[derive(Debug, Default)]
struct Struck {
    /// The connection ended and nothing was done.
    dropped_before: AtomicU64,
    /// It was done, and the answer lost.
    dropped_after: AtomicU64,
    refused: AtomicU64,
    delayed: AtomicU64,
    /// Snapshots of the index that somebody tried to write.
    index_writes: AtomicU64,
}

/// A request as it came.
struct Message {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Unruly {
    /// `seed` decides what becomes of each request.
    pub fn start(store: SocketAddr, seed: u64) -> Unruly {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("its address");
        let chance = SeededChance::new(seed);
        let inside = Arc::new(Inside { store, chance, unruly: false.into(), struck: Struck::default() });
        let shared = inside.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let inside = shared.clone();
                // A connection that fails is what this is for.
                thread::spawn(move || inside.serve(client).is_ok());
            }
        });
        Unruly { addr, inside }
    }

    pub fn misbehave(&self, unruly: bool) {
        self.inside.unruly.store(unruly, SeqCst);
    }

    /// Flags of a server for the store, changed to come here.
    pub fn flags(&self, of_the_store: Vec<String>) -> Vec<String> {
        let here = |flag: String| match flag.starts_with("-storage.s3.endpoint=") {
            true => format!("-storage.s3.endpoint={}", self.addr),
            false => flag,
        };
        of_the_store.into_iter().map(here).collect()
    }

    /// How often each thing happened: dropped before, dropped after, refused, delayed.
    pub fn struck(&self) -> [u64; 4] {
        let s = &self.inside.struck;
        [&s.dropped_before, &s.dropped_after, &s.refused, &s.delayed].map(|n| n.load(SeqCst))
    }

    pub fn index_writes(&self) -> u64 {
        self.inside.struck.index_writes.load(SeqCst)
    }
}

impl Inside {
    fn serve(&self, client: TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(PATIENCE))?;
        let mut answers = client.try_clone()?;
        let mut requests = BufReader::new(client);
        while let Some(request) = Message::read(&mut requests)? {
            let dice = if self.unruly.load(SeqCst) { self.chance.next_u64() % 100 } else { 100 };
            let count = |counter: &AtomicU64| counter.fetch_add(1, SeqCst);
            match dice {
                0..4 => {
                    count(&self.struck.dropped_before);
                    return Ok(());
                }
                8..14 => {
                    count(&self.struck.refused);
                    let size = SLOW_DOWN.len();
                    write!(answers, "HTTP/1.1 503 Slow Down\r\ncontent-length: {size}\r\n\r\n{SLOW_DOWN}")?;
                    continue;
                }
                14..20 => {
                    count(&self.struck.delayed);
                    thread::sleep(LATE);
                }
                _ => {}
            }
            if request.head.starts_with(b"PUT ") && String::from_utf8_lossy(&request.head).contains("/index/") {
                count(&self.struck.index_writes);
            }
            let answer = self.forward(&request)?;
            if (4..8).contains(&dice) {
                count(&self.struck.dropped_after);
                return Ok(());
            }
            answers.write_all(&answer)?;
            // The answer says that the connection ends with it.
            return Ok(());
        }
        Ok(())
    }

    /// The store's answer, as it is.
    fn forward(&self, request: &Message) -> io::Result<Vec<u8>> {
        let mut store = TcpStream::connect(self.store)?;
        store.set_read_timeout(Some(PATIENCE))?;
        let end_of_line = request.head.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
        let (line, headers) = request.head.split_at(end_of_line);
        store.write_all(&[line, b"Connection: close\r\n", headers, &request.body].concat())?;
        let mut answer = Vec::new();
        store.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

impl Message {
    /// `None`: the client has hung up.
    fn read(from: &mut impl BufRead) -> io::Result<Option<Message>> {
        let (mut head, mut size) = (Vec::new(), 0);
        loop {
            let start = head.len();
            if from.read_until(b'\n', &mut head)? == 0 {
                return Ok(None);
            }
            let line = String::from_utf8_lossy(&head[start..]).to_ascii_lowercase();
            if let Some(length) = line.strip_prefix("content-length:") {
                size = length.trim().parse().map_err(io::Error::other)?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; size];
        from.read_exact(&mut body)?;
        Ok(Some(Message { head, body }))
    }
}
