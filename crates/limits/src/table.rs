//! The table of limits: one line a limit gives its field, default, flag, strict reading and its line in the reference.

use std::fmt;

use flamestore_model::Fault;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::human_duration::HumanDuration;
use crate::limit_value::{LimitKind, LimitValue};
use crate::nearest::nearest;
use crate::recording_rule::ProvisionedRules;
use crate::relabel::{DefaultRules, RelabelRule, default_rules};
use crate::structured::{DistributorSampling, IngestLimit, KeepOrDropRules, Symbolizer};
use crate::usage_groups::UsageGroups;

/// Whether setting a limit changes anything here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Enforced,
    /// Known to the peer and accepted, with the reason why there is nothing for it to limit here.
    None(&'static str),
}

/// What is known of one limit beside its value.
#[derive(Debug, Clone, Copy)]
pub struct LimitSpec {
    /// The key under `limits:` and under a tenant in `overrides:`.
    pub name: &'static str,
    /// The flag without its dash.
    pub flag: Option<&'static str>,
    pub kind: LimitKind,
    pub effect: Effect,
    pub doc: &'static str,
}

/// Why a limit could not be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetError {
    /// There is no limit of that name; the nearest one, if any is near.
    Unknown { name: String, nearest: Option<&'static str> },
    /// The value does not read as the limit's kind.
    Value { name: &'static str, why: String },
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetError::Unknown { name, nearest: Some(near) } => {
                write!(f, "there is no limit {name:?}; did you mean {near:?}?")
            }
            SetError::Unknown { name, nearest: None } => write!(f, "there is no limit {name:?}"),
            SetError::Value { name, why } => write!(f, "limit {name}: {why}"),
        }
    }
}

impl std::error::Error for SetError {}

impl From<SetError> for Fault {
    fn from(e: SetError) -> Self {
        Fault::invalid(e.to_string())
    }
}

macro_rules! limits {
    ($( $(#[doc = $doc:literal])+ $name:ident : $type:ty = $default:expr, $flag:expr, $effect:expr; )*) => {
        /// All limits of one tenant. A field's name is its key in YAML; 0 means "off" wherever a bound is meant.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Limits {
            $( $(#[doc = $doc])+ pub $name: $type, )*
        }

        impl Default for Limits {
            fn default() -> Self {
                Limits { $( $name: $default, )* }
            }
        }

        /// Every limit in the order of the table.
        pub const SPECS: &[LimitSpec] = &[
            $( LimitSpec {
                name: stringify!($name),
                flag: $flag,
                kind: <$type as LimitValue>::KIND,
                effect: $effect,
                doc: concat!($($doc),+),
            }, )*
        ];

        impl Limits {
            /// Sets one limit from a scalar, a map or a list. A null leaves it as it is.
            pub fn set(&mut self, name: &str, value: &Value) -> Result<(), SetError> {
                $( if name == stringify!($name) {
                    if !value.is_null() {
                        self.$name = <$type as LimitValue>::read(value)
                            .map_err(|why| SetError::Value { name: stringify!($name), why })?;
                    }
                    return Ok(());
                } )*
                Err(SetError::Unknown { name: name.to_owned(), nearest: nearest(name, SPECS.iter().map(|s| s.name)) })
            }

            /// The value of one limit as it would stand in YAML.
            pub fn get(&self, name: &str) -> Option<Value> {
                $( if name == stringify!($name) {
                    return Some(self.$name.show());
                } )*
                None
            }
        }
    };
}

const V2: Effect = Effect::None("there is one storage layout and one write path here");
const SHARDS: Effect = Effect::None("placement follows the observed load, not a fixed number of shards");
const ENFORCED: Effect = Effect::Enforced;

limits! {
    /// Bytes a tenant may push in a second, in MiB of uncompressed pprof and label text, averaged by a token bucket.
    ingestion_rate_mb: f64 = 4.0, Some("distributor.ingestion-rate-limit-mb"), ENFORCED;
    /// Size of that bucket in MiB. Never less than one whole profile: see `max_profile_size_bytes`.
    ingestion_burst_size_mb: f64 = 2.0, Some("distributor.ingestion-burst-size-mb"), ENFORCED;
    /// Largest request body in MiB.
    ingestion_body_limit_mb: f64 = 256.0, Some("distributor.ingestion-body-limit-mb"), ENFORCED;
    /// A quota by period, set from outside.
    ingestion_limit: Option<IngestLimit> = None, None, ENFORCED;
    /// Share of each usage group that is kept.
    distributor_sampling: Option<DistributorSampling> = None, None, ENFORCED;
    /// Keeps labels and totals of what sampling drops, without stacks, in series with the label `__sampled__="true"`.
    keep_stripped_profiles: bool = false, Some("distributor.sampling.keep-stripped-profiles"), ENFORCED;
    /// Shows profiles kept without their stacks, which queries leave out otherwise.
    include_stripped_profiles: bool = false, Some("query-backend.include-stripped-profiles"), ENFORCED;
    /// Series of one push that are worked on at a time.
    push_max_concurrency: u64 = 256, Some("distributor.push.max-concurrency"),
        Effect::None("the series of a push are decoded one after another and written in one batch");
    /// Longest label name in bytes.
    max_label_name_length: u64 = 1024, Some("validation.max-length-label-name"), ENFORCED;
    /// Longest label value in bytes.
    max_label_value_length: u64 = 2048, Some("validation.max-length-label-value"), ENFORCED;
    /// Most labels of a series, `__name__` and `service_name` included.
    max_label_names_per_series: u64 = 30, Some("validation.max-label-names-per-series"), ENFORCED;
    /// Values `__session_id__` is folded into; 0 drops the label.
    max_sessions_per_series: u64 = 0, Some("validation.max-sessions-per-series"), ENFORCED;
    /// Stores labels strictly by name, without the private ones first.
    enforce_labels_order: bool = false, Some("validation.enforce-labels-order"),
        Effect::None("labels are always stored by name");
    /// Takes label names in any UTF-8; when false, dots become underscores and other names outside `[a-zA-Z0-9_]` are refused.
    disable_label_sanitization: bool = true, Some("validation.disable-label-sanitization"), ENFORCED;
    /// Largest uncompressed profile in bytes; 0 = no bound but the request body.
    max_profile_size_bytes: u64 = 4_194_304, Some("validation.max-profile-size-bytes"), ENFORCED;
    /// Most samples in a profile.
    max_profile_stacktrace_samples: u64 = 16_000, Some("validation.max-profile-stacktrace-samples"), ENFORCED;
    /// Most labels on a sample.
    max_profile_stacktrace_sample_labels: u64 = 100, Some("validation.max-profile-stacktrace-sample-labels"), ENFORCED;
    /// Deepest stack; deeper ones keep the root side.
    max_profile_stacktrace_depth: u64 = 1000, Some("validation.max-profile-stacktrace-depth"), ENFORCED;
    /// Longest symbol in bytes; longer ones keep their tail.
    max_profile_symbol_value_length: u64 = 65_535, Some("validation.max-profile-symbol-value-length"), ENFORCED;
    /// Names of parts of a tenant's data, each with its selector.
    distributor_usage_groups: UsageGroups = UsageGroups::none(), None, ENFORCED;
    /// Window in which profiles of a series are summed before they are stored.
    distributor_aggregation_window: HumanDuration = HumanDuration::ZERO, Some("distributor.aggregation-window"),
        Effect::None("profiles are never summed before they are stored");
    /// Period of that sum.
    distributor_aggregation_period: HumanDuration = HumanDuration::ZERO, Some("distributor.aggregation-period"),
        Effect::None("profiles are never summed before they are stored");
    /// Relabelling of series at the door, in Prometheus' form.
    ingestion_relabeling_rules: Vec<RelabelRule> = Vec::new(), Some("distributor.ingestion-relabeling-rules"), ENFORCED;
    /// Where the built-in rules stand: `first`, `last` or `disabled`.
    ingestion_relabeling_default_rules_position: DefaultRules = DefaultRules::First,
        Some("distributor.ingestion-relabeling-default-rules-position"), ENFORCED;
    /// Rules, keep and drop only, on `__type__` and `__unit__` of each value column.
    sample_type_relabeling_rules: KeepOrDropRules = KeepOrDropRules::default(),
        Some("distributor.sample-type-relabeling-rules"), ENFORCED;
    /// Ingesters a tenant's data goes to; 0 = all.
    ingestion_tenant_shard_size: u64 = 0, Some("distributor.ingestion-tenant-shard-size"), SHARDS;
    /// Answers accepted pushes no faster than this.
    ingestion_artificial_delay: HumanDuration = HumanDuration::ZERO, Some("distributor.ingestion-artificial-delay"), ENFORCED;
    /// Most series of a tenant in the heads of one ingester; 0 = no bound. Counted from one cut of the heads to the next.
    max_local_series_per_tenant: u64 = 0, Some("ingester.max-local-series-per-tenant"), ENFORCED;
    /// Most series of a tenant in the heads of all ingesters; 0 = no bound.
    max_global_series_per_tenant: u64 = 5000, Some("ingester.max-global-series-per-tenant"), ENFORCED;
    /// How far back queries may look; earlier starts are moved up. 0 = any.
    max_query_lookback: HumanDuration = HumanDuration::from_secs(7 * 86_400), Some("querier.max-query-lookback"), ENFORCED;
    /// Longest range of a query. 0 = any.
    max_query_length: HumanDuration = HumanDuration::from_secs(86_400), Some("querier.max-query-length"), ENFORCED;
    /// Parts of a query that run at a time; 0 = as many as there are cores.
    max_query_parallelism: u64 = 0, Some("querier.max-query-parallelism"), ENFORCED;
    /// Answers AnalyzeQuery.
    query_analysis_enabled: bool = true, Some("querier.query-analysis-enabled"), ENFORCED;
    /// Lets AnalyzeQuery count series.
    query_analysis_series_enabled: bool = false, Some("querier.query-analysis-series-enabled"), ENFORCED;
    /// Nodes of a flame graph when the query names no number; 0 = all.
    max_flamegraph_nodes_default: u64 = 8192, Some("querier.max-flamegraph-nodes-default"), ENFORCED;
    /// Most nodes a query may ask for; 0 = any.
    max_flamegraph_nodes_max: u64 = 1_048_576, Some("querier.max-flamegraph-nodes-max"), ENFORCED;
    /// Whether the two above hold for merged pprof too.
    max_flamegraph_nodes_on_select_merge_profile: bool = false,
        Some("querier.max-flamegraph-nodes-on-select-merge-profile"), ENFORCED;
    /// Store-gateways a tenant's blocks are read by; 0 = all.
    store_gateway_tenant_shard_size: u64 = 0, Some("store-gateway.tenant-shard-size"), SHARDS;
    /// Splits queries at multiples of this; 0 = never.
    split_queries_by_interval: HumanDuration = HumanDuration::ZERO, Some("querier.split-queries-by-interval"),
        Effect::None("queries are split by blocks");
    /// Checks partial answers before they are merged.
    query_sanitize_on_merge: bool = true, Some("querier.sanitize-on-merge"),
        Effect::None("profiles are made sound when they arrive");
    /// Queries a tenant may run in the background.
    max_async_query_concurrency: u64 = 5, Some("query-frontend.max-async-query-concurrency"),
        Effect::None("queries are answered at once");
    /// Age at which blocks are deleted; 0 leaves the decision to `retention_period`.
    compactor_blocks_retention_period: HumanDuration = HumanDuration::ZERO, Some("compactor.blocks-retention-period"), ENFORCED;
    /// Shards a compaction splits blocks into.
    compactor_split_and_merge_shards: u64 = 0, Some("compactor.split-and-merge-shards"), SHARDS;
    /// Shards of one stage of that split.
    compactor_split_and_merge_stage_size: u64 = 0, Some("compactor.split-and-merge-stage-size"), SHARDS;
    /// Groups blocks are split in.
    compactor_split_groups: u64 = 1, Some("compactor.split-groups"), SHARDS;
    /// Compactors a tenant is worked on by; 0 = all.
    compactor_tenant_shard_size: u64 = 0, Some("compactor.compactor-tenant-shard-size"), SHARDS;
    /// Age at which objects without a committed block are deleted.
    compactor_partial_block_deletion_delay: HumanDuration = HumanDuration::from_secs(86_400),
        Some("compactor.partial-block-deletion-delay"), ENFORCED;
    /// Writes sums of 5 minutes and 1 hour next to the profiles.
    compactor_downsampler_enabled: bool = true, Some("compactor.compactor-downsampler-enabled"),
        Effect::None("sums of five minutes and of hours are always written with compacted blocks");
    /// Encryption of this tenant's objects.
    s3_sse_type: String = String::new(), None, Effect::None("encryption is set for the whole bucket");
    /// Key of that encryption.
    s3_sse_kms_key_id: String = String::new(), None, Effect::None("encryption is set for the whole bucket");
    /// Context of that encryption.
    s3_sse_kms_encryption_context: String = String::new(), None, Effect::None("encryption is set for the whole bucket");
    /// Oldest profile taken, before now. 0 = any.
    reject_older_than: HumanDuration = HumanDuration::from_secs(3600), Some("validation.reject-older-than"), ENFORCED;
    /// Newest profile taken, after now. 0 = any.
    reject_newer_than: HumanDuration = HumanDuration::from_secs(600), Some("validation.reject-newer-than"), ENFORCED;
    /// Which of the peer's write paths is used.
    write_path: String = "segment-writer".to_owned(), Some("write-path"), V2;
    /// Share of the first write path.
    write_path_ingester_weight: f64 = 1.0, Some("write-path.ingester-weight"), V2;
    /// Share of the second write path.
    write_path_segment_writer_weight: f64 = 0.0, Some("write-path.segment-writer-weight"), V2;
    /// Time-out of the second write path.
    write_path_segment_writer_timeout: HumanDuration = HumanDuration::from_secs(5), Some("write-path.segment-writer-timeout"), V2;
    /// Compression between the parts.
    write_path_compression: String = "none".to_owned(), Some("write-path.compression"), V2;
    /// Answers before the data is durable.
    async_ingest: bool = false, Some("async-ingest"), Effect::None("a push is answered when its data is durable, never before");
    /// Whether the second storage layout is read.
    enable_query_backend: bool = true, Some("enable-query-backend"), V2;
    /// Since when.
    enable_query_backend_from: String = "auto".to_owned(), Some("enable-query-backend-from"), V2;
    /// How trees travel between the parts.
    query_tree_enabled: bool = false, Some("querier.query-tree-enabled"), V2;
    /// Age at which blocks are deleted where `compactor_blocks_retention_period` is 0; both 0 = never.
    retention_period: HumanDuration = HumanDuration::from_secs(31 * 86_400), Some("retention-period"), ENFORCED;
    /// Shards of a tenant.
    adaptive_placement_tenant_shards: u64 = 0, Some("adaptive-placement.tenant-shards"), SHARDS;
    /// Shards of a service at first.
    adaptive_placement_default_dataset_shards: u64 = 1, Some("adaptive-placement.default-dataset-shards"), SHARDS;
    /// How shards are loaded.
    adaptive_placement_load_balancing: String = "dynamic".to_owned(), Some("adaptive-placement.load-balancing"), SHARDS;
    /// Fewest shards of a service.
    adaptive_placement_min_dataset_shards: u64 = 1, Some("adaptive-placement.min-dataset-shards"), SHARDS;
    /// Most shards of a service.
    adaptive_placement_max_dataset_shards: u64 = 1024, Some("adaptive-placement.max-dataset-shards"), SHARDS;
    /// Bytes a second that ask for one more shard.
    adaptive_placement_unit_size_bytes: u64 = 131_072, Some("adaptive-placement.unit-size-bytes"), SHARDS;
    /// Window in which shards are added quickly.
    adaptive_placement_burst_window: HumanDuration = HumanDuration::from_secs(17 * 60), Some("adaptive-placement.burst-window"), SHARDS;
    /// Window before shards are taken away.
    adaptive_placement_decay_window: HumanDuration = HumanDuration::from_secs(19 * 60), Some("adaptive-placement.decay-window"), SHARDS;
    /// Recording rules that are listed beside those that users make, and that users cannot change.
    recording_rules: ProvisionedRules = ProvisionedRules::default(), None, ENFORCED;
    /// Most recording rules that users may make; 0 = no limit.
    max_recording_rules: u64 = 25, Some("recording-rules.max-rules-per-tenant"), ENFORCED;
    /// Symbolising of native frames on the server.
    symbolizer: Symbolizer = Symbolizer::default(), None, Effect::None("native frames are shown by address");
}

/// One MiB, which is what the `_mb` limits count in.
const MIB: f64 = 1_048_576.0;
const NANOS_PER_SECOND: f64 = 1e9;

impl Limits {
    /// Bytes a second a tenant may push.
    pub fn ingestion_rate_bytes(&self) -> f64 {
        self.ingestion_rate_mb * MIB
    }

    /// Size of the bucket in bytes: at least one profile of the largest allowed size, so that every valid profile can pass.
    pub fn ingestion_burst_bytes(&self) -> f64 {
        (self.ingestion_burst_size_mb * MIB).max(self.max_profile_size_bytes as f64)
    }

    /// Largest request body in bytes; `None` = no bound.
    pub fn body_limit_bytes(&self) -> Option<usize> {
        (self.ingestion_body_limit_mb > 0.0).then_some((self.ingestion_body_limit_mb * MIB) as usize)
    }

    /// Age at which blocks go; `None` = they stay.
    pub fn retention(&self) -> Option<std::time::Duration> {
        self.compactor_blocks_retention_period.enabled().or_else(|| self.retention_period.enabled())
    }

    /// The oldest time that is kept, in nanoseconds since the epoch.
    pub fn kept_from_nanos(&self, now_nanos: i64) -> i64 {
        let kept = self.retention().map(|age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
        kept.map_or(i64::MIN, |nanos| now_nanos.saturating_sub(nanos))
    }

    /// Most series of a tenant in the heads of one of `ingesters`; `None` = no bound.
    pub fn max_series(&self, ingesters: usize) -> Option<u64> {
        let share = self.max_global_series_per_tenant.div_ceil(ingesters.max(1) as u64);
        [self.max_local_series_per_tenant, share].into_iter().filter(|n| *n > 0).min()
    }

    /// The relabelling of series: two lists to apply one after the other.
    pub fn series_rules(&self) -> [&[RelabelRule]; 2] {
        match self.ingestion_relabeling_default_rules_position {
            DefaultRules::First => [default_rules(), &self.ingestion_relabeling_rules],
            DefaultRules::Last => [&self.ingestion_relabeling_rules, default_rules()],
            DefaultRules::Disabled => [&self.ingestion_relabeling_rules, &[]],
        }
    }

    /// Every limit that is a number, for metrics: durations in seconds, true as 1.
    pub fn numbers(&self) -> Vec<(&'static str, f64)> {
        let number = |spec: &LimitSpec| {
            let value = self.get(spec.name)?;
            let number = match spec.kind {
                LimitKind::Bool => value.as_bool().map(|b| if b { 1.0 } else { 0.0 }),
                LimitKind::Int | LimitKind::Float => value.as_f64(),
                LimitKind::Duration => {
                    value.as_str()?.parse::<HumanDuration>().ok().map(|d| d.nanos() as f64 / NANOS_PER_SECOND)
                }
                LimitKind::Text | LimitKind::Structured => None,
            };
            Some((spec.name, number?))
        };
        SPECS.iter().filter_map(number).collect()
    }

    /// Names and values that differ from those of `base`.
    pub fn differing(&self, base: &Limits) -> Vec<(&'static str, Value)> {
        let changed = |spec: &LimitSpec| {
            let mine = self.get(spec.name)?;
            (base.get(spec.name).as_ref() != Some(&mine)).then_some((spec.name, mine))
        };
        SPECS.iter().filter_map(changed).collect()
    }
}

impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(SPECS.len()))?;
        for spec in SPECS {
            map.serialize_entry(spec.name, &self.get(spec.name))?;
        }
        map.end()
    }
}

/// Strict: starts from the defaults, and one unknown name or bad value refuses all.
impl<'de> Deserialize<'de> for Limits {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Limits;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of limits")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Limits, A::Error> {
                let mut limits = Limits::default();
                while let Some(name) = map.next_key::<String>()? {
                    limits.set(&name, &map.next_value()?).map_err(serde::de::Error::custom)?;
                }
                Ok(limits)
            }
        }
        d.deserialize_map(Map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_limit_shows_a_value_that_sets_it_again() {
        let defaults = Limits::default();
        for spec in SPECS {
            let shown = defaults.get(spec.name).unwrap();
            let mut again = Limits::default();
            again.set(spec.name, &shown).unwrap_or_else(|e| panic!("{}: {e}", spec.name));
            assert_eq!(again, defaults, "{}", spec.name);
        }
        let json = serde_json::to_string(&defaults).unwrap();
        assert_eq!(serde_json::from_str::<Limits>(&json).unwrap(), defaults);
    }

    #[test]
    fn values_read_from_yaml_scalars_and_from_flag_text() {
        let mut l = Limits::default();
        for (name, value, shown) in [
            ("ingestion_rate_mb", json!(4), json!(4)),
            ("ingestion_rate_mb", json!("0.5"), json!(0.5)),
            ("compactor_blocks_retention_period", json!("720h"), json!("30d")),
            ("reject_older_than", json!(0), json!("0s")),
            ("max_query_length", json!("0"), json!("0s")),
            ("max_global_series_per_tenant", json!("0"), json!(0)),
            ("max_global_series_per_tenant", json!(-1), json!(0)),
            ("disable_label_sanitization", json!("false"), json!(false)),
            ("s3_sse_type", json!(7), json!("7")),
            ("ingestion_relabeling_default_rules_position", json!("last"), json!("last")),
            ("distributor_usage_groups", json!({"a": "{x=\"y\"}"}), json!({"a": "{x=\"y\"}"})),
            ("distributor_usage_groups", json!("{\"a\": \"{}\"}"), json!({"a": "{}"})),
            ("max_label_name_length", json!(null), json!(1024)),
        ] {
            l.set(name, &value).unwrap_or_else(|e| panic!("{name}={value}: {e}"));
            assert_eq!(l.get(name), Some(shown), "{name}={value}");
        }
    }

    #[test]
    fn a_bad_value_or_an_unknown_name_is_refused_with_its_name() {
        for (name, value, says) in [
            ("ingestion_rate_mb", json!("fast"), "ingestion_rate_mb"),
            ("max_query_length", json!(5), "duration"),
            ("max_query_length", json!("5 parsecs"), "duration"),
            ("max_label_name_length", json!(1.5), "whole number"),
            ("async_ingest", json!("maybe"), "neither true nor false"),
            ("ingestion_limit", json!({"period": "day"}), "unknown field"),
            ("ingestion_relabeling_default_rules_position", json!("middle"), "first"),
            ("ingestion_rate", json!(1), "ingestion_rate_mb"),
            ("max_lable_name_length", json!(1), "max_label_name_length"),
            ("zebra", json!(1), "no limit"),
        ] {
            let said = Limits::default().set(name, &value).unwrap_err().to_string();
            assert!(said.contains(says), "{name}={value}: {said}");
        }
    }

    #[test]
    fn every_valid_profile_fits_the_burst() {
        let l = Limits::default();
        assert!(l.ingestion_burst_bytes() >= l.max_profile_size_bytes as f64);
        assert_eq!(l.ingestion_rate_bytes(), 4_194_304.0);
    }

    #[test]
    fn the_tighter_bound_on_series_holds_and_zero_is_none() {
        let bound = |local, global, ingesters| {
            let l = Limits {
                max_local_series_per_tenant: local,
                max_global_series_per_tenant: global,
                ..Limits::default()
            };
            l.max_series(ingesters)
        };
        assert_eq!(bound(0, 5000, 1), Some(5000));
        assert_eq!(bound(0, 5000, 3), Some(1667));
        assert_eq!(bound(100, 5000, 3), Some(100));
        assert_eq!(bound(0, 0, 1), None);
    }

    #[test]
    fn limits_that_are_numbers_show_as_such() {
        let numbers: std::collections::HashMap<_, _> = Limits::default().numbers().into_iter().collect();
        assert_eq!(numbers["ingestion_rate_mb"], 4.0);
        assert_eq!(numbers["reject_older_than"], 3600.0);
        assert_eq!(numbers["disable_label_sanitization"], 1.0);
        assert!(!numbers.contains_key("ingestion_limit"));
    }

    #[test]
    fn retention_comes_from_the_compactors_limit_first() {
        let mut l = Limits::default();
        assert_eq!(l.retention().map(|d| d.as_secs()), Some(31 * 86_400));
        l.set("compactor_blocks_retention_period", &json!("168h")).unwrap();
        assert_eq!(l.retention().map(|d| d.as_secs()), Some(168 * 3600));
        l.set("compactor_blocks_retention_period", &json!("0")).unwrap();
        l.set("retention_period", &json!("0s")).unwrap();
        assert_eq!(l.retention(), None);
    }
}
