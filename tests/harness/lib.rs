//! What tests of the real binary share: a server process, and a client that says what it sent.

pub mod client;
mod files;
pub mod gzip;
pub mod protobuf;
pub mod raw;
pub mod rpc;
pub mod run;
pub mod server;
pub mod stores;
pub mod tools;
mod until;

pub use client::{Client, folded};
pub use files::files;
pub use server::Server;
pub use until::until;
