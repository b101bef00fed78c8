//! Which function nodes lie at or below a call site.

use crate::tables::{FnTree, ROOT, Strings};

/// The path to this node has left the call site.
const OFF: u32 = u32::MAX;

/// For each node of `fn_tree`: whether its path from the root starts with the names of `call_site`.
/// With an empty call site every node does, the root too.
pub fn at_or_below(strings: &Strings, fn_tree: &FnTree, call_site: &[String]) -> Vec<bool> {
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
}
