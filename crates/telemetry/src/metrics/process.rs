//! The process as the system sees it, read from /proc at each scrape.

use std::fs;
use std::sync::atomic::AtomicU64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::Gauge;

use super::registrar::Registrar;

/// The kernel's `USER_HZ`: 100 on every Linux that runs this.
const TICKS_PER_SECOND: f64 = 100.0;

const FAMILIES: [(&str, &str, &str); 7] = [
    ("process_cpu_seconds_total", "counter", "CPU time used, user and system"),
    ("process_resident_memory_bytes", "gauge", "Memory in use"),
    ("process_virtual_memory_bytes", "gauge", "Memory mapped"),
    ("process_open_fds", "gauge", "Open files and sockets"),
    ("process_max_fds", "gauge", "Most files and sockets that may be open"),
    ("process_start_time_seconds", "gauge", "When the process started, in Unix seconds"),
    ("process_threads", "gauge", "Threads"),
];

pub(super) fn register(r: &mut Registrar) {
    r.component("process").collector(ProcessCollector, &FAMILIES);
    #[cfg(feature = "jemalloc")]
    r.collector(heap::HeapCollector, &heap::FAMILIES);
}

#[derive(Debug)]
struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(stat) = ProcessStat::read() else { return Ok(()) };
        let values = [
            Some(stat.cpu_seconds),
            stat.resident_bytes,
            Some(stat.virtual_bytes),
            stat.open_fds,
            stat.max_fds,
            stat.start_time_seconds,
            Some(stat.threads),
        ];
        for ((name, kind, help), value) in FAMILIES.iter().zip(values) {
            let Some(value) = value else { continue };
            let help = format!("{help}.");
            if *kind == "counter" {
                let metric = ConstCounter::new(value);
                let base = name.strip_suffix("_total").unwrap_or(name);
                metric.encode(encoder.encode_descriptor(base, &help, None, metric.metric_type())?)?;
            } else {
                let metric = Gauge::<f64, AtomicU64>::default();
                metric.set(value);
                metric.encode(encoder.encode_descriptor(name, &help, None, metric.metric_type())?)?;
            }
        }
        Ok(())
    }
}

/// What /proc says of this process. Parts that cannot be read are left out.
#[derive(Debug)]
struct ProcessStat {
    cpu_seconds: f64,
    resident_bytes: Option<f64>,
    virtual_bytes: f64,
    open_fds: Option<f64>,
    max_fds: Option<f64>,
    start_time_seconds: Option<f64>,
    threads: f64,
}

impl ProcessStat {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name in brackets may hold anything; the numbers stand after it, beginning with field 3.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |n: usize| fields.get(n - 3)?.parse::<f64>().ok();
        let line = |file: &str, key: &str| -> Option<f64> {
            let text = fs::read_to_string(file).ok()?;
            let rest = text.lines().find_map(|l| l.strip_prefix(key))?;
            rest.split_whitespace().find_map(|word| word.parse().ok())
        };
        let started = field(22).zip(line("/proc/stat", "btime")).map(|(ticks, boot)| boot + ticks / TICKS_PER_SECOND);
        Some(ProcessStat {
            cpu_seconds: (field(14)? + field(15)?) / TICKS_PER_SECOND,
            resident_bytes: line("/proc/self/status", "VmRSS:").map(|kib| kib * 1024.0),
            virtual_bytes: field(23)?,
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|dir| dir.count() as f64),
            max_fds: line("/proc/self/limits", "Max open files"),
            start_time_seconds: started,
            threads: field(20)?,
        })
    }
}

/// Memory as the allocator sees it.
#[cfg(feature = "jemalloc")]
mod heap {
    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
    use prometheus_client::metrics::gauge::ConstGauge;
    use tikv_jemalloc_ctl::{epoch, stats};

    pub(super) const FAMILIES: [(&str, &str, &str); 4] = [
        ("flamestore_heap_allocated_bytes", "gauge", "Bytes the program asked for and has not freed"),
        ("flamestore_heap_active_bytes", "gauge", "Bytes of pages with something in them"),
        ("flamestore_heap_resident_bytes", "gauge", "Bytes the allocator holds in memory"),
        ("flamestore_heap_retained_bytes", "gauge", "Bytes of address space kept for later"),
    ];

    #[derive(Debug)]
    pub(super) struct HeapCollector;

    impl Collector for HeapCollector {
        fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
            // The figures are of the last epoch; a new one begins now.
            let _ = epoch::advance();
            let values =
                [stats::allocated::read(), stats::active::read(), stats::resident::read(), stats::retained::read()];
            for ((name, _, help), value) in FAMILIES.iter().zip(values) {
                let Ok(value) = value else { continue };
                let metric = ConstGauge::new(value as u64);
                metric.encode(encoder.encode_descriptor(name, &format!("{help}."), None, metric.metric_type())?)?;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_can_be_read() {
        let stat = ProcessStat::read().unwrap();
        assert!(stat.resident_bytes.unwrap() > 1e5 && stat.threads >= 1.0 && stat.open_fds.unwrap() >= 1.0, "{stat:?}");
        assert!(stat.max_fds.unwrap() >= stat.open_fds.unwrap() && stat.start_time_seconds.unwrap() > 1e9, "{stat:?}");
    }
}
