//! What every service process has: listeners, readiness, shutdown, its own pages.
