//! The traits of remote components, and what they say to each other. Near or far, the caller cannot tell.

pub mod read;
pub mod write;

pub use read::{Answer, Reader};
pub use write::{Ingester, PushedProfile};
