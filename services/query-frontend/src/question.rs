//! The answers of `/api/v1/query`: the text language, as a flame graph or as a comparison of two.

use flamestore_flamegraph::series::Aggregation;
use flamestore_model::{Fault, ProfileType, QueryText, Question};

use crate::frontend::{Asker, Frontend};
use crate::render::{Rendered, Selection};
use crate::stacktraces::{Form, MergeRequest};

impl Frontend {
    /// Answers a text in the JSON of `/pyroscope/render`, or in that of `/pyroscope/render-diff` where it compares.
    pub async fn question(&self, asker: &Asker, selection: &Selection) -> Result<Rendered, Fault> {
        match Question::parse(&selection.query)? {
            Question::One(query) => {
                let merge = self.one(asker, query, selection, Form::Flamegraph).await?;
                self.drawn(asker, merge, None, Aggregation::Sum).await
            }
            Question::Versus(left, right) => {
                let profile_type = self.type_of_both(asker, &left, &right, selection).await?;
                let side = |query| selection.merge_of(query, profile_type.clone(), Form::Flamegraph);
                let (left, right) = (side(left), side(right));
                self.compared(asker, left, right).await
            }
        }
    }

    /// Reads a text that must be one selection, for answers in forms that cannot compare.
    pub(crate) async fn only(&self, asker: &Asker, selection: &Selection, form: Form) -> Result<MergeRequest, Fault> {
        match Question::parse(&selection.query)? {
            Question::One(query) => self.one(asker, query, selection, form).await,
            Question::Versus(..) => Err(Fault::invalid("a comparison is answered with format=json only")),
        }
    }

    async fn one(
        &self,
        asker: &Asker,
        query: QueryText,
        selection: &Selection,
        form: Form,
    ) -> Result<MergeRequest, Fault> {
        let range = self.range_meant(asker, &query, selection)?;
        let profile_type = self.type_meant(asker, &query, range).await?;
        Ok(selection.merge_of(query, profile_type, form))
    }

    /// What both sides mean: where they store the type of a short word by several spellings, one that both have. A side
    /// without any data takes the other's.
    async fn type_of_both(
        &self,
        asker: &Asker,
        left: &QueryText,
        right: &QueryText,
        selection: &Selection,
    ) -> Result<ProfileType, Fault> {
        let left_range = self.range_meant(asker, left, selection)?;
        let right_range = self.range_meant(asker, right, selection)?;
        let (of_left, of_right) =
            tokio::try_join!(self.stored_types(asker, left, left_range), self.stored_types(asker, right, right_range))?;
        let common: Vec<ProfileType> = if of_left.is_empty() || of_right.is_empty() {
            [&of_left[..], &of_right[..]].concat()
        } else {
            of_left.iter().filter(|t| of_right.contains(t)).cloned().collect()
        };
        let (meant, of_other) = (left.profile_type.among(&common)?, right.profile_type.among(&common)?);
        let alone = [left.profile_type.among(&of_left)?, right.profile_type.among(&of_right)?];
        let one_sided = !common.contains(&meant) && alone[0] != alone[1] && !of_left.is_empty() && !of_right.is_empty();
        if meant != of_other || one_sided {
            return Err(Fault::invalid(format!(
                "profile types must match: left is {}, right is {}; name one that both have, by {{__profile_type__=\"…\"}}",
                alone[0], alone[1]
            )));
        }
        Ok(meant)
    }
}
