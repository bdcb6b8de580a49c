//! Where a network runs: the device that was asked for, or the processor and why.

use crate::backend::Opened;
use crate::config::Config;
use crate::error::LoadError;
use crate::load::{DeviceChoice, LoadOptions, PrecisionChoice, Report};
use crate::net::Net;
use crate::plan::Bytes;
use crate::sizes::cpu_weight_bytes;
use crate::weights::ModelSource;
use lacuna_kernels::Precision;

/// Opens the model where `options` say, on the current rayon pool.
///
/// # Errors
/// [`LoadError`]; a device's failure only where the device was asked for by name or the processor cannot take over.
pub(crate) fn open(
    options: &LoadOptions,
    source: &ModelSource,
    report: &Report<'_>,
) -> Result<Opened, LoadError> {
    match options.device {
        DeviceChoice::Cpu => cpu(options, source, None),
        DeviceChoice::Auto => auto(options, source, report),
        _ => on_device(options, source, report),
    }
}

fn cpu(options: &LoadOptions, source: &ModelSource, remark: Option<String>) -> Result<Opened, LoadError> {
    let precision = match options.precision {
        PrecisionChoice::Auto => Precision::best(),
        PrecisionChoice::F32 => Precision::F32,
        PrecisionChoice::Bf16 => Precision::Bf16,
        PrecisionChoice::Q8 | PrecisionChoice::Q4 => {
            let why = remark.map_or_else(String::new, |remark| format!(" (not the GPU: {remark})"));
            return Err(LoadError::Device(format!(
                "weights in 8 or 4 bits run on a GPU only{why}; choose auto, f32 or bf16 on the CPU"
            )));
        }
    };
    Ok(Opened::Cpu(Box::new(Net::load(source, precision)?), remark))
}

#[cfg(not(feature = "cuda"))]
fn auto(options: &LoadOptions, source: &ModelSource, _report: &Report<'_>) -> Result<Opened, LoadError> {
    cpu(options, source, None)
}

/// What a build without devices says.
pub(crate) const NO_CUDA: &str = "the device is `cuda`, and this build runs on the CPU only; set it to `auto` or `cpu`, or build with --features cuda";

#[cfg(not(feature = "device"))]
fn on_device(_: &LoadOptions, _: &ModelSource, _: &Report<'_>) -> Result<Opened, LoadError> {
    Err(LoadError::Device(NO_CUDA.to_owned()))
}

#[cfg(feature = "device")]
fn on_device(options: &LoadOptions, source: &ModelSource, report: &Report<'_>) -> Result<Opened, LoadError> {
    let device = device(options.device)?;
    let net = crate::device::DeviceNet::load(&device, source, options.precision, report)?;
    Ok(Opened::Device(Box::new(net)))
}

/// The device of a choice that is not the processor.
#[cfg(feature = "device")]
pub(crate) fn device(choice: DeviceChoice) -> Result<lacuna_kernels::device::Device, LoadError> {
    match choice {
        #[cfg(feature = "emulated")]
        DeviceChoice::Emulated => Ok(lacuna_kernels::device::Device::emulated()),
        #[cfg(feature = "cuda")]
        DeviceChoice::Auto | DeviceChoice::Cuda => {
            lacuna_kernels::device::Device::cuda(0).map_err(|error| LoadError::Device(error.to_string()))
        }
        _ => Err(LoadError::Device(NO_CUDA.to_owned())),
    }
}

/// The device, and where it refuses (there is none, it is busy, the model does not fit) the processor, if the model fits
/// that. A model whose files are at fault is at fault everywhere.
#[cfg(feature = "cuda")]
fn auto(options: &LoadOptions, source: &ModelSource, report: &Report<'_>) -> Result<Opened, LoadError> {
    let reason = match on_device(options, source, report) {
        Err(LoadError::Device(reason)) => reason,
        other => return other,
    };
    let config = source.config()?;
    let precision =
        if options.precision == PrecisionChoice::F32 { Precision::F32 } else { Precision::best() };
    fits_cpu(&config, precision, memory_available())
        .map_err(|why| LoadError::Device(format!("{reason}; {why}")))?;
    tracing::warn!(reason, "the GPU is not used");
    cpu(options, source, Some(reason))
}

/// Whether the processor's memory takes the model, as far as it is known.
#[cfg_attr(
    not(any(feature = "cuda", test)),
    expect(dead_code, reason = "without devices there is nothing to fall back from")
)]
fn fits_cpu(config: &Config, precision: Precision, available: Option<usize>) -> Result<(), String> {
    let needed = cpu_weight_bytes(config, precision);
    match available {
        Some(available) if needed > available => Err(format!(
            "and the CPU cannot take over: the model needs {} of memory, {} are available",
            Bytes(needed),
            Bytes(available)
        )),
        _ => Ok(()),
    }
}

/// Bytes that the system would give us, where it says (`MemAvailable` of Linux).
#[cfg(feature = "cuda")]
fn memory_available() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok().map(|kilobytes| kilobytes * 1024)
}

/// The GPU that `auto` would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuInfo {
    /// As its driver names it.
    pub name: String,
    /// The CUDA version its driver knows, such as `13.0`.
    pub driver: String,
    /// Such as `9.0`.
    pub compute_capability: String,
    /// Bytes of memory.
    pub memory_total: usize,
    /// Bytes of it that are free.
    pub memory_free: usize,
}

/// Looks for a GPU.
///
/// # Errors
/// Why none can be used, and what to do about it.
#[cfg(feature = "cuda")]
pub fn device_report() -> Result<GpuInfo, String> {
    let device = lacuna_kernels::device::Device::cuda(0).map_err(|error| error.to_string())?;
    let info = device.info();
    let (major, minor) = info.compute_capability;
    Ok(GpuInfo {
        name: info.name.clone(),
        driver: format!("{}.{}", info.driver_version / 1000, info.driver_version % 1000 / 10),
        compute_capability: format!("{major}.{minor}"),
        memory_total: info.memory_total,
        memory_free: device.memory_free().map_err(|error| error.to_string())?,
    })
}

/// Looks for a GPU.
///
/// # Errors
/// Always: this build has no kernels for one.
#[cfg(not(feature = "cuda"))]
pub fn device_report() -> Result<GpuInfo, String> {
    Err("this build runs on the CPU only; build with --features cuda for NVIDIA GPUs".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;

    #[test]
    fn the_processor_takes_over_only_what_fits_it() {
        let config = Shape::Full26b.config().unwrap();
        assert_eq!(fits_cpu(&config, Precision::Bf16, Some(100_000_000_000)), Ok(()));
        assert_eq!(fits_cpu(&config, Precision::Bf16, None), Ok(()), "nobody knows");
        let refused = fits_cpu(&config, Precision::Bf16, Some(24_000_000_000)).unwrap_err();
        assert!(refused.starts_with("and the CPU cannot take over: the model needs 5"), "{refused}");
        assert!(refused.ends_with("24.00 GB are available"), "{refused}");
    }

    #[test]
    fn block_formats_are_refused_on_the_processor_with_the_reason_there_is_no_gpu() {
        let options = LoadOptions { precision: PrecisionChoice::Q8, ..LoadOptions::default() };
        let refused = cpu(&options, &crate::shipped::source(), Some("no driver".to_owned())).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "weights in 8 or 4 bits run on a GPU only (not the GPU: no driver); choose auto, f32 or bf16 on the CPU"
        );
    }
}
