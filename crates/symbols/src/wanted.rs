//! Which function nodes a stack filter wants: a node stands for the stacks that end there.

use flamestore_model::{FrameFilter, FrameVerdict, StackFilter};

use crate::tables::{FnTree, ROOT, Strings};

/// The path to this node has left the call site.
const OFF: u32 = u32::MAX;

/// For each node of `fn_tree`: whether stacks with its path from the root are wanted. Without conditions all are, the
/// root's too.
pub fn wanted(strings: &Strings, fn_tree: &FnTree, filter: &StackFilter) -> Vec<bool> {
    let mut wanted = at_or_below(strings, fn_tree, &filter.call_site);
    if !filter.frames.wants_all() {
        for (wanted, verdict) in wanted.iter_mut().zip(verdicts(strings, fn_tree, &filter.frames)) {
            *wanted &= verdict.wanted();
        }
    }
    wanted
}

/// For each node what the functions on its path say.
fn verdicts(strings: &Strings, fn_tree: &FnTree, filter: &FrameFilter) -> Vec<FrameVerdict> {
    // Names come again and again: each is judged once.
    let mut of_name: Vec<Option<FrameVerdict>> = vec![None; strings.len()];
    let mut verdicts = vec![FrameVerdict::NONE; fn_tree.parent.len()];
    for node in 1..verdicts.len() {
        let name = fn_tree.name[node];
        let own = *of_name[name as usize].get_or_insert_with(|| filter.judge(strings.get(name)));
        verdicts[node] = verdicts[fn_tree.parent[node] as usize].and(own);
    }
    verdicts
}

/// For each node of `fn_tree`: whether its path from the root starts with the names of `call_site`.
/// With an empty call site every node does, the root too.
fn at_or_below(strings: &Strings, fn_tree: &FnTree, call_site: &[String]) -> Vec<bool> {
    let whole = call_site.len() as u32;
    // How many names of the call site the node's path has matched so far.
    let mut matched = vec![OFF; fn_tree.parent.len()];
    matched[ROOT as usize] = 0;
    for node in 1..matched.len() {
        matched[node] = match matched[fn_tree.parent[node] as usize] {
            OFF => OFF,
            all if all == whole => whole,
            some if strings.get(fn_tree.name[node]) == call_site[some as usize] => some + 1,
            _ => OFF,
        };
    }
    matched.into_iter().map(|m| m == whole).collect()
}

#[cfg(test)]
mod tests {
    use flamestore_model::FramePatterns;

    use super::*;

    #[test]
    fn a_call_site_is_a_path_of_names_from_the_root() {
        let mut strings = Strings::default();
        let (a, b) = (strings.push("a"), strings.push("b"));
        // root ─ a ─ b ─ a
        //      └ b ─ b
        let tree = FnTree { parent: vec![ROOT, 0, 1, 2, 0, 4], name: vec![0, a, b, a, b, b] };
        let below = |site: &[&str]| {
            let site: Vec<String> = site.iter().map(|s| s.to_string()).collect();
            at_or_below(&strings, &tree, &site)
        };
        assert_eq!(below(&[]), [true; 6]);
        assert_eq!(below(&["a"]), [false, true, true, true, false, false]);
        assert_eq!(below(&["a", "b"]), [false, false, true, true, false, false]);
        assert_eq!(below(&["b", "a"]), [false; 6]);
        assert_eq!(below(&["nowhere"]), [false; 6]);
    }
    #[test]
    fn frames_are_looked_for_on_the_whole_path() {
        let mut strings = Strings::default();
        let (a, b) = (strings.push("a"), strings.push("b"));
        // root ─ a ─ b ─ a
        //      └ b ─ b
        let tree = FnTree { parent: vec![ROOT, 0, 1, 2, 0, 4], name: vec![0, a, b, a, b, b] };
        let with = |include: &str, exclude: &str, site: &[&str]| {
            let patterns = FramePatterns {
                include: vec![include.to_owned()],
                exclude: vec![exclude.to_owned()],
                ..FramePatterns::default()
            };
            let call_site = site.iter().map(|s| (*s).to_owned()).collect();
            wanted(&strings, &tree, &StackFilter { call_site, frames: FrameFilter::new(patterns).unwrap() })
        };
        assert_eq!(with("", "", &[]), [true; 6]);
        assert_eq!(with("a", "", &[]), [false, true, true, true, false, false]);
        assert_eq!(with("", "b", &[]), [false, true, false, false, false, false]);
        assert_eq!(with("b", "a", &[]), [false, false, false, false, true, true]);
        assert_eq!(with("b", "", &["a"]), [false, false, true, true, false, false]);
    }
}
