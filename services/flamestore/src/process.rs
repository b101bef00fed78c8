//! The wiring: which part speaks to which, and the order of start and stop.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use flamestore_clock::{Chance, Clock, SeededChance};
use flamestore_compactor::{Compactor, CompactorConfig, FileSystem};
use flamestore_config::Config;
use flamestore_distributor::Distributor;
use flamestore_distributor::grpc::PusherDoor;
use flamestore_distributor::otlp_grpc::ProfilesDoor;

use flamestore_ingester::IngesterParts;
use flamestore_limits::Overrides;
use flamestore_model::{Fault, Kind, TenantId};
use flamestore_objstore::{Bucket, self_test};
use flamestore_querier::{Gate, Querier, Shown, View};
use flamestore_query_frontend::{Frontend, debuginfo, doors};
use flamestore_rpc::{BodyCaps, Front, Intake, Router, Tenancy, Workroom};
use flamestore_service::{Behind, Listeners, Readiness};
use flamestore_telemetry::{BuildInfo, Metrics};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::observers::Observers;
use crate::observers::compaction::StoreFollows;
use crate::pages::Pages;
use crate::runtime::Runtime;
use crate::{ports, version};

/// How often the state of the store is looked at for `/ready`.
const READY_TICK: Duration = Duration::from_millis(500);

/// How often the bucket is tried at the start: a store that is started beside us may need a moment.
const BUCKET_TRIES: u32 = 10;
const BUCKET_PAUSE: Duration = Duration::from_secs(2);

/// Runs until a signal or a failure; returns when everything that was acknowledged is in the bucket or in the log. A second
/// signal ends the stop, too: what is not in blocks by then is read from the log at the next start.
pub(crate) async fn run(config: Config, clock: Arc<dyn Clock>) -> Result<(), Fault> {
    let mut signals = Signals::listen();
    if !config.target.is_all() {
        return Err(Fault::new(Kind::Unimplemented, "only -target=all is built yet: the parts do not run apart"));
    }
    for note in &config.notes {
        tracing::info!("{note}");
    }
    let metrics = Arc::new(Metrics::new(&BuildInfo {
        version: version::VERSION,
        revision: version::REVISION,
        branch: version::BRANCH,
        compiler: version::COMPILER,
    }));
    let observers = Observers::new(metrics.clone(), clock.clone());
    let chance = Arc::new(SeededChance::from_system());
    let bucket = flamestore_storage::open(&config)?;
    tokio::select! {
        tried = try_out(&bucket, &*chance) => tried?,
        () = signals.next() => return Ok(()),
    }
    let bucket = bucket.observed(observers.clone(), clock.clone());
    let disk = flamestore_ingester::disk_cache(&config, &bucket).await?;
    let overrides = Arc::new(Overrides::new(config.limits.clone()));
    let runtime = Runtime::start(config.runtime_config.clone(), overrides.clone(), metrics.clone())?;
    let engine = flamestore_ingester::engine(
        &config,
        IngesterParts {
            overrides: overrides.clone(),
            bucket: bucket.clone(),
            disk,
            clock: clock.clone(),
            chance: chance.clone(),
            observer: observers.clone(),
            wal_observer: observers.clone(),
        },
    );
    let distributor = Arc::new(Distributor::new(flamestore_distributor::Parts {
        ingester: engine.clone(),
        overrides: overrides.clone(),
        clock: clock.clone(),
        chance: chance.clone(),
        observer: observers.clone(),
    }));
    let compactor = Arc::new(Compactor::new(
        CompactorConfig::of(&config),
        flamestore_compactor::Parts {
            bucket: bucket.clone(),
            overrides: overrides.clone(),
            clock: clock.clone(),
            chance: chance.clone(),
            disk: Arc::new(FileSystem),
            flusher: Arc::new(StoreFollows(engine.clone())),
            follower: Arc::new(StoreFollows(engine.clone())),
            observer: observers.clone(),
        },
    ));
    let gate = Gate::new(config.querier.max_concurrent, config.querier.max_queued, clock.clone(), observers.clone());
    let (all_limits, now) = (overrides.clone(), clock.clone());
    let views = Arc::new(move |tenant: &TenantId| {
        let limits = all_limits.of(tenant);
        View { oldest_nanos: limits.kept_from_nanos(now.now_nanos()), stripped: limits.include_stripped_profiles }
    });
    let frontend = Frontend::new(flamestore_query_frontend::Parts {
        querier: Querier::new(vec![Arc::new(Shown::new(engine.clone(), views))])
            .on_partial(flamestore_rpc::partial::note)
            .on_reads(flamestore_rpc::reads::note)
            .behind(gate)
            .holding_at_most(config.querier.max_query_bytes),
        overrides: overrides.clone(),
        clock: clock.clone(),
    });
    let intake = Intake::new(config.distributor.max_inflight_bytes, config.distributor.push_timeout);
    let workroom = workroom(&config);
    let otlp = ports::otlp_front(&config, &clock, &observers, &distributor, (&intake, &workroom))?;
    let doors = Doors {
        distributor,
        compactor: compactor.clone(),
        reading: doors::Doors {
            frontend,
            bucket,
            overrides: overrides.clone(),
            clock: clock.clone(),
            chance,
            recording_rules: config.recording_rules_enabled,
        },
    };
    let readiness = Readiness::default();
    // Before the doors open, so that nobody is told "ready" in between.
    let ready = readiness.condition("store");
    ready.fails("replaying the log");
    let staying = readiness.condition("process");
    staying.holds();
    let pages = Pages::new(&config, overrides.clone(), metrics.clone(), clock.clone());
    let front = front(&config, &clock, &observers, (&intake, &workroom), doors, &readiness, pages)?;

    let listeners = Listeners::bind(ports::config(&config)?).await?;
    let (http, grpc, open) = (listeners.http_addr(), listeners.grpc_addr(), listeners.open());
    tracing::info!(%http, grpc = %grpc.map(|a| a.to_string()).unwrap_or_default(), "listening");
    for otlp in listeners.side_addrs() {
        tracing::info!(%otlp, "listening for OTLP alone");
    }

    let stop_serving = CancellationToken::new();
    let stop_store = CancellationToken::new();
    let behind = Behind { http: front.clone(), grpc: front.grpc_door(), side: otlp };
    let serving = tokio::spawn(listeners.run(behind, stop_serving.clone()));
    let reloading = tokio::spawn(runtime.run());

    // While it replays, the doors are open and say so: /ready gives the reason, calls are unavailable.
    tokio::select! {
        started = flamestore_ingester::start(&engine) => { started?; }
        () = signals.next() => return Ok(()),
    }
    ready.holds();
    let watching = {
        let engine = engine.clone();
        tokio::spawn(async move {
            loop {
                match engine.ready() {
                    Ok(()) => ready.holds(),
                    Err(fault) => ready.fails(fault.to_string()),
                }
                observers.store(&engine.stats());
                observers.connections(&open);
                tokio::time::sleep(READY_TICK).await;
            }
        })
    };
    let mut storing = {
        let (engine, stop) = (engine.clone(), stop_store.clone());
        tokio::spawn(async move { engine.run(stop.cancelled_owned()).await })
    };
    // Only now: before, the store would not follow.
    let compacting = {
        let stop = stop_store.clone();
        tokio::spawn(async move { compactor.run(stop.cancelled_owned()).await })
    };
    tracing::info!("ready");

    let stored = tokio::select! {
        () = signals.next() => None,
        ended = &mut storing => Some(ended),
    };
    tracing::info!("stopping");
    staying.fails("stopping");
    let stopping = async {
        // Doors first: what was accepted is then all in the store when it flushes.
        tokio::time::sleep(config.shutdown_delay).await;
        stop_serving.cancel();
        let drained = serving.await;
        stop_store.cancel();
        let stored = match stored {
            Some(ended) => ended,
            None => storing.await,
        };
        compacting.abort();
        watching.abort();
        reloading.abort();
        tracing::info!(cut_connections = drained.map(|d| d.cut).unwrap_or(0), "stopped");
        stored.map_err(|e| Fault::internal("the store ended by itself").caused_by(e))?
    };
    tokio::select! {
        stopped = stopping => stopped,
        () = signals.next() => {
            tracing::warn!("stopped at once: what is not in blocks yet is in the log");
            Ok(())
        }
    }
}

/// Where what requests send is inflated and decoded.
fn workroom(config: &Config) -> Arc<Workroom> {
    let config = &config.distributor;
    let at_once = match config.max_concurrent_decodes {
        0 => std::thread::available_parallelism().map_or(1, NonZero::get),
        n => n,
    };
    Workroom::new(config.max_decoding_bytes, at_once, config.push_timeout)
}

/// Nothing is entrusted to a store that would lose it.
async fn try_out(bucket: &Bucket, chance: &dyn Chance) -> Result<(), Fault> {
    for _ in 1..BUCKET_TRIES {
        match self_test::run(bucket, chance.next_u128()).await {
            Err(fault) if fault.kind == Kind::Unavailable => {
                tracing::warn!(%fault, "the bucket does not answer: trying again");
                tokio::time::sleep(BUCKET_PAUSE).await;
            }
            tried => return tried,
        }
    }
    self_test::run(bucket, chance.next_u128()).await
}

/// What answers requests.
struct Doors {
    distributor: Arc<Distributor>,
    compactor: Arc<Compactor>,
    reading: doors::Doors,
}

/// All doors: the services, the plain pages, and what every request passes.
fn front(
    config: &Config,
    clock: &Arc<dyn Clock>,
    observers: &Arc<Observers>,
    (intake, workroom): (&Arc<Intake>, &Arc<Workroom>),
    doors: Doors,
    readiness: &Readiness,
    pages: Arc<Pages>,
) -> Result<Front, Fault> {
    let Doors { distributor, compactor, reading } = doors;
    let caps = BodyCaps::default();
    let routes = Routes::new(PusherDoor::new(distributor.clone(), caps.push))
        .add_service(ProfilesDoor::new(distributor.clone(), caps.push));
    let frontend = reading.frontend.clone();
    let routes = reading.add_to(routes);
    let plain = flamestore_distributor::http::routes(distributor.clone())
        .merge(flamestore_distributor::otlp_http::routes(distributor.clone())?)
        .merge(flamestore_query_frontend::http::routes(frontend))
        .merge(debuginfo::routes())
        .merge(flamestore_compactor::http::routes(compactor))
        .merge(readiness.router())
        .merge(pages.routes());
    Router::new(routes)
        .tenancy(Tenancy::new(config.multitenancy_enabled))
        .observer(observers.clone())
        .clock(clock.clone())
        .caps(caps)
        .longest(config.querier.timeout)
        .intake(intake.clone())
        .workroom(workroom.clone())
        .path_prefix(&config.server.path_prefix)
        .plain(plain)
        .plain_service(flamestore_distributor::otlp::SERVICE)
        .build()
}

/// The signals that ask the process to stop. Heard from the start on, so that none gets lost between two steps.
struct Signals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
}

impl Signals {
    fn listen() -> Self {
        // Without a handler a signal ends the process by itself.
        Signals { terminate: signal(SignalKind::terminate()).ok(), interrupt: signal(SignalKind::interrupt()).ok() }
    }

    async fn next(&mut self) {
        tokio::select! {
            () = one(&mut self.terminate) => {}
            () = one(&mut self.interrupt) => {}
        }
    }
}

async fn one(signal: &mut Option<Signal>) {
    let heard = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if heard.is_none() {
        std::future::pending::<()>().await;
    }
}
