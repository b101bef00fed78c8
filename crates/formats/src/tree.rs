//! The binary tree format.
//!
//! A node is, in pre-order:
//!
//! | bytes | what |
//! |---|---|
//! | uvarint | length of the name |
//! | … | the name |
//! | uvarint | self value |
//! | uvarint | number of children, which follow |
//!
//! The first node is the root, whose name does not count.

use flamestore_model::{Fault, FaultId, Kind};

use crate::caps::{Caps, or_unlimited};
use crate::stacks::{NodeId, Stacks};
use crate::uvarint::Cursor;

/// Reads a tree; what stands behind it is not looked at.
///
/// Errors: `Unprocessable` when the body ends inside the tree, `Invalid` when a name or a number of children is over
/// its cap.
pub(crate) fn read(body: &[u8], caps: &Caps, stacks: &mut Stacks) -> Result<(), Fault> {
    let mut cursor = Cursor::new(body, "tree");
    let mut open: Vec<(NodeId, u64)> = Vec::new();
    loop {
        let name = cursor.text()?;
        if name.len() > or_unlimited(caps.max_symbol_bytes) {
            return Err(Fault::unprocessable(format!(
                "tree: a name has {} bytes, more than max_profile_symbol_value_length {}",
                name.len(),
                caps.max_symbol_bytes
            )));
        }
        let self_value = cursor.number()?;
        let children = cursor.number()?;
        if children > or_unlimited(caps.max_samples) as u64 {
            return Err(Fault::over(
                FaultId::TooManySamples,
                format_args!("tree: a node has {children} children"),
                caps.max_samples,
            )
            .as_kind(Kind::Unprocessable));
        }
        let node = match open.last() {
            Some((parent, _)) => stacks.child(*parent, name),
            None => NodeId::ROOT,
        };
        stacks.add(node, i64::try_from(self_value).unwrap_or(i64::MAX));
        open.push((node, children));
        while open.last().is_some_and(|(_, left)| *left == 0) {
            open.pop();
        }
        match open.last_mut() {
            Some((_, left)) if !stacks.is_full() => *left -= 1,
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded(body: &[u8]) -> Result<Vec<(String, i64)>, Fault> {
        let caps = Caps { max_samples: 4, max_symbol_bytes: 3, ..Caps::default() };
        let mut stacks = Stacks::new(&caps);
        read(body, &caps, &mut stacks)?;
        Ok(stacks.folded())
    }

    #[test]
    fn children_follow_their_parent() {
        let body = b"\x04\x00\x02\x01a\x01\x01\x01b\x02\x00\x01c\x03\x00behind";
        assert!(folded(body).is_err(), "the root's name is counted like any other");
        let body = b"\x00\x04\x02\x01a\x01\x01\x01b\x02\x00\x01c\x03\x00behind";
        assert_eq!(folded(body).unwrap(), [("a", 1), ("a;b", 2), ("c", 3)].map(|(s, v)| (s.to_owned(), v)));
    }

    #[test]
    fn a_cut_is_unprocessable() {
        let whole = b"\x00\x00\x01\x01a\x01\x00";
        assert_eq!(folded(whole).unwrap(), [("a".to_owned(), 1)]);
        for cut in 0..whole.len() {
            assert_eq!(folded(&whole[..cut]).unwrap_err().kind, flamestore_model::Kind::Unprocessable);
        }
    }

    #[test]
    fn long_names_and_broad_nodes_are_refused() {
        assert!(folded(b"\x00\x00\x01\x04abcd\x01\x00").unwrap_err().message.contains("symbol_value_length"));
        assert!(folded(b"\x00\x00\x05").unwrap_err().message.contains("children"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(0..6u8, 0..200)) {
            let _ = folded(&body);
        }
    }
}
