//! Chooses what is embedded: the built console, or a one-page notice when it was not built.
//!
//! npm is never run from here: IDEs, sandboxes and `cargo test` must work without node.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let dist = manifest.join("../../console/dist");
    watch(&dist);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=notice");
    println!("cargo::rustc-check-cfg=cfg(console_built)");
    if dist.join("index.html").is_file() {
        println!("cargo::rustc-cfg=console_built");
    } else {
        report_missing();
    }
}

/// Asks cargo to run again when the console changes. Cargo treats a missing path as always
/// changed, which would rebuild the server each time, so the folder (ignored by git) is made.
fn watch(dist: &Path) {
    if dist.is_dir() || fs::create_dir_all(dist).is_ok() {
        println!("cargo::rerun-if-changed={}", dist.display());
    }
}

fn report_missing() {
    let text = "console/dist is missing: the binary shows a notice instead of the console; \
                run `npm ci --ignore-scripts && npm run build` in console/, or `cargo xtask up`";
    if env::var_os("CARGO_FEATURE_REQUIRE_CONSOLE").is_some() {
        println!("cargo::error={text}");
    } else {
        println!("cargo::warning={text}");
    }
}
