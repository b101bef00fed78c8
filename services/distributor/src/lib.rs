//! The distributor: takes uploads, checks and normalises them, and hands them to ingesters.
//!
//! The story is [`push::Distributor::push`]: admit → decode → check → normalise → split into series → hand over.
//! It keeps no data and may be run in any number. It knows nothing of blocks, logs or heads.

pub mod push;

mod annotations;
pub mod labels;
mod reading;
mod sampling;
pub mod split;
pub mod stripped;

pub mod grpc;
pub mod http;
pub mod push_message;
mod raw;

pub mod otlp;
pub mod otlp_grpc;
pub mod otlp_http;

pub mod observe;

pub use push::{Distributor, Parts, Receipt};
