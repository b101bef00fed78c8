//! `flamectl ready` and `flamectl version`: what state the server is in, and what it is.

use std::io::Write;

use serde_json::Value;

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::Output;

const BUILD_INFO: &str = "/api/v1/status/buildinfo";

pub(crate) fn ready(client: &Client) -> Result<Exit, Failure> {
    let text = client.get("/ready")?;
    say(text.trim())?;
    Ok(Exit::Done)
}

pub(crate) fn version(client: &Client) -> Result<Exit, Failure> {
    say(concat!("flamectl ", env!("CARGO_PKG_VERSION")))?;
    let page: Value = serde_json::from_str(&client.get(BUILD_INFO)?).map_err(Failure::bad_answer)?;
    let word = |key: &str| page["data"][key].as_str().unwrap_or("unknown");
    say(&format!("server {} (revision {}) at {}", word("version"), word("revision"), client.url()))?;
    Ok(Exit::Done)
}

fn say(line: &str) -> Result<(), Failure> {
    let mut out = Output::open(None)?;
    writeln!(out, "{line}")?;
    out.finish()
}
