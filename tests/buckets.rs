//! Every kind of bucket, on real servers: the promises of a bucket, the server's data in it, and stores that are refused.

mod behind_the_server;
mod promises;
mod refused;
