//! Finding a card, and loading the kernels.

use std::ptr;

use cudarc::driver::sys::{self, CUresult};

use super::super::{DeviceError, DeviceInfo};
use super::done;

/// What the fat binaries were made with: 1000 · major + 10 · minor. Drivers of that major version and later take them.
const CUDA_VERSION: u32 = 13_000;

/// The device's handle and the driver's version.
pub(super) fn find(ordinal: usize) -> Result<(sys::CUdevice, u32), DeviceError> {
    let (mut version, mut count, mut device) = (0, 0, 0);
    // SAFETY: each call writes one number; the driver is there.
    unsafe {
        done("asking for the driver's version", sys::cuDriverGetVersion(&raw mut version))?;
        let found = u32::try_from(version).unwrap_or(0);
        if found / 1000 < CUDA_VERSION / 1000 {
            return Err(DeviceError::DriverTooOld { found, needed: CUDA_VERSION });
        }
        match sys::cuInit(0) {
            CUresult::CUDA_ERROR_NO_DEVICE => return Err(DeviceError::NoDevice { ordinal, count: 0 }),
            result => done("starting the driver", result)?,
        }
        done("counting devices", sys::cuDeviceGetCount(&raw mut count))?;
        let count = usize::try_from(count).unwrap_or(0);
        if ordinal >= count {
            return Err(DeviceError::NoDevice { ordinal, count });
        }
        done("finding the device", sys::cuDeviceGet(&raw mut device, ordinal as i32))?;
        Ok((device, found))
    }
}

pub(super) fn describe(device: sys::CUdevice, driver_version: u32) -> Result<DeviceInfo, DeviceError> {
    use sys::CUdevice_attribute as Attribute;
    let attribute = |which| {
        let mut value = 0;
        // SAFETY: writes one number.
        done("asking for an attribute", unsafe { sys::cuDeviceGetAttribute(&raw mut value, which, device) })?;
        Ok::<_, DeviceError>(usize::try_from(value).unwrap_or(0))
    };
    let mut name = [0_u8; 128];
    let mut memory_total = 0;
    // SAFETY: writes at most the length given, and a number.
    unsafe {
        done("asking for the name", sys::cuDeviceGetName(name.as_mut_ptr().cast(), 127, device))?;
        done("asking for the memory", sys::cuDeviceTotalMem_v2(&raw mut memory_total, device))?;
    }
    let end = name.iter().position(|&b| b == 0).unwrap_or(0);
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    Ok(DeviceInfo {
        name: String::from_utf8_lossy(&name[..end]).into_owned(),
        driver_version,
        compute_capability: (major as u32, minor as u32),
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        shared_bytes_max: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
        memory_total,
        emulated: false,
    })
}

pub(super) fn load(image: &[u8], capability: (u32, u32)) -> Result<sys::CUmodule, DeviceError> {
    let mut module = ptr::null_mut();
    let image = aligned(image);
    // SAFETY: a fat binary, which says its own length; the driver keeps a copy.
    match unsafe { sys::cuModuleLoadData(&raw mut module, image.as_ptr().cast()) } {
        CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU
        | CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
        | CUresult::CUDA_ERROR_INVALID_PTX => return Err(DeviceError::NoKernelFor { capability }),
        result => done("loading kernels", result)?,
    }
    load_functions(module)?;
    Ok(module)
}

/// A copy that begins at a multiple of 8, as the toolkit's own loaders place a fat binary; `include_bytes!` promises 1.
fn aligned(image: &[u8]) -> Vec<u64> {
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_ne_bytes(word)
    };
    image.chunks(8).map(word).collect()
}

/// Drivers load a kernel when it is first asked for; here that is now, since it must not happen during a capture.
fn load_functions(module: sys::CUmodule) -> Result<(), DeviceError> {
    let mut count = 0;
    // SAFETY: the module is loaded; the list has room for as many functions as are asked for.
    unsafe {
        done("counting kernels", sys::cuModuleGetFunctionCount(&raw mut count, module))?;
        let mut functions = vec![ptr::null_mut(); count as usize];
        done("listing kernels", sys::cuModuleEnumerateFunctions(functions.as_mut_ptr(), count, module))?;
        for function in functions {
            done("loading a kernel", sys::cuFuncLoad(function))?;
        }
    }
    Ok(())
}
