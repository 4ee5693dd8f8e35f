//! The outer side: lets inner supervisors join and tells them of their processes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::wire::{Done, Join, PACKET_BYTES_MAX, Told, VERSION, Welcome, to_packet};
use crate::trace::listener::{Answer, Listener};
use crate::trace::observe::Observed;
use crate::trace::sys;
use crate::trace::tree::descends_from;

/// A socket where inner supervisors knock.
pub(in crate::trace) struct Door {
    socket: OwnedFd,
    /// Its name in the kernel's own name space, without the first zero byte.
    pub(in crate::trace) name: String,
}

impl Door {
    pub(in crate::trace) fn open() -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        let name = sys::bind_to_new_name(&socket)?;
        rustix::net::listen(&socket, 16)?;
        Ok(Self { socket, name })
    }

    /// The name as it stands in a variable, and as peers are named.
    pub(in crate::trace) fn address(&self) -> String {
        format!("@{}", self.name)
    }
}

/// Tells inner supervisors what their processes are about to do.
pub(in crate::trace) struct Forwarder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// None where calls are not seen through a listener: then nobody can join.
    listener: OnceLock<Arc<Listener>>,
    keeper: u32,
    members: Mutex<Vec<Arc<Member>>>,
    has_members: AtomicBool,
    pending: Mutex<BTreeMap<u64, Pending>>,
    finish: OwnedFd,
}

/// An inner supervisor.
struct Member {
    number: u64,
    keeper: u32,
    socket: OwnedFd,
    /// What did not fit into the socket yet.
    backlog: Mutex<VecDeque<Vec<u8>>>,
}

/// A question that inner supervisors have still to agree to.
struct Pending {
    answer: Answer,
    waits_for: BTreeSet<u64>,
}

/// Inner supervisors at once, each with a thread here.
const MEMBERS_MAX: usize = 256;

const RETRY: Duration = Duration::from_millis(10);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Forwarder {
    /// Begins to let others join that run below a process.
    pub(in crate::trace) fn start(door: Option<Door>, keeper: u32) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            listener: OnceLock::new(),
            keeper,
            members: Mutex::default(),
            has_members: AtomicBool::new(false),
            pending: Mutex::default(),
            finish: rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?,
        });
        let Some(door) = door else {
            return Ok(Self {
                shared,
                thread: None,
            });
        };
        let host = shared.clone();
        let thread = std::thread::Builder::new().name("nested".to_owned());
        let thread = thread.spawn(move || host.welcome_all(&door))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// From here on others can join.
    pub(in crate::trace) fn admit(&self, listener: Arc<Listener>) {
        let _ = self.shared.listener.set(listener);
    }

    /// Tells all inner supervisors that a call concerns. True if one of them will have it answered.
    pub(in crate::trace) fn forward(&self, id: u64, observed: &Observed) -> bool {
        if !self.shared.has_members.load(Ordering::Acquire) {
            return false;
        }
        self.shared.forward(id, observed)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.shared.finish, &1_u64.to_ne_bytes());
        for member in lock(&self.shared.members).drain(..) {
            let _ = rustix::net::shutdown(&member.socket, rustix::net::Shutdown::Both);
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that lets others join has panicked");
        }
    }
}

impl Shared {
    fn welcome_all(self: &Arc<Self>, door: &Door) {
        let numbers = AtomicU64::new(0);
        let mut listeners = Vec::new();
        loop {
            let mut polled = [
                PollFd::new(&door.socket, PollFlags::IN),
                PollFd::new(&self.finish, PollFlags::IN),
            ];
            match rustix::event::poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => break,
            }
            if polled
                .iter()
                .skip(1)
                .any(|finish| !finish.revents().is_empty())
            {
                break;
            }
            let Ok(socket) = rustix::net::accept_with(&door.socket, SocketFlags::CLOEXEC) else {
                // Out of descriptors: whoever knocks has to wait.
                std::thread::sleep(RETRY);
                continue;
            };
            listeners.retain(|thread: &JoinHandle<()>| !thread.is_finished());
            // Anybody on this machine can knock; only processes of the command are heard.
            let is_ours =
                sys::peer_process(&socket).is_some_and(|peer| descends_from(peer, self.keeper));
            if !is_ours || listeners.len() >= MEMBERS_MAX {
                continue;
            }
            let host = self.clone();
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            let thread = std::thread::Builder::new().name("nested".to_owned());
            match thread.spawn(move || host.serve(number, socket)) {
                Ok(thread) => listeners.push(thread),
                Err(error) => tracing::warn!(%error, "a run inside this one cannot join"),
            }
        }
        for thread in listeners {
            let _ = thread.join();
        }
    }

    /// Serves one inner supervisor until it leaves.
    fn serve(&self, number: u64, socket: OwnedFd) {
        let Some(keeper) = self.check_join(&socket) else {
            let _ = send(&socket, &to_packet(&Welcome { is_accepted: false }));
            return;
        };
        let member = Arc::new(Member {
            number,
            keeper,
            socket,
            backlog: Mutex::default(),
        });
        lock(&self.members).push(member.clone());
        self.has_members.store(true, Ordering::Release);
        if send(&member.socket, &to_packet(&Welcome { is_accepted: true })).is_ok() {
            self.take_answers(&member);
        }
        lock(&self.members).retain(|other| other.number != number);
        self.release_all(number);
    }

    /// The process that an inner supervisor names, if it may: both are of this command.
    fn check_join(&self, socket: &OwnedFd) -> Option<u32> {
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        // An inner supervisor speaks first; one that does not is not waited for longer than this command lives.
        let mut polled = [
            PollFd::new(socket, PollFlags::IN),
            PollFd::new(&self.finish, PollFlags::IN),
        ];
        rustix::event::poll(&mut polled, None).ok()?;
        let (read, _) =
            rustix::net::recv(socket, buffer.as_mut_slice(), RecvFlags::DONTWAIT).ok()?;
        let join: Join = serde_json::from_slice(buffer.get(..read)?).ok()?;
        let peer = sys::peer_process(socket)?;
        let is_ours = descends_from(peer, self.keeper) && descends_from(join.keeper, peer);
        let can_tell = self.listener.get().is_some();
        (join.v == VERSION && can_tell && is_ours && join.keeper != self.keeper)
            .then_some(join.keeper)
    }

    fn take_answers(&self, member: &Member) {
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        loop {
            match rustix::net::recv(&member.socket, buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((0, _)) => return,
                Ok((read, _)) => {
                    if let Ok(done) =
                        serde_json::from_slice::<Done>(buffer.get(..read).unwrap_or_default())
                    {
                        self.release(done.id, member.number);
                    }
                    member.send_backlog();
                }
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    fn forward(&self, id: u64, observed: &Observed) -> bool {
        if observed.accesses.is_empty() && observed.notes.is_empty() {
            return false;
        }
        let members: Vec<_> = lock(&self.members).clone();
        let concerned: Vec<_> = members
            .iter()
            .filter(|member| descends_from(observed.actor.pid, member.keeper))
            .collect();
        if concerned.is_empty() {
            return false;
        }
        let waits_for = concerned.iter().map(|member| member.number).collect();
        lock(&self.pending).insert(
            id,
            Pending {
                answer: observed.answer,
                waits_for,
            },
        );
        let packet = to_packet(&Told::new(id, observed));
        for member in concerned {
            if !member.tell(packet.clone()) {
                self.release(id, member.number);
            }
        }
        // One that left while it was told has released everything before this was pending.
        let present: BTreeSet<_> = lock(&self.members)
            .iter()
            .map(|member| member.number)
            .collect();
        for member in &members {
            if !present.contains(&member.number) {
                self.release(id, member.number);
            }
        }
        true
    }

    /// An inner supervisor agrees: when it was the last, the call goes on.
    fn release(&self, id: u64, member: u64) {
        let mut pending = lock(&self.pending);
        let Some(waiting) = pending.get_mut(&id) else {
            return;
        };
        waiting.waits_for.remove(&member);
        if !waiting.waits_for.is_empty() {
            return;
        }
        let answer = waiting.answer;
        pending.remove(&id);
        drop(pending);
        if let Some(listener) = self.listener.get()
            && let Err(error) = listener.answer(id, answer)
        {
            tracing::warn!(%error, "a question of the kernel could not be answered");
        }
    }

    fn release_all(&self, member: u64) {
        let ids: Vec<u64> = lock(&self.pending).keys().copied().collect();
        for id in ids {
            self.release(id, member);
        }
    }
}

impl Member {
    /// Sends a packet, at once or when there is room. False if the inner supervisor has gone.
    fn tell(&self, packet: Vec<u8>) -> bool {
        let mut backlog = lock(&self.backlog);
        backlog.push_back(packet);
        self.send_waiting(&mut backlog)
    }

    fn send_backlog(&self) {
        self.send_waiting(&mut lock(&self.backlog));
    }

    fn send_waiting(&self, backlog: &mut VecDeque<Vec<u8>>) -> bool {
        while let Some(packet) = backlog.front() {
            match rustix::net::send(
                &self.socket,
                packet,
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            ) {
                Ok(_) => {
                    backlog.pop_front();
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(_) => {
                    backlog.clear();
                    return false;
                }
            }
        }
        true
    }
}

fn send(socket: &OwnedFd, packet: &[u8]) -> rustix::io::Result<()> {
    rustix::net::send(socket, packet, SendFlags::NOSIGNAL).map(drop)
}
