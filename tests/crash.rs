//! Kills the server with SIGKILL under load, starts it again, and compares what was acknowledged with what is answered.

mod fail_points;
mod failing_bucket;
mod full_disk;
mod load;
mod sigkill;
mod signals;
