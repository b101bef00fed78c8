//! Configuration in the peer's names: defaults, then a YAML file, then flags; strict, and clear about what has no effect.
//!
//! One registry of keys ([`keys`]) feeds the reading, the help texts, the dumps and the reference page.

pub mod key;
pub mod keys;

mod endpoint;
mod expand;
mod flags;
mod kind;
mod load;
mod values;
mod yaml;

pub mod config;
pub mod dump;
pub mod help;
pub mod reference;
pub mod runtime;
pub mod target;

pub use config::Config;
pub use endpoint::Endpoint;
pub use load::{Env, ReadFile, Start, World, load};
pub use reference::reference_markdown;
pub use runtime::RuntimeFiles;
pub use target::{Role, Targets};
pub use values::Values;
