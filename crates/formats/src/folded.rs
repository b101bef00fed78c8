//! Folded text: `root;child;leaf 12` a line (`groups`), or one stack a line counted once (`lines`).
//!
//! Hot. Bench: `benches/formats.rs`.

use flamestore_model::Fault;
use memchr::{memchr_iter, memrchr2};

use crate::ingested::Notes;
use crate::stacks::{Path, Stacks};

/// Reads lines of a stack and its count. The count stands behind the last blank or tab; a line may end with CR LF, and
/// be as long as the body.
///
/// Lines without a count are left out and noted. Errors: `Unprocessable` where a count is no number or negative.
pub(crate) fn groups(body: &[u8], stacks: &mut Stacks, notes: &mut Notes) -> Result<(), Fault> {
    let mut path = Path::default();
    let mut before: &[u8] = &[];
    for (number, line) in lines_of(body).enumerate() {
        let line = line.trim_ascii_end();
        let Some(blank) = memrchr2(b' ', b'\t', line) else {
            notes.lines_without_count += u64::from(!line.is_empty());
            continue;
        };
        let (stack, count) = (line.get(..blank).unwrap_or_default(), line.get(blank + 1..).unwrap_or_default());
        let count = parse_count(count).ok_or_else(|| bad_count(number, count))?;
        if count > 0 {
            let node = path.walk(stack, common(before, stack), stacks);
            stacks.add(node, count);
            before = stack;
        }
    }
    Ok(())
}

/// Reads lines that are each one stack, seen once. Empty lines do not count.
pub(crate) fn lines(body: &[u8], stacks: &mut Stacks) {
    let mut path = Path::default();
    let mut before: &[u8] = &[];
    for line in lines_of(body).filter(|line| !line.is_empty()) {
        let node = path.walk(line, common(before, line), stacks);
        stacks.add(node, 1);
        before = line;
    }
}

/// How many bytes two stacks have in common at their start.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn lines_of(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr_iter(b'\n', body).chain(std::iter::once(body.len())).map(move |end| {
        let line = body.get(start..end).unwrap_or_default();
        start = end + 1;
        line.strip_suffix(b"\r").unwrap_or(line)
    })
}

/// A decimal number from 0 up.
fn parse_count(text: &[u8]) -> Option<i64> {
    let text = text.strip_prefix(b"+").unwrap_or(text);
    if text.is_empty() {
        return None;
    }
    let mut count: i64 = 0;
    for digit in text {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        count = count.checked_mul(10)?.checked_add(digit)?;
    }
    Some(count)
}

fn bad_count(number: usize, count: &[u8]) -> Fault {
    let shown = String::from_utf8_lossy(count.get(..40).unwrap_or(count));
    Fault::unprocessable(format!(
        "folded text, line {}: the count {shown:?} is not a whole number from 0 up: write `a;b;c 12`",
        number + 1
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::caps::Caps;

    fn read(body: &str) -> Result<(Vec<(String, i64)>, u64), Fault> {
        let mut notes = Notes::default();
        let mut stacks = Stacks::new(&Caps { max_depth: 0, ..Caps::default() });
        groups(body.as_bytes(), &mut stacks, &mut notes)?;
        Ok((stacks.folded(), notes.lines_without_count))
    }

    fn ok(body: &str) -> Vec<(String, i64)> {
        read(body).unwrap().0
    }

    fn expect(stacks: &[(&str, i64)]) -> Vec<(String, i64)> {
        stacks.iter().map(|(s, v)| (s.to_string(), *v)).collect()
    }

    #[test]
    fn equal_stacks_are_summed() {
        assert_eq!(ok("a;b 1\na;c 2\na;b 3\na 4"), expect(&[("a", 4), ("a;b", 4), ("a;c", 2)]));
        assert_eq!(ok("ab;c 1\na;c 2\nab 4\n"), expect(&[("a;c", 2), ("ab", 4), ("ab;c", 1)]));
    }

    #[test]
    fn blanks_inside_frames_and_empty_frames_are_kept() {
        assert_eq!(ok("a b;c d 5\n;a;;b 6"), expect(&[(";a;;b", 6), ("a b;c d", 5)]));
    }

    #[test]
    fn windows_lines_tabs_and_trailing_blanks_are_fine() {
        assert_eq!(ok("a;b 5\r\na;c\t6\r\na d\t7 \n"), expect(&[("a d", 7), ("a;b", 5), ("a;c", 6)]));
    }

    #[test]
    fn a_line_without_a_count_is_left_out_and_noted() {
        assert_eq!(read("a;b\n\na;c 1").unwrap(), (expect(&[("a;c", 1)]), 1));
    }

    #[test]
    fn a_zero_counts_for_nothing() {
        assert_eq!(ok("a;b 0\nc 1"), expect(&[("c", 1)]));
    }

    #[test]
    fn a_very_long_line_does_not_end_the_reading() {
        let deep = vec!["frame"; 50_000].join(";");
        assert_eq!(ok(&format!("{deep} 3\nx 4")), vec![(deep, 3), ("x".into(), 4)]);
    }

    #[test]
    fn a_count_that_is_no_whole_number_names_its_line() {
        for body in ["a 1\nb x", "a 1\nb -5", "a 1\nb 1.5", "a 1\nb 99999999999999999999"] {
            let fault = read(body).unwrap_err();
            assert_eq!(fault.kind, flamestore_model::Kind::Unprocessable);
            assert!(fault.message.contains("line 2"), "{fault}");
        }
    }

    #[test]
    fn lines_count_once_each() {
        let mut stacks = Stacks::new(&Caps { max_depth: 0, ..Caps::default() });
        lines(b"a;b\na;b\r\n\na;c 7", &mut stacks);
        assert_eq!(stacks.folded(), expect(&[("a;b", 2), ("a;c 7", 1)]));
    }

    proptest! {
        #[test]
        fn no_text_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut stacks = Stacks::new(&Caps { max_depth: 3, max_profile_bytes: 50, ..Caps::default() });
            let _ = groups(&body, &mut stacks, &mut Notes::default());
            lines(&body, &mut stacks);
        }

        #[test]
        fn folding_comes_back(stacks in proptest::collection::btree_map("[a-c ]{0,2}(;[a-c ]{0,2}){0,4}", 1..1000i64, 0..20)) {
            let text: String = stacks.iter().rev().map(|(s, v)| format!("{s} {v}\n")).collect();
            prop_assert_eq!(ok(&text), stacks.into_iter().collect::<Vec<_>>());
        }
    }
}
