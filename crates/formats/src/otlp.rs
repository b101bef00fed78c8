//! OTLP profiles: requests in every revision of opentelemetry-proto since the first `v1development` one.
//!
//! The tables are cut into entries once for a request; each profile then becomes one pprof for each service that its
//! samples name. Bench: `benches/formats.rs`.

mod convert;
mod dictionary;
mod profile;
mod revision;

use std::borrow::Cow;

use flamestore_model::labels::names;
use flamestore_model::{Fault, FaultId, Kind};

use crate::caps::Caps;
use crate::ingested::Ingested;
use crate::otlp::dictionary::{Attribute, Dictionary, Scalar, too_long};
use crate::otlp::revision::{Request, Revision};
use crate::protobuf::{Broken, Fields, Value, messages};

pub use dictionary::MAX_TABLE_ENTRIES;

/// Most attributes of a resource, and of a scope. They become labels, of which a series may have a few dozen.
const MAX_ORIGIN_ATTRIBUTES: usize = 1 << 12;
const SERVICE_NAME: &[u8] = b"service.name";
const EXECUTABLE_NAME: &[u8] = b"process.executable.name";
const UNKNOWN_SERVICE: &str = "unknown_service";

/// A request whose tables could be read. A profile that could not does not take the others with it.
#[derive(Debug, Default)]
pub struct Export {
    pub ingested: Ingested,
    /// Profiles that were refused.
    pub refused: u64,
    /// Why the first of them was.
    pub first_fault: Option<Fault>,
}

/// Decodes an `ExportProfilesServiceRequest` in protobuf, not compressed.
///
/// Errors, all about the whole request: `Invalid` when it is no such message or its tables are missing, `TooLarge` when
/// its profiles together would be larger than [`Caps::max_inflated_bytes`].
pub fn read(body: &[u8], caps: &Caps) -> Result<Export, Fault> {
    let request = Request::read(body).map_err(broken)?;
    let Some(revision) = Revision::of(&request).map_err(broken)? else {
        return Err(Fault::of(
            FaultId::OtlpMalformed,
            "OTLP: the request has no dictionary: profiles point into its tables",
        ));
    };
    let mut reader = Reader { revision, caps, budget: caps.max_inflated_bytes, export: Export::default() };
    let dictionary = Dictionary::read(&request.dictionaries, revision)?;
    for message in messages(body, 1) {
        reader.resource(message, &dictionary)?;
    }
    Ok(reader.export)
}

struct Reader<'c> {
    revision: Revision,
    caps: &'c Caps,
    /// Bytes that may still be made of the request. Tables are shared, so that a small request can unfold into much.
    budget: usize,
    export: Export,
}

/// What all profiles of a scope have in common.
struct Origin<'a> {
    /// Without `__name__` and `service_name`.
    labels: Vec<(String, String)>,
    /// Of the resource.
    service: Option<Cow<'a, str>>,
    fallback_service: String,
}

impl Reader<'_> {
    fn resource<'a>(&mut self, message: &'a [u8], dictionary: &Dictionary<'a>) -> Result<(), Fault> {
        let attributes = attributes(message, 1, dictionary)?;
        messages(message, 2).try_for_each(|scope| self.scope(scope, &attributes, dictionary))
    }

    fn scope<'a>(
        &mut self,
        message: &'a [u8],
        of_resource: &[Attribute<'a>],
        dictionary: &Dictionary<'a>,
    ) -> Result<(), Fault> {
        let of_scope = attributes(message, 3, dictionary)?;
        let origin = self.origin(of_resource, &of_scope)?;
        for message in messages(message, 2) {
            let own_tables = match self.revision {
                Revision::V1_5 => Some(Dictionary::read(&[message], self.revision)?),
                _ => None,
            };
            match self.profile(message, &origin, own_tables.as_ref().unwrap_or(dictionary)) {
                Ok(()) => {}
                // The budget is the request's: what comes after cannot fit either.
                Err(fault) if fault.kind == Kind::TooLarge => return Err(fault),
                Err(fault) => {
                    self.export.refused += 1;
                    self.export.first_fault.get_or_insert(fault);
                }
            }
        }
        Ok(())
    }

    fn origin<'a>(&mut self, of_resource: &[Attribute<'a>], of_scope: &[Attribute<'a>]) -> Result<Origin<'a>, Fault> {
        let mut labels: Vec<(String, String)> =
            vec![(names::OTEL.to_owned(), "true".to_owned()), (names::DELTA.to_owned(), "false".to_owned())];
        let first = labels.len();
        for attribute in of_resource.iter().chain(of_scope) {
            let name = String::from_utf8_lossy(attribute.key);
            match attribute.value.text() {
                Some(value) => labels.push((name.into_owned(), value.into_owned())),
                None => self.export.ingested.notes.attributes_dropped += 1,
            }
        }
        // Of equal keys the first one wins. Sorting keeps their order.
        if let Some(own) = labels.get_mut(first..) {
            own.sort_by(|a, b| a.0.cmp(&b.0));
        }
        labels.dedup_by(|later, earlier| later.0 == earlier.0);
        self.spend(text_bytes(&labels))?;
        let find = |key: &[u8]| of_resource.iter().find(|a| a.key == key).and_then(|a| a.value.text());
        let fallback_service = match find(EXECUTABLE_NAME) {
            Some(executable) => format!("{UNKNOWN_SERVICE}:{executable}"),
            None => UNKNOWN_SERVICE.to_owned(),
        };
        Ok(Origin { labels, service: find(SERVICE_NAME), fallback_service })
    }

    /// Takes from the budget.
    fn spend(&mut self, bytes: usize) -> Result<(), Fault> {
        match self.budget.checked_sub(bytes) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(Fault::over(
                FaultId::UnfoldsTooLarge,
                "OTLP: the profiles of the request unfold to more than allowed",
                format_args!("{} bytes", self.caps.max_inflated_bytes),
            )),
        }
    }
}

/// The key-value pairs in a field of the resource or scope, which is field 1 of what it belongs to.
fn attributes<'a>(of: &'a [u8], number: u32, dictionary: &Dictionary<'a>) -> Result<Vec<Attribute<'a>>, Fault> {
    let mut attributes = Vec::new();
    for field in Fields::of(of) {
        let (1, Value::Bytes(message)) = field.map_err(broken)? else { continue };
        for field in Fields::of(message) {
            match field.map_err(broken)? {
                (n, Value::Bytes(pair)) if n == number => {
                    attributes.push(dictionary.key_value(pair).map_err(broken)?);
                }
                _ => {}
            }
            if attributes.len() > MAX_ORIGIN_ATTRIBUTES {
                return Err(too_long("the attributes of a resource or scope", MAX_ORIGIN_ATTRIBUTES));
            }
        }
    }
    Ok(attributes)
}

fn text_bytes(labels: &[(String, String)]) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len()).sum()
}

fn broken(_: Broken) -> Fault {
    Fault::of(FaultId::OtlpMalformed, "OTLP: the body is not an ExportProfilesServiceRequest in protobuf")
}

impl<'a> Attribute<'a> {
    /// The value of `service.name`, if this is it.
    fn as_service(&self) -> Option<Cow<'a, str>> {
        match self.value {
            Scalar::Text(_) if self.key == SERVICE_NAME => self.value.text(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
