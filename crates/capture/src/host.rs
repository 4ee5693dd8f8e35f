//! The machine, the kernel, and who this process is.

mod gpu;
mod standard_input;

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use entities::{Count, Host, ProcessIdentity};

pub use standard_input::{StandardInput, standard_input};

/// Reads what this machine is. What cannot be told is empty.
pub fn read_host() -> Host {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    Host {
        name: text(name.nodename()),
        os: operating_system(),
        kernel: text(name.release()),
        architecture: text(name.machine()),
        cpu_model: cpu_model(&cpu),
        cpu_flags: cpu_flags(&cpu),
        cpu_count: usable_processors(),
        memory_bytes: Count(total_memory(
            &fs::read_to_string("/proc/meminfo").unwrap_or_default(),
        )),
        gpus: gpu::list(),
        boot_id: boot_id(),
    }
}

/// Tells who this process is, in a way that survives the reuse of its number.
pub fn this_process() -> ProcessIdentity {
    let pid = std::process::id();
    ProcessIdentity {
        pid,
        start_ticks: start_ticks(pid).unwrap_or(0),
        boot_id: boot_id(),
    }
}

/// Tells whether that very process is still there.
pub fn is_alive(process: &ProcessIdentity) -> bool {
    is_of_this_boot(process) && start_ticks(process.pid) == Some(process.start_ticks)
}

/// Tells whether a process, alive or not, belongs to the boot that this one belongs to.
pub fn is_of_this_boot(process: &ProcessIdentity) -> bool {
    process.boot_id == boot_id()
}

/// Tells the file mode creation mask in octal, such as `0022`.
pub fn umask() -> String {
    // The mask cannot be asked for by a call without setting it, for all threads at once.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.map(|mask| mask.trim().to_owned()).unwrap_or_default()
}

/// Tells the time zone: `TZ`, or the name that `/etc/localtime` points to, or `/etc/timezone`.
pub fn time_zone(environment: &[(OsString, OsString)]) -> Option<String> {
    let set = environment.iter().find(|(name, _)| name == "TZ");
    if let Some((_, value)) = set {
        return Some(value.to_string_lossy().into_owned());
    }
    let linked = fs::read_link("/etc/localtime")
        .ok()
        .and_then(|target| zone_of_link(&target));
    linked.or_else(|| {
        let text = fs::read_to_string("/etc/timezone").ok()?;
        let name = text.trim();
        (!name.is_empty()).then(|| name.to_owned())
    })
}

/// Tells the digest of the container image, where whoever started the container says it.
///
/// Container engines do not tell their inmates the image; Kubernetes and CI systems may set a file or nothing at all.
/// Podman writes it to `/run/.containerenv`.
pub fn container_image() -> Option<String> {
    image_of_containerenv(&fs::read_to_string("/run/.containerenv").ok()?)
}

fn image_of_containerenv(text: &str) -> Option<String> {
    let field = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_owned())
            .filter(|value| !value.is_empty())
    };
    match (field("image"), field("imageid")) {
        (Some(name), Some(id)) => Some(format!("{name} {id}")),
        (name, id) => id.or(name),
    }
}

fn zone_of_link(target: &Path) -> Option<String> {
    let target = target.to_str()?;
    let (_, zone) = target.rsplit_once("zoneinfo/")?;
    Some(zone.to_owned())
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    ticks_of_stat(&stat)
}

/// Reads field 22 of `/proc/PID/stat`. The second field is the program's name in parentheses, which may itself hold
/// spaces and parentheses, so counting starts after the last one.
fn ticks_of_stat(stat: &[u8]) -> Option<u64> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let fields = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    // Dead and still listed: nobody has asked for its status yet.
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn operating_system() -> String {
    let release = fs::read_to_string("/etc/os-release")
        .or_else(|_| fs::read_to_string("/usr/lib/os-release"));
    name_of_release(&release.unwrap_or_default())
}

fn name_of_release(release: &str) -> String {
    let field = |name: &str| {
        let line = release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|value| value.trim_matches(['"', '\'']).to_owned())
    };
    field("PRETTY_NAME")
        .or_else(|| field("NAME"))
        .unwrap_or_else(|| std::env::consts::OS.to_owned())
}

/// Values of the lines `NAME<tab>: VALUE`.
fn values<'a>(cpu: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    cpu.lines().filter_map(move |line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then_some(value.trim())
    })
}

fn cpu_model(cpu: &str) -> String {
    let x86 = values(cpu, "model name").next();
    // On ARM there is no name, only numbers.
    let arm = || {
        let field = |name| values(cpu, name).next().unwrap_or("?");
        let (implementer, part) = (field("CPU implementer"), field("CPU part"));
        (implementer != "?").then(|| format!("implementer {implementer} part {part}"))
    };
    x86.map(str::to_owned).or_else(arm).unwrap_or_default()
}

fn cpu_flags(cpu: &str) -> Vec<String> {
    let line = values(cpu, "flags")
        .next()
        .or_else(|| values(cpu, "Features").next());
    let mut flags: Vec<_> = line
        .unwrap_or_default()
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect();
    flags.sort();
    flags.dedup();
    flags
}

fn usable_processors() -> u32 {
    let set = rustix::thread::sched_getaffinity(None);
    let from_affinity = set.map_or(0, |set| set.count());
    if from_affinity > 0 {
        return from_affinity;
    }
    std::thread::available_parallelism().map_or(1, |count| count.get() as u32)
}

fn total_memory(meminfo: &str) -> u64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let host = read_host();
        assert!(!host.name.is_empty() && !host.os.is_empty() && !host.kernel.is_empty());
        assert!(host.cpu_count >= 1);
        assert!(host.memory_bytes.0 > 1 << 20);
        assert_eq!(host.boot_id.len(), 36);
        assert!(host.cpu_flags.is_sorted());
        assert_eq!(umask().len(), 4, "{}", umask());
    }

    #[test]
    fn a_process_is_known_by_when_it_started() {
        let own = this_process();
        assert!(is_alive(&own));
        assert!(!is_alive(&ProcessIdentity {
            start_ticks: own.start_ticks + 1,
            ..own.clone()
        }));
        assert!(!is_alive(&ProcessIdentity {
            boot_id: "another".to_owned(),
            ..own.clone()
        }));
        assert!(!is_alive(&ProcessIdentity {
            pid: u32::MAX,
            ..own
        }));
    }

    #[test]
    fn the_name_of_a_program_cannot_forge_its_start() {
        let rest = "S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        for name in ["a", "a b", "a) S 1 1", ")", "((", "x) Z 1 (y"] {
            assert_eq!(
                ticks_of_stat(format!("1 ({name}) {rest}").as_bytes()),
                Some(4711),
                "{name}"
            );
        }
        let not_text = [b"1 (\xff\xfe) ".as_slice(), rest.as_bytes()].concat();
        assert_eq!(ticks_of_stat(&not_text), Some(4711));
        assert_eq!(
            ticks_of_stat(b"1 (a) Z 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711"),
            None
        );
        for damaged in [
            &b""[..],
            b"1 (a",
            b"1 (a) S 1",
            b"1 (a) S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 x",
        ] {
            assert_eq!(ticks_of_stat(damaged), None);
        }
    }

    #[test]
    fn a_process_that_ended_and_was_not_asked_for_is_not_alive() {
        #[expect(
            clippy::disallowed_methods,
            reason = "the test needs a process that ends"
        )]
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let identity = ProcessIdentity {
            pid: child.id(),
            start_ticks: start_ticks(child.id()).unwrap_or(0),
            boot_id: boot_id(),
        };
        while start_ticks(child.id()).is_some() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert!(!is_alive(&identity));
        child.wait().unwrap();
    }

    #[test]
    fn cpus_of_intel_and_arm_are_read() {
        let x86 = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R)\nflags\t\t: sse2 avx fpu avx\n\nprocessor\t: 1\n";
        assert_eq!(cpu_model(x86), "Intel(R) Xeon(R)");
        assert_eq!(cpu_flags(x86), ["avx", "fpu", "sse2"]);
        let arm =
            "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n";
        assert_eq!(cpu_model(arm), "implementer 0x41 part 0xd0c");
        assert_eq!(cpu_flags(arm), ["asimd", "fp"]);
        assert_eq!((cpu_model(""), cpu_flags("")), (String::new(), Vec::new()));
    }

    #[test]
    fn files_of_the_system_are_read() {
        assert_eq!(
            total_memory("MemTotal:       16384 kB\nMemFree: 1 kB\n"),
            16_777_216
        );
        assert_eq!(total_memory("nonsense"), 0);
        assert_eq!(
            name_of_release("NAME=\"X\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            "Debian GNU/Linux 12 (bookworm)"
        );
        assert_eq!(
            zone_of_link(Path::new("/usr/share/zoneinfo/Europe/Zurich")),
            Some("Europe/Zurich".to_owned())
        );
        assert_eq!(zone_of_link(Path::new("/x")), None);
        let podman =
            "engine=\"podman-4\"\nname=\"n\"\nid=\"i\"\nimage=\"docker.io/x:1\"\nimageid=\"abc\"\n";
        assert_eq!(
            image_of_containerenv(podman),
            Some("docker.io/x:1 abc".to_owned())
        );
        assert_eq!(image_of_containerenv(""), None);
    }

    #[test]
    fn the_variable_decides_the_time_zone() {
        let set = [("TZ".into(), "Asia/Tokyo".into())];
        assert_eq!(time_zone(&set), Some("Asia/Tokyo".to_owned()));
    }
}
