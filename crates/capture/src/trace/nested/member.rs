//! The inner side: joins the supervisor of the outer run.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use super::wire::{Done, Join, PACKET_BYTES_MAX, Told, VERSION, Welcome, to_packet};
use crate::trace::failure::Failure;
use crate::trace::findings::Findings;
use crate::trace::{Access, Observer};

/// A supervisor that is there to be joined.
pub(in crate::trace) struct Invitation(OwnedFd);

/// Threads that take what is told; the outer supervisor has as many.
const THREADS: usize = 4;

impl Invitation {
    /// Connects to the supervisor that a variable names; none where nobody answers there any more.
    pub(in crate::trace) fn find(address: &str) -> Option<Self> {
        let name = address.strip_prefix('@')?;
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).ok()?;
        let kind = SocketType::SEQPACKET;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).ok()?;
        rustix::net::connect(&socket, &address).ok()?;
        Some(Self(socket))
    }

    /// Asks to be told of everything below a process; none if the supervisor cannot tell.
    pub(in crate::trace) fn accept(
        &self,
        keeper: u32,
        observer: Arc<dyn Observer>,
        findings: Arc<Findings>,
        failure: Arc<Failure>,
    ) -> io::Result<Option<Membership>> {
        let socket = rustix::io::fcntl_dupfd_cloexec(&self.0, 0)?;
        rustix::net::send(
            &socket,
            &to_packet(&Join { v: VERSION, keeper }),
            SendFlags::NOSIGNAL,
        )?;
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        let (read, _) = rustix::net::recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        let welcome = serde_json::from_slice::<Welcome>(buffer.get(..read).unwrap_or_default());
        if !welcome.is_ok_and(|welcome| welcome.is_accepted) {
            return Ok(None);
        }
        let shared = Arc::new(Shared {
            socket,
            observer,
            findings,
            failure,
        });
        let mut threads = Vec::new();
        for _ in 0..THREADS {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name("observer".to_owned());
            threads.push(thread.spawn(move || shared.listen())?);
        }
        Ok(Some(Membership { shared, threads }))
    }
}

/// The membership in an outer supervisor.
pub(in crate::trace) struct Membership {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    socket: OwnedFd,
    observer: Arc<dyn Observer>,
    findings: Arc<Findings>,
    failure: Arc<Failure>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.shared.socket, rustix::net::Shutdown::Both);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that is told of processes has panicked");
            }
        }
    }
}

impl Shared {
    fn listen(&self) {
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        loop {
            match rustix::net::recv(&self.socket, buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((0, _)) => return,
                Ok((read, _)) => {
                    match serde_json::from_slice(buffer.get(..read).unwrap_or_default()) {
                        Ok(told) => self.take(told),
                        Err(error) => {
                            tracing::warn!(%error, "a packet of the outer supervisor is not understood");
                        }
                    }
                }
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    fn take(&self, told: Told) {
        self.findings.absorb(&told.notes());
        self.findings.saw_process(told.pid);
        let Told {
            id,
            pid,
            links,
            accesses,
            ..
        } = told;
        // Whatever happens here, the process must go on.
        let result = catch_unwind(AssertUnwindSafe(|| {
            for link in links {
                self.observer.followed_link(pid, &link.to_path());
            }
            for access in accesses {
                self.observer.before(Access {
                    pid,
                    kind: access.into(),
                });
            }
        }));
        if let Err(panic) = result {
            self.failure.set(panic);
        }
        let _ = rustix::net::send(&self.socket, &to_packet(&Done { id }), SendFlags::NOSIGNAL);
    }
}
