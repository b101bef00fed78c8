//! What queries are to tell of profiles that were kept although others like them were not.
//!
//! The names of the fields are those that Grafana's data source and Profiles Drilldown read.

use flamestore_limits::quota::Reached;
use flamestore_limits::structured::IngestLimit;
use flamestore_model::Annotation;
use flamestore_model::annotation::{SAMPLED, THROTTLED};
use serde_json::json;

/// Of a profile of a usage group of which only a share is kept.
pub(crate) fn sampled(usage_group: &str, probability: f64) -> Annotation {
    let body = json!({"body": {"source": {"usageGroup": usage_group, "probability": probability}}});
    Annotation::new(SAMPLED, body.to_string())
}

/// Of a profile that passed although a quota was reached.
pub(crate) fn throttled(quota: &IngestLimit, reached: &Reached<'_>) -> Annotation {
    let sampling = &quota.sampling;
    let body = json!({"body": {
        "periodType": quota.period_type,
        "periodLimitMb": reached.limit_mb,
        "limitResetTime": quota.limit_reset_time,
        "samplingPeriodSec": sampling.period.nanos() / 1_000_000_000,
        "samplingRequests": sampling.num_requests,
        "usageGroup": reached.usage_group,
    }});
    Annotation::new(THROTTLED, body.to_string())
}
