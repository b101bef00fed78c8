//! What the bucket did, told to whoever counts.

use std::fmt;

use flamestore_model::Fault;

/// An operation on the bucket, by its word in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    Put,
    PutCreate,
    Get,
    GetRange,
    Head,
    List,
    Delete,
}

impl Op {
    /// Every operation, so that metrics can be made before the first call.
    pub const ALL: [Op; 7] = [Op::Put, Op::PutCreate, Op::Get, Op::GetRange, Op::Head, Op::List, Op::Delete];

    pub const fn as_str(self) -> &'static str {
        match self {
            Op::Put => "put",
            Op::PutCreate => "put_create",
            Op::Get => "get",
            Op::GetRange => "get_range",
            Op::Head => "head",
            Op::List => "list",
            Op::Delete => "delete",
        }
    }
}

/// One finished call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub op: Op,
    /// Bytes of content moved; ranges count what was read, not only what was asked for.
    pub bytes: u64,
    pub seconds: f64,
    /// A missing object or a lost race for a create-only put is an answer, not a failure.
    pub failed: bool,
}

/// Told of every call when it is over. Must not block.
pub trait Observe: Send + Sync + fmt::Debug {
    fn observe(&self, call: Call);

    /// The object of this key, relative to the bucket's prefix, is not what was written.
    fn damaged(&self, _key: &str, _fault: &Fault) {}
}
