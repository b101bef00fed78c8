//! The runtime files while the process runs: read at the start, looked at again and again, told in log and metrics.

use std::sync::Arc;
use std::time::Duration;

use flamestore_config::RuntimeFiles;
use flamestore_config::config::RuntimeConfig;
use flamestore_config::runtime::Reload;
use flamestore_limits::Overrides;
use flamestore_model::Fault;
use flamestore_telemetry::Metrics;

/// The files of a process with what they feed.
pub(crate) struct Runtime {
    files: RuntimeFiles,
    period: Duration,
    overrides: Arc<Overrides>,
    metrics: Arc<Metrics>,
    /// What was said last, so that it is said once.
    problem: Option<String>,
}

impl Runtime {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// When they are not good: at the start there is no last good one to stay with.
    pub(crate) fn start(
        settings: RuntimeConfig,
        overrides: Arc<Overrides>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Fault> {
        let RuntimeConfig { files, period, http_client_timeout } = settings;
        let files = RuntimeFiles::new(files, http_client_timeout, overrides.clone());
        metrics.limits.set_defaults(overrides.defaults().numbers());
        let mut runtime = Runtime { files, period, overrides, metrics, problem: None };
        if runtime.files.is_empty() {
            runtime.metrics.limits.in_step();
        } else {
            let found = runtime.files.reload()?;
            runtime.note(Ok(found));
        }
        Ok(runtime)
    }

    /// Looks again and again. A bad file keeps the last good one.
    pub(crate) async fn run(mut self) {
        while !self.files.is_empty() {
            tokio::time::sleep(self.period).await;
            let looked = tokio::task::spawn_blocking(move || (self.files.reload(), self)).await;
            let Ok((found, back)) = looked else { return };
            self = back;
            self.note(found);
        }
    }

    fn note(&mut self, found: Result<Reload, Fault>) {
        match found {
            Ok(Reload::Unchanged) if self.problem.is_none() => {}
            // A bad file may have become again what was good before.
            Ok(Reload::Unchanged) => {
                self.problem = None;
                self.metrics.limits.in_step();
                tracing::info!("the runtime configuration is the good one again");
            }
            Ok(Reload::Replaced { hash }) => {
                self.problem = None;
                let tenants = self.overrides.tenants();
                let own = tenants.iter().flat_map(|(tenant, limits)| {
                    let differing = limits.differing(self.overrides.defaults());
                    let differs = move |name: &str| differing.iter().any(|(n, _)| *n == name);
                    let numbers = limits.numbers().into_iter().filter(move |(name, _)| differs(name));
                    numbers.map(|(name, value)| (tenant.as_str(), name, value))
                });
                self.metrics.limits.reloaded(hash, own);
                tracing::info!(hash = format!("{hash:016x}"), tenants = tenants.len(), "runtime configuration loaded");
            }
            Err(fault) => {
                self.metrics.limits.reload_failed();
                if self.problem.as_deref() != Some(&*fault.message) {
                    tracing::error!(err = %fault, "runtime configuration refused; the last good one stays in force");
                    self.problem = Some(fault.message.into_owned());
                }
            }
        }
    }
}
