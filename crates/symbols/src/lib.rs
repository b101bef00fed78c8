//! Interned symbols and stack trees of one dataset (one service of one tenant): what stack ids mean.
//!
//! Pure: no tokio, no network, no disk, no clock. A head grows these tables ([`intern`]); a block reads them back;
//! whoever merges profiles sees the same shapes in both cases.

pub mod intern;
pub mod tables;
pub mod wanted;

pub use intern::{Bounds, Interner};
pub use tables::{FnTree, Function, Line, Location, Mapping, StackTree, Strings, Symbols};
