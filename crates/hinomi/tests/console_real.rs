//! The console in Chromium against the real server, with real mail and recorded devices.
//!
//! `HINOMI_CONSOLE`: `--until TEXT` ends after the flow whose name holds it, `--all` looks at every page in
//! every setting, `--shots FOLDER` keeps a screenshot of every page.

use hinomi_testkit::console::{ConsoleConfig, run};
use std::path::{Path, PathBuf};

#[tokio::test(flavor = "multi_thread")]
async fn the_console_works_on_the_real_server() {
    let binaries: PathBuf = Path::new(env!("CARGO_BIN_EXE_hinomi")).parent().expect("a folder").to_owned();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("workspace").to_owned();
    let arguments = std::env::var("HINOMI_CONSOLE").unwrap_or_default();
    let arguments = arguments.split_whitespace().map(str::to_owned).collect();
    run(ConsoleConfig { binaries, workspace, arguments }, |line| println!("{line}")).await.expect("every flow holds");
}
