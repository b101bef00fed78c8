//! `flamectl blocks verify`: reads everything, and names all that is not what was written.

use std::io::Write;

use clap::Args;
use flamestore_block::read::Damage;
use flamestore_model::{Kind, TenantId};
use indicatif::ProgressBar;
use serde_json::json;

use crate::blocks::find::{self, Found, Wanted};
use crate::blocks::list::{Form, signed};
use crate::blocks::store::{Store, told};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::progress;
use crate::series::write_json;
use crate::units::Measure;

/// Read blocks whole and name everything that is damaged.
///
/// Tries the checksums of every piece of every file and of whole files, the footers, whether the tables of a block agree
/// with each other and with its meta.json, and that with the index. Ends with 8 when something is damaged, each object
/// named with its bytes where they are known; it does not stop at the first. Ends with 4 when a part could not be
/// read, so that nothing can be said of it.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The blocks, by their ids; default: all that count, and the indexes.
    #[arg(value_name = "ULID")]
    blocks: Vec<String>,

    #[command(flatten)]
    wanted: Wanted,

    /// What to make of it.
    #[arg(long, short, value_enum, value_name = "FORM", default_value = "table")]
    output: Form,
}

/// What has been found so far.
struct Report {
    out: Output,
    form: Form,
    bar: ProgressBar,
    damages: Vec<Damage>,
    /// Objects that could not be read, and why.
    unchecked: Vec<(String, String)>,
}

impl Report {
    fn damage(&mut self, damage: Damage) -> Result<(), Failure> {
        let place = match &damage.bytes {
            Some(bytes) => format!("{} bytes {} to {}", damage.object, bytes.start, bytes.end),
            None => damage.object.clone(),
        };
        let line = format!("{place}: {}", damage.what);
        self.damages.push(damage);
        self.say(&line)
    }

    fn unchecked(&mut self, object: String, why: String) -> Result<(), Failure> {
        let line = format!("{object}: could not be checked: {why}");
        self.unchecked.push((object, why));
        self.say(&line)
    }

    /// At once, above the bar.
    fn say(&mut self, line: &str) -> Result<(), Failure> {
        if self.form == Form::Table {
            let (bar, out) = (&self.bar, &mut self.out);
            bar.suspend(|| writeln!(out, "{line}").and_then(|()| out.flush()))?;
        }
        Ok(())
    }
}

pub(crate) fn run(store: &Store, args: &Verify) -> Result<Exit, Failure> {
    let out = Output::open(None)?;
    let mut report =
        Report { out, form: args.output, bar: ProgressBar::hidden(), damages: Vec::new(), unchecked: Vec::new() };
    let found = match args.blocks.as_slice() {
        [] => {
            let filter = args.wanted.read()?;
            let mut found = Vec::new();
            for tenant in store.tenants()? {
                indexed(store, &tenant, &mut report)?;
                match find::counting_of(store, &tenant, &filter) {
                    Ok(blocks) => found.extend(blocks),
                    Err(failure) => report.unchecked(format!("{tenant}/blocks"), failure.message)?,
                }
            }
            found
        }
        ids => find::named(store, &find::ids(ids)?)?,
    };
    report.bar = progress::bytes(found.iter().map(|f| f.meta.stats.bytes).sum());
    let mut damaged = 0;
    for found in &found {
        let known = report.damages.len();
        one(store, found, &mut report)?;
        damaged += usize::from(report.damages.len() > known);
    }
    report.bar.finish_and_clear();
    finish(report, &found, damaged)
}

fn finish(mut report: Report, found: &[Found], damaged: usize) -> Result<Exit, Failure> {
    let bytes: u64 = found.iter().map(|f| f.meta.stats.bytes).sum();
    match report.form {
        Form::Json => {
            let damages = report.damages.iter().map(|d| {
                json!({ "object": d.object, "what": d.what,
                        "fromByte": d.bytes.as_ref().map(|b| b.start), "toByte": d.bytes.as_ref().map(|b| b.end) })
            });
            let unchecked = report.unchecked.iter().map(|(object, why)| json!({ "object": object, "why": why }));
            let page = json!({ "blocks": found.len(), "bytes": bytes, "damagedBlocks": damaged,
                               "damages": damages.collect::<Vec<_>>(), "unchecked": unchecked.collect::<Vec<_>>() });
            write_json(&mut report.out, &page)?;
        }
        Form::Table => {
            let (blocks, bytes) = (found.len(), Measure::Bytes.show(signed(bytes)));
            let (places, unchecked) = (report.damages.len(), report.unchecked.len());
            write!(report.out, "{blocks} blocks, {bytes}: ")?;
            match (places, unchecked) {
                (0, 0) => writeln!(report.out, "all is what was written")?,
                (_, 0) => writeln!(report.out, "{damaged} damaged, in {places} places")?,
                _ => writeln!(report.out, "{damaged} damaged, in {places} places; {unchecked} could not be checked")?,
            }
        }
    }
    let exit = match (report.damages.is_empty(), report.unchecked.is_empty()) {
        (false, _) => Exit::Damaged,
        (true, false) => Exit::Unreachable,
        (true, true) => Exit::Done,
    };
    report.out.finish()?;
    Ok(exit)
}

/// The index, and what it lists that is not there or cannot be read.
fn indexed(store: &Store, tenant: &TenantId, report: &mut Report) -> Result<(), Failure> {
    let folder = format!("{tenant}/index");
    let damage = |object: String, what: String| Damage { object, bytes: None, what };
    let latest = match store.try_wait(store.index(tenant).latest()) {
        Ok(latest) => latest,
        Err(fault) => return report.unchecked(folder, told(&fault)),
    };
    let listed = match latest.snapshot {
        Ok(snapshot) => snapshot.blocks,
        Err(fault) => {
            report.damage(damage(folder, told(&fault)))?;
            Vec::new()
        }
    };
    let view = match store.try_wait(store.index(tenant).view(find::MAX_PARALLEL_METAS)) {
        Ok(view) => view,
        Err(fault) => return report.unchecked(format!("{tenant}/blocks"), told(&fault)),
    };
    for (ulid, fault) in &view.unreadable {
        report.damage(damage(format!("{tenant}/blocks/{ulid}/meta.json"), told(fault)))?;
    }
    let counted = |ulid| view.live.iter().any(|m| m.ulid == ulid) || view.snapshot.is_dead(ulid);
    for meta in listed.iter().filter(|meta| !counted(meta.ulid)) {
        report.damage(damage(meta.key(""), "the index lists it, and it is gone".into()))?;
    }
    Ok(())
}

fn one(store: &Store, found: &Found, report: &mut Report) -> Result<(), Failure> {
    let (tenant, meta) = (&found.tenant, &found.meta);
    let (folder, key) = (meta.key(""), meta.key("meta.json"));
    let mut damages = Vec::new();
    match store.try_wait(find::now(store, tenant, meta.ulid)) {
        Ok(Some(there)) if there != *meta => damages.push(Damage {
            object: key.clone(),
            bytes: None,
            what: "it is not what the index says of the block".into(),
        }),
        Ok(_) => {}
        Err(fault) if fault.kind == Kind::Corrupt => {
            damages.push(Damage { object: key.clone(), bytes: None, what: told(&fault) });
        }
        Err(fault) => report.unchecked(key, told(&fault))?,
    }
    report.bar.set_message(meta.ulid.to_string());
    let block = store.open(tenant, meta.clone())?;
    let bar = report.bar.clone();
    let verified = store.try_wait(block.verify(&mut damages, &|bytes| bar.inc(bytes)));
    if !damages.is_empty() && matches!(store.try_wait(find::now(store, tenant, meta.ulid)), Ok(None)) {
        // Compaction or retention was here meanwhile; nobody reads it any more.
        return report.say(&format!("{folder}: was deleted while it was read"));
    }
    for damage in damages {
        report.damage(damage)?;
    }
    match verified {
        Ok(()) => Ok(()),
        Err(fault) => report.unchecked(folder, told(&fault)),
    }
}
