//! From the store's errors to faults that name the object.

use flamestore_model::{Fault, FaultId, Kind};
use object_store::Error;

/// An answer that may be right next time.
pub(crate) fn again(key: &str, what: &str) -> Fault {
    Fault::of(FaultId::BucketFailing, format!("bucket: {key:?} {what}; the call can be repeated"))
}

/// The client of a store cannot be made of what the keys under `keys` say.
pub(crate) fn unusable(keys: &str, error: Error) -> Fault {
    Fault::invalid(format!("the bucket cannot be opened as the keys {keys}.* say")).caused_by(error)
}

/// What the caller should do about an error of the store, with the key in the sentence and the error as its source.
pub(crate) fn of(error: Error, doing: &str, key: &str) -> Fault {
    let (kind, hint) = match &error {
        Error::NotFound { .. } => (Kind::NotFound, "it is not there"),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            (Kind::Internal, "the store refused our credentials; check them and their rights on the bucket")
        }
        Error::InvalidPath { .. } => (Kind::Internal, "the key is not a legal path"),
        Error::NotSupported { .. } | Error::NotImplemented { .. } => {
            (Kind::Internal, "the store cannot do this; use one with conditional puts")
        }
        _ => (Kind::Unavailable, "the store failed; the call can be repeated"),
    };
    let said = format!("bucket: cannot {doing} {key:?}: {hint}");
    let fault = match kind {
        Kind::Unavailable => Fault::of(FaultId::BucketFailing, said),
        _ => Fault::new(kind, said),
    };
    fault.caused_by(error)
}
