//! Merged profiles from the server: whole, as exact as they are stored, or cut down by it to a number of nodes.

use std::io::Read;

use flamestore_flamegraph::{FunctionRow, FunctionTable, Tree, TreeMerger};
use flamestore_model::ProfileType;
use flamestore_pprof::{Location, Profile};
use flamestore_proto::querier::v1 as wire;
use flamestore_proto::querier::v1::{
    ProfileFormat, SelectMergeProfileRequest, SelectMergeStacktracesRequest, SelectMergeStacktracesResponse,
};

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::profile_type;
use crate::progress;
use crate::selector::Wanted;
use crate::times::Range;
use crate::units::Measure;

const STACKTRACES: &str = "querier.v1.QuerierService/SelectMergeStacktraces";
const PROFILE: &str = "querier.v1.QuerierService/SelectMergeProfile";

/// Which profiles are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) profile_type: ProfileType,
    /// A selector in braces.
    pub(crate) labels: String,
    pub(crate) range: Range,
}

impl Selection {
    /// Asks the server which profile type is meant.
    pub(crate) fn of(client: &Client, wanted: Wanted, range: Range) -> Result<Selection, Failure> {
        let word = wanted.type_word.as_deref();
        let profile_type = profile_type::resolve(client, word, &wanted.labels, range)?;
        Ok(Selection { profile_type, labels: wanted.labels, range })
    }

    pub(crate) fn measure(&self) -> Measure {
        Measure::of(&self.profile_type.sample_unit)
    }

    /// The first functions by their self values, exact; `limit` 0: all.
    ///
    /// They are counted here where the server cannot do it, or does not list as many as are wanted.
    pub(crate) fn functions(&self, client: &Client, limit: usize) -> Result<FunctionTable, Failure> {
        let max_nodes = i64::try_from(limit).ok().filter(|n| *n > 0);
        let listed = match self.stacktraces(client, max_nodes, ProfileFormat::Functions) {
            Ok(answer) => answer.functions.map(table_of),
            // It may be the form that is refused; if it is the question, it will be again.
            Err(failure) if failure.exit == Exit::Refused => None,
            Err(failure) => return Err(failure),
        };
        let wanted = |table: &FunctionTable| if limit == 0 { table.functions } else { limit.min(table.functions) };
        match listed {
            Some(table) if table.rows.len() >= wanted(&table) => Ok(table),
            _ => Ok(FunctionTable::of(&self.whole(client)?)),
        }
    }

    /// Every stack. The server cuts nothing off unless it is set up to cut merged profiles, too.
    pub(crate) fn whole(&self, client: &Client) -> Result<Tree, Failure> {
        let mut bytes = Vec::new();
        let waiting = progress::waiting("asking");
        let mut stream = waiting.wrap_read(self.pprof(client, None)?);
        stream.read_to_end(&mut bytes).map_err(|e| client.broken_off(&e))?;
        waiting.finish_and_clear();
        tree_of(&bytes)
    }

    /// At most so many nodes, or as many as the server usually gives; what is cut is called `other`.
    pub(crate) fn cut(&self, client: &Client, max_nodes: Option<i64>) -> Result<Tree, Failure> {
        let answer = self.stacktraces(client, max_nodes, ProfileFormat::Tree)?;
        Tree::from_bytes(&answer.tree).map_err(Failure::bad_answer)
    }

    /// The call graph as the server draws it.
    pub(crate) fn dot(&self, client: &Client, max_nodes: Option<i64>) -> Result<String, Failure> {
        Ok(self.stacktraces(client, max_nodes, ProfileFormat::Dot)?.dot)
    }

    /// The bytes of a pprof, not compressed, as they come.
    pub(crate) fn pprof(&self, client: &Client, max_nodes: Option<i64>) -> Result<impl Read, Failure> {
        let request = SelectMergeProfileRequest {
            profile_type_id: self.profile_type.to_string(),
            label_selector: self.labels.clone(),
            start: self.range.from_ms,
            end: self.range.until_ms,
            max_nodes,
            ..SelectMergeProfileRequest::default()
        };
        client.call_for_stream(PROFILE, &request)
    }

    /// The failure of a selection that finds nothing.
    pub(crate) fn nothing(&self) -> Failure {
        Failure::new(
            Exit::Nothing,
            format!("there are no profiles of {}{} from {}", self.profile_type, self.labels, self.range),
        )
    }

    fn stacktraces(
        &self,
        client: &Client,
        max_nodes: Option<i64>,
        format: ProfileFormat,
    ) -> Result<SelectMergeStacktracesResponse, Failure> {
        let request = SelectMergeStacktracesRequest {
            profile_type_id: self.profile_type.to_string(),
            label_selector: self.labels.clone(),
            start: self.range.from_ms,
            end: self.range.until_ms,
            max_nodes,
            format: format.into(),
            ..SelectMergeStacktracesRequest::default()
        };
        client.call(STACKTRACES, &request)
    }
}

fn table_of(wire: wire::FunctionTable) -> FunctionTable {
    let row = |r: wire::FunctionRow| FunctionRow { name: r.name, self_value: r.self_, total: r.total };
    FunctionTable {
        rows: wire.functions.into_iter().map(row).collect(),
        total: wire.total,
        functions: usize::try_from(wire.total_functions).unwrap_or(0),
    }
}

/// The stacks of a merged pprof by function name. It has one sample type.
fn tree_of(pprof: &[u8]) -> Result<Tree, Failure> {
    let mut merger = TreeMerger::default();
    if pprof.is_empty() {
        return Ok(merger.finish());
    }
    let profile = flamestore_pprof::decode(pprof, 0).map_err(Failure::bad_answer)?;
    // Functions of each location, innermost first.
    let frames: Vec<Vec<String>> = profile.locations.iter().map(|l| frames_of(&profile, l)).collect();
    for (row, sample) in profile.samples.iter().enumerate() {
        let value = profile.values_of(row).first().copied().unwrap_or(0);
        if value <= 0 {
            continue;
        }
        let stack = profile.locations_of(sample).iter().rev().filter_map(|l| frames.get(*l as usize));
        let mut names = stack.flat_map(|frames| frames.iter().rev()).peekable();
        let mut node = 0;
        while let Some(name) = names.next() {
            let own = if names.peek().is_none() { value } else { 0 };
            node = merger.add_child(node, name, own);
        }
    }
    Ok(merger.finish())
}

/// What a location is called: its functions, or its address where it has none.
fn frames_of(profile: &Profile, location: &Location) -> Vec<String> {
    let lines = profile.lines.get(location.first_line as usize..location.end_line as usize).unwrap_or_default();
    let named: Vec<String> = lines
        .iter()
        .filter_map(|line| profile.functions.get(line.function as usize))
        .map(|f| [f.name, f.system_name].map(|s| profile.str(s)).into_iter().find(|s| !s.is_empty()))
        .map(|name| name.map_or_else(|| address(profile, location), str::to_owned))
        .collect();
    if named.is_empty() { vec![address(profile, location)] } else { named }
}

/// `binary+0xaddress`.
fn address(profile: &Profile, location: &Location) -> String {
    let mapping = profile.mappings.get(location.mapping as usize);
    let path = mapping.map_or("", |m| profile.str(m.filename));
    let binary = path.rsplit('/').next().filter(|b| !b.is_empty()).unwrap_or("unknown");
    format!("{binary}+{:#x}", location.address)
}

#[cfg(test)]
mod tests {
    use flamestore_pprof::encode::Writer;

    use super::*;
    use crate::answer::tests::folded;

    #[test]
    fn stacks_are_merged_by_function_with_what_was_inlined() {
        let mut pprof = Writer::new();
        pprof.sample_type("cpu", "nanoseconds");
        let names = ["main", "work", "inlined"].map(|name| pprof.string(name));
        let [main, work, inlined] = names.map(|name| pprof.function(name, name, 0, 0));
        let main = pprof.location(0, 0x10, &[(main, 1)], false);
        let both = pprof.location(0, 0x20, &[(inlined, 7), (work, 5)], false);
        let bare = pprof.location(0, 0x30, &[], false);
        pprof.sample(&[both, main], &[30], &[]);
        pprof.sample(&[main], &[5], &[]);
        pprof.sample(&[bare, main], &[7], &[]);
        let tree = tree_of(&pprof.finish()).unwrap();
        assert_eq!(folded(&tree), ["main 5", "main;unknown+0x30 7", "main;work;inlined 30"]);
    }

    #[test]
    fn no_bytes_are_no_stacks_and_others_must_be_a_pprof() {
        assert!(tree_of(b"").unwrap().is_empty());
        assert_eq!(tree_of(b"\xff\xff").unwrap_err().exit, Exit::ServerFailed);
    }
}
