//! What clients send and what comes back, against the real server.

mod malformed;
mod otlp;
mod protocols;
mod tenants;
