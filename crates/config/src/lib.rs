//! Configuration: defaults, YAML, flags, in the peer's names.
