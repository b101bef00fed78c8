//! The bucket that the configuration names.

use flamestore_config::Config;
use flamestore_config::config::Backend;
use flamestore_model::{Fault, Kind};
use flamestore_objstore::Bucket;

/// Opens the bucket. Backends that are not built are refused by name, so that nothing starts without keeping data.
pub fn open(config: &Config) -> Result<Bucket, Fault> {
    let storage = &config.storage;
    let name = match storage.backend {
        Backend::Filesystem if storage.prefix.is_empty() => return Bucket::filesystem(&storage.filesystem_dir),
        Backend::Filesystem => return Bucket::filesystem(storage.filesystem_dir.join(&storage.prefix)),
        Backend::S3 => "s3",
        Backend::Gcs => "gcs",
        Backend::Azure => "azure",
    };
    Err(Fault::new(
        Kind::Unimplemented,
        format!("storage.backend {name} is not built yet: set storage.backend to filesystem"),
    ))
}
