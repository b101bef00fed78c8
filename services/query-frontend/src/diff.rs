//! Two merges side by side.

use flamestore_flamegraph::Diff;
use flamestore_model::Fault;

use crate::frontend::{Asker, Frontend, off_the_reactor};
use crate::range;
use crate::stacktraces::MergeRequest;

impl Frontend {
    /// Answers `Diff`: both sides are merged whole and the union is truncated once, to the larger of both sizes.
    pub async fn diff(&self, asker: &Asker, left: MergeRequest, right: MergeRequest) -> Result<Diff, Fault> {
        let limits = self.limits(asker);
        let now = self.now_ms();
        let max_nodes = range::max_nodes(left.max_nodes, &limits)?.max(range::max_nodes(right.max_nodes, &limits)?);
        let left_range = range::checked(left.start_ms, left.end_ms, &limits, now).map_err(|f| f.at("left"))?;
        let right_range = range::checked(right.start_ms, right.end_ms, &limits, now).map_err(|f| f.at("right"))?;
        let (left, right) =
            tokio::try_join!(self.tree(asker, &left.wanted, left_range), self.tree(asker, &right.wanted, right_range))?;
        off_the_reactor(move || Diff::new(&left, &right, max_nodes)).await
    }
}
