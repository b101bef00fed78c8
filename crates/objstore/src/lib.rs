//! The bucket: an object store with a prefix, create-only puts and durable local files.
