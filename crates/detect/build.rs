//! Embeds everything of `content/` as text, so that sensor and server carry the same rules and the
//! binary needs no files. Tests beside the rules (`*.test.yml`) stay out.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let content = manifest.join("../../content");
    println!("cargo:rerun-if-changed={}", content.display());

    let mut files = Vec::new();
    walk(&content, &mut files);
    files.sort();

    let mut code = String::from("pub(super) const FILES: &[(&str, &str)] = &[\n");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("content is readable UTF-8");
        let path = file.strip_prefix(&content).expect("below content").to_str().expect("UTF-8 path");
        writeln!(code, "({:?}, {:?}),", path.replace('\\', "/"), text).expect("writing to a string");
    }
    code.push_str("];\n");
    std::fs::write(out.join("content.rs"), code).expect("OUT_DIR is writable");
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    println!("cargo:rerun-if-changed={}", dir.display());
    for entry in std::fs::read_dir(dir).expect("content folder is readable") {
        let path = entry.expect("content folder is readable").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            walk(&path, files);
        } else if !name.ends_with(".test.yml") && (name.ends_with(".yml") || name.ends_with(".json")) {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
}
