//! Answering the kernel's questions (seccomp user notification), on a few threads.
//!
//! Each thread waits for a question, lets the next thread wait, and then takes its time:
//! so an observer that is slow about one thread of the command holds up no other one, as long as a thread is free.
//! The kernel wakes the thread that began to wait last, so that for a command with one thread it is always the same.
//!
//! The last free thread never takes its time: it only takes questions and leaves them to the others.
//! For until a question is taken, a signal can make its call fail with EINTR.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::event::EventfdFlags;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use super::failure::Failure;
use super::listener::{Answer, Listener, Question};
use super::nested::Forwarder;
use super::observe::Interpreter;
use super::sys;

/// Threads that answer, of which one stays free. An observer mostly waits for a disk, where more would only queue.
const THREADS: usize = 5;

/// The threads that answer.
pub(super) struct Answerers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    listener: Arc<Listener>,
    interpreter: Arc<Interpreter>,
    forwarder: Arc<Forwarder>,
    failure: Arc<Failure>,
    queue: OwnedFd,
    finish: OwnedFd,
    work: Mutex<Work>,
}

/// Who does what.
#[derive(Default)]
struct Work {
    /// Threads that take their time.
    busy: usize,
    /// Questions that were taken and wait for a thread. Never more than the command has threads.
    left: VecDeque<Question>,
}

/// What a thread was woken for.
const QUESTION: u64 = 0;
const FINISH: u64 = 1;

impl Answerers {
    /// Begins to answer.
    pub(super) fn start(
        listener: Arc<Listener>,
        interpreter: Arc<Interpreter>,
        forwarder: Arc<Forwarder>,
        failure: Arc<Failure>,
    ) -> io::Result<Self> {
        let queue = epoll::create(CreateFlags::CLOEXEC)?;
        let finish = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?;
        epoll::add(
            &queue,
            listener.as_fd(),
            EventData::new_u64(QUESTION),
            WAITING,
        )?;
        epoll::add(&queue, &finish, EventData::new_u64(FINISH), EventFlags::IN)?;
        let shared = Arc::new(Shared {
            listener,
            interpreter,
            forwarder,
            failure,
            queue,
            finish,
            work: Mutex::default(),
        });
        let mut threads = Vec::new();
        for _ in 0..THREADS {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name("observer".to_owned());
            threads.push(thread.spawn(move || shared.answer_all())?);
        }
        Ok(Self { shared, threads })
    }
}

impl Drop for Answerers {
    /// Ends, when no process of the command is left.
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.shared.finish, &1_u64.to_ne_bytes());
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that answers the kernel has panicked");
            }
        }
    }
}

/// One thread is woken, and no other until the first has taken the question.
const WAITING: EventFlags = EventFlags::IN.union(EventFlags::ONESHOT);

impl Shared {
    fn answer_all(&self) {
        // Half as many calls fail with EINTR by it (docs/decisions/0003-capture-method.md).
        sys::prefer_short_turns();
        let mut events = Vec::with_capacity(1);
        loop {
            events.clear();
            match epoll::wait(
                &self.queue,
                rustix::buffer::spare_capacity(&mut events),
                None,
            ) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "the kernel's questions cannot be waited for");
                    return;
                }
            }
            for event in &events {
                if { event.data }.u64() == FINISH || { event.flags }.contains(EventFlags::HUP) {
                    return;
                }
                self.answer_one();
            }
        }
    }

    fn answer_one(&self) {
        let question = self.listener.receive();
        if let Err(error) = epoll::modify(
            &self.queue,
            self.listener.as_fd(),
            EventData::new_u64(QUESTION),
            WAITING,
        ) {
            tracing::error!(%error, "no further question can be waited for");
        }
        let mut next = match question {
            Ok(Some(question)) => self.begin(question),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "a question of the kernel could not be taken");
                None
            }
        };
        while let Some(question) = next {
            self.answer(&question);
            next = self.end();
        }
    }

    /// Becomes busy with a question, or leaves it to the others if no one else would take the next.
    fn begin(&self, question: Question) -> Option<Question> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if work.busy + 1 == THREADS {
            work.left.push_back(question);
            return None;
        }
        work.busy += 1;
        Some(question)
    }

    /// Goes on with a question that was left, or is free again.
    fn end(&self) -> Option<Question> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let next = work.left.pop_front();
        if next.is_none() {
            work.busy -= 1;
        }
        next
    }

    fn answer(&self, question: &Question) {
        let is_there = || self.listener.is_valid(question.id);
        // Whatever happens here, the thread that asked must get an answer.
        let answered = catch_unwind(AssertUnwindSafe(|| {
            let observed = self.interpreter.observe(&question.call, is_there)?;
            self.interpreter.tell(&observed);
            if self.forwarder.forward(question.id, &observed) {
                return None;
            }
            Some(observed.answer)
        }));
        let answer = answered.unwrap_or_else(|panic| {
            self.failure.set(panic);
            Some(Answer::Continue)
        });
        if let Some(answer) = answer
            && let Err(error) = self.listener.answer(question.id, answer)
        {
            tracing::warn!(%error, "a question of the kernel could not be answered");
        }
    }
}
