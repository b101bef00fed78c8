//! What clients send and what comes back, against the real server.

mod adhoc;
mod analyze;
mod annotations;
mod bombs;
mod export;
mod federation;
mod frames;
mod functions;
mod grafana;
mod large;
mod limits;
mod malformed;
mod metrics;
mod otlp;
mod protocols;
mod queue;
mod reads;
mod refusals;
mod retention;
mod runtime;
mod services;
mod spans;
mod tenants;
mod text;
