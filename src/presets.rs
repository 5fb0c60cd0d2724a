//! Holds the policies that come with Sluice: the files of `policies/`, embedded in the binary.

use crate::policy::Presets;

/// Name and file of every preset.
pub const PRESETS: Presets = Presets::new(&[
    ("standard", include_str!("../policies/standard.yaml")),
    ("cautious", include_str!("../policies/cautious.yaml")),
    ("fast", include_str!("../policies/fast.yaml")),
    ("demo", include_str!("../policies/demo.yaml")),
]);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_a_preset_of_its_name() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        let presets: BTreeSet<String> = PRESETS.names().map(str::to_owned).collect();
        assert_eq!(presets, files);
        for name in PRESETS.names() {
            assert_eq!(PRESETS.policy(name).unwrap().name, name);
        }
    }
}
