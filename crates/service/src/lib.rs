//! What every service process has: listeners, readiness, shutdown.
//!
//! [`Listeners`] binds the ports, then serves whatever it is given until told to stop; [`Readiness`] is the page that says
//! whether the process should get traffic.

pub mod listeners;
pub mod ready;

mod connection;
mod patience;
mod unread;

pub use listeners::{Behind, Drained, ListenerConfig, Listeners, OpenConnections, SidePort};
pub use ready::{Condition, Readiness};
