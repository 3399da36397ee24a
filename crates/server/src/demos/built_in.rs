//! The story every installation can play.

use hinomi_cases::scenario::ScenarioFile;

/// Name of the built-in scenario.
pub const BUILT_IN: &str = "mail-attachment-linux";

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../../../scenarios/mail-attachment-linux/", $path)))),*]
    };
}

/// Returns the files of the built-in scenario.
pub fn built_in() -> Vec<ScenarioFile> {
    let files = files!["events/01-mail.jsonl", "events/02-pc-tanaka.jsonl", "scenario.toml"];
    let file = |(path, text): (&str, &str)| ScenarioFile { path: path.to_owned(), content: text.into() };
    files.into_iter().map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_whole_folder() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios").join(BUILT_IN);
        let mut there = crate::demos::read_folder(&folder).expect("reads");
        there.retain(|file| file.path != "expect.toml");
        assert_eq!(there, built_in());
    }
}
