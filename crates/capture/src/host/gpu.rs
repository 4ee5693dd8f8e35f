//! Graphics processors, as the kernel's driver or `nvidia-smi` tells.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process;

/// `nvidia-smi` may wait for a driver that hangs.
const LIMIT: Duration = Duration::from_secs(5);

/// Lists the GPUs with their driver; empty where there are none.
pub(super) fn list() -> Vec<String> {
    let nvidia = Path::new("/proc/driver/nvidia");
    let listed = nvidia_gpus(nvidia);
    if !listed.is_empty() {
        return listed;
    }
    // Without the folder of the driver there is nothing to ask, and asking costs a process.
    let has_device = Path::new("/dev/nvidiactl").exists() || nvidia.exists();
    if has_device {
        ask_nvidia_smi()
    } else {
        Vec::new()
    }
}

fn nvidia_gpus(driver: &Path) -> Vec<String> {
    let version = fs::read_to_string(driver.join("version")).unwrap_or_default();
    let version = version_of_driver(&version).unwrap_or("?").to_owned();
    let Ok(folders) = fs::read_dir(driver.join("gpus")) else {
        return Vec::new();
    };
    let mut folders: Vec<_> = folders.flatten().map(|folder| folder.path()).collect();
    folders.sort();
    let models = folders.iter().filter_map(|folder| {
        let text = fs::read_to_string(folder.join("information")).ok()?;
        let model = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
        Some(format!("{}, driver {version}", model.trim()))
    });
    models.collect()
}

/// `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 …`
fn version_of_driver(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.starts_with("NVRM version"))?;
    let is_version = |word: &&str| {
        word.contains('.')
            && word
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    line.split_ascii_whitespace().find(is_version)
}

fn ask_nvidia_smi() -> Vec<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "asking the driver is what this room is for"
    )]
    let mut command = Command::new("nvidia-smi");
    command.args(["--query-gpu=name,driver_version", "--format=csv,noheader"]);
    let answer = process::run(command, LIMIT);
    let text = answer
        .map(|answer| String::from_utf8_lossy(&answer.stdout).into_owned())
        .unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let (model, driver) = line.rsplit_once(',')?;
        Some(format!("{}, driver {}", model.trim(), driver.trim()))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_read_from_the_driver_s_folder() {
        let driver = tempfile::tempdir().unwrap();
        let gpu = driver.path().join("gpus/0000:00:04.0");
        fs::create_dir_all(&gpu).unwrap();
        fs::write(
            gpu.join("information"),
            "Model: \t\t NVIDIA A100-SXM4-40GB\nIRQ: 1\n",
        )
        .unwrap();
        let version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\nGCC version: 12.2.0\n";
        fs::write(driver.path().join("version"), version).unwrap();
        assert_eq!(
            nvidia_gpus(driver.path()),
            ["NVIDIA A100-SXM4-40GB, driver 550.54.14"]
        );
        assert!(nvidia_gpus(&driver.path().join("none")).is_empty());
    }
}
