//! `flamectl push`: sends files of any format, each acknowledged once it is on the server's disk.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;

use crate::client::{Client, Upload};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::progress;
use crate::times;
use crate::units::Measure;

mod detect;
mod request;

use detect::Format;

/// The largest file that is sent, in bytes: above what any server takes.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Send profiles to the server.
///
/// Prints a line for each file when the server has acknowledged it, which is when it would survive a crash. A file that
/// is refused does not keep the others from being sent; the exit code is then that of the first one.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// The files, plain or gzipped; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,

    /// The service that was profiled. OTLP files say it themselves.
    #[arg(long, conflicts_with = "name")]
    service: Option<String>,

    /// The whole name as SDKs send it, `service.cpu{label=value}`, instead of --service and --type.
    #[arg(long)]
    name: Option<String>,

    /// A label for the profiles; may be given several times.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = request::parse_label)]
    labels: Vec<(String, String)>,

    /// What folded, lines, trie, tree and speedscope files count: cpu, wall, alloc_space, inuse_objects, … Default: cpu.
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "name")]
    profile_type: Option<String>,

    /// How the files are written.
    #[arg(long, value_enum, default_value = "auto")]
    format: Format,

    /// When the profile begins, written as for `query`. Default: now.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,

    /// When it ends, the same way. Default: now.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,

    /// The profiler that wrote the files, such as pyspy or rbspy; some need repairs that the server knows.
    #[arg(long)]
    spy_name: Option<String>,

    /// Samples a second in files that only count them. The server takes 100 where it is not said.
    #[arg(long, value_name = "HZ")]
    sample_rate: Option<u32>,

    /// Sent as `units`, for servers that look at it.
    #[arg(long)]
    units: Option<String>,

    /// How long to wait in all for a server that is busy or over a limit before its refusal counts; 0: not at all.
    ///
    /// Each file is sent five times at most, after the waits that the server asks for. Of what it invites to send again, it has
    /// kept nothing.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = times::parse_duration)]
    retry_for: Duration,

    /// Sent as `aggregationType`, for servers that look at it.
    #[arg(long)]
    aggregation: Option<String>,
}

/// A file in memory.
struct Loaded<'a> {
    name: &'a str,
    bytes: Vec<u8>,
}

pub(crate) fn run(client: &Client, args: &Push) -> Result<Exit, Failure> {
    let mut out = Output::open(None)?;
    let bar = progress::bytes(args.files.iter().map(|f| length_of(f)).sum());
    let mut first_failure = None;
    for file in &args.files {
        bar.set_message(file.clone());
        match load(file).and_then(|loaded| push_one(client, args, &loaded, &bar)) {
            Ok(words) => bar.suspend(|| writeln!(out, "{file}: {words}").and_then(|()| out.flush()))?,
            Err(failure) => {
                let failure = if failure.exit == Exit::File { failure } else { failure.at(file) };
                if failure.exit == Exit::Unreachable || args.files.len() == 1 {
                    return Err(failure);
                }
                bar.suspend(|| eprintln!("flamectl: {failure}"));
                first_failure.get_or_insert(failure.exit);
            }
        }
    }
    bar.finish_and_clear();
    out.finish()?;
    Ok(first_failure.unwrap_or(Exit::Done))
}

/// Sends one file; returns what to say of it.
fn push_one(client: &Client, args: &Push, loaded: &Loaded<'_>, bar: &ProgressBar) -> Result<String, Failure> {
    let format = match args.format {
        Format::Auto => detect::format(loaded.name, &loaded.bytes)?,
        Format::Otlp if detect::is_json(&loaded.bytes) => Format::OtlpJson,
        format => format,
    };
    let request = request::build(args, format, detect::is_gzip(&loaded.bytes), times::now_nanos())?;
    let length = loaded.bytes.len() as u64;
    let upload = Upload { path: &request.path, content_type: request.content_type, gzip: request.says_gzip, length };
    let before = bar.position();
    let body = || {
        bar.set_position(before);
        bar.wrap_read(loaded.bytes.as_slice())
    };
    let waits = |why: &Failure, wait: Duration| {
        let seconds = wait.as_secs_f64();
        bar.suspend(|| eprintln!("flamectl: {}: {why}; trying again in {seconds:.1} s", loaded.name));
    };
    client.push(&upload, args.retry_for, body, waits)?;
    let length = Measure::Bytes.show(i64::try_from(length).unwrap_or(i64::MAX));
    Ok(format!("stored ({}, {length})", format.word()))
}

fn load(name: &str) -> Result<Loaded<'_>, Failure> {
    let read = |from: &mut dyn Read| {
        let mut bytes = Vec::new();
        from.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map(|_| bytes)
    };
    let bytes = match name {
        "-" => read(&mut io::stdin().lock()),
        path => File::open(path).and_then(|mut file| read(&mut file)),
    };
    let bytes = bytes.map_err(|e| Failure::file(name, &e))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Failure::new(Exit::File, format!("{name}: the file is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(Loaded { name, bytes })
}

/// For the bar; what cannot be told yet counts for nothing.
fn length_of(name: &str) -> u64 {
    Path::new(name).metadata().map_or(0, |m| m.len())
}
