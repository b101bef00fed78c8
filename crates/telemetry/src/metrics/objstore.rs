//! Operations on the bucket.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use super::family::{CounterBy, GaugeF64By, HistogramBy};
use super::registrar::{Registrar, object_bytes, request_seconds};

/// An operation, with the word dashboards know it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Get,
    GetRange,
    Iter,
    Exists,
    Upload,
    Delete,
    Attributes,
}

impl Operation {
    pub const ALL: [Operation; 7] = [
        Operation::Get,
        Operation::GetRange,
        Operation::Iter,
        Operation::Exists,
        Operation::Upload,
        Operation::Delete,
        Operation::Attributes,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Operation::Get => "get",
            Operation::GetRange => "get_range",
            Operation::Iter => "iter",
            Operation::Exists => "exists",
            Operation::Upload => "upload",
            Operation::Delete => "delete",
            Operation::Attributes => "attributes",
        }
    }
}

/// Operations by bucket.
#[derive(Debug, Clone)]
pub struct ObjstoreMetrics {
    pub operations_total: CounterBy<2>,
    pub operation_failures_total: CounterBy<2>,
    pub operation_duration_seconds: HistogramBy<2>,
    pub operation_transferred_bytes: HistogramBy<2>,
    /// Unix seconds.
    pub last_successful_upload_time: GaugeF64By<1>,
}

impl ObjstoreMetrics {
    pub(super) fn register(r: &mut Registrar) -> Self {
        r.component("object store");
        let labels = ["bucket", "operation"];
        ObjstoreMetrics {
            operations_total: r.counter_by("objstore_bucket_operations_total", "Operations begun", labels),
            operation_failures_total: r.counter_by(
                "objstore_bucket_operation_failures_total",
                "Operations that failed",
                labels,
            ),
            operation_duration_seconds: r.histogram_by(
                "objstore_bucket_operation_duration_seconds",
                "Time of an operation",
                labels,
                request_seconds,
            ),
            operation_transferred_bytes: r.histogram_by(
                "objstore_bucket_operation_transferred_bytes",
                "Bytes read or written by an operation",
                labels,
                object_bytes,
            ),
            last_successful_upload_time: r.gauge_f64_by(
                "objstore_bucket_last_successful_upload_time",
                "When the last upload ended well, in Unix seconds",
                ["bucket"],
            ),
        }
    }

    /// The handles of one bucket.
    pub fn of(&self, bucket: &str) -> BucketMetrics {
        BucketMetrics {
            operations: Operation::ALL.map(|op| {
                let labels = [bucket, op.as_str()];
                OperationMetrics {
                    begun: self.operations_total.with(labels),
                    failed: self.operation_failures_total.with(labels),
                    seconds: self.operation_duration_seconds.with(labels),
                    bytes: self.operation_transferred_bytes.with(labels),
                }
            }),
        }
    }
}

/// The handles of one bucket, one set an operation.
#[derive(Debug, Clone)]
pub struct BucketMetrics {
    operations: [OperationMetrics; 7],
}

#[derive(Debug, Clone)]
struct OperationMetrics {
    begun: Counter,
    failed: Counter,
    seconds: Histogram,
    bytes: Histogram,
}

impl BucketMetrics {
    /// Counts one operation that has ended. Something not found is not a failure.
    pub fn record(&self, operation: Operation, seconds: f64, bytes: u64, failed: bool) {
        let Some(m) = self.operations.get(operation as usize) else { return };
        m.begun.inc();
        m.seconds.observe(seconds);
        if failed {
            m.failed.inc();
        } else if bytes > 0 {
            m.bytes.observe(bytes as f64);
        }
    }
}
