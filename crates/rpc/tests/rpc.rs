//! The router from the outside, without sockets.

#[path = "rpc/connect.rs"]
mod connect;
#[path = "rpc/json.rs"]
mod json;
#[path = "rpc/support.rs"]
mod support;
#[path = "rpc/tables.rs"]
mod tables;
