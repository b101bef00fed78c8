//! What a month of profiles costs: makes one with back-dated timestamps, has it compacted, and asks for 1, 7 and 30 days.
//!
//! `cargo xtask load` runs it on the release binary with a directory, `cargo xtask load -- --store s3` on an S3 server
//! that it starts. It writes a table, and with `--plot FILE` a picture. Figures, not pass or fail; the answers are
//! compared with what was pushed all the same.

mod made;
mod plot;
mod question;
mod server_costs;

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::stores::S3;
use flamestore_tests::{Client, Server};
use serde_json::Value;

use made::{Month, Service};
use plot::Curve;
use question::Question;
use server_costs::Costs;

const DAY: i64 = 86_400;
/// The ranges that are asked for, in days.
const RANGES: [i64; 3] = [1, 7, 30];
/// Questions of each kind that a figure is the mean of.
const REPEATS: u32 = 10;
/// How long nothing may change before compaction counts as done.
const QUIET: Duration = Duration::from_secs(15);
const PUSHERS: usize = 4;

struct Options {
    month: Month,
    s3: bool,
    plot: Option<PathBuf>,
}

fn options() -> Options {
    let mut options = Options { month: Month::default(), s3: false, plot: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} wants a value"));
        match word.as_str() {
            "--store" => options.s3 = value() == "s3",
            "--plot" => options.plot = Some(value().into()),
            "--every" => options.month.every_seconds = number(&value()),
            "--services" => options.month.services = number(&value()) as usize,
            "--pods" => options.month.pods = number(&value()) as usize,
            "--samples" => options.month.samples = number(&value()) as usize,
            // What `cargo bench` adds.
            "--bench" => {}
            other => panic!("{other}: --store s3, --plot FILE, --every SECONDS, --services N, --pods N, --samples N"),
        }
    }
    options
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

fn main() {
    let options = options();
    let store = options.s3.then(|| S3::start().expect("an S3 server: it needs Go"));
    let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    flags.extend(store.iter().flat_map(S3::flags));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut server = Server::start(&flags);
    let month = &options.month;
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    let start = now - 30 * DAY;

    let before = Costs::of(&server);
    let pushed = push(&server, month, start);
    let ingest = Costs::of(&server).since(&before);
    println!(
        "pushed {} profiles over 30 days: {:.3} CPU s for each 1000, with what was flushed and compacted meanwhile",
        pushed.profiles,
        ingest.cpu_seconds * 1e6 / 1e3 / pushed.profiles as f64,
    );
    server.stop();
    server.start_again();
    let compacted = settle(&server);
    println!("{compacted}, peak memory of the server meanwhile {} MB", server_costs::peak_megabytes(&server));
    println!("{:.0} bytes a profile in {} blocks", compacted.bytes as f64 / pushed.profiles as f64, compacted.blocks);

    println!("\n| question | days | profiles | cold ms | cold CPU ms | cold GETs | cold MB | warm ms | warm CPU ms |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let (mut cold_curve, mut warm_curve) = (Curve::new("cold"), Curve::new("warm"));
    for (question, days) in Question::ALL.into_iter().flat_map(|q| RANGES.map(|days| (q, days))) {
        let from = now - days * DAY;
        server.stop();
        server.start_again();
        let ask = |client: &Client| question.ask(client, &Service::name(0), from, now);
        let (cold_wall, cold, first) = cost_of(&server, 1, ask);
        let (warm_wall, warm, again) = cost_of(&server, REPEATS, ask);
        assert_eq!((first, again), (pushed.total_since(from), pushed.total_since(from)), "{question}, {days} days");
        println!(
            "| {question} | {days} | {} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} |",
            pushed.profiles_since(from),
            cold_wall * 1e3,
            cold.cpu_seconds * 1e3,
            cold.gets,
            cold.read_bytes / 1e6,
            warm_wall * 1e3,
            warm.cpu_seconds * 1e3,
        );
        if question == Question::FlameGraph {
            cold_curve.add(days as f64, cold.cpu_seconds * 1e3);
            warm_curve.add(days as f64, warm.cpu_seconds * 1e3);
        }
    }
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        println!("\nload average of the machine in the end: {}", load.trim());
    }
    if let Some(path) = &options.plot {
        let title = format!("CPU ms of a merge of one service, {} profiles in 30 days", pushed.profiles_since(start));
        std::fs::write(path, plot::svg(&title, &[cold_curve, warm_curve])).expect("the plot can be written");
    }
    drop(server);
}

/// Blocks of about an hour each, so that a month has as many as it would have been given in a month.
const FLAGS: &[&str] = &[
    "-ingester.max-head-bytes=2500000",
    "-compactor.compaction-interval=5s",
    "-compactor.blocks-retention-period=0",
    "-validation.reject-older-than=0",
    "-querier.max-query-length=0",
    "-querier.max-query-lookback=0",
    "-distributor.ingestion-rate-limit-mb=100000",
    "-distributor.ingestion-burst-size-mb=100000",
    "-ingester.max-global-series-per-tenant=0",
];

/// What the first service got, by time.
struct Pushed {
    profiles: usize,
    first_service: Vec<(i64, i64)>,
}

impl Pushed {
    fn total_since(&self, from: i64) -> i64 {
        self.first_service.iter().filter(|(at, _)| *at >= from).map(|(_, total)| total).sum()
    }

    fn profiles_since(&self, from: i64) -> usize {
        self.first_service.iter().filter(|(at, _)| *at >= from).count()
    }
}

/// Pushes in the order of time, some at once.
fn push(server: &Server, month: &Month, start: i64) -> Pushed {
    let mut pushed = Pushed { profiles: 0, first_service: Vec::new() };
    let mut services: Vec<Service> = (0..month.services).map(|i| Service::new(i, month)).collect();
    let mut at = start + month.every_seconds;
    while at < start + 30 * DAY {
        let mut requests = Vec::new();
        for (i, service) in services.iter_mut().enumerate() {
            for pod in 0..month.pods {
                let (request, total) = service.upload(pod, at);
                if i == 0 {
                    pushed.first_service.push((at, total));
                }
                requests.push(request);
            }
        }
        pushed.profiles += requests.len();
        let shares = requests.chunks(requests.len().div_ceil(PUSHERS));
        thread::scope(|scope| {
            for share in shares {
                scope.spawn(move || {
                    let client = server.client();
                    for request in share {
                        let path = "/push.v1.PusherService/Push";
                        let (status, body) = client.post(path, "application/proto", &[], request).expect("an answer");
                        assert_eq!(status, 200, "{body}");
                    }
                });
            }
        });
        at += month.every_seconds;
    }
    pushed
}

/// What the bucket holds, and what compaction took.
struct Compacted {
    blocks: usize,
    bytes: u64,
    made: f64,
    cpu_seconds: f64,
    source_bytes: f64,
    peak_bytes: f64,
}

impl std::fmt::Display for Compacted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Compacted { made, cpu_seconds, source_bytes, peak_bytes, .. } = self;
        write!(
            f,
            "compactions: {made}, {:.1} CPU s for each GB of sources, the last one held {:.0} MB at its peak",
            cpu_seconds / (source_bytes / 1e9).max(1e-9),
            peak_bytes / 1e6
        )
    }
}

/// Waits until compaction leaves the blocks as they are.
fn settle(server: &Server) -> Compacted {
    let list = || -> Vec<Value> {
        let text = server.client().get("/api/v1/blocks").expect("the list of blocks");
        let all: Value = serde_json::from_str(&text).expect("JSON");
        all["blocks"].as_array().expect("blocks").clone()
    };
    let mut last = list();
    loop {
        thread::sleep(QUIET);
        let next = list();
        if next == last {
            let bytes = next.iter().filter_map(|b| b["bytes"].as_u64()).sum();
            let metrics = server_costs::Metrics::of(server);
            return Compacted {
                blocks: next.len(),
                bytes,
                made: metrics.sum("pyroscope_compactor_compactions_total"),
                cpu_seconds: metrics.sum("flamestore_compactor_merge_cpu_seconds_total"),
                source_bytes: metrics.sum("flamestore_compactor_merge_source_bytes_total"),
                peak_bytes: metrics.sum("flamestore_compactor_merge_peak_memory_bytes"),
            };
        }
        last = next;
    }
}

/// Seconds of waiting and costs, both of one question, and the last answer.
fn cost_of(server: &Server, times: u32, ask: impl Fn(&Client) -> i64) -> (f64, Costs, i64) {
    let (client, clock) = (server.client(), SystemClock::default());
    let (before, began) = (Costs::of(server), clock.monotonic_nanos());
    let mut answer = 0;
    for _ in 0..times {
        answer = ask(&client);
    }
    let waited = (clock.monotonic_nanos() - began) as f64 / 1e9;
    let n = f64::from(times);
    (waited / n, Costs::of(server).since(&before).each(n), answer)
}
