//! Every upload format, turned into labels and pprof bytes.
