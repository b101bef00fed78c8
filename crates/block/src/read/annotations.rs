//! The annotations of profiles, from the two columns of their map.

use std::ops::Range;

use flamestore_model::{Annotation, Fault};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::layout::{ANNOTATION_KEY, ANNOTATION_VALUE};
use crate::read::columns::Checked;
use crate::refusal::corrupt;

/// What has to be fetched; a file in which no profile has any lacks both.
pub(crate) const PATHS: [&str; 2] = [ANNOTATION_KEY.path, ANNOTATION_VALUE.path];

/// Those of each row, or nothing at all where the file has no such column. Equal ones share their texts.
pub(crate) fn of(columns: &Checked, rows: &[Range<u64>]) -> Result<Vec<Vec<Annotation>>, Fault> {
    let [key, value] = PATHS;
    if !columns.has(key) || !columns.has(value) {
        return Ok(Vec::new());
    }
    let (keys, values) = (columns.texts(key, rows)?, columns.texts(value, rows)?);
    if keys.there != values.there || keys.again != values.again || keys.values.len() != values.values.len() {
        return Err(corrupt(columns.name(), "keys and values of annotations do not fit"));
    }
    let mut pairs = keys.values.iter().zip(&values.values);
    let mut known: HashMap<(&str, &str), Annotation, RandomState> = HashMap::default();
    let mut out: Vec<Vec<Annotation>> = Vec::new();
    for (there, again) in keys.there.iter().zip(&keys.again) {
        if *again == 0 {
            out.push(Vec::new());
        }
        if *there > 0 {
            let (k, v) = pairs.next().ok_or_else(|| corrupt(columns.name(), "an annotation is missing"))?;
            let (k, v) = (columns.text(k)?, columns.text(v)?);
            let annotation = known.entry((k, v)).or_insert_with(|| Annotation::new(k, v));
            out.last_mut()
                .ok_or_else(|| corrupt(columns.name(), "an annotation has no profile"))?
                .push(annotation.clone());
        }
    }
    if out.len() as u64 != rows.iter().map(|r| r.end - r.start).sum::<u64>() {
        return Err(corrupt(columns.name(), "annotations are not those of its profiles"));
    }
    Ok(out)
}
