//! The read doors: querier.v1 and the render pages.
