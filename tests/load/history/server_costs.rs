//! What the server has used so far, as the kernel and its own metrics say.

use std::fs;

use flamestore_tests::Server;

/// Jiffies of `/proc/PID/stat`.
const TICKS_PER_SECOND: f64 = 100.0;

/// Totals since the start, or the difference of two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Costs {
    pub(crate) cpu_seconds: f64,
    /// Reads of the bucket.
    pub(crate) gets: f64,
    pub(crate) read_bytes: f64,
}

impl Costs {
    pub(crate) fn of(server: &Server) -> Costs {
        let metrics = Metrics::of(server);
        Costs {
            cpu_seconds: cpu_seconds(server.pid()),
            gets: metrics.sum_where("objstore_bucket_operations_total", "operation=\"get"),
            read_bytes: metrics.sum_where("objstore_bucket_operation_transferred_bytes_sum", "operation=\"get"),
        }
    }

    pub(crate) fn since(&self, before: &Costs) -> Costs {
        Costs {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            gets: self.gets - before.gets,
            read_bytes: self.read_bytes - before.read_bytes,
        }
    }

    pub(crate) fn each(&self, n: f64) -> Costs {
        Costs { cpu_seconds: self.cpu_seconds / n, gets: self.gets / n, read_bytes: self.read_bytes / n }
    }
}

/// The text of `/metrics`.
pub(crate) struct Metrics(String);

impl Metrics {
    pub(crate) fn of(server: &Server) -> Metrics {
        Metrics(server.client().get("/metrics").expect("the metrics"))
    }

    /// The sum of all series of this name.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.sum_where(name, "")
    }

    /// The sum of those whose labels have `part` in them.
    pub(crate) fn sum_where(&self, name: &str, part: &str) -> f64 {
        let values = self.0.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let labels = series.strip_prefix(name)?;
            ((labels.is_empty() || labels.starts_with('{')) && labels.contains(part))
                .then(|| value.parse::<f64>().ok())?
        });
        values.sum()
    }
}

/// User and system time of all threads.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the server runs");
    // The name of the process, which may have spaces, ends with the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks = |i: usize| fields[i].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

/// The most memory that the process has had.
pub(crate) fn peak_megabytes(server: &Server) -> u64 {
    server.memory_bytes("VmHWM") >> 20
}
