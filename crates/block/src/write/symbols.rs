//! stacktraces.parquet, fn_tree.parquet, locations.parquet and functions.parquet.

use flamestore_model::Fault;
use flamestore_symbols::tables::NO_MAPPING;
use parquet::data_type::ByteArray;

use crate::layout::Table;
use crate::write::Part;
use crate::write::renumber::Renumbered;
use crate::write::runs::groups;
use crate::write::table::{Encoded, Group, TableWriter};

pub(crate) fn stacktraces(parts: &[Part<'_>]) -> Result<Encoded, Fault> {
    each(
        Table::Stacktraces,
        parts,
        |r| r.stack_rows(),
        |g, service, r| {
            let tree = &r.symbols.stacks;
            for (id, old) in (0u32..).zip(&r.stacks.old).skip(1) {
                let old = *old as usize;
                g.text(0, service);
                g.u32(1, id);
                g.u32(2, id - r.stacks.new[tree.parent[old] as usize]);
                g.u32(3, r.location_ids[tree.location[old] as usize]);
                g.u32(4, r.fn_nodes.new[tree.fn_node[old] as usize]);
                g.rows(1)?;
            }
            Ok(())
        },
    )
}

pub(crate) fn fn_tree(parts: &[Part<'_>]) -> Result<Encoded, Fault> {
    each(
        Table::FnTree,
        parts,
        |r| r.fn_rows(),
        |g, service, r| {
            let tree = &r.symbols.fn_tree;
            for (id, old) in (0u32..).zip(&r.fn_nodes.old).skip(1) {
                let old = *old as usize;
                g.text(0, service);
                g.u32(1, id);
                g.u32(2, id - r.fn_nodes.new[tree.parent[old] as usize]);
                g.u32(3, r.name_ids[tree.name[old] as usize]);
                g.rows(1)?;
            }
            Ok(())
        },
    )
}

pub(crate) fn locations(parts: &[Part<'_>]) -> Result<Encoded, Fault> {
    each(
        Table::Locations,
        parts,
        |r| r.line_rows(),
        |g, service, r| {
            let s = r.symbols;
            let mut mapping = (NO_MAPPING, None);
            for (id, old) in (0u32..).zip(&r.locations) {
                let location = &s.locations[*old as usize];
                if mapping.0 != location.mapping {
                    let found = (location.mapping != NO_MAPPING).then(|| {
                        let m = &s.mappings[location.mapping as usize];
                        (m, ByteArray::from(s.strings.get(m.filename)), ByteArray::from(s.strings.get(m.build_id)))
                    });
                    mapping = (location.mapping, found);
                }
                let lines = s.lines_of(*old);
                // A location without lines has one row all the same.
                for index in 0..lines.len().max(1) {
                    let line = lines.get(index);
                    g.text(0, service);
                    g.u32(1, id);
                    g.u32(2, index as u32);
                    g.u64(3, location.address);
                    g.bool(4, location.is_folded);
                    g.there(5, line.is_some());
                    g.there(6, line.is_some());
                    if let Some(line) = line {
                        g.u32(5, r.function_ids[line.function as usize]);
                        g.i64(6, line.line);
                    }
                    for column in 7..=12 {
                        g.there(column, mapping.1.is_some());
                    }
                    if let Some((m, binary, build_id)) = &mapping.1 {
                        g.text(7, binary);
                        g.text(8, build_id);
                        g.u64(9, m.memory_start);
                        g.u64(10, m.memory_limit);
                        g.u64(11, m.file_offset);
                        g.u32(12, u32::from(m.flags));
                    }
                    g.rows(1)?;
                }
            }
            Ok(())
        },
    )
}

pub(crate) fn functions(parts: &[Part<'_>]) -> Result<Encoded, Fault> {
    each(
        Table::Functions,
        parts,
        |r| r.functions.len() as u64,
        |g, service, r| {
            let s = r.symbols;
            let text = |id: u32| ByteArray::from(s.strings.get(id));
            for (id, row) in (0u32..).zip(&r.functions) {
                let function = row.function.map(|f| &s.functions[f as usize]);
                g.text(0, service);
                g.u32(1, id);
                g.text(2, &text(row.name));
                let system_name = function.filter(|f| s.strings.get(f.system_name) != s.strings.get(f.name));
                g.there(3, system_name.is_some());
                if let Some(f) = system_name {
                    g.text(3, &text(f.system_name));
                }
                g.there(4, function.is_some());
                if let Some(f) = function {
                    g.text(4, &text(f.filename));
                }
                g.i64(5, function.map_or(0, |f| f.start_line));
                g.rows(1)?;
            }
            Ok(())
        },
    )
}

fn each(
    table: Table,
    parts: &[Part<'_>],
    rows: impl Fn(&Renumbered<'_>) -> u64,
    write: impl Fn(&mut Group<'_>, &ByteArray, &Renumbered<'_>) -> Result<(), Fault>,
) -> Result<Encoded, Fault> {
    let mut file = TableWriter::new(table)?;
    for group in groups(parts.iter().map(|p| rows(&p.symbols))) {
        file.group(&[], |g| {
            parts[group].iter().try_for_each(|p| write(g, &ByteArray::from(p.input.service_name()), &p.symbols))
        })?;
    }
    file.finish()
}
