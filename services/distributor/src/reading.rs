//! Reading uploads that are not pprof, and what becomes of their sizes.

use flamestore_formats::Caps;
use flamestore_model::{Fault, FaultId};
use flamestore_rpc::{Part, Place, Told, Tried};

/// Memory that decoding takes for each byte of what is decoded, which `flamestore-formats` holds itself to.
pub(crate) const DECODED: usize = 16;

/// Reads an upload of which so many bytes are told, at the request's place. `read` also answers how many bytes the result holds.
pub(crate) async fn within<T: Send + 'static>(
    place: &Place,
    caps: Caps,
    told_bytes: usize,
    read: impl Fn(Caps) -> Result<(T, usize), Fault> + Send + Sync + 'static,
) -> Result<(T, Part), Fault> {
    let told = Told { bytes: told_bytes, most: caps.max_inflated_bytes, memory_per_byte: DECODED };
    let tried = move |cap| {
        let tried = Caps {
            max_inflated_bytes: cap,
            max_profile_bytes: match caps.max_profile_bytes {
                0 if cap == caps.max_inflated_bytes => 0,
                0 => cap,
                max => max.min(cap),
            },
            ..caps
        };
        Tried::of(read(tried), |fault| match fault.id {
            FaultId::UnfoldsTooLarge => tried.max_inflated_bytes != caps.max_inflated_bytes,
            FaultId::ProfileTooLarge => tried.max_profile_bytes != caps.max_profile_bytes,
            _ => false,
        })
    };
    place.read(told, tried).await
}
