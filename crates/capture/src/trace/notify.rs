//! Answering the kernel's questions (seccomp user notification), on a few threads.
//!
//! One thread, the first, waits at the listener itself, where the kernel wakes it on the processor of the asker (from
//! Linux 6.6 on): woken on another one, which was mostly idle, it would let the command wait four times as long.
//! Where more threads want a processor than there are, it would have to wait for its turn there, and does as the others.
//! While it is busy the others are let in: each waits for a question, lets the next thread wait, and then takes its
//! time, so an observer that is slow about one thread of the command holds up no other one, as long as a thread is free.
//!
//! The last free thread never takes its time: it only takes questions and leaves them to the others.
//! For until a question is taken, a signal can make its call fail with EINTR.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags};
use rustix::io::Errno;

use super::crowd::Crowd;
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
    /// Where all threads but the first wait, when they are let in.
    queue: OwnedFd,
    finish: OwnedFd,
    /// Held by whoever looks for a question and takes it, for only who finds one may ask for it.
    taking: Mutex<()>,
    work: Mutex<Work>,
}

/// Who does what.
#[derive(Default)]
struct Work {
    /// Threads that take their time.
    busy: usize,
    /// Questions that were taken and wait for a thread. Never more than the command has threads.
    left: VecDeque<Question>,
    /// Whether the first thread waits for a question, so that the others need not.
    is_first_waiting: bool,
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
            CLOSED,
        )?;
        epoll::add(&queue, &finish, EventData::new_u64(FINISH), EventFlags::IN)?;
        let shared = Arc::new(Shared {
            listener,
            interpreter,
            forwarder,
            failure,
            queue,
            finish,
            taking: Mutex::default(),
            work: Mutex::default(),
        });
        let mut threads = Vec::new();
        for index in 0..THREADS {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name("observer".to_owned());
            threads.push(thread.spawn(move || {
                // Half as many calls fail with EINTR by it (docs/decisions/0003-capture-method.md).
                sys::prefer_short_turns();
                if index == 0 {
                    shared.answer_first();
                } else {
                    shared.answer_with_others(usize::MAX);
                }
            })?);
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

/// How waiting for questions ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// No process of the command is left.
    Over,
    /// Others want the processor too.
    Crowded,
}

/// Questions that the first thread then takes as the others do, before it tries again.
const CROWDED_QUESTIONS: usize = 500;

/// Nobody is woken.
const CLOSED: EventFlags = EventFlags::empty();

impl Shared {
    /// What the first thread does.
    fn answer_first(&self) {
        let mut crowd = Crowd::new();
        loop {
            let end = self.answer_alone(&mut crowd);
            self.leave();
            let is_over = match end {
                End::Over => true,
                End::Crowded => self.answer_with_others(CROWDED_QUESTIONS) == End::Over,
            };
            if is_over {
                return;
            }
        }
    }

    /// Waits at the listener itself, until the processor of the asker turns out to be no place to be woken on.
    fn answer_alone(&self, crowd: &mut Crowd) -> End {
        while !crowd.is_here() {
            self.close();
            let question = {
                let _taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
                let mut waiting = [
                    PollFd::new(&self.listener, PollFlags::IN),
                    PollFd::new(&self.finish, PollFlags::IN),
                ];
                match rustix::event::poll(&mut waiting, None) {
                    Ok(_) => {}
                    Err(Errno::INTR) => continue,
                    Err(error) => {
                        tracing::error!(%error, "the kernel's questions cannot be waited for");
                        return End::Over;
                    }
                }
                let [listener, finish] = waiting.map(|waiting| waiting.revents());
                if listener.contains(PollFlags::HUP) || !finish.is_empty() {
                    return End::Over;
                }
                self.listener.receive()
            };
            self.leave();
            self.take_up(question, true);
        }
        End::Crowded
    }

    /// Waits with the others for so many questions.
    fn answer_with_others(&self, questions: usize) -> End {
        let mut events = Vec::with_capacity(1);
        for _ in 0..questions {
            events.clear();
            match epoll::wait(
                &self.queue,
                rustix::buffer::spare_capacity(&mut events),
                None,
            ) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "the kernel's questions cannot be waited for");
                    return End::Over;
                }
            }
            for event in &events {
                if { event.data }.u64() == FINISH || { event.flags }.contains(EventFlags::HUP) {
                    return End::Over;
                }
                let question = self.take();
                self.let_in();
                self.take_up(question, false);
            }
        }
        End::Crowded
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes nobody else for a question, since the first thread waits for it.
    fn close(&self) {
        let mut work = self.work();
        if !work.is_first_waiting {
            work.is_first_waiting = true;
            self.wake_others(CLOSED);
        }
    }

    /// Lets the others in, since the first thread does not wait.
    fn leave(&self) {
        self.work().is_first_waiting = false;
        self.let_in();
    }

    /// Wakes another thread for the next question, unless the first one waits for it.
    fn let_in(&self) {
        let work = self.work();
        if !work.is_first_waiting {
            self.wake_others(WAITING);
        }
    }

    fn wake_others(&self, flags: EventFlags) {
        let data = EventData::new_u64(QUESTION);
        if let Err(error) = epoll::modify(&self.queue, self.listener.as_fd(), data, flags) {
            tracing::error!(%error, "no further question can be waited for");
        }
    }

    /// Takes a question if there is one; the first thread may have been faster.
    fn take(&self) -> io::Result<Option<Question>> {
        let _taking = self.taking.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = [PollFd::new(&self.listener, PollFlags::IN)];
        let at_once = rustix::event::Timespec::default();
        rustix::event::poll(&mut waiting, Some(&at_once))?;
        if waiting[0].revents().contains(PollFlags::IN) {
            self.listener.receive()
        } else {
            Ok(None)
        }
    }

    fn take_up(&self, question: io::Result<Option<Question>>, is_first: bool) {
        let mut next = match question {
            Ok(Some(question)) => self.begin(question),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "a question of the kernel could not be taken");
                None
            }
        };
        while let Some(question) = next {
            self.answer(&question, is_first);
            next = self.end();
            if is_first && next.is_some() {
                self.leave();
            }
        }
    }

    /// Becomes busy with a question, or leaves it to the others if no one else would take the next.
    fn begin(&self, question: Question) -> Option<Question> {
        let mut work = self.work();
        if work.busy + 1 == THREADS {
            work.left.push_back(question);
            return None;
        }
        work.busy += 1;
        Some(question)
    }

    /// Goes on with a question that was left, or is free again.
    fn end(&self) -> Option<Question> {
        let mut work = self.work();
        let next = work.left.pop_front();
        if next.is_none() {
            work.busy -= 1;
        }
        next
    }

    fn answer(&self, question: &Question, is_first: bool) {
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
        if is_first {
            // Before the answer, for the next question may come right after it.
            self.close();
        }
        if let Some(answer) = answer
            && let Err(error) = self.listener.answer(question.id, answer)
        {
            tracing::warn!(%error, "a question of the kernel could not be answered");
        }
    }
}
