//! Where a runtime file is: on the disk, or at a server that is asked for it.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use flamestore_model::Fault;
use ureq::Agent;

/// The longest runtime file that is read, in bytes.
const MAX_BYTES: u64 = 8 << 20;

#[derive(Debug)]
pub(super) enum Place {
    File(PathBuf),
    /// With what asks there: connections are kept from one look to the next.
    Url(String, Agent),
}

impl Place {
    /// A server may take `max_wait` for its answer, all of it.
    pub(super) fn of(path: PathBuf, max_wait: Duration) -> Self {
        match path.to_str() {
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
                let config = Agent::config_builder().timeout_global(Some(max_wait));
                let config = config.user_agent(concat!("flamestore/", env!("CARGO_PKG_VERSION")));
                Place::Url(url.to_owned(), config.build().into())
            }
            _ => Place::File(path),
        }
    }

    /// The text.
    ///
    /// # Errors
    /// `Invalid`, with why it cannot be had.
    pub(super) fn read(&self) -> Result<String, Fault> {
        let why = match self {
            Place::File(path) => File::open(path).and_then(bounded).map_err(|e| e.to_string()),
            Place::Url(url, agent) => agent.get(url).call().map_err(|e| e.to_string()).and_then(|answer| {
                bounded(answer.into_body().into_with_config().limit(MAX_BYTES + 1).reader()).map_err(|e| e.to_string())
            }),
        };
        let text = why.map_err(|why| Fault::invalid(format!("cannot read the runtime file {self}: {why}")))?;
        if text.len() as u64 > MAX_BYTES {
            return Err(Fault::invalid(format!("the runtime file {self} is longer than {MAX_BYTES} bytes")));
        }
        Ok(text)
    }
}

/// One byte more than allowed is enough to know.
fn bounded(from: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    from.take(MAX_BYTES + 1).read_to_string(&mut text).map(|_| text)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => path.display().fmt(f),
            Place::Url(url, _) => f.write_str(url),
        }
    }
}
