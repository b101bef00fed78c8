//! The binary trie format: folded stacks with shared beginnings.
//!
//! A node is, in pre-order:
//!
//! | bytes | what |
//! |---|---|
//! | uvarint | length of the piece |
//! | … | the piece: what this node adds to the text of its parent |
//! | uvarint | value of the stack that ends here |
//! | uvarint | number of children, which follow |
//!
//! Pieces joined from a root give folded text, `a;b;c`; a piece may end inside a name. Several roots stand one after
//! another up to the end of the body.

use flamestore_model::Fault;

use crate::stacks::{Path, Stacks};
use crate::uvarint::Cursor;

/// Reads a trie. Errors: `Unprocessable` when the body ends inside a node.
pub(crate) fn read(body: &[u8], stacks: &mut Stacks) -> Result<(), Fault> {
    let mut cursor = Cursor::new(body, "trie");
    let mut path = Path::default();
    let mut key = Vec::new();
    // Of every open node: the length of its key, and the children still to come.
    let mut open: Vec<(usize, u64)> = Vec::new();
    let mut common = 0;
    while !stacks.is_full() {
        while open.last().is_some_and(|(_, left)| *left == 0) {
            open.pop();
        }
        match open.last_mut() {
            Some((length, left)) => {
                *left -= 1;
                key.truncate(*length);
            }
            None if cursor.is_done() => return Ok(()),
            None => key.clear(),
        }
        common = key.len().min(common);
        key.extend_from_slice(cursor.text()?);
        let value = cursor.number()?;
        if value > 0 {
            let node = path.walk(&key, common, stacks);
            stacks.add(node, i64::try_from(value).unwrap_or(i64::MAX));
            common = key.len();
        }
        open.push((key.len(), cursor.number()?));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::caps::Caps;

    fn folded(body: &[u8]) -> Result<Vec<(String, i64)>, Fault> {
        let mut stacks = Stacks::new(&Caps::default());
        read(body, &mut stacks)?;
        Ok(stacks.folded())
    }

    #[test]
    fn pieces_are_joined_from_the_root() {
        // "" -> "a;" -> ("b" 1 -> "c;d" 2), ("b;e" 3), and a second root.
        let body = b"\x00\x00\x01\x02a;\x00\x02\x01b\x01\x01\x03c;d\x02\x00\x03b;e\x03\x00\x01z\x04\x00";
        let expected = [("a;b", 1), ("a;b;e", 3), ("a;bc;d", 2), ("z", 4)];
        assert_eq!(folded(body).unwrap(), expected.map(|(s, v)| (s.to_owned(), v)));
    }

    #[test]
    fn a_cut_inside_a_node_is_unprocessable() {
        let whole = b"\x02a;\x00\x01\x01b\x05\x00";
        assert_eq!(folded(whole).unwrap(), [("a;b".to_owned(), 5)]);
        for cut in 1..whole.len() {
            assert!(folded(&whole[..cut]).is_err(), "cut at {cut}");
        }
        assert_eq!(folded(b"").unwrap(), []);
    }

    #[test]
    fn a_chain_of_many_nodes_takes_no_longer_than_its_length() {
        let chain: Vec<u8> = [1, b'a', 1, 1].repeat(200_000);
        let mut stacks = Stacks::new(&Caps { max_depth: 0, ..Caps::default() });
        read(&chain, &mut stacks).unwrap();
        assert!(stacks.is_full());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(0..6u8, 0..200)) {
            let _ = folded(&body);
        }
    }
}
