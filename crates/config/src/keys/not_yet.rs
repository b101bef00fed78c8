//! Keys whose values are read and checked while the part that would use them is not built: the log of a start says so.

/// YAML paths (whole, or what they begin with when they end in a dot) and why they do nothing yet.
const NOT_YET: &[(&str, &str)] = &[
    ("memberlist.", CLUSTER),
    ("ingester.lifecycler.", CLUSTER),
    ("pyroscopedb.row_group_target_size", "row groups are cut by the writer's own rules"),
    ("api.base-url", "there are no pages behind it yet"),
    ("self_profiling.", "the server does not push its own profiles yet; it serves them under /debug/pprof"),
    ("ingester.wal_dir", "the log stands in pyroscopedb.data_path"),
    ("ingester.wal_commit_delay", "a commit waits for nothing but the one before it"),
    ("ingester.flush_concurrency", "blocks are written one at a time"),
    ("server.grpc_server_max_recv_msg_size", "messages are bounded by the limits of their kind"),
    ("server.grpc_server_max_send_msg_size", "messages are bounded by the limits of their kind"),
    ("server.grpc_server_max_concurrent_streams", "streams are bounded by the connection"),
    ("server.log_request_at_info_level_enabled", "requests are counted, not logged"),
    ("limits.max_query_parallelism", "a query reads a fixed number of blocks at a time"),
];

const CLUSTER: &str = "there is one process and no cluster yet";

/// Why what a path sets is not used yet.
pub(super) fn why(path: &str) -> Option<&'static str> {
    NOT_YET.iter().find(|(rule, _)| fits(rule, path)).map(|(_, why)| *why)
}

/// Whether a path is, or lies in, what a rule names.
pub(super) fn fits(rule: &str, path: &str) -> bool {
    if rule.ends_with('.') { path.starts_with(rule) } else { path == rule }
}

#[cfg(test)]
pub(super) fn rules() -> impl Iterator<Item = &'static str> {
    NOT_YET.iter().map(|(rule, _)| *rule)
}
