//! Which lineage the ACME client says that it renewed. What was renewed is read from the files; this only tells where to look first.

use super::Run;
use std::path::Path;

impl Run<'_> {
    /// The lineage of the hint; `None` for all of them, where nothing is told or nobody knows what is meant.
    pub(super) fn hinted(&self) -> Option<String> {
        if let Some(file) = &self.hints.certificate {
            return self.whose_file(file);
        }
        let folder = self.hints.renewed_lineage.as_ref()?;
        // Another client than certbot can say it in certbot's words.
        self.whose_file(folder).or_else(|| {
            let name = folder.file_name()?.to_str()?;
            // Nothing is done for one that certbot has and no section is for; what another client calls so may be any.
            let known = self.live.iter().any(|live| live == name) || self.sections.contains_key(name);
            (known || self.places.sources.is_empty()).then(|| name.to_owned())
        })
    }

    /// The lineage that a file is a part of, or whose files are in that folder.
    fn whose_file(&self, path: &Path) -> Option<String> {
        let real = |path: &Path| self.env.real_path(path).unwrap_or_else(|_| path.to_owned());
        let wanted = real(path);
        let is_part = |part: &Path| {
            let is_there = part.parent().map(real).zip(part.file_name());
            is_there
                .is_some_and(|(folder, name)| folder == wanted || folder.join(name) == wanted || real(part) == wanted)
        };
        let has = |(name, source): (&String, &crate::lineage::source::InPlace)| {
            let parts = source.parts(self.env, name).ok()?;
            parts.needed.iter().any(|part| is_part(part)).then(|| name.clone())
        };
        let mut found = self.places.sources.iter().filter_map(has);
        // A folder can be that of many, as lego's is.
        found.next().filter(|_| found.next().is_none())
    }
}
