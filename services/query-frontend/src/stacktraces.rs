//! Merged stacks: flame graphs, trees, function tables, sandwiches, DOT and pprof.

use flamestore_flamegraph::{Flamegraph, FunctionTable, GoPgo, PprofMeta, ProfileMerge, Sandwich, Tree};
use flamestore_limits::Limits;
use flamestore_model::labels::names;
use flamestore_model::{Fault, FaultId, MatchOp, Matcher, Select, TimeRange};

use crate::frontend::{Asker, Frontend, off_the_reactor};
use crate::range;
use crate::select::Wanted;

/// Nodes of a DOT graph when the client does not say.
pub const DEFAULT_DOT_NODES: usize = 100;

/// The largest pprof that is answered as a message; [`Frontend::export`] has no such limit.
pub const MAX_PPROF_MESSAGE_BYTES: usize = 128 << 20;

/// The form of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    Flamegraph,
    Tree,
    /// Every function with its exact values; the size limits the rows.
    Functions,
    /// What calls this function, and what it calls; the size is that of each half.
    Sandwich(String),
    Dot,
    Pprof,
}

/// A merge in the form that was asked for. Absent where the form has no way to say "nothing".
#[derive(Debug)]
pub enum Merged {
    Flamegraph(Flamegraph),
    Tree(Vec<u8>),
    Functions(FunctionTable),
    Sandwich(Sandwich),
    Dot(Option<String>),
    /// Wire bytes of a pprof; empty when there is nothing.
    Pprof(Vec<u8>),
}

/// A merge request: what, when, and how large the answer may be.
#[derive(Debug, Clone)]
pub struct MergeRequest {
    pub wanted: Wanted,
    pub start_ms: i64,
    pub end_ms: i64,
    /// How much earlier than that is meant, in milliseconds: the range is checked as asked, then moved back.
    pub offset_ms: i64,
    pub max_nodes: Option<i64>,
    pub form: Form,
    pub go_pgo: Option<GoPgo>,
}

impl MergeRequest {
    /// The range to read. `None`: it lies wholly before what the tenant may ask.
    pub(crate) fn range(&self, limits: &Limits, now_ms: i64) -> Result<Option<TimeRange>, Fault> {
        let range = range::checked(self.start_ms, self.end_ms, limits, now_ms)?;
        Ok(range.and_then(|range| range::moved_back(range, self.offset_ms, limits, now_ms)))
    }
}

impl Frontend {
    /// Answers `SelectMergeStacktraces`: check → merge over all readers → truncate once → shape.
    pub async fn select_merge_stacktraces(&self, asker: &Asker, request: MergeRequest) -> Result<Merged, Fault> {
        let limits = self.limits(asker);
        let max_nodes = range::max_nodes(request.max_nodes, &limits)?;
        let range = request.range(&limits, self.now_ms())?;
        match &request.form {
            Form::Flamegraph => {
                let mut tree = self.tree(asker, &request.wanted, range).await?;
                off_the_reactor(move || {
                    tree.truncate(max_nodes);
                    Merged::Flamegraph(tree.flamegraph())
                })
                .await
            }
            Form::Tree => {
                let mut tree = self.tree(asker, &request.wanted, range).await?;
                off_the_reactor(move || {
                    tree.truncate(max_nodes);
                    Merged::Tree(tree.to_bytes())
                })
                .await
            }
            Form::Functions => {
                let tree = self.tree(asker, &request.wanted, range).await?;
                off_the_reactor(move || {
                    let mut table = FunctionTable::of(&tree);
                    table.truncate(max_nodes);
                    Merged::Functions(table)
                })
                .await
            }
            Form::Sandwich(function) => {
                let tree = self.tree(asker, &request.wanted, range).await?;
                let function = function.clone();
                off_the_reactor(move || Merged::Sandwich(Sandwich::of(&tree, &function, max_nodes))).await
            }
            Form::Dot => {
                let nodes = request.max_nodes.map_or(DEFAULT_DOT_NODES, |_| max_nodes);
                let profile = self.profile(asker, &request.wanted, range).await?;
                let meta = pprof_meta(&request, range);
                off_the_reactor(move || Merged::Dot((!profile.is_empty()).then(|| profile.dot(&meta, nodes)))).await
            }
            Form::Pprof => {
                let mut profile = self.profile(asker, &request.wanted, range).await?;
                let meta = pprof_meta(&request, range);
                off_the_reactor(move || {
                    if request.max_nodes.is_some_and(|n| n != 0) {
                        profile.truncate(max_nodes);
                    }
                    in_one_message(profile, meta).map(Merged::Pprof)
                })
                .await?
            }
        }
    }

    /// Answers `SelectMergeProfile`: the whole profile unless a size is asked for.
    pub async fn select_merge_profile(&self, asker: &Asker, request: MergeRequest) -> Result<Vec<u8>, Fault> {
        let (profile, meta) = self.merged_profile(asker, &request).await?;
        if profile.is_empty() {
            let range = request.range(&self.limits(asker), self.now_ms())?;
            let nameless = self.has_other_types(asker, &request.wanted, range).await?;
            return Ok(if nameless { NAMELESS.to_vec() } else { Vec::new() });
        }
        off_the_reactor(move || in_one_message(profile, meta)).await?
    }

    /// A merged profile, whole unless a size is asked for, and what its pprof says of itself.
    pub(crate) async fn merged_profile(
        &self,
        asker: &Asker,
        request: &MergeRequest,
    ) -> Result<(ProfileMerge, PprofMeta), Fault> {
        let limits = self.limits(asker);
        let range = request.range(&limits, self.now_ms())?;
        let max_nodes = match request.max_nodes {
            asked if limits.max_flamegraph_nodes_on_select_merge_profile => range::max_nodes(asked, &limits)?,
            asked => asked.and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
        };
        let mut profile = self.profile(asker, &request.wanted, range).await?;
        let meta = pprof_meta(request, range);
        off_the_reactor(move || {
            profile.truncate(max_nodes);
            (profile, meta)
        })
        .await
    }

    /// Everything that matches, not truncated; empty where there is no range.
    pub(crate) async fn tree(&self, asker: &Asker, wanted: &Wanted, range: Option<TimeRange>) -> Result<Tree, Fault> {
        let Some(range) = range else { return Ok(Tree::default()) };
        Ok(self.querier().tree(&asker.tenants, &wanted.over(range)).await?.value)
    }

    /// Whether a service that is asked for by name has profiles, if not of this type. Clients then get a pprof with a
    /// sample type, where for a service without any they get an empty one.
    async fn has_other_types(&self, asker: &Asker, wanted: &Wanted, range: Option<TimeRange>) -> Result<bool, Fault> {
        let by_name = |m: &Matcher| m.name == names::SERVICE_NAME && m.op == MatchOp::Equal;
        let (Some(range), true) = (range, wanted.selector.matchers.iter().any(by_name)) else { return Ok(false) };
        let select = Select { selector: wanted.selector.clone(), ..Select::everything(range) };
        Ok(!self.querier().series(&asker.tenants, &select).await?.value.is_empty())
    }

    async fn profile(&self, asker: &Asker, wanted: &Wanted, range: Option<TimeRange>) -> Result<ProfileMerge, Fault> {
        let Some(range) = range else { return Ok(ProfileMerge::default()) };
        Ok(self.querier().profile(&asker.tenants, &wanted.over(range)).await?.value)
    }
}

/// The bytes of a pprof that goes out as one message: the message is decoded and encoded again on its way, so it costs
/// its size several times over.
fn in_one_message(profile: ProfileMerge, meta: PprofMeta) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    for piece in profile.into_pieces(meta) {
        if out.len() + piece.len() > MAX_PPROF_MESSAGE_BYTES {
            let found = "the merged profile is too large for one message";
            return Err(Fault::over(FaultId::AnswerTooLarge, found, format_args!("{MAX_PPROF_MESSAGE_BYTES} bytes")));
        }
        out.extend_from_slice(&piece);
    }
    Ok(out)
}

/// A pprof with one sample type that has no name, and no samples.
const NAMELESS: [u8; 4] = [0x0a, 0, 0x32, 0];

fn pprof_meta(request: &MergeRequest, range: Option<TimeRange>) -> PprofMeta {
    PprofMeta {
        profile_type: request.wanted.profile_type.clone(),
        end_nanos: range.map_or(0, |r| r.to_nanos),
        go_pgo: request.go_pgo,
    }
}
