//! From errors of the Parquet library to faults that name the object.

use std::io;

use flamestore_model::Fault;
use parquet::errors::ParquetError;

/// What was read is not what was written.
pub(crate) fn corrupt(object: &str, what: impl std::fmt::Display) -> Fault {
    Fault::corrupt(format!("block file {object} is damaged: {what}"))
}

/// The library cannot make sense of a file whose checksums hold.
pub(crate) fn unreadable(object: &str) -> impl Fn(ParquetError) -> Fault {
    move |e| Fault::corrupt(format!("block file {object} cannot be decoded")).caused_by(e)
}

/// The library refuses to write what we gave it, or what takes the bytes does.
pub(crate) fn unwritable(object: &'static str) -> impl Fn(ParquetError) -> Fault {
    move |e| {
        let e = match e {
            ParquetError::External(e) => match e.downcast::<io::Error>().map(|e| e.downcast::<Fault>()) {
                Ok(Ok(fault)) => return fault,
                Ok(Err(e)) => ParquetError::External(e.into()),
                Err(e) => ParquetError::External(e),
            },
            e => e,
        };
        Fault::internal(format!("block file {object} cannot be encoded")).caused_by(e)
    }
}
