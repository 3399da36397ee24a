//! Compiles the BPF object with clang; Debian names its clang `clang-14`.

use libbpf_cargo::SkeletonBuilder;
use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const SOURCE: &str = "bpf/sensor.bpf.c";

fn main() {
    println!("cargo:rerun-if-changed=bpf");
    println!("cargo:rerun-if-env-changed=HINOMI_CLANG");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("sensor.bpf.o");
    let built = SkeletonBuilder::new()
        .source(SOURCE)
        .obj(&out)
        .clang(clang())
        // v3: 32-bit registers and jumps, which keep bounds the verifier understands (Linux 5.1)
        .clang_args(["-mcpu=v3", "-Wall", "-Werror"])
        .build();
    if let Err(error) = built {
        panic!("compile {SOURCE}: {error:#}");
    }
}

fn clang() -> String {
    let named = env::var("HINOMI_CLANG").ok();
    let usual = ["clang".to_owned()].into_iter().chain((14..=22).map(|version| format!("clang-{version}")));
    let runs = |program: &String| {
        let status = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    match named.or_else(|| usual.into_iter().find(runs)) {
        Some(program) => program,
        None => panic!("no clang found: install Debian's clang-14, or name one in HINOMI_CLANG"),
    }
}
