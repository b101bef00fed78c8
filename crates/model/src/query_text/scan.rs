//! Where a text may be cut: not inside quotes, and not inside braces.

/// The characters outside quotes, with their places. Escapes are those of label values.
pub(super) fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut quote, mut escaped) = (None, false);
    text.char_indices().filter(move |(_, c)| {
        match quote {
            Some(q) => {
                if *c == q && !escaped {
                    quote = None;
                }
                escaped = *c == '\\' && !escaped && q != '`';
                return false;
            }
            None if matches!(c, '"' | '\'' | '`') => {
                (quote, escaped) = (Some(*c), false);
                return false;
            }
            None => {}
        }
        true
    })
}

/// The sides of a comparison, without the blanks around them; one side where nothing is compared. Between them stands
/// `vs`, a word of its own. Quotes count only inside braces: a name may have an apostrophe.
pub fn sides(text: &str) -> Vec<&str> {
    const VS: &str = "vs";
    if text == VS {
        return vec![text];
    }
    let (mut sides, mut start, mut at) = (Vec::new(), 0, 0);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c == '{' {
            let closing = outside_quotes(rest).find(|(_, c)| *c == '}');
            at += closing.map_or(rest.len(), |(end, _)| end + 1);
            continue;
        }
        let begins = text[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || c == '}');
        let behind = rest.strip_prefix(VS);
        let ends = |behind: &str| behind.chars().next().is_none_or(|c| c.is_whitespace() || c == '{');
        if begins && behind.is_some_and(ends) {
            sides.push(text[start..at].trim());
            at += VS.len();
            start = at;
        } else {
            at += c.len_utf8();
        }
    }
    sides.push(text[start..].trim());
    sides
}
