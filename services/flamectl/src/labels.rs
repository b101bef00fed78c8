//! `flamectl labels`: label names, or the values of one.

use std::io::Write;

use clap::Args;
use flamestore_proto::types::v1::{LabelNamesRequest, LabelNamesResponse, LabelValuesRequest, LabelValuesResponse};
use serde_json::json;

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::series::{Listing, labels_alone, write_json};
use crate::times::{self, RangeArgs};

/// List label names, or the values of one label.
#[derive(Debug, Args)]
pub(crate) struct Labels {
    /// The label whose values are wanted; default: the names of all labels.
    name: Option<String>,

    /// Only of series that this selector finds.
    #[arg(long = "match", value_name = "SELECTOR")]
    matches: Option<String>,

    #[command(flatten)]
    range: RangeArgs,

    /// What to make of it.
    #[arg(long, short, value_enum, value_name = "FORM", default_value = "text")]
    output: Listing,
}

pub(crate) fn run(client: &Client, args: &Labels) -> Result<Exit, Failure> {
    let range = args.range.read(times::now_nanos())?;
    let matchers = vec![labels_alone(args.matches.as_deref())?];
    let (start, end) = (range.from_ms, range.until_ms);
    let words = match &args.name {
        Some(name) => {
            let request = LabelValuesRequest { name: name.clone(), matchers, start, end };
            client.call::<_, LabelValuesResponse>("querier.v1.QuerierService/LabelValues", &request)?.names
        }
        None => {
            let request = LabelNamesRequest { matchers, start, end };
            client.call::<_, LabelNamesResponse>("querier.v1.QuerierService/LabelNames", &request)?.names
        }
    };
    list(&words, args.output)
}

/// Writes words, one a line or as an array.
pub(crate) fn list(words: &[String], form: Listing) -> Result<Exit, Failure> {
    let mut out = Output::open(None)?;
    match form {
        Listing::Text => words.iter().try_for_each(|word| writeln!(out, "{word}"))?,
        Listing::Json => write_json(&mut out, &json!(words))?,
    }
    out.finish()?;
    Ok(Exit::Done)
}
