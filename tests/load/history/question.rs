//! What is asked of a service's CPU profiles. Each answer adds up to the same sum.

use std::fmt;

use flamestore_tests::Client;
use flamestore_tests::client::CPU;
use serde_json::{Value, json};

/// Points of a time series.
const STEPS: i64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    FlameGraph,
    TimeSeries,
    Pprof,
}

impl Question {
    pub(crate) const ALL: [Question; 3] = [Question::FlameGraph, Question::TimeSeries, Question::Pprof];

    /// The sum of all values in the answer; times in seconds.
    pub(crate) fn ask(self, client: &Client, service: &str, from: i64, until: i64) -> i64 {
        let (from, until) = (from * 1000, until * 1000);
        let mut question = json!({
            "profileTypeID": CPU,
            "labelSelector": format!("{{service_name={service:?}}}"),
            "start": from,
            "end": until,
        });
        match self {
            Question::FlameGraph => {
                let answer = client.call("querier.v1.QuerierService/SelectMergeStacktraces", &question);
                number(&answer["flamegraph"]["total"])
            }
            Question::TimeSeries => {
                // The first point reaches back one step.
                let step = (until - from) / STEPS;
                question["start"] = json!(from + step);
                question["step"] = json!(step as f64 / 1e3);
                question["groupBy"] = json!(["pod"]);
                let answer = client.call("querier.v1.QuerierService/SelectSeries", &question);
                let points = list(&answer["series"]).iter().flat_map(|series| list(&series["points"]));
                points.map(|point| number(&point["value"])).sum()
            }
            Question::Pprof => {
                let answer = client.call("querier.v1.QuerierService/SelectMergeProfile", &question);
                list(&answer["sample"]).iter().flat_map(|sample| list(&sample["value"])).map(number).sum()
            }
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Question::FlameGraph => "flame graph",
            Question::TimeSeries => "time series by pod",
            Question::Pprof => "pprof",
        })
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// JSON has long numbers as texts.
fn number(value: &Value) -> i64 {
    let text = || value.as_str()?.parse().ok();
    value.as_i64().or_else(|| value.as_f64().map(|n| n as i64)).or_else(text).unwrap_or(0)
}
