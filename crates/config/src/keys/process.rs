//! Keys of the process as a whole: what runs, for whom, and how it tells of itself.

use crate::key::{Key, Kind::*};

pub(super) const KEYS: &[Key] = &[
    Key::active("target", "target", List, "all", "Parts to run in this process, with commas. `-modules` lists them."),
    Key::active(
        "multitenancy_enabled",
        "auth.multitenancy-enabled",
        Bool,
        "false",
        "Takes the tenant from the header X-Scope-OrgID; when false, everything belongs to `anonymous`.",
    ),
    Key::active(
        "tenant_settings.recording_rules.enabled",
        "tenant-settings.recording-rules.enabled",
        Bool,
        "false",
        "Keeps and lists recording rules. Nothing evaluates them: no metrics are written.",
    ),
    Key::active(
        "shutdown_delay",
        "shutdown-delay",
        Duration,
        "0s",
        "How long to go on serving after /ready has turned red, so that load balancers notice.",
    ),
    Key::active(
        "api.base-url",
        "api.base-url",
        Text,
        "",
        "Path under which a reverse proxy shows the UI; it only changes links.",
    ),
    Key::active(
        "runtime_config.file",
        "runtime-config.file",
        List,
        "",
        "Files with `overrides:` by tenant, or their http:// or https:// addresses, read again while running. Later ones win.",
    ),
    Key::active(
        "runtime_config.period",
        "runtime-config.reload-period",
        Duration,
        "10s",
        "How often those files are looked at.",
    ),
    Key::active(
        "runtime_config.http_client_timeout",
        "runtime-config.http-client-timeout",
        Duration,
        "30s",
        "How long a server may take to answer with such a file.",
    ),
    Key::active(
        "self_profiling.disable_push",
        "self-profiling.disable-push",
        Bool,
        "false",
        "Stops the single binary from storing CPU profiles of itself.",
    ),
    Key::active(
        "self_profiling.tenant_id",
        "self-profiling.tenant-id",
        Text,
        "",
        "Tenant those profiles belong to; empty = `anonymous`.",
    ),
];
