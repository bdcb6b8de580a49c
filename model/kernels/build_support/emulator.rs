//! The emulated card: every kernel compiled as plain C++, and a table of them by name.

use std::path::{Path, PathBuf};

pub fn build() {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let files = crate::kernel_files();
    let table = out.join("kernel_table.cpp");
    std::fs::write(&table, kernel_table(&files)).expect("OUT_DIR is writable");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .debug(false)
        .warnings(false)
        // As nvcc's -fmad=false; and `.cu` is C++ here.
        .flag("-ffp-contract=off")
        .flag("-fno-strict-aliasing")
        .flag("-xc++")
        .include("cuda")
        .files(&files)
        .file("cuda/emulator/emulator.cpp")
        .file(&table)
        .compile("lacuna_emulated");
}

/// A C++ file that finds a kernel's entry by its name: every line `EXPORT(name)` of the kernel files makes one.
fn kernel_table(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().flat_map(|file| exports(file)).collect();
    let mut text = String::from("#include \"emulator/emulator.h\"\nusing lacuna::emulator::Entry;\n");
    for name in &names {
        text += &format!("extern \"C\" const Entry lacuna_entry_{name};\n");
    }
    text += "extern \"C\" const Entry* lacuna_emulated_kernel(const char* name, size_t length) {\n";
    text += "    static const Entry* const all[] = {\n";
    for name in &names {
        text += &format!("        &lacuna_entry_{name},\n");
    }
    text += "    };\n    for (const Entry* entry : all)\n";
    text += "        if (std::strlen(entry->name) == length && !std::memcmp(entry->name, name, length)) return entry;\n";
    text += "    return nullptr;\n}\n";
    text
}

fn exports(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).expect("a kernel file is text");
    let name = |line: &str| Some(line.strip_prefix("EXPORT(")?.split(')').next()?.to_owned());
    text.lines().filter_map(name).collect()
}
