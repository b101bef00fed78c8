//! What a file's footer says of its inside, for people who look at it.

use flamestore_model::Fault;
use serde::Serialize;

use crate::layout::Table;
use crate::read::Block;
use crate::refusal::corrupt;

/// A Parquet file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inside {
    pub rows: u64,
    pub row_groups: Vec<RowGroup>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowGroup {
    pub rows: u64,
    pub columns: Vec<ColumnChunk>,
}

/// A column of a row group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnChunk {
    /// Dotted path in the schema.
    pub name: String,
    /// In the words of Parquet, as are the next two.
    pub physical_type: String,
    pub compression: String,
    pub encodings: Vec<String>,
    pub pages: usize,
    /// Nulls included.
    pub values: u64,
    pub bytes: u64,
    /// Encoded, before compression.
    pub uncompressed_bytes: u64,
}

impl Block {
    /// The inside of one of the block's files, by its footer alone. `None`: a file that this program does not know.
    pub async fn inside(&self, file: &str) -> Result<Option<Inside>, Fault> {
        let Some(table) = Table::known().find(|t| t.file() == file) else { return Ok(None) };
        let footer = self.footer(table).await?;
        let number =
            |n: i64| u64::try_from(n).map_err(|_| corrupt(&self.meta.key(file), "its footer has a number below zero"));
        let mut row_groups = Vec::new();
        for (g, group) in footer.parquet.row_groups().iter().enumerate() {
            let index = footer.parquet.page_index_for_row_group(g);
            let mut columns = Vec::with_capacity(group.columns().len());
            for (c, column) in group.columns().iter().enumerate() {
                columns.push(ColumnChunk {
                    name: column.column_path().string(),
                    physical_type: column.column_type().to_string(),
                    compression: column.compression_codec().to_string(),
                    encodings: column.encodings().map(|e| e.to_string()).collect(),
                    pages: index.page_locations(c).map_or(0, Vec::len),
                    values: number(column.num_values())?,
                    bytes: number(column.compressed_size())?,
                    uncompressed_bytes: number(column.uncompressed_size())?,
                });
            }
            row_groups.push(RowGroup { rows: number(group.num_rows())?, columns });
        }
        Ok(Some(Inside { rows: footer.group_rows.last().copied().unwrap_or(0), row_groups }))
    }
}
