//! Takes uploads, checks and normalises them, and hands them to ingesters.
