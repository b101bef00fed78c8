//! What the public face answers: recorded vectors, laws, and the bytes of a pprof read back.

#[path = "answers/build.rs"]
mod build;
#[path = "answers/call_graph.rs"]
mod call_graph;
#[path = "answers/decode.rs"]
mod decode;
#[path = "answers/grids.rs"]
mod grids;
#[path = "answers/laws.rs"]
mod laws;
#[path = "answers/profiles.rs"]
mod profiles;
#[path = "answers/trees.rs"]
mod trees;
