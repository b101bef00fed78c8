//! The known name that a mistyped one most likely meant.

/// Letters that count; enough to tell names apart, whatever the length of the input.
const MAX_LETTERS: usize = 96;

/// The candidate nearest to `name`, if no more than a third of its letters differ.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, near) = candidates.into_iter().map(|c| (edit_distance(name, c), c)).min()?;
    (distance * 3 <= near.len()).then_some(near)
}

/// Levenshtein's distance in letters.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().take(MAX_LETTERS).count()).collect();
    for (i, ca) in a.chars().take(MAX_LETTERS).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, cb) in row.iter_mut().skip(1).zip(b.chars()) {
            let change = diagonal + usize::from(ca != cb);
            diagonal = *cell;
            left = change.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_single_letters() {
        for (a, b, d) in [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3), ("ab", "", 2), ("ab", "ba", 2)] {
            assert_eq!(edit_distance(a, b), d, "{a} {b}");
        }
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let names = ["server.http_listen_port", "storage.backend"];
        assert_eq!(nearest("server.http_listen_prot", names), Some("server.http_listen_port"));
        assert_eq!(nearest("zebra", names), None);
    }
}
