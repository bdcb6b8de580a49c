//! Compiles `cuda/*.cu`: by nvcc into fat binaries (feature `cuda`), by the C++ compiler for the emulator (feature
//! `emulated`). Without these features it does nothing.

#![allow(clippy::expect_used, clippy::panic, reason = "a build script says what is wrong by ending")]

#[cfg(feature = "cuda")]
#[path = "build_support/nvcc.rs"]
mod nvcc;

#[cfg(feature = "emulated")]
#[path = "build_support/emulator.rs"]
mod emulator;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(any(feature = "cuda", feature = "emulated"))]
    println!("cargo:rerun-if-changed=cuda");
    #[cfg(any(feature = "cuda", feature = "emulated"))]
    println!("cargo:rerun-if-changed=build_support");
    #[cfg(feature = "emulated")]
    emulator::build();
    #[cfg(feature = "cuda")]
    nvcc::build();
}

/// The kernel files, sorted.
#[cfg(any(feature = "cuda", feature = "emulated"))]
fn kernel_files() -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir("cuda")
        .expect("cuda/ is part of the crate")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ext| ext == "cu"))
        .collect();
    files.sort();
    files
}
