//! Runs guests that may take long on threads that carry no messages. Owns how many run at a time; which ones run here is
//! the pipeline's decision.

use crate::kernel;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::PoisonError;
use tokio::runtime::Handle;
use tokio::runtime::RuntimeFlavor;

/// Threads for guests that take long: all processors but one, which is left to the messages.
#[derive(Debug)]
pub(super) struct Aside {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Aside {
    pub(super) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            free: Mutex::new(processors.saturating_sub(1).max(1)),
            freed: Condvar::new(),
        }
    }

    /// Runs it while another thread carries on with the messages.
    pub(super) fn run(&self, work: &mut (dyn FnMut() + Send)) {
        if !has_others() {
            return work();
        }
        tokio::task::block_in_place(|| {
            let _place = self.place();
            behind(work);
        });
    }

    fn place(&self) -> Place<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.freed.wait_while(free, |free| *free == 0);
        *waited.unwrap_or_else(PoisonError::into_inner) -= 1;
        Place(self)
    }
}

/// Whether this process has threads beside those that carry messages. One that began with a policy without guests has not.
pub(super) fn has_others() -> bool {
    Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)
}

/// Runs it on a thread that gives way to those that carry messages: on a machine with few processors it would compete with
/// them otherwise, for as long as a turn of the system's scheduler.
fn behind(work: &mut (dyn FnMut() + Send)) {
    let work = Mutex::new(work);
    let run = || (work.lock().unwrap_or_else(PoisonError::into_inner))();
    let ended = std::thread::scope(|scope| {
        let named = std::thread::Builder::new().name("aside".to_owned());
        let started = named.spawn_scoped(scope, || {
            kernel::run_behind();
            run();
        });
        started.map(|thread| thread.join())
    });
    match ended {
        Ok(Ok(())) => (),
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(_) => run(), // no thread is to be had; it has not begun
    }
}

/// A thread's worth of processor, given back however the work ends.
struct Place<'a>(&'a Aside);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::Barrier;

    /// One worker, and its messages go on while a guest waits for just that.
    #[test]
    fn a_long_call_holds_up_no_other_task() {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).build().unwrap();
        let (aside, both) = (Aside::new(), Arc::new(Barrier::new(2)));
        let long = runtime.spawn(async move {
            let handle = Handle::current();
            aside.run(&mut || {
                let other = Arc::clone(&both);
                drop(handle.spawn(async move { other.wait() }));
                both.wait();
            });
        });
        runtime.block_on(long).unwrap();
    }

    #[test]
    fn a_place_is_given_back() {
        let aside = Aside::new();
        let before = *aside.free.lock().unwrap();
        for _ in 0..3 {
            drop(aside.place());
        }
        assert_eq!(*aside.free.lock().unwrap(), before);
    }
}
