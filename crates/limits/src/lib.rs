//! Limits by tenant: defaults, flags, overrides.
