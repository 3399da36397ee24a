//! The product's story with real parts, the same code as `cargo xtask story`.

use hinomi_testkit::story::{StoryConfig, play};
use std::path::{Path, PathBuf};

#[tokio::test(flavor = "multi_thread")]
async fn the_story_plays_to_its_end() {
    let binaries: PathBuf = Path::new(env!("CARGO_BIN_EXE_hinomi")).parent().expect("a folder").to_owned();
    for name in ["hinomi-sensor", "hinomi-story"] {
        assert!(binaries.join(name).exists(), "{name} is not built: cargo build --workspace --bins");
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("workspace").to_owned();
    let report = play(StoryConfig { binaries, workspace, keep: None }, |step| {
        println!("{} {:.1} s {} {}", step.ok, step.seconds, step.name, step.error.as_deref().unwrap_or_default());
    })
    .await;
    let failed: Vec<_> = report.steps.iter().filter(|step| !step.ok).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
