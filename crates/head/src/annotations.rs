//! The annotations of profiles: few distinct lists, each kept once.

use std::sync::Arc;

use flamestore_model::Annotation;
use hashbrown::HashMap;

/// A list in [`AnnotationLists`]; the default is the empty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ListId(u32);

type Ids = HashMap<Arc<[Annotation]>, u32, foldhash::fast::RandomState>;

#[derive(Debug, Default)]
pub(crate) struct AnnotationLists {
    /// The id of a list is its place here and one more.
    lists: Vec<Arc<[Annotation]>>,
    ids: Ids,
    held: usize,
}

impl AnnotationLists {
    /// Never fails: there cannot be more lists than profiles, of which the caller has room for one more.
    pub(crate) fn intern(&mut self, list: &[Annotation]) -> ListId {
        if list.is_empty() {
            return ListId::default();
        }
        if let Some(id) = self.ids.get(list) {
            return ListId(*id);
        }
        let list: Arc<[Annotation]> = list.into();
        self.held += size_of_val(&*list) + list.iter().map(Annotation::text_bytes).sum::<usize>();
        self.lists.push(list.clone());
        let id = u32::try_from(self.lists.len()).unwrap_or(u32::MAX);
        self.ids.insert(list, id);
        ListId(id)
    }

    pub(crate) fn get(&self, id: ListId) -> &[Annotation] {
        let at = (id.0 as usize).checked_sub(1);
        at.and_then(|at| self.lists.get(at)).map_or(&[], |list| list)
    }

    pub(crate) fn bytes(&self) -> usize {
        let list = size_of::<Arc<[Annotation]>>();
        self.held + self.lists.capacity() * list + self.ids.allocation_size()
    }
}
