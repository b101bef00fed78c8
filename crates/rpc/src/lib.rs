//! One port, every protocol: Connect, gRPC, gRPC-web and plain HTTP; tenants and errors.
//!
//! A service is a tonic trait, written once. [`Router`] puts the other protocols around it and yields a [`Front`], the
//! service that listeners serve:
//!
//! ```ignore
//! let front = Router::new(Routes::new(served!(PusherServiceServer::new(pusher), caps.push)))
//!     .tenancy(Tenancy::new(config.multitenancy))
//!     .observer(metrics)
//!     .plain(axum::Router::new().route("/ingest", named("ingest", post(ingest))))
//!     .build()?;
//! ```
//!
//! Handlers find their tenants with [`Tenants`] and return their faults with [`to_status`] or [`plain_response`].

pub mod caps;
pub mod errors;
pub mod intake;
pub mod json;
pub mod observe;
pub mod partial;
pub mod reads;
pub mod router;
pub mod tenant;
pub mod workroom;

mod accept;
mod body;
mod connect;
mod encoding;
mod grpc;
mod gzip;
mod health;
mod methods;
mod zstandard;

pub use accept::Capabilities;
pub use body::{fault_in, read_body};
pub use caps::BodyCaps;
pub use errors::{plain_response, to_status};
pub use intake::Intake;
pub use observe::{Observed, RequestObserver, named};
pub use router::{Front, Router};
pub use tenant::{TENANT_HEADER, Tenancy, Tenants};
pub use workroom::{Part, Place, Told, Tried, Workroom};
