//! The file as JSON. Samples are flattened, so that memory follows the size of the text.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

/// Profiles of one file: threads, in practice.
pub(super) const MAX_PROFILES: usize = 10_000;

#[derive(Deserialize)]
pub(super) struct File<'a> {
    #[serde(rename = "$schema", borrow, default)]
    pub(super) schema: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) shared: Shared<'a>,
    #[serde(borrow, default, deserialize_with = "profiles")]
    pub(super) profiles: Vec<Profile<'a>>,
}

#[derive(Deserialize, Default)]
pub(super) struct Shared<'a> {
    #[serde(borrow, default)]
    pub(super) frames: Vec<Frame<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Frame<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
}

#[derive(Deserialize)]
pub(super) struct Profile<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) unit: Cow<'a, str>,
    #[serde(rename = "startValue", default)]
    pub(super) start_value: f64,
    #[serde(default)]
    pub(super) samples: Samples,
    #[serde(default)]
    pub(super) weights: Vec<f64>,
    #[serde(default)]
    pub(super) events: Vec<Event>,
}

#[derive(Deserialize)]
pub(super) struct Event {
    #[serde(rename = "type")]
    pub(super) kind: EventKind,
    pub(super) frame: u32,
    pub(super) at: f64,
}

#[derive(Deserialize, Clone, Copy)]
pub(super) enum EventKind {
    #[serde(rename = "O")]
    Open,
    #[serde(rename = "C")]
    Close,
}

/// Stops at the first profile too many: in memory they are much larger than in the text.
fn profiles<'de, 'a, D>(deserializer: D) -> Result<Vec<Profile<'a>>, D::Error>
where
    D: Deserializer<'de>,
    'de: 'a,
{
    struct Bounded;

    impl<'de> Visitor<'de> for Bounded {
        type Value = Vec<Profile<'de>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX_PROFILES} profiles")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut profiles = Vec::new();
            while let Some(profile) = list.next_element()? {
                if profiles.len() == MAX_PROFILES {
                    return Err(A::Error::invalid_length(MAX_PROFILES + 1, &self));
                }
                profiles.push(profile);
            }
            Ok(profiles)
        }
    }

    deserializer.deserialize_seq(Bounded)
}

/// Lists of frame indexes, root first, one after another.
#[derive(Default)]
pub(super) struct Samples {
    frames: Vec<u32>,
    ends: Vec<usize>,
}

impl Samples {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let sample = self.frames.get(start..*end).unwrap_or_default();
            start = *end;
            sample
        })
    }
}

impl<'de> Deserialize<'de> for Samples {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Lists;
        struct List<'s>(&'s mut Vec<u32>);

        impl<'de> Visitor<'de> for Lists {
            type Value = Samples;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of lists of frame indexes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut lists: A) -> Result<Samples, A::Error> {
                let mut samples = Samples::default();
                while lists.next_element_seed(List(&mut samples.frames))?.is_some() {
                    samples.ends.push(samples.frames.len());
                }
                Ok(samples)
            }
        }

        impl<'de> DeserializeSeed<'de> for List<'_> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.deserialize_seq(self)
            }
        }

        impl<'de> Visitor<'de> for List<'_> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of frame indexes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
                while let Some(frame) = list.next_element()? {
                    self.0.push(frame);
                }
                Ok(())
            }
        }

        deserializer.deserialize_seq(Lists)
    }
}
