//! A file that is here, for the Parquet library.

use std::io::{self, Read};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::write::Content;

/// A whole file whose checksums were tried.
pub(crate) struct Local {
    pub(crate) key: String,
    pub(crate) content: Content,
}

impl Length for Local {
    fn len(&self) -> u64 {
        self.content.len()
    }
}

impl ChunkReader for Local {
    type T = From;

    fn get_read(&self, start: u64) -> parquet::errors::Result<From> {
        Ok(From { content: self.content.clone(), at: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.content.range(start, length).map_err(|e| ParquetError::External(e.into()))
    }
}

/// Reads on from some byte.
pub(crate) struct From {
    content: Content,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = usize::try_from(self.content.len().saturating_sub(self.at)).unwrap_or(usize::MAX).min(buffer.len());
        let bytes = self.content.range(self.at, n).map_err(io::Error::other)?;
        buffer[..n].copy_from_slice(&bytes);
        self.at += n as u64;
        Ok(n)
    }
}
