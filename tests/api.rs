//! What clients send and what comes back, against the real server.

mod functions;
mod malformed;
mod otlp;
mod protocols;
mod tenants;
