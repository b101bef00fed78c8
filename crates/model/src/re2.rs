//! Regular expressions in the syntax of Go's `regexp` (RE2), which selectors and rules are written in, said in that of the
//! `regex` crate.
//!
//! The two differ in what a text may hold (`{`, `\Q…\E`, octal numbers, repetitions), in brackets (`[a[&&b]`), and in what
//! `\d`, `\w`, `\s` and `\b` mean: ASCII only.

/// The most repetitions that may be asked for.
const MAX_REPEAT: u32 = 1000;

/// The same expression for the `regex` crate. What it cannot say, such as a class of characters that has no such name,
/// is for that crate to refuse.
///
/// # Errors
/// What is wrong with the expression, in a few words.
pub fn translated(expression: &str) -> Result<String, String> {
    let mut scan =
        Scan { rest: expression, out: String::with_capacity(expression.len() + 8), open: 0, last: Last::Nothing };
    while let Some(c) = scan.next() {
        scan.one(c)?;
    }
    if scan.open > 0 {
        return Err("a ) is missing".to_owned());
    }
    Ok(scan.out)
}

/// What stands before, for a repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Atom,
    Repeated,
}

struct Scan<'a> {
    rest: &'a str,
    out: String,
    /// Brackets `(` that are open.
    open: usize,
    last: Last,
}

impl Scan<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or("");
        Some(c)
    }

    fn takes(&mut self, text: &str) -> bool {
        let after = self.rest.strip_prefix(text);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn one(&mut self, c: char) -> Result<(), String> {
        match c {
            '\\' => self.escape()?,
            '[' => self.class()?,
            '(' => self.group()?,
            ')' => {
                self.open = self.open.checked_sub(1).ok_or("a ) has no (")?;
                self.atom(")");
            }
            '|' => {
                self.out.push('|');
                self.last = Last::Nothing;
            }
            '*' | '+' | '?' => self.repeat(c.encode_utf8(&mut [0; 4]))?,
            '{' => match count(self.rest) {
                Some((times, length)) => {
                    let times = times.ok_or("a repetition is over 1000, or from more to less")?;
                    self.rest = self.rest.get(length..).unwrap_or("");
                    self.repeat(&times)?;
                }
                None => self.atom("\\{"),
            },
            '}' | ']' => self.literal(c),
            '.' | '^' | '$' => self.atom(c.encode_utf8(&mut [0; 4])),
            _ => self.literal(c),
        }
        Ok(())
    }

    fn atom(&mut self, text: &str) {
        self.out.push_str(text);
        self.last = Last::Atom;
    }

    fn literal(&mut self, c: char) {
        self.atom(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    fn repeat(&mut self, operator: &str) -> Result<(), String> {
        match self.last {
            Last::Nothing => return Err(format!("there is nothing that {operator} repeats")),
            Last::Repeated => return Err(format!("{operator} repeats a repetition: put that into (?:…)")),
            Last::Atom => self.out.push_str(operator),
        }
        if self.takes("?") {
            self.out.push('?');
        }
        self.last = Last::Repeated;
        Ok(())
    }

    fn group(&mut self) -> Result<(), String> {
        self.last = Last::Nothing;
        let Some(inner) = self.rest.strip_prefix('?') else {
            self.open += 1;
            self.out.push('(');
            return Ok(());
        };
        let end = inner.find([':', ')', '>']).ok_or("a group is not closed")?;
        let (head, by) = (inner.get(..end).unwrap_or(""), inner.get(end..=end).unwrap_or(""));
        let named = by == ">" && (head.starts_with("P<") || head.starts_with('<'));
        let flags = by != ">" && head.chars().all(|c| matches!(c, 'i' | 'm' | 's' | 'U' | '-'));
        if !named && !flags {
            return Err(format!("(?{head} is no group that there is"));
        }
        self.open += usize::from(by != ")");
        self.out.push_str("(?");
        self.out.push_str(head);
        self.out.push_str(by);
        self.rest = inner.get(end + 1..).unwrap_or("");
        Ok(())
    }

    /// What follows a `\` outside of a class.
    fn escape(&mut self) -> Result<(), String> {
        match self.rest.chars().next() {
            Some('Q') => {
                let text = self.rest.get(1..).unwrap_or("");
                let (text, rest) = text.split_once("\\E").unwrap_or((text, ""));
                self.rest = rest;
                text.chars().for_each(|c| self.literal(c));
            }
            Some(c @ ('d' | 's' | 'w' | 'D' | 'S' | 'W')) => {
                self.next();
                let not = if c.is_ascii_uppercase() { "^" } else { "" };
                self.atom(&format!("[{not}{}]", ascii(c)));
            }
            Some('b') => {
                self.next();
                self.atom("(?-u:\\b)");
            }
            Some(c @ ('A' | 'z' | 'B')) => {
                self.next();
                self.atom(&format!("\\{c}"));
            }
            Some(c @ ('p' | 'P')) => {
                self.next();
                let property = self.property(c)?;
                self.atom(&property);
            }
            _ => {
                let c = self.character()?;
                self.literal(c);
            }
        }
        Ok(())
    }

    /// What follows a `\p` or `\P`.
    fn property(&mut self, mut letter: char) -> Result<String, String> {
        let name = if self.takes("{") {
            let (name, rest) = self.rest.split_once('}').ok_or("the } of a \\p{ is missing")?;
            self.rest = rest;
            name.to_owned()
        } else {
            self.next().ok_or("\\p needs a name")?.to_string()
        };
        let plain = name.strip_prefix('^');
        if plain.is_some() {
            letter = if letter == 'p' { 'P' } else { 'p' };
        }
        Ok(format!("\\{letter}{{{}}}", plain.unwrap_or(&name)))
    }

    /// The character that what follows a `\` stands for.
    fn character(&mut self) -> Result<char, String> {
        let c = self.next().ok_or("there is nothing behind the \\ at the end")?;
        let code = match c {
            '0'..='7' => {
                let more = self.rest.bytes().take(2).take_while(|b| matches!(b, b'0'..=b'7')).count();
                if c != '0' && more == 0 {
                    return Err(format!("\\{c} would refer back, which nothing here can"));
                }
                let digits = self.rest.get(..more).unwrap_or("");
                self.rest = self.rest.get(more..).unwrap_or("");
                u32::from_str_radix(&format!("{c}{digits}"), 8).ok()
            }
            'x' => {
                let digits = if self.takes("{") {
                    let (digits, rest) = self.rest.split_once('}').ok_or("the } of a \\x{ is missing")?;
                    self.rest = rest;
                    digits
                } else {
                    let digits = self.rest.get(..2).ok_or("\\x needs two digits")?;
                    self.rest = self.rest.get(2..).unwrap_or("");
                    digits
                };
                let hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
                u32::from_str_radix(digits, 16).ok().filter(|_| hex)
            }
            'a' => Some(7),
            'f' => Some(12),
            'n' => Some(10),
            'r' => Some(13),
            't' => Some(9),
            'v' => Some(11),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
            _ => None,
        };
        code.and_then(char::from_u32).ok_or_else(|| format!("\\{c} means nothing here"))
    }

    /// What follows a `[`.
    fn class(&mut self) -> Result<(), String> {
        let missing = "a ] is missing";
        self.out.push('[');
        if self.takes("^") {
            self.out.push('^');
        }
        let mut first = true;
        while first || !self.takes("]") {
            first = false;
            if let Some((name, rest)) = self.rest.strip_prefix("[:").and_then(|inner| inner.split_once(":]")) {
                self.out.push_str(&format!("[:{name}:]"));
                self.rest = rest;
                let plain = name.strip_prefix('^').unwrap_or(name);
                if plain.is_empty() || !plain.bytes().all(|b| b.is_ascii_lowercase()) {
                    return Err(format!("[:{name}:] is no class that there is"));
                }
                continue;
            }
            let mut behind = self.rest.strip_prefix('\\').map(str::chars);
            match behind.as_mut().and_then(Iterator::next) {
                Some(c @ ('d' | 's' | 'w')) => {
                    self.rest = self.rest.get(2..).unwrap_or("");
                    self.out.push_str(ascii(c));
                }
                Some(c @ ('D' | 'S' | 'W')) => {
                    self.rest = self.rest.get(2..).unwrap_or("");
                    self.out.push_str(&format!("[^{}]", ascii(c)));
                }
                Some(c @ ('p' | 'P')) => {
                    self.rest = self.rest.get(2..).unwrap_or("");
                    let property = self.property(c)?;
                    self.out.push_str(&property);
                }
                _ => {
                    let low = self.of_class().ok_or(missing)??;
                    self.out.push_str(&member(low));
                    if self.rest.len() > 1 && self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                        self.next();
                        let high = self.of_class().ok_or(missing)??;
                        if high < low {
                            return Err(format!("the range {low}-{high} of a class is the wrong way round"));
                        }
                        self.out.push('-');
                        self.out.push_str(&member(high));
                    }
                }
            }
        }
        self.atom("]");
        Ok(())
    }

    /// One character of a class. `None`: the text has ended.
    fn of_class(&mut self) -> Option<Result<char, String>> {
        Some(match self.next()? {
            '\\' => self.character(),
            c => Ok(c),
        })
    }
}

/// A character of a class, without any other meaning there.
fn member(c: char) -> String {
    if c.is_alphanumeric() { c.to_string() } else { format!("\\x{{{:x}}}", u32::from(c)) }
}

/// The members of `\d`, `\s` and `\w`, by either letter.
fn ascii(letter: char) -> &'static str {
    match letter.to_ascii_lowercase() {
        'd' => "0-9",
        's' => "\\t\\n\\x0c\\r\\x20",
        _ => "0-9A-Za-z_",
    }
}

/// How often, as `{2,3}`, and the length of that behind its `{`. `Some(None)`: more often than may be; `None`: this is no
/// repetition, so the bracket means itself.
fn count(rest: &str) -> Option<(Option<String>, usize)> {
    let end = rest.find('}')?;
    let inner = rest.get(..end)?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (digits && (text.len() == 1 || !text.starts_with('0'))).then(|| text.parse::<u32>().unwrap_or(u32::MAX))
    };
    let (low, high) = match inner.split_once(',') {
        None => (number(inner)?, number(inner)?),
        Some((low, "")) => (number(low)?, number(low)?),
        Some((low, high)) => (number(low)?, number(high)?),
    };
    let may_be = low <= high && high <= MAX_REPEAT;
    Some((may_be.then(|| format!("{{{inner}}}")), end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(expression: &str, text: &str) -> bool {
        regex::Regex::new(&format!("^(?s:{})$", translated(expression).unwrap())).unwrap().is_match(text)
    }

    #[test]
    fn what_means_the_same_in_both_stays_as_it_is() {
        for text in [
            "",
            "a",
            "prod|dev",
            "a.*b+?c??",
            "(?i)x(?:y)(z)",
            "(?P<n>a)(?<m>b)",
            "x{2}y{2,}z{2,3}?",
            "^a$",
            "ü+",
            "a-b_c/d",
        ] {
            let rust = regex::Regex::new(text).unwrap();
            let ours = regex::Regex::new(&translated(text).unwrap()).unwrap();
            for on in ["", "a", "dev", "acb", "aXXbcc", "XYz", "ab", "xxyyzz", "üü", "a-b_c/d"] {
                assert_eq!(rust.is_match(on), ours.is_match(on), "{text:?} on {on:?}");
            }
        }
    }

    #[test]
    fn what_means_something_else_or_nothing_there_means_what_go_says() {
        for (expression, yes, no) in [
            (r"\d+", "12", "٣"),
            (r"\w+", "a_1", "ü"),
            (r"[\w.]+", "a.b", "ü"),
            (r"[^\d]", "x", "1"),
            (r"[\D]", "x", "1"),
            (r"\W", "ü", "a"),
            (r"\s", " ", "\u{a0}"),
            (r".*\bab.*", "üab", "cab"),
            (r"\Qa.b\E+", "a.bb", "axb"),
            (r"\Qa(b", "a(b", "ab"),
            (r"\101\0x", "A\0x", "x"),
            (r"\x41\x{42}", "AB", "ab"),
            (r"a{", "a{", "a"),
            (r"a{,2}", "a{,2}", "aa"),
            (r"{a}", "{a}", "a"),
            (r"a{01}", "a{01}", "a"),
            (r"[a&&b]+", "a&b", "ab&c"),
            (r"[+--]+", "+,-", "a"),
            (r"[[a]+", "[a", "]"),
            (r"[a[b]", "[", "]"),
            (r"[]a]+", "]a", "["),
            (r"[^]a]", "b", "]"),
            (r"[a-]", "-", "b"),
            (r"[\]\\-]+", r"]\-", "["),
            (r"[~~#]+", "#~", "a"),
            (r"[[:alpha:]1]+", "a1", "2"),
            (r"[[:^alpha:]]", "1", "a"),
            (r"\p{^L}", "1", "a"),
            (r"\PL", "1", "a"),
            (r"[\pL]", "ü", "1"),
            (r"\_\-\~\#\ ", "_-~# ", "_"),
            (r"a]}", "a]}", "a"),
            ("a # b", "a # b", "a"),
        ] {
            assert!(matches(expression, yes), "{expression:?} is {yes:?}: {:?}", translated(expression));
            assert!(!matches(expression, no), "{expression:?} is not {no:?}: {:?}", translated(expression));
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for bad in [
            "(",
            ")",
            "a)|(b",
            "[",
            "[a",
            "[]",
            "[^]",
            "[z-a]",
            "[a--]",
            "[[:nope:]",
            "[[:Alpha:]]",
            "*",
            "+a",
            "a|*",
            "(*)",
            "a**",
            "a+*",
            "a{2}{3}",
            "a??",
            "a???",
            "a{3,1}",
            "a{1001}",
            "a{99999999999}",
            "(?x)a",
            "(?=a)",
            "(?#c)",
            "(?R)",
            "(?P<a",
            "\\",
            "\\1",
            "\\8",
            "\\e",
            "\\Z",
            "\\C",
            "\\h",
            "\\é",
            "\\x",
            "\\x{}",
            "\\x{110000}",
            "\\xg1",
            "\\p",
            "\\p{L",
        ] {
            // A question mark behind one is the lazy form of it.
            assert_eq!(
                translated(bad).is_err() || regex::Regex::new(&translated(bad).unwrap()).is_err(),
                bad != "a??",
                "{bad:?}"
            );
        }
    }
}
