//! The kernels as fat binaries, one a file: machine code for the named architectures, and PTX for later ones.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Ampere, Ada, Hopper with its own instructions, Blackwell of workstations; and PTX that any later card can compile.
const ARCHITECTURES: &str = "80,89,90a,120,ptx80";

pub fn build() {
    for variable in ["CUDA_HOME", "CUDA_PATH", "LACUNA_CUDA_ARCHS"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let Some(nvcc) = find_nvcc() else { panic!("{}", HOW_TO_GET_NVCC) };
    let architectures = std::env::var("LACUNA_CUDA_ARCHS").unwrap_or_else(|_| ARCHITECTURES.to_owned());
    let files = crate::kernel_files();
    let names: Vec<String> =
        files.iter().filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect();
    let queue = Mutex::new(files.iter().zip(&names).collect::<Vec<_>>());
    let jobs = std::env::var("NUM_JOBS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_usize);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((file, name)) =
                    { queue.lock().expect("no thread panics while it holds it").pop() }
                {
                    compile(&nvcc, file, &out.join(format!("{name}.fatbin")), &architectures);
                }
            });
        }
    });
    let mut table = String::from("&[\n");
    for name in &names {
        table +=
            &format!("    (\"{name}\", include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.fatbin\"))),\n");
    }
    std::fs::write(out.join("fatbins.rs"), table + "]\n").expect("OUT_DIR is writable");
}

fn compile(nvcc: &Path, file: &Path, to: &Path, architectures: &str) {
    let mut command = Command::new(nvcc);
    command.args(["-fatbin", "-std=c++17", "-O3", "-fmad=false", "--compress-mode=size", "-Icuda"]);
    // Bit for bit what the source says; the kernels ask for fused operations where they want them.
    command.args(["--prec-div=true", "--prec-sqrt=true", "-diag-suppress=177,550"]);
    if std::env::var_os("LACUNA_CUDA_VERBOSE").is_some() {
        command.arg("--resource-usage");
    }
    for architecture in architectures.split(',').map(str::trim).filter(|a| !a.is_empty()) {
        command.arg(match architecture.strip_prefix("ptx") {
            Some(ptx) => format!("-gencode=arch=compute_{ptx},code=compute_{ptx}"),
            None => format!("-gencode=arch=compute_{architecture},code=sm_{architecture}"),
        });
    }
    let result = command.arg("-o").arg(to).arg(file).output();
    match result {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let log = to.with_extension("log");
            std::fs::write(log, text).expect("OUT_DIR is writable");
        }
        Ok(output) => panic!(
            "nvcc could not compile {} for {architectures} (LACUNA_CUDA_ARCHS chooses others):\n{}{}",
            file.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => panic!("{} could not be started: {error}", nvcc.display()),
    }
}

fn find_nvcc() -> Option<PathBuf> {
    let homes = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = homes
        .map(|home| home.join("bin"))
        .chain(std::env::split_paths(&path).collect::<Vec<_>>())
        .chain([PathBuf::from("/usr/local/cuda/bin")]);
    candidates.map(|folder| folder.join("nvcc")).find(|nvcc| nvcc.is_file())
}

const HOW_TO_GET_NVCC: &str = "the feature `cuda` needs nvcc 13.0, which is not in $CUDA_HOME/bin, $CUDA_PATH/bin, $PATH or \
/usr/local/cuda/bin. Install NVIDIA's package cuda-nvcc-13-0, or without root and without a GPU, five Python wheels:
  pip install --no-deps --target cu13 nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 \\
      nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
  export CUDA_HOME=$PWD/cu13/nvidia/cu13
The default build (the CPU) and the tests (feature `emulated`) need none of it.";
