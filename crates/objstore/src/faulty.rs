//! A store that fails, dawdles and lies on purpose, around any other.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use flamestore_clock::{Chance, SeededChance};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

use crate::observe::Op;

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// Fails without having done anything.
    FailBefore,
    /// Does it and fails all the same: the answer was lost.
    FailAfter,
    /// Fails without having done anything, and asks for fewer requests.
    Throttle,
    /// Reads give less than they say, without an error; other calls pass.
    PartialRead,
    /// Reads give content with one bit that is wrong; other calls pass.
    FlipBit,
    /// Listings are those of the last one under the same name that passed; other calls pass.
    StaleList,
}

type Rule = dyn Fn(Op, &Path) -> Verdict + Send + Sync;
type Delay = dyn Fn(Op) -> BoxFuture<'static, ()> + Send + Sync;

/// Faults by rule, around a store.
#[derive(Clone)]
pub struct Faulty {
    inner: Arc<dyn ObjectStore>,
    rule: Arc<Rule>,
    delay: Option<Arc<Delay>>,
    stale: Arc<Stale>,
}

impl Faulty {
    /// Counts the listings that were not what is there, from now on.
    #[must_use]
    pub fn counting_stale(mut self, struck: Arc<AtomicU64>) -> Self {
        self.stale = Arc::new(Stale { struck, ..Stale::default() });
        self
    }

    pub fn by_rule(inner: Arc<dyn ObjectStore>, rule: impl Fn(Op, &Path) -> Verdict + Send + Sync + 'static) -> Self {
        Faulty { inner, rule: Arc::new(rule), delay: None, stale: Arc::default() }
    }

    /// The same faults for the same seed and order of calls. Shares are in thousandths of all calls.
    pub fn seeded(inner: Arc<dyn ObjectStore>, seed: u64, before_permille: u64, after_permille: u64) -> Self {
        let chance = SeededChance::new(seed);
        Self::by_rule(inner, move |_, _| match chance.next_u64() % 1000 {
            x if x < before_permille => Verdict::FailBefore,
            x if x < before_permille + after_permille => Verdict::FailAfter,
            _ => Verdict::Pass,
        })
    }

    /// Waits for `delay` before every call.
    #[must_use]
    pub fn delayed(mut self, delay: impl Fn(Op) -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Self {
        self.delay = Some(Arc::new(delay));
        self
    }

    async fn call<T: Send>(&self, op: Op, path: &Path, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        Ok(self.judged(op, path, call).await?.1)
    }

    /// With what the caller has to do to the answer.
    async fn judged<T: Send>(
        &self,
        op: Op,
        path: &Path,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<(Verdict, T)> {
        if let Some(delay) = &self.delay {
            delay(op).await;
        }
        let fail = |how: &str| {
            let source = format!("a fault made on purpose {how} {} {path}", op.as_str()).into();
            Err(Error::Generic { store: "faulty", source })
        };
        match (self.rule)(op, path) {
            Verdict::FailBefore => fail("before"),
            Verdict::FailAfter => {
                call.await?;
                fail("after")
            }
            Verdict::Throttle => fail("instead of, because there are too many requests:"),
            lie => Ok((lie, call.await?)),
        }
    }
}

type Level = (Vec<Path>, Vec<ObjectMeta>);

/// What listings showed when they last passed, by their names.
#[derive(Default)]
struct Stale {
    objects: Mutex<HashMap<Path, Vec<ObjectMeta>>>,
    /// Folders and the objects beside them.
    folders: Mutex<HashMap<Path, Level>>,
    struck: Arc<AtomicU64>,
}

impl Stale {
    fn differs(&self, differs: bool) {
        self.struck.fetch_add(u64::from(differs), Ordering::Relaxed);
    }
}

fn mangled(lie: Verdict, content: &Bytes) -> Bytes {
    match lie {
        Verdict::PartialRead => content.slice(..content.len() / 2),
        Verdict::FlipBit => {
            let mut content = content.to_vec();
            let middle = content.len() / 2;
            if let Some(byte) = content.get_mut(middle) {
                *byte ^= 0x10;
            }
            content.into()
        }
        _ => content.clone(),
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({:?})", self.inner)
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let op = if matches!(opts.mode, PutMode::Create) { Op::PutCreate } else { Op::Put };
        self.call(op, location, self.inner.put_opts(location, payload, opts)).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.call(Op::Put, location, self.inner.put_multipart_opts(location, opts)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let op = match (&options.head, &options.range) {
            (true, _) => Op::Head,
            (_, Some(_)) => Op::GetRange,
            _ => Op::Get,
        };
        let (lie, answer) = self.judged(op, location, self.inner.get_opts(location, options)).await?;
        if op == Op::Head || !matches!(lie, Verdict::PartialRead | Verdict::FlipBit) {
            return Ok(answer);
        }
        let (meta, range) = (answer.meta.clone(), answer.range.clone());
        let (attributes, extensions) = (answer.attributes.clone(), answer.extensions.clone());
        let content = mangled(lie, &answer.bytes().await?);
        let payload = GetResultPayload::Stream(futures::stream::once(async { Ok(content) }).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (lie, answer) = self.judged(Op::GetRange, location, self.inner.get_ranges(location, ranges)).await?;
        Ok(answer.iter().map(|content| mangled(lie, content)).collect())
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        locations
            .then(move |location| {
                let this = this.clone();
                async move {
                    let location = location?;
                    this.call(Op::Delete, &location, this.inner.delete(&location)).await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, prefix) = (self.clone(), prefix.cloned());
        async move {
            let path = prefix.clone().unwrap_or_default();
            let listed = match this.judged(Op::List, &path, async { Ok(()) }).await {
                Err(e) => Err(e),
                Ok((Verdict::StaleList, ())) => {
                    let shown = this.stale.objects.lock().get(&path).cloned().unwrap_or_default();
                    let there = this.inner.list(prefix.as_ref()).try_collect::<Vec<_>>().await;
                    there.map(|there| {
                        this.stale.differs(there != shown);
                        shown
                    })
                }
                Ok(_) => this.inner.list(prefix.as_ref()).try_collect::<Vec<_>>().await.inspect(|objects| {
                    this.stale.objects.lock().insert(path, objects.clone());
                }),
            };
            match listed {
                Ok(objects) => futures::stream::iter(objects.into_iter().map(Ok)).boxed(),
                Err(e) => futures::stream::once(async { Err(e) }).boxed(),
            }
        }
        .flatten_stream()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let path = prefix.cloned().unwrap_or_default();
        let (lie, listed) = self.judged(Op::List, &path, self.inner.list_with_delimiter(prefix)).await?;
        if lie == Verdict::StaleList {
            let (common_prefixes, objects) = self.stale.folders.lock().get(&path).cloned().unwrap_or_default();
            self.stale.differs((&common_prefixes, &objects) != (&listed.common_prefixes, &listed.objects));
            return Ok(ListResult { common_prefixes, objects, ..listed });
        }
        self.stale.folders.lock().insert(path, (listed.common_prefixes.clone(), listed.objects.clone()));
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.call(Op::Put, to, self.inner.copy_opts(from, to, options)).await
    }
}
