//! `flamectl series`: which series there are.

use std::collections::BTreeSet;
use std::io::Write;

use clap::{Args, ValueEnum};
use flamestore_model::labels::names;
use flamestore_model::{Matcher, ProfileType, Selector};
use flamestore_proto::querier::v1::{SeriesRequest, SeriesResponse};
use serde_json::{Map, Value};

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::selector;
use crate::times::{self, RangeArgs};

/// List the series that a selector finds, by their labels.
#[derive(Debug, Args)]
pub(crate) struct Series {
    #[arg(help = "Which series: a service's name, or labels as {service_name=\"checkout\"}. Default: all")]
    selector: Option<String>,

    /// Show only this label; may be given several times. Default: all public labels, and the profile type.
    #[arg(long = "label", value_name = "NAME")]
    labels: Vec<String>,

    /// Show the labels that are the server's own, too, such as __name__.
    #[arg(long, conflicts_with = "labels")]
    private: bool,

    #[command(flatten)]
    range: RangeArgs,

    /// What to make of it.
    #[arg(long, short, value_enum, value_name = "FORM", default_value = "text")]
    output: Listing,
}

/// The forms of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listing {
    /// One a line.
    Text,
    /// An array.
    Json,
}

pub(crate) fn run(client: &Client, args: &Series) -> Result<Exit, Failure> {
    let range = args.range.read(times::now_nanos())?;
    let request = SeriesRequest {
        matchers: vec![labels_alone(args.selector.as_deref())?],
        label_names: args.labels.clone(),
        start: range.from_ms,
        end: range.until_ms,
    };
    let answer: SeriesResponse = client.call("querier.v1.QuerierService/Series", &request)?;
    // Without the private labels, series may look the same.
    let sets: BTreeSet<Vec<(String, String)>> = answer
        .labels_set
        .into_iter()
        .map(|set| set.labels.into_iter().map(|pair| (pair.name, pair.value)))
        .map(|set| set.filter(|(name, _)| args.private || !args.labels.is_empty() || is_public(name)).collect())
        .collect();
    let mut out = Output::open(None)?;
    match args.output {
        Listing::Text => {
            for set in sets {
                writeln!(out, "{}", text(set.into_iter()))?;
            }
        }
        Listing::Json => {
            let object = |set: Vec<(String, String)>| {
                Value::Object(set.into_iter().map(|(name, value)| (name, value.into())).collect::<Map<_, _>>())
            };
            write_json(&mut out, &sets.into_iter().map(object).collect())?;
        }
    }
    out.finish()?;
    Ok(Exit::Done)
}

/// A selector for the calls that know no profile types and no other times.
pub(crate) fn labels_alone(text: Option<&str>) -> Result<String, Failure> {
    let wanted = selector::read(text, None)?;
    if !wanted.back.is_zero() {
        return Err(Failure::usage("leave the offset out: --from and --until say the times here"));
    }
    match wanted.type_word {
        None => Ok(wanted.labels),
        // As a label it stands in what this command prints.
        Some(word) if ProfileType::parse(&word).is_ok() => {
            let mut selector = Selector::parse(&wanted.labels).map_err(|fault| Failure::usage(fault.to_string()))?;
            selector.matchers.push(Matcher::equal(names::PROFILE_TYPE, &word));
            Ok(selector.to_string())
        }
        Some(word) => Err(Failure::usage(format!("leave the profile type {word:?} out: labels alone are wanted here"))),
    }
}

/// Whether a label tells series apart for their users.
fn is_public(name: &str) -> bool {
    !name.starts_with("__") || name == names::PROFILE_TYPE
}

/// An array, and a line break.
pub(crate) fn write_json(out: &mut Output, value: &Value) -> Result<(), Failure> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// As a selector that finds it.
fn text(set: impl Iterator<Item = (String, String)>) -> String {
    Selector { matchers: set.map(|(name, value)| Matcher::equal(name, value)).collect() }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_shown_as_the_selector_that_finds_it() {
        let set = [("service_name", "a\"b"), ("k8s.pod", "x")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(text(set.into_iter()), r#"{service_name="a\"b", "k8s.pod"="x"}"#);
        assert_eq!(labels_alone(None), Ok("{}".to_owned()));
        assert!(labels_alone(Some("cpu{}")).is_err());
        assert!(labels_alone(Some("{offset=1d}")).is_err());
    }
}
