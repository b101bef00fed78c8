//! Whether three bytes stand side by side anywhere in a text: the cheap question before a costly search.

/// Without an early end, so that the compiler compares many bytes at a time.
pub(crate) fn contains(text: &[u8], triple: [u8; 3]) -> bool {
    let (second, third) = (text.iter().skip(1), text.iter().skip(2));
    let is_it = |((a, b), c): ((&u8, &u8), &u8)| (*a == triple[0]) & (*b == triple[1]) & (*c == triple[2]);
    text.iter().zip(second).zip(third).fold(false, |found, at| found | is_it(at))
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn it_is_found_wherever_it_stands() {
        let mut text = vec![b'a'; 300];
        assert!(!contains(&text, *b"bcd"));
        for at in [0, 1, 150, 297] {
            text[at..at + 3].copy_from_slice(b"bcd");
            assert!(contains(&text, *b"bcd"), "at {at}");
            text.fill(b'a');
        }
        assert!(!contains(b"bc", *b"bcd"));
        assert!(!contains(b"", *b"bcd"));
    }
}
