//! `flamectl types`: what was measured.

use clap::Args;
use flamestore_proto::querier::v1::{ProfileTypesRequest, ProfileTypesResponse};

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::labels::list;
use crate::series::Listing;
use crate::times::{self, RangeArgs};

/// List the profile types that are stored.
#[derive(Debug, Args)]
pub(crate) struct Types {
    #[command(flatten)]
    range: RangeArgs,

    /// What to make of it.
    #[arg(long, short, value_enum, value_name = "FORM", default_value = "text")]
    output: Listing,
}

pub(crate) fn run(client: &Client, args: &Types) -> Result<Exit, Failure> {
    let range = args.range.read(times::now_nanos())?;
    let request = ProfileTypesRequest { start: range.from_ms, end: range.until_ms };
    let answer: ProfileTypesResponse = client.call("querier.v1.QuerierService/ProfileTypes", &request)?;
    let ids: Vec<String> = answer.profile_types.into_iter().map(|t| t.id).collect();
    list(&ids, args.output)
}
