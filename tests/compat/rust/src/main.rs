//! Profiles a small workload with the Rust SDK and stops: the test looks for `spin_for_flamestore` in what arrives.

use std::time::{Duration, Instant};

use pyroscope::backend::{BackendConfig, PprofConfig, pprof_backend};
use pyroscope::pyroscope::PyroscopeAgentBuilder;

const HERTZ: u32 = 100;
/// Of CPU, however long a busy machine takes to give it: a profiler misses a few samples at the start and the end.
const SPIN_NANOS: u64 = 4_000_000_000;

#[inline(never)]
fn spin_for_flamestore(until_cpu_nanos: u64) -> u64 {
    let mut n = 0_u64;
    while cpu_nanos() < until_cpu_nanos {
        for i in 0..100_000 {
            n = std::hint::black_box(n.wrapping_add(i % 7));
        }
    }
    n
}

/// CPU time of the process so far, as the kernel counts it.
fn cpu_nanos() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").expect("schedstat");
    stat.split_whitespace().next().and_then(|ns| ns.parse().ok()).expect("nanoseconds")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("the server's URL is missing")?;
    let backend = pprof_backend(PprofConfig { sample_rate: HERTZ }, BackendConfig::default());
    let agent = PyroscopeAgentBuilder::new(url, "compat.rust", HERTZ, "pyroscope-rs", "2.1.5", backend)
        .tags(vec![("region", "eu")])
        .upload_interval(Duration::from_secs(2))
        .build()?
        .start()?;
    let (add_tag, remove_tag) = agent.tag_wrapper();
    add_tag("phase".into(), "spin".into())?;
    let (began, before) = (Instant::now(), cpu_nanos());
    let n = spin_for_flamestore(before + SPIN_NANOS);
    let (spun, spent) = (cpu_nanos() - before, began.elapsed().as_nanos());
    remove_tag("phase".into(), "spin".into())?;
    agent.stop()?.shutdown();
    eprintln!("{n}");
    println!(r#"{{"cpu_ns":{spun},"wall_ns":{spent}}}"#);
    Ok(())
}
