//! Two merges side by side.

use flamestore_flamegraph::{Diff, FunctionTable, FunctionTableDiff, Sandwich, Tree};
use flamestore_model::Fault;

use crate::frontend::{Asker, Frontend, off_the_reactor};
use crate::range;
use crate::stacktraces::{Form, MergeRequest};

/// Two selections to compare; their own forms are not looked at.
#[derive(Debug, Clone)]
pub struct DiffRequest {
    pub left: MergeRequest,
    pub right: MergeRequest,
    pub form: Form,
    /// `None`: the larger of what both sides say.
    pub max_nodes: Option<i64>,
}

/// A comparison in the form that was asked for.
#[derive(Debug)]
pub enum Compared {
    Flamegraph(Diff),
    Functions(FunctionTableDiff),
    /// Left and right.
    Sandwich(Box<[Sandwich; 2]>),
}

impl Frontend {
    /// Answers `Diff`: both sides are merged whole, and what is shown of them is truncated once.
    pub async fn compare(&self, asker: &Asker, request: DiffRequest) -> Result<Compared, Fault> {
        let DiffRequest { left, right, form, max_nodes } = request;
        match form {
            Form::Functions => {
                let ([left, right], max_rows) = self.sides(asker, &left, &right, max_nodes).await?;
                off_the_reactor(move || {
                    let (left, right) = (FunctionTable::of(&left), FunctionTable::of(&right));
                    Compared::Functions(FunctionTableDiff::of(left, right, max_rows))
                })
                .await
            }
            Form::Sandwich(function) => {
                let (sides, max_nodes) = self.sides(asker, &left, &right, max_nodes).await?;
                off_the_reactor(move || {
                    let sandwich = |side| Sandwich::of(&side, &function, max_nodes);
                    Compared::Sandwich(Box::new(sides.map(sandwich)))
                })
                .await
            }
            Form::Flamegraph | Form::Tree | Form::Dot | Form::Pprof => {
                self.diff(asker, &left, &right, max_nodes).await.map(Compared::Flamegraph)
            }
        }
    }

    /// The flame graph of both sides: the union of their nodes.
    pub(crate) async fn diff(
        &self,
        asker: &Asker,
        left: &MergeRequest,
        right: &MergeRequest,
        max_nodes: Option<i64>,
    ) -> Result<Diff, Fault> {
        let ([left, right], max_nodes) = self.sides(asker, left, right, max_nodes).await?;
        off_the_reactor(move || Diff::new(&left, &right, max_nodes)).await
    }

    /// Both sides whole, and how many nodes may be shown.
    async fn sides(
        &self,
        asker: &Asker,
        left: &MergeRequest,
        right: &MergeRequest,
        max_nodes: Option<i64>,
    ) -> Result<([Tree; 2], usize), Fault> {
        let limits = self.limits(asker);
        let now = self.now_ms();
        let max_nodes = match max_nodes {
            Some(asked) => range::max_nodes(Some(asked), &limits)?,
            None => range::max_nodes(left.max_nodes, &limits)?.max(range::max_nodes(right.max_nodes, &limits)?),
        };
        let left_range = left.range(&limits, now).map_err(|f| f.at("left"))?;
        let right_range = right.range(&limits, now).map_err(|f| f.at("right"))?;
        let (left, right) =
            tokio::try_join!(self.tree(asker, &left.wanted, left_range), self.tree(asker, &right.wanted, right_range))?;
        Ok(([left, right], max_nodes))
    }
}
