//! Runs guests that may take long on threads that carry no messages. Owns how many run at a time; which ones run here is
//! the pipeline's decision.

use rayon_core::ThreadPool;
use rayon_core::ThreadPoolBuilder;
use std::sync::OnceLock;
use tokio::runtime::Handle;
use tokio::runtime::RuntimeFlavor;

/// Threads for guests that take long: all processors but one, which is left to the messages. They last: a new thread for each
/// call would begin with the credit of one that has just woken, and the system would let it run before the messages.
#[derive(Debug, Default)]
pub(super) struct Aside {
    threads: OnceLock<Option<ThreadPool>>,
}

impl Aside {
    /// Runs it while another thread carries on with the messages. It waits for its turn where all threads are busy.
    pub(super) fn run(&self, work: &mut (dyn FnMut() + Send)) {
        if !has_others() {
            return work();
        }
        tokio::task::block_in_place(|| match self.threads.get_or_init(threads) {
            Some(threads) => threads.install(work),
            None => work(),
        });
    }
}

/// `None` where the system gives no threads; guests then run where they are asked.
fn threads() -> Option<ThreadPool> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let made = ThreadPoolBuilder::new()
        .num_threads(processors.saturating_sub(1).max(1))
        .thread_name(|number| format!("aside-{number}"))
        .build();
    made.inspect_err(|error| tracing::error!(%error, "no threads for guests that take long"))
        .ok()
}

/// Whether this process has threads beside those that carry messages. One that began with a policy without guests has not.
pub(super) fn has_others() -> bool {
    Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)
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
        let (aside, both) = (Aside::default(), Arc::new(Barrier::new(2)));
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
    fn without_a_runtime_it_runs_at_once() {
        let mut ran = 0;
        Aside::default().run(&mut || ran += 1);
        assert_eq!(ran, 1);
    }
}
