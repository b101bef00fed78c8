//! Where a file of a block grows: in memory, and on disk once it is large.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use flamestore_model::Fault;

use crate::spill::{Spill, SpillFile};
use crate::write::pieces::{Checksums, Pieces};

/// A file up to this size is held in memory while it is written, also where there is a folder for larger ones.
pub const MAX_HELD_BYTES: usize = 1 << 20;

/// The bytes of a file.
#[derive(Debug, Clone)]
pub enum Content {
    Held(Bytes),
    Spilled(Arc<SpillFile>),
}

impl Content {
    pub fn len(&self) -> u64 {
        match self {
            Content::Held(bytes) => bytes.len() as u64,
            Content::Spilled(file) => file.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything, in memory. Waits for the disk.
    pub fn bytes(&self) -> Result<Bytes, Fault> {
        match self {
            Content::Held(bytes) => Ok(bytes.clone()),
            Content::Spilled(file) => self.range(0, file.len() as usize),
        }
    }

    /// `len` bytes from `start` on, all of which must be there. Waits for the disk.
    pub fn range(&self, start: u64, len: usize) -> Result<Bytes, Fault> {
        match self {
            Content::Held(bytes) => {
                let start = usize::try_from(start).ok();
                let end = start.and_then(|start| start.checked_add(len)).filter(|end| *end <= bytes.len());
                match (start, end) {
                    (Some(start), Some(end)) => Ok(bytes.slice(start..end)),
                    _ => Err(Fault::internal("a file is read behind its end")),
                }
            }
            Content::Spilled(file) => {
                let mut buffer = vec![0; len];
                file.read_at(&mut buffer, start)?;
                Ok(buffer.into())
            }
        }
    }
}

/// Takes the bytes of a file as they come.
pub(crate) struct Sink {
    /// `None`: everything is held.
    spill: Option<Spill>,
    held: Vec<u8>,
    file: Option<SpillFile>,
    pieces: Pieces,
}

impl Sink {
    pub(crate) fn new(spill: Option<Spill>) -> Self {
        Sink { spill, held: Vec::new(), file: None, pieces: Pieces::default() }
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.held.capacity()
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if let Some(file) = &mut self.file {
            return file.append(bytes);
        }
        match &self.spill {
            Some(spill) if self.held.len() + bytes.len() > MAX_HELD_BYTES => {
                let mut file = spill.file()?;
                file.append(&std::mem::take(&mut self.held))?;
                file.append(bytes)?;
                self.file = Some(file);
            }
            _ => self.held.extend_from_slice(bytes),
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> (Content, Checksums) {
        let content = match self.file {
            Some(file) => Content::Spilled(file.into()),
            None => Content::Held(self.held.into()),
        };
        (content, self.pieces.finish())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pieces.add(bytes);
        // The fault inside comes out again where the library gives its error back.
        self.take(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
