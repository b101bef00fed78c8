//! All of Flamestore in one process: `flamestore -target=all`.

#[cfg(feature = "failpoints")]
mod halt;
mod observers;
mod pages;
mod ports;
mod process;
mod runtime;
mod version;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use flamestore_clock::SystemClock;
use flamestore_config::{Config, Start, World, load};
use flamestore_model::Fault;
use flamestore_telemetry::logging::{self, Format};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Compacting into a remote store is many futures within each other; without optimisation they need more than the usual 2 MiB. What
/// is not used costs nothing.
const THREAD_STACK_BYTES: usize = 8 << 20;

/// How long work that nobody waits for any more may hold up the end of the process.
const LAST_WORK: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [only] = args.as_slice()
        && let Some(page) = only.strip_prefix("-reference=")
    {
        return print_reference(page);
    }
    let config = match load(&args, &World::of_process(version::line())) {
        Ok(Start::Print(text)) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Ok(Start::Run(config)) => *config,
        Err(fault) => return refused(&fault),
    };
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => refused(&fault),
    }
}

fn serve(config: Config) -> Result<(), Fault> {
    let clock = Arc::new(SystemClock::default());
    logging::init(&config.server.log_level, Format::parse(&config.server.log_format)?, clock.clone())?;
    #[cfg(feature = "failpoints")]
    let _failpoints = fail::FailScenario::setup();
    #[cfg(feature = "failpoints")]
    halt::arm()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(THREAD_STACK_BYTES)
        .enable_all()
        .thread_name("flamestore")
        .build()
        .map_err(|e| Fault::internal("the runtime cannot be made").caused_by(e))?;
    let ended = runtime.block_on(process::run(config, clock));
    // What is left is a replay or a merge that was broken off: it is done again at the next start.
    runtime.shutdown_timeout(LAST_WORK);
    ended
}

fn refused(fault: &Fault) -> ExitCode {
    eprintln!("flamestore: {fault}");
    let mut cause = std::error::Error::source(fault);
    while let Some(e) = cause {
        eprintln!("  because: {e}");
        cause = e.source();
    }
    ExitCode::FAILURE
}

/// The reference pages that are made from the code, for `cargo xtask references`.
fn print_reference(page: &str) -> ExitCode {
    let text = match page {
        "config" => flamestore_config::reference_markdown(),
        "errors" => flamestore_rpc::errors::reference_markdown(),
        "metrics" => flamestore_telemetry::metrics::reference_markdown(),
        _ => {
            eprintln!("flamestore: there is no generated page {page:?}: config, errors, metrics");
            return ExitCode::FAILURE;
        }
    };
    print!("{text}");
    ExitCode::SUCCESS
}
