//! The page `docs/reference/errors.md`, made from the table of errors.

use std::fmt::Write;

use flamestore_model::FaultId;

use super::{connect_http, connect_word, row};

const HEAD: &str = "\
# Errors

Generated from the table in `crates/model`; do not edit by hand.

Every refusal has an id that stays the same over versions. It is in the header `X-Flamestore-Error` of HTTP and Connect
answers, in the metadata `x-flamestore-error` of gRPC and gRPC-web, and as `reason` of the `google.rpc.ErrorInfo` in gRPC
and OTLP details; behind the sentence it stands in brackets, for whoever only sees a log. The sentence says the value, the
limit and the key where there is one.

What may succeed later has `Retry-After` in seconds (over gRPC also as `google.rpc.RetryInfo`): limits with 429, overload
and absence with 503. Everything else will be refused again until it is changed. `TooLarge` and `Unprocessable` have no
code of their own in Connect, so a few statuses differ there and are given in brackets. What was thrown away is counted in
`pyroscope_discarded_samples_total` and `pyroscope_discarded_bytes_total` under the reason.

| id | HTTP (Connect) | code | again | reason | keys | what happened, and what to do |
|---|---|---|---|---|---|---|
";

/// The page as it should stand.
pub fn reference_markdown() -> String {
    let mut page = HEAD.to_owned();
    for id in FaultId::ALL {
        let entry = id.entry();
        let row = row(entry.kind);
        let connect = connect_http(row.grpc);
        let other = if connect == row.http { String::new() } else { format!(" ({})", connect.as_u16()) };
        let keys: Vec<String> = entry.keys.iter().map(|key| format!("`{key}`")).collect();
        let mut advice = entry.advice.to_owned();
        if let Some(first) = advice.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let advice = advice.replace('|', "\\|");
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | {}{other} | {} | {} | {} | {} | {} {advice}. |",
            entry.id,
            row.http.as_u16(),
            connect_word(row.grpc),
            if row.again { "yes" } else { "" },
            entry.discard.map_or("", |d| d.as_str()),
            keys.join(", "),
            entry.meaning,
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_a_line() {
        let page = reference_markdown();
        for id in FaultId::ALL {
            assert!(page.contains(&format!("| `{}` |", id.as_str())), "{}", id.as_str());
        }
        assert_eq!(page.lines().filter(|l| l.starts_with("| `")).count(), FaultId::ALL.len());
    }
}
