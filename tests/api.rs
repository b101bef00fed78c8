//! What clients send and what comes back, against the real server.

mod malformed;
mod protocols;
mod tenants;
