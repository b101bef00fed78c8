//! Kills the server with SIGKILL under load, starts it again, and compares what was acknowledged with what is answered.

mod sigkill;
