//! `[reload] watch`: looks whether a file of the policy has changed, waits until whoever changes them is done, and reloads.
//! Owns no reload; that is the same as SIGHUP's.
//!
//! Looking is a `stat` of each file every second. Unlike notifications it sees network file systems, bind mounts and the
//! symbolic links that a Kubernetes volume is swapped by, and it cannot lose an event.

use super::git;
use super::reload::Cause;
use super::reload::Reloader;
use super::source::Seen;
use super::source::Stamps;
use super::source::stamps_now;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Weak;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same while they change.
const SETTLE_EVERY: Duration = Duration::from_millis(100);
/// Unchanged for this long, they are taken to be complete.
const SETTLED_AFTER: Duration = Duration::from_millis(300);
/// They are read after this in any case; what is incomplete then is refused as any mistake.
const SETTLE_MAX: Duration = Duration::from_secs(30);

/// Watches until the process stops.
pub(super) async fn watch(reloader: Weak<Reloader>) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let Some(reloader) = reloader.upgrade() else {
            return;
        };
        if !reloader.watches() {
            continue;
        }
        let seen = reloader.stamps();
        let (now, _) = find(&seen, reloader.path()).await;
        if now == seen {
            continue;
        }
        let settled = settle(&seen, now, reloader.path()).await;
        // Undone meanwhile, or taken over by a SIGHUP.
        if let Some(file) = first_change(&reloader.stamps(), &settled) {
            tracing::info!(file = %file.display(), "a file of the policy has changed");
            drop(reloader.reload(Cause::Watch).await);
        }
    }
}

/// Waits until a file is not as it was found any more, and whoever changes them is done. Cancel safe.
pub async fn changed(seen: &Seen, root: &Path) {
    let Seen(seen) = seen;
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let (now, _) = find(seen, root).await;
        if now == *seen {
            continue;
        }
        let settled = settle(seen, now, root).await;
        if first_change(seen, &settled).is_some() {
            return;
        }
    }
}

/// The files as they are once nobody changes them any more.
async fn settle(seen: &Stamps, first: Stamps, root: &Path) -> Stamps {
    let mut settling = Settling::new(first, Instant::now());
    loop {
        tokio::time::sleep(SETTLE_EVERY).await;
        let (now, is_locked) = find(seen, root).await;
        if settling.look(now, is_locked, Instant::now()) {
            return settling.last;
        }
    }
}

/// The files as they are now, and whether git is at work. Off the thread that moves messages, for a file system may hang.
async fn find(seen: &Stamps, root: &Path) -> (Stamps, bool) {
    let (paths, root) = (seen.clone(), root.to_owned());
    let found = tokio::task::spawn_blocking(move || (stamps_now(&paths), git::is_changing(&root)));
    // The task has no reason to fail; if it does, nothing has changed.
    found.await.unwrap_or_else(|_| (seen.clone(), false))
}

fn first_change(seen: &Stamps, now: &Stamps) -> Option<PathBuf> {
    seen.iter()
        .find(|(path, stamp)| now.get(*path).is_some_and(|found| found != *stamp))
        .map(|(path, _)| path.clone())
}

/// When files that change are taken to be complete.
struct Settling {
    last: Stamps,
    began: Instant,
    since: Instant,
}

impl Settling {
    fn new(last: Stamps, now: Instant) -> Self {
        Self {
            last,
            began: now,
            since: now,
        }
    }

    /// One more look; true once it was the last.
    fn look(&mut self, found: Stamps, is_locked: bool, now: Instant) -> bool {
        if found != self.last || is_locked {
            self.last = found;
            self.since = now;
        }
        SETTLED_AFTER <= now - self.since || SETTLE_MAX <= now - self.began
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::source::Stamp;

    fn stamps(path: &Path) -> Stamps {
        Stamps::from([(path.to_owned(), Stamp::of(path))])
    }

    #[test]
    fn files_are_complete_once_they_stand_still() {
        let (missing, there) = (
            stamps(Path::new("/nowhere/at/all")),
            stamps(Path::new("/proc/self/exe")),
        );
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut settling = Settling::new(missing.clone(), start);
        assert!(!settling.look(missing.clone(), false, at(200)));
        assert!(!settling.look(there.clone(), false, at(290)), "changed");
        assert!(!settling.look(there.clone(), false, at(580)));
        assert!(settling.look(there.clone(), false, at(590)));
        assert!(settling.last == there);
    }

    #[test]
    fn git_at_work_is_waited_for_and_not_for_ever() {
        let there = stamps(Path::new("/proc/self/exe"));
        let start = Instant::now();
        let mut settling = Settling::new(there.clone(), start);
        for second in 1..30 {
            let now = start + Duration::from_secs(second);
            assert!(!settling.look(there.clone(), true, now));
        }
        assert!(settling.look(there.clone(), true, start + SETTLE_MAX));
    }
}
