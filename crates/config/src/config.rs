//! The configuration as typed values, one struct a part, made from the values of the registry.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flamestore_limits::{HumanDuration, Limits};
use serde_json::Value;

use crate::endpoint::Endpoint;
use crate::target::Targets;
use crate::values::Values;

/// Everything an operator can set, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub target: Targets,
    pub multitenancy_enabled: bool,
    /// Whether users may keep recording rules.
    pub recording_rules_enabled: bool,
    pub shutdown_delay: Duration,
    /// Path of the UI behind a proxy, without a slash at its end.
    pub base_url: String,
    pub server: Server,
    pub memberlist: Memberlist,
    pub storage: Storage,
    pub pyroscopedb: Pyroscopedb,
    pub compactor: Compactor,
    pub distributor: Distributor,
    pub ingester: Ingester,
    pub querier: Querier,
    pub limits: Limits,
    pub runtime_config: RuntimeConfig,
    pub self_profiling: SelfProfiling,
    /// One line each for the log: what was set and has no effect, and why.
    pub notes: Vec<String>,
    /// The same values by path, for the configuration pages.
    pub values: Values,
}

/// Listeners and log.
#[derive(Debug, Clone)]
pub struct Server {
    /// Empty = all addresses.
    pub http_listen_address: String,
    pub http_listen_port: u16,
    /// 0 = no bound.
    pub http_listen_conn_limit: u64,
    pub grpc_listen_address: String,
    pub grpc_listen_port: u16,
    pub graceful_shutdown_timeout: Duration,
    pub http_read_timeout: Duration,
    pub http_read_header_timeout: Duration,
    pub http_write_timeout: Duration,
    pub http_idle_timeout: Duration,
    pub grpc_max_recv_msg_bytes: usize,
    pub grpc_max_send_msg_bytes: usize,
    /// 0 = no bound.
    pub grpc_max_concurrent_streams: u64,
    pub path_prefix: String,
    /// `logfmt` or `json`.
    pub log_format: String,
    /// `debug`, `info`, `warn` or `error`.
    pub log_level: String,
    pub log_requests_at_info: bool,
}

/// Gossip.
#[derive(Debug, Clone)]
pub struct Memberlist {
    pub node_name: String,
    pub bind_addr: Vec<String>,
    pub bind_port: u16,
    pub advertise_addr: String,
    pub advertise_port: u16,
    pub join_members: Vec<String>,
    pub cluster_label: String,
    pub abort_if_join_fails: bool,
    pub min_join_backoff: Duration,
    pub max_join_backoff: Duration,
    pub max_join_retries: u64,
    pub rejoin_interval: Duration,
    pub leave_timeout: Duration,
}

/// The bucket.
#[derive(Debug, Clone)]
pub struct Storage {
    pub backend: Backend,
    pub prefix: String,
    pub filesystem_dir: PathBuf,
    /// Requests to a store across a network at a time.
    pub max_requests: usize,
    pub s3: S3,
    pub gcs: Gcs,
    pub azure: Azure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Filesystem,
    S3,
    Gcs,
    Azure,
}

#[derive(Debug, Clone)]
pub struct S3 {
    pub endpoint: String,
    pub region: String,
    pub bucket_name: String,
    pub access_key_id: String,
    pub secret_access_key: Secret,
    pub insecure: bool,
    pub force_path_style: bool,
    /// `auto`, `path-style` or `virtual-hosted`.
    pub bucket_lookup_type: String,
    pub native_aws_auth_enabled: bool,
    /// `SSE-S3`, `SSE-KMS` or empty.
    pub sse_type: String,
    pub sse_kms_key_id: String,
}

#[derive(Debug, Clone)]
pub struct Gcs {
    pub bucket_name: String,
    pub service_account: Secret,
    pub endpoint: String,
}

#[derive(Debug, Clone)]
pub struct Azure {
    pub account_name: String,
    pub account_key: Secret,
    pub connection_string: Secret,
    pub container_name: String,
    pub endpoint_suffix: String,
    pub user_assigned_id: String,
    pub az_tenant_id: String,
    pub client_id: String,
    pub client_secret: Secret,
    pub max_retries: u64,
}

/// The local directory, block size and retention by disk.
#[derive(Debug, Clone)]
pub struct Pyroscopedb {
    pub data_path: PathBuf,
    pub max_block_duration: Duration,
    pub row_group_target_bytes: u64,
    pub min_free_disk_gb: u64,
    /// 0 to 1.
    pub min_disk_available_share: f64,
    pub enforcement_interval: Duration,
    pub disable_enforcement: bool,
}

#[derive(Debug, Clone)]
pub struct Compactor {
    pub compaction_interval: Duration,
    /// Each a multiple of the one before.
    pub block_ranges: Vec<Duration>,
    pub compaction_concurrency: usize,
    /// `None` = no bound.
    pub max_compaction_time: Option<Duration>,
    pub cleanup_interval: Duration,
    pub deletion_delay: Duration,
    pub enabled_tenants: Vec<String>,
    pub disabled_tenants: Vec<String>,
    pub block_cleanup_enabled: bool,
    /// What a job may hold in memory.
    pub max_memory_bytes: u64,
    /// What does not fit, while a job runs.
    pub data_dir: PathBuf,
    /// 0 = no bound.
    pub max_tenant_bytes: u64,
}

#[derive(Debug, Clone)]
pub struct Distributor {
    pub push_timeout: Duration,
    pub max_inflight_bytes: usize,
    pub max_decoding_bytes: usize,
    /// 0 = as many as there are cores.
    pub max_concurrent_decodes: usize,
    pub replication_factor: u64,
    pub zone_awareness_enabled: bool,
    /// Ports of their own for OTLP, which the public port takes too.
    pub otlp_grpc: Option<Endpoint>,
    pub otlp_http: Option<Endpoint>,
}

#[derive(Debug, Clone)]
pub struct Ingester {
    pub max_head_bytes: usize,
    pub max_head_age: Duration,
    pub wal_dir: PathBuf,
    pub wal_segment_bytes: u64,
    pub wal_commit_delay: Duration,
    pub wal_commit_bytes: usize,
    pub wal_queue_bytes: usize,
    pub flush_concurrency: usize,
    /// Empty = the host's name.
    pub id: String,
    pub address: String,
    /// 0 = the HTTP port.
    pub port: u16,
    pub availability_zone: String,
    pub num_tokens: u64,
}

#[derive(Debug, Clone)]
pub struct Querier {
    pub max_concurrent: usize,
    pub max_queued: usize,
    pub timeout: Duration,
    pub block_cache_bytes: usize,
    /// 0 = none.
    pub result_cache_bytes: u64,
    /// 0 = none; else at least [`MIN_DISK_CACHE_BYTES`].
    pub disk_cache_bytes: u64,
    pub disk_cache_dir: PathBuf,
    /// `usize::MAX`: no bound.
    pub max_query_bytes: usize,
}

/// Files with overrides by tenant.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// Or addresses that begin with `http://` or `https://`.
    pub files: Vec<PathBuf>,
    pub period: Duration,
    /// How long a server may take to answer with a file.
    pub http_client_timeout: Duration,
}

#[derive(Debug, Clone)]
pub struct SelfProfiling {
    pub disable_push: bool,
    /// Empty = `anonymous`.
    pub tenant_id: String,
}

/// A text that never shows itself.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text, for whoever must log in with it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "Secret(empty)" } else { "Secret(********)" })
    }
}

/// Ports that OTLP has by custom.
const OTLP_GRPC_PORT: u16 = 4317;
const OTLP_HTTP_PORT: u16 = 4318;

/// The smallest disk cache that is of use.
const MIN_DISK_CACHE_BYTES: u64 = 64 << 20;

impl Config {
    /// Makes the typed values and checks what concerns several keys; each problem is a sentence of its own.
    pub(crate) fn from_values(values: Values, notes: Vec<String>) -> Result<Self, Vec<String>> {
        let read = Read { values: &values };
        let mut problems = Vec::new();

        let target = Targets::parse(read.list("target").iter().map(String::as_str)).unwrap_or_else(|why| {
            problems.push(format!("target: {why}"));
            Targets::default()
        });
        let block_ranges = read.durations("compactor.block_ranges").unwrap_or_else(|why| {
            problems.push(format!("compactor.block_ranges: {why}"));
            Vec::new()
        });
        let share = read.float("pyroscopedb.min_disk_available_percentage");
        if !(0.0..1.0).contains(&share) {
            problems.push(format!("pyroscopedb.min_disk_available_percentage: {share} is not a share from 0 to 1"));
        }
        for never_zero in [
            "compactor.compaction_interval",
            "compactor.cleanup_interval",
            "querier.timeout",
            "server.http_server_read_timeout",
            "server.http_server_write_timeout",
            "server.http_server_idle_timeout",
            "runtime_config.period",
            "runtime_config.http_client_timeout",
            "pyroscopedb.enforcement_interval",
            "pyroscopedb.max_block_duration",
            "ingester.max_head_age",
        ] {
            if read.duration(never_zero).is_zero() {
                problems.push(format!("{never_zero}: must be longer than 0"));
            }
        }

        let mut endpoint = |path, default_port| match read.text(path) {
            none if none.is_empty() => None,
            text => Endpoint::parse(&text, default_port).map_err(|why| problems.push(format!("{path}: {why}"))).ok(),
        };
        let otlp_grpc = endpoint("distributor.receivers.otlp.protocols.grpc.endpoint", OTLP_GRPC_PORT);
        let otlp_http = endpoint("distributor.receivers.otlp.protocols.http.endpoint", OTLP_HTTP_PORT);

        let data_path = PathBuf::from(read.text("pyroscopedb.data_path"));
        let compactor_dir = match read.text("compactor.data_dir") {
            none if none.is_empty() => data_path.join("compactor"),
            dir => PathBuf::from(dir),
        };
        let disk_cache_dir = match read.text("querier.disk_cache_dir") {
            none if none.is_empty() => data_path.join("disk-cache"),
            dir => PathBuf::from(dir),
        };
        let disk_cache_bytes = read.int("querier.disk_cache_bytes");
        if (1..MIN_DISK_CACHE_BYTES).contains(&disk_cache_bytes) {
            problems.push(format!("querier.disk_cache_bytes: must be 0 or at least {MIN_DISK_CACHE_BYTES}"));
        }
        let wal_dir = match read.text("ingester.wal_dir") {
            none if none.is_empty() => data_path.join("wal"),
            dir => PathBuf::from(dir),
        };
        let config = Config {
            target,
            recording_rules_enabled: read.bool("tenant_settings.recording_rules.enabled"),
            multitenancy_enabled: read.bool("multitenancy_enabled"),
            shutdown_delay: read.duration("shutdown_delay"),
            base_url: read.text("api.base-url").trim_end_matches('/').to_owned(),
            server: Server {
                http_listen_address: read.text("server.http_listen_address"),
                http_listen_port: read.port("server.http_listen_port"),
                http_listen_conn_limit: read.int("server.http_listen_conn_limit"),
                grpc_listen_address: read.text("server.grpc_listen_address"),
                grpc_listen_port: read.port("server.grpc_listen_port"),
                graceful_shutdown_timeout: read.duration("server.graceful_shutdown_timeout"),
                http_read_timeout: read.duration("server.http_server_read_timeout"),
                http_read_header_timeout: read.duration("server.http_server_read_header_timeout"),
                http_write_timeout: read.duration("server.http_server_write_timeout"),
                http_idle_timeout: read.duration("server.http_server_idle_timeout"),
                grpc_max_recv_msg_bytes: read.size("server.grpc_server_max_recv_msg_size"),
                grpc_max_send_msg_bytes: read.size("server.grpc_server_max_send_msg_size"),
                grpc_max_concurrent_streams: read.int("server.grpc_server_max_concurrent_streams"),
                path_prefix: read.text("server.http_path_prefix").trim_end_matches('/').to_owned(),
                log_format: read.text("server.log_format"),
                log_level: read.text("server.log_level"),
                log_requests_at_info: read.bool("server.log_request_at_info_level_enabled"),
            },
            memberlist: Memberlist {
                node_name: read.text("memberlist.node_name"),
                bind_addr: read.list("memberlist.bind_addr"),
                bind_port: read.port("memberlist.bind_port"),
                advertise_addr: read.text("memberlist.advertise_addr"),
                advertise_port: read.port("memberlist.advertise_port"),
                join_members: read.list("memberlist.join_members"),
                cluster_label: read.text("memberlist.cluster_label"),
                abort_if_join_fails: read.bool("memberlist.abort_if_cluster_join_fails"),
                min_join_backoff: read.duration("memberlist.min_join_backoff"),
                max_join_backoff: read.duration("memberlist.max_join_backoff"),
                max_join_retries: read.int("memberlist.max_join_retries"),
                rejoin_interval: read.duration("memberlist.rejoin_interval"),
                leave_timeout: read.duration("memberlist.leave_timeout"),
            },
            storage: Storage {
                backend: match read.text("storage.backend").as_str() {
                    "s3" => Backend::S3,
                    "gcs" => Backend::Gcs,
                    "azure" => Backend::Azure,
                    _ => Backend::Filesystem,
                },
                prefix: read.text("storage.prefix").trim_matches('/').to_owned(),
                filesystem_dir: PathBuf::from(read.text("storage.filesystem.dir")),
                max_requests: read.size("storage.max_requests").max(1),
                s3: S3 {
                    endpoint: read.text("storage.s3.endpoint"),
                    region: read.text("storage.s3.region"),
                    bucket_name: read.text("storage.s3.bucket_name"),
                    access_key_id: read.text("storage.s3.access_key_id"),
                    secret_access_key: read.secret("storage.s3.secret_access_key"),
                    insecure: read.bool("storage.s3.insecure"),
                    force_path_style: read.bool("storage.s3.force_path_style"),
                    bucket_lookup_type: read.text("storage.s3.bucket_lookup_type"),
                    native_aws_auth_enabled: read.bool("storage.s3.native_aws_auth_enabled"),
                    sse_type: read.text("storage.s3.sse.type"),
                    sse_kms_key_id: read.text("storage.s3.sse.kms_key_id"),
                },
                gcs: Gcs {
                    bucket_name: read.text("storage.gcs.bucket_name"),
                    service_account: read.secret("storage.gcs.service_account"),
                    endpoint: read.text("storage.gcs.endpoint"),
                },
                azure: Azure {
                    account_name: read.text("storage.azure.account_name"),
                    account_key: read.secret("storage.azure.account_key"),
                    connection_string: read.secret("storage.azure.connection_string"),
                    container_name: read.text("storage.azure.container_name"),
                    endpoint_suffix: read.text("storage.azure.endpoint_suffix"),
                    user_assigned_id: read.text("storage.azure.user_assigned_id"),
                    az_tenant_id: read.text("storage.azure.az_tenant_id"),
                    client_id: read.text("storage.azure.client_id"),
                    client_secret: read.secret("storage.azure.client_secret"),
                    max_retries: read.int("storage.azure.max_retries"),
                },
            },
            pyroscopedb: Pyroscopedb {
                data_path,
                max_block_duration: read.duration("pyroscopedb.max_block_duration"),
                row_group_target_bytes: read.int("pyroscopedb.row_group_target_size"),
                min_free_disk_gb: read.int("pyroscopedb.min_free_disk_gb"),
                min_disk_available_share: share,
                enforcement_interval: read.duration("pyroscopedb.enforcement_interval"),
                disable_enforcement: read.bool("pyroscopedb.disable_enforcement"),
            },
            compactor: Compactor {
                compaction_interval: read.duration("compactor.compaction_interval"),
                block_ranges,
                compaction_concurrency: read.size("compactor.compaction_concurrency").max(1),
                max_compaction_time: Some(read.duration("compactor.max_compaction_time")).filter(|d| !d.is_zero()),
                cleanup_interval: read.duration("compactor.cleanup_interval"),
                deletion_delay: read.duration("compactor.deletion_delay"),
                enabled_tenants: read.list("compactor.enabled_tenants"),
                disabled_tenants: read.list("compactor.disabled_tenants"),
                block_cleanup_enabled: read.bool("compactor.block_cleanup_enabled"),
                max_memory_bytes: read.size("compactor.max_memory_bytes") as u64,
                data_dir: compactor_dir,
                max_tenant_bytes: read.size("compactor.max_tenant_bytes") as u64,
            },
            distributor: Distributor {
                push_timeout: read.duration("distributor.pushtimeout"),
                max_inflight_bytes: read.size("distributor.max_inflight_bytes"),
                max_decoding_bytes: read.size("distributor.max_decoding_bytes"),
                max_concurrent_decodes: read.size("distributor.max_concurrent_decodes"),
                replication_factor: read.int("ingester.lifecycler.ring.replication_factor").max(1),
                zone_awareness_enabled: read.bool("ingester.lifecycler.ring.zone_awareness_enabled"),
                otlp_grpc,
                otlp_http,
            },
            ingester: Ingester {
                max_head_bytes: read.size("ingester.max_head_bytes"),
                max_head_age: read.duration("ingester.max_head_age"),
                wal_dir,
                wal_segment_bytes: read.int("ingester.wal_segment_bytes"),
                wal_commit_delay: read.duration("ingester.wal_commit_delay"),
                wal_commit_bytes: read.size("ingester.wal_commit_bytes"),
                wal_queue_bytes: read.size("ingester.wal_queue_bytes"),
                flush_concurrency: read.size("ingester.flush_concurrency").max(1),
                id: read.text("ingester.lifecycler.id"),
                address: read.text("ingester.lifecycler.address"),
                port: read.port("ingester.lifecycler.port"),
                availability_zone: read.text("ingester.lifecycler.availability_zone"),
                num_tokens: read.int("ingester.lifecycler.num_tokens").max(1),
            },
            querier: Querier {
                max_concurrent: read.size("frontend_worker.max_concurrent").max(1),
                max_queued: read.size("querier.max_queued"),
                timeout: read.duration("querier.timeout"),
                block_cache_bytes: read.size("querier.block_cache_bytes"),
                result_cache_bytes: read.int("querier.result_cache_bytes"),
                disk_cache_bytes,
                disk_cache_dir,
                max_query_bytes: match read.size("querier.max_query_bytes") {
                    0 => usize::MAX,
                    bytes => bytes,
                },
            },
            runtime_config: RuntimeConfig {
                files: read.list("runtime_config.file").iter().map(PathBuf::from).collect(),
                period: read.duration("runtime_config.period"),
                http_client_timeout: read.duration("runtime_config.http_client_timeout"),
            },
            self_profiling: SelfProfiling {
                disable_push: read.bool("self_profiling.disable_push"),
                tenant_id: read.text("self_profiling.tenant_id"),
            },
            limits: values.limits.clone(),
            notes,
            values: values.clone(),
        };
        problems.extend(config.missing());
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// What the chosen backend cannot do without.
    fn missing(&self) -> Vec<String> {
        let storage = &self.storage;
        let needs: &[(&str, bool)] = match storage.backend {
            Backend::Filesystem => &[("storage.filesystem.dir", storage.filesystem_dir == Path::new(""))],
            Backend::S3 => &[("storage.s3.bucket_name", storage.s3.bucket_name.is_empty())],
            Backend::Gcs => &[("storage.gcs.bucket_name", storage.gcs.bucket_name.is_empty())],
            Backend::Azure => &[("storage.azure.container_name", storage.azure.container_name.is_empty())],
        };
        needs
            .iter()
            .filter(|(_, gone)| *gone)
            .map(|(path, _)| format!("{path}: must be set for this backend"))
            .collect()
    }
}

/// Typed look-ups by path. The registry guarantees that each path is there and has its kind; tests hold it to that.
struct Read<'a> {
    values: &'a Values,
}

impl<'a> Read<'a> {
    fn value(&self, path: &'static str) -> &'a Value {
        debug_assert!(self.values.get(path).is_some(), "{path} is not a key with an effect");
        self.values.get(path).unwrap_or(&Value::Null)
    }

    fn text(&self, path: &'static str) -> String {
        self.value(path).as_str().unwrap_or_default().to_owned()
    }

    fn secret(&self, path: &'static str) -> Secret {
        Secret(self.text(path))
    }

    fn bool(&self, path: &'static str) -> bool {
        self.value(path).as_bool().unwrap_or_default()
    }

    fn int(&self, path: &'static str) -> u64 {
        self.value(path).as_u64().unwrap_or_default()
    }

    fn size(&self, path: &'static str) -> usize {
        usize::try_from(self.int(path)).unwrap_or(usize::MAX)
    }

    fn port(&self, path: &'static str) -> u16 {
        u16::try_from(self.int(path)).unwrap_or_default()
    }

    fn float(&self, path: &'static str) -> f64 {
        self.value(path).as_f64().unwrap_or_default()
    }

    fn duration(&self, path: &'static str) -> Duration {
        self.value(path).as_str().and_then(|t| t.parse::<HumanDuration>().ok()).unwrap_or_default().0
    }

    fn list(&self, path: &'static str) -> Vec<String> {
        let items = self.value(path).as_array();
        items.into_iter().flatten().filter_map(|i| i.as_str().map(str::to_owned)).collect()
    }

    fn durations(&self, path: &'static str) -> Result<Vec<Duration>, String> {
        self.list(path).iter().map(|t| Ok(t.parse::<HumanDuration>()?.0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Kind;
    use crate::keys::registry;

    #[test]
    fn every_key_with_an_effect_has_a_typed_field() {
        // `from_values` names each path in its source, and nothing else in this file does.
        let source = include_str!("config.rs");
        for key in &registry().keys {
            let own = key.status.holds_a_value() && !matches!(key.kind, Kind::Limit(_));
            assert!(!own || source.contains(&format!("\"{}\"", key.path)), "{} is never read", key.path);
        }
        Config::from_values(Values::default(), Vec::new()).unwrap();
    }

    #[test]
    fn secrets_do_not_show_themselves() {
        assert_eq!(format!("{:?}", Secret("hush".into())), "Secret(********)");
    }
}
