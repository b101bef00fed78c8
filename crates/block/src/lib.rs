//! Immutable Parquet blocks: their layout, writer and reader.
