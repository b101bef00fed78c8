//! Keeps profiles: the engine as a service.
