//! `${VAR}` and `${VAR:-default}` in the text of a file, before it is parsed. What is not set is empty.

/// The text with variables of the environment put in. A `${` that is not closed or names nothing is an error.
pub(crate) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once("${") {
        out.push_str(before);
        let line = || text.len().checked_sub(inside.len()).map_or(0, |at| text[..at].matches('\n').count() + 1);
        let Some((expression, after)) = inside.split_once('}') else {
            return Err(format!("line {}: ${{ without a closing brace", line()));
        };
        let (name, default) = expression.split_once(":-").map_or((expression, None), |(n, d)| (n, Some(d)));
        if name.is_empty() || !name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
            return Err(format!("line {}: ${{{expression}}} is neither ${{NAME}} nor ${{NAME:-default}}", line()));
        }
        // As in a shell, `:-` also stands in for a variable that is set and empty.
        let value = env(name).filter(|v| !v.is_empty()).or_else(|| default.map(str::to_owned));
        out.push_str(&value.unwrap_or_default());
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_their_defaults_are_put_in() {
        let env = |name: &str| match name {
            "PORT" => Some("4041".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, expected) in [
            ("port: ${PORT}", "port: 4041"),
            ("${NONE}x", "x"),
            ("${NONE:-a:b}", "a:b"),
            ("${EMPTY:-d}${PORT:-d}", "d4041"),
            ("$PORT $1 {x}", "$PORT $1 {x}"),
        ] {
            assert_eq!(expand(text, &env).unwrap(), expected);
        }
        for (bad, says) in [("a\n${PORT", "line 2"), ("${}", "neither"), ("${a b}", "neither")] {
            assert!(expand(bad, &env).unwrap_err().contains(says), "{bad}");
        }
    }
}
