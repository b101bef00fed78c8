//! For operators: `/api/v1/blocks` and `/api/v1/retention/plan` say what there is and what goes next, `/api/v1/delete`
//! deletes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use flamestore_block::{Meta, Ulid};
use flamestore_compaction::going;
use flamestore_index::{Dead, Lost, Snapshot};
use flamestore_model::{Fault, Kind, TenantId};
use flamestore_rpc::{Tenants, plain_response};
use serde::{Deserialize, Serialize};

use crate::run::Compactor;

/// The routes. They need the tenant that the rpc layer reads from the request.
pub fn routes(compactor: Arc<Compactor>) -> Router {
    Router::new()
        .route("/api/v1/blocks", get(blocks))
        .route("/api/v1/blocks/{id}/release", post(release))
        .route("/api/v1/retention/plan", get(retention_plan))
        .route("/api/v1/delete", get(deletions).post(delete))
        .route("/api/v1/delete/{id}", get(deletion))
        .with_state(compactor)
}

/// A block of the tenant. Times are Unix milliseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockRow {
    block: String,
    level: u32,
    min_time_ms: i64,
    max_time_ms: i64,
    services: Vec<String>,
    series: u64,
    profiles: u64,
    samples: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<String>,
    /// Why compaction leaves it alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantined: Option<String>,
}

/// A block that the bucket has lost. Times are Unix milliseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LostRow {
    block: String,
    lost_at_ms: i64,
    /// What is gone of it.
    why: String,
    level: u32,
    min_time_ms: i64,
    max_time_ms: i64,
    profiles: u64,
    bytes: u64,
}

/// A block that goes, or whose bytes go.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GoingRow {
    block: String,
    why: &'static str,
    bytes: u64,
    /// Of its last profile. Absent when the block is marked already.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_time_ms: Option<i64>,
    /// When no query sees it any more. Absent when that is so already.
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden_at_ms: Option<i64>,
    /// When its bytes are deleted, at the next cleanup after this.
    deleted_at_ms: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    now_ms: i64,
    enabled: bool,
    /// Seconds that profiles are kept; absent: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
    deletion_delay_seconds: u64,
    cleanup_interval_seconds: u64,
    total_bytes: u64,
    /// Past retention: marked with the next cleanup.
    due: Vec<GoingRow>,
    /// Marked: bytes still there.
    marked: Vec<GoingRow>,
    /// The rest by age, the oldest first: what goes after that, and when. At most [`MAX_NEXT`].
    next: Vec<GoingRow>,
}

/// Blocks that the plan looks ahead to.
pub const MAX_NEXT: usize = 100;

async fn blocks(State(compactor): State<Arc<Compactor>>, tenants: Tenants) -> Response {
    let found = async {
        let tenant = tenants.single()?;
        let view = compactor.view(&compactor.index(tenant)).await?;
        // All of them: those that the bucket does not have, too.
        let listed: Vec<_> = view.snapshot.blocks.iter().map(|meta| row(meta, &view.snapshot)).collect();
        let lost: Vec<_> = view.snapshot.lost.iter().map(lost_row).collect();
        Ok::<_, Fault>(serde_json::json!({ "blocks": listed, "lost": lost }))
    };
    match found.await {
        Ok(rows) => Json(rows).into_response(),
        Err(fault) => plain_response(fault).into_response(),
    }
}

async fn release(State(compactor): State<Arc<Compactor>>, tenants: Tenants, Path(id): Path<String>) -> Response {
    match async { compactor.release_block(tenants.single()?, &id).await }.await {
        Ok(()) => Json(serde_json::json!({ "released": id })).into_response(),
        Err(fault) => plain_response(fault).into_response(),
    }
}

/// What to delete: a selector and a closed range in Unix milliseconds.
#[derive(Debug, Deserialize)]
struct Wanted {
    query: String,
    from: i64,
    until: i64,
}

async fn delete(
    State(compactor): State<Arc<Compactor>>,
    tenants: Tenants,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let done = async {
        let Query(wanted) = wanted.map_err(|e| {
            Fault::invalid(format!(
                "/api/v1/delete needs the parameters query (a selector), from and until (Unix milliseconds): {}",
                e.body_text()
            ))
        })?;
        compactor.delete(tenants.single()?, &wanted.query, wanted.from, wanted.until).await
    };
    match done.await {
        Ok(receipt) => (StatusCode::ACCEPTED, Json(receipt)).into_response(),
        Err(fault) => plain_response(fault).into_response(),
    }
}

async fn deletions(State(compactor): State<Arc<Compactor>>, tenants: Tenants) -> Response {
    match async { compactor.deletions(tenants.single()?).await }.await {
        Ok(receipts) => Json(serde_json::json!({ "deletions": receipts })).into_response(),
        Err(fault) => plain_response(fault).into_response(),
    }
}

async fn deletion(State(compactor): State<Arc<Compactor>>, tenants: Tenants, Path(id): Path<String>) -> Response {
    let found = async {
        let all = compactor.deletions(tenants.single()?).await?;
        all.into_iter().find(|r| r.id == id).ok_or_else(|| {
            Fault::new(
                Kind::NotFound,
                format!("there is no deletion {id:?}: GET /api/v1/delete lists those of 30 days"),
            )
        })
    };
    match found.await {
        Ok(receipt) => Json(receipt).into_response(),
        Err(fault) => plain_response(fault).into_response(),
    }
}

fn row(meta: &Meta, snapshot: &Snapshot) -> BlockRow {
    BlockRow {
        block: meta.ulid.to_string(),
        level: meta.level,
        min_time_ms: meta.min_time_nanos / 1_000_000,
        max_time_ms: meta.max_time_nanos / 1_000_000,
        services: meta.datasets.iter().map(|d| d.service_name.clone()).collect(),
        series: meta.stats.series,
        profiles: meta.stats.profiles,
        samples: meta.stats.samples,
        bytes: meta.stats.bytes,
        sources: meta.sources.iter().map(ToString::to_string).collect(),
        quarantined: snapshot.quarantined.iter().find(|q| q.ulid == meta.ulid).map(|q| q.fault.clone()),
    }
}

fn lost_row(lost: &Lost) -> LostRow {
    LostRow {
        block: lost.ulid.to_string(),
        lost_at_ms: lost.lost_ms,
        why: lost.fault.clone(),
        level: lost.level,
        min_time_ms: lost.min_time_nanos / 1_000_000,
        max_time_ms: lost.max_time_nanos / 1_000_000,
        profiles: lost.profiles,
        bytes: lost.bytes,
    }
}

async fn retention_plan(State(compactor): State<Arc<Compactor>>, tenants: Tenants) -> Response {
    let planned = async { compactor.retention_plan(tenants.single()?).await };
    match planned.await {
        Ok(plan) => Json(plan).into_response(),
        Err(fault) => plain_response(fault).into_response(),
    }
}

impl Compactor {
    /// Lets compaction try a block again that it has left alone.
    async fn release_block(&self, tenant: &TenantId, id: &str) -> Result<(), Fault> {
        let none = || {
            let told = format!("no block {id:?} is quarantined: GET /api/v1/blocks names those that are");
            Fault::new(Kind::NotFound, told)
        };
        let block = Ulid::parse(id).ok_or_else(none)?;
        let index = self.index(tenant);
        let view = self.view(&index).await?;
        if !view.snapshot.is_quarantined(block) {
            return Err(none());
        }
        let release = |snapshot: &mut Snapshot| {
            snapshot.release(block);
            Ok(())
        };
        self.edit(&index, &view, release).await?;
        tracing::info!(target: "compactor", %tenant, %block, "compactor: a block was released from quarantine on request");
        Ok(())
    }

    async fn retention_plan(&self, tenant: &TenantId) -> Result<Plan, Fault> {
        let view = self.view(&self.index(tenant)).await?;
        let limits = self.parts.overrides.of(tenant);
        let rules = self.rules(&limits);
        let (now_ms, delay) = (self.parts.clock.now_millis(), millis(self.config.deletion_delay));
        let listed = &view.snapshot.blocks;
        let due = going(listed, &rules);
        let goes: BTreeSet<Ulid> = due.iter().map(|g| g.ulid).collect();
        let retention = limits.retention();
        let mut rest: Vec<&Meta> = listed.iter().filter(|b| !goes.contains(&b.ulid)).collect();
        rest.sort_by_key(|b| (b.max_time_nanos, b.ulid));
        let next = retention.map(|keep| {
            rest.iter().take(MAX_NEXT).map(move |meta| {
                let hidden = (meta.max_time_nanos / 1_000_000).saturating_add(millis(keep));
                GoingRow {
                    block: meta.ulid.to_string(),
                    why: flamestore_index::Why::Retention.as_str(),
                    bytes: meta.stats.bytes,
                    max_time_ms: Some(meta.max_time_nanos / 1_000_000),
                    hidden_at_ms: Some(hidden),
                    deleted_at_ms: hidden.saturating_add(delay),
                }
            })
        });
        let marked = |dead: &Dead| GoingRow {
            block: dead.ulid.to_string(),
            why: dead.why.as_str(),
            bytes: dead.bytes,
            max_time_ms: None,
            hidden_at_ms: None,
            deleted_at_ms: dead.marked_ms.saturating_add(delay),
        };
        Ok(Plan {
            now_ms,
            enabled: self.config.cleanup_enabled,
            retention_seconds: retention.map(|d| d.as_secs()),
            max_bytes: rules.max_bytes,
            deletion_delay_seconds: self.config.deletion_delay.as_secs(),
            cleanup_interval_seconds: self.config.cleanup_interval.as_secs(),
            total_bytes: listed.iter().map(|b| b.stats.bytes).sum(),
            due: due
                .iter()
                .map(|g| GoingRow {
                    block: g.ulid.to_string(),
                    why: g.why.as_str(),
                    bytes: g.bytes,
                    max_time_ms: Some(g.max_time_nanos / 1_000_000),
                    hidden_at_ms: Some(now_ms),
                    deleted_at_ms: now_ms.saturating_add(delay),
                })
                .collect(),
            marked: view.snapshot.dead.iter().map(marked).collect(),
            next: next.into_iter().flatten().collect(),
        })
    }
}

fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}
