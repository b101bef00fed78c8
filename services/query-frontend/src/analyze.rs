//! What a query would cost, told before it runs.

use flamestore_model::{Fault, Kind, ProfileType, QueryCost, QueryText, Select, Selector, TimeRange};

use crate::frontend::{Asker, Frontend};
use crate::range;

/// A query and its time, as they came.
#[derive(Debug, Clone)]
pub struct AnalyzeRequest {
    /// `type{selector}`, `{selector}` for all types, or what the render pages understand.
    pub query: String,
    pub start_ms: i64,
    pub end_ms: i64,
}

/// The answer for one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Analysis {
    pub cost: QueryCost,
    /// Parts that were asked: each holds heads and reads blocks.
    pub readers: u64,
    /// Distinct series; 0 where `query_analysis_series_enabled` is off.
    pub series: u64,
}

impl Frontend {
    /// Answers `AnalyzeQuery`. `None`: `query_analysis_enabled` is off for a tenant, or this is no query that could run. What
    /// is wrong with that the query itself tells; nobody who only wants to show a cost beside it needs to hear it too.
    pub async fn analyze(&self, asker: &Asker, request: &AnalyzeRequest) -> Result<Option<Analysis>, Fault> {
        let limits = self.limits(asker);
        if !limits.query_analysis_enabled {
            return Ok(None);
        }
        let read = async {
            let range = range::checked(request.start_ms, request.end_ms, &limits, self.now_ms())?;
            Ok((range, self.queried(asker, &request.query, range).await?))
        };
        let (range, (profile_type, selector)) = match read.await {
            Err(Fault { kind: Kind::Invalid, .. }) => return Ok(None),
            read => read?,
        };
        let readers = self.querier().readers() as u64;
        let Some(range) = range else { return Ok(Some(Analysis { cost: QueryCost::default(), readers, series: 0 })) };
        let select = Select { profile_type, selector, ..Select::everything(range) };
        let exact = limits.query_analysis_series_enabled;
        let cost = self.querier().cost(&asker.tenants, &select, exact).await?.value;
        let series = if exact { self.querier().series(&asker.tenants, &select).await?.value.len() as u64 } else { 0 };
        Ok(Some(Analysis { cost, readers, series }))
    }

    /// The profile type (`None`: all) and the selector of a query text.
    async fn queried(
        &self,
        asker: &Asker,
        query: &str,
        range: Option<TimeRange>,
    ) -> Result<(Option<ProfileType>, Selector), Fault> {
        if query.trim_start().starts_with('{') {
            return Ok((None, Selector::parse(query)?));
        }
        let text = QueryText::parse(query)?;
        let profile_type = self.type_meant(asker, &text, range).await?;
        Ok((Some(profile_type), text.selector))
    }
}
