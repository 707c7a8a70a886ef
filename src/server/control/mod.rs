//! The admin socket: one request a connection, a line of JSON each way, for the process's own user and root. Owns who may ask, how
//! long a request may take to come and how an answer leaves; what is answered comes from `report` and the reloader.

mod call;
mod protocol;
mod report;
mod tried;

pub use call::CallError;
pub use call::call;
pub use protocol::Answer;
pub use protocol::Done;
pub use protocol::LastOutcome;
pub use protocol::NodeReport;
pub use protocol::PoolState;
pub use protocol::Refused;
pub use protocol::Request;
pub use protocol::RunningFile;
pub use protocol::RunningFiles;
pub use protocol::Sessions;
pub use protocol::StatusReport;
pub use tried::CanaryReport;
pub use tried::Candidate;
pub use tried::Difference;
pub use tried::Sample;
pub use tried::ShadowReport;
pub use tried::SideCounts;
pub use tried::StageCounts;
pub use tried::Tried;
pub use tried::Withdrawn;

use super::history::Entry;
use super::reload::Cause;
use super::reload::Ended;
use super::reload::Mistakes;
use super::reload::Reload;
use super::reload::Reloader;
use crate::kernel;
use crate::policy::Colour;
use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::Weak;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::time::Instant;
use tokio::time::timeout;

/// A request is not longer than this.
const REQUEST_BYTES_MAX: u64 = 4 * 1024;
/// It comes within this time.
const REQUEST_WAIT: Duration = Duration::from_secs(5);
/// The answer is taken within this time.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// Answers operators.
#[derive(Default)]
pub(super) struct Desk {
    reloader: OnceLock<Weak<Reloader>>,
}

impl Desk {
    /// The listeners own the desk and the reloader owns the listeners, so this way back is weak.
    pub(super) fn set_reloader(&self, reloader: &Arc<Reloader>) {
        self.reloader.get_or_init(|| Arc::downgrade(reloader));
    }

    /// Answers one request. Not cancel safe.
    ///
    /// # Errors
    /// When the peer goes away, or takes too long to take the answer.
    pub(super) async fn serve(&self, mut stream: UnixStream) -> io::Result<()> {
        let (peer, own) = (stream.peer_cred()?.uid(), kernel::user());
        let answer = if may_ask(peer, own) {
            match timeout(REQUEST_WAIT, read(&mut stream)).await {
                Ok(Ok(request)) => self.answer(request).await,
                Ok(Err(why)) => Answer::Error(why),
                Err(_) => Answer::Error("no request came".to_owned()),
            }
        } else {
            tracing::warn!(user = peer, "the admin socket was asked by somebody else");
            Answer::Error("only the user that runs pgwarden, and root, may ask".to_owned())
        };
        let mut line = serde_json::to_vec(&answer)?;
        line.push(b'\n');
        let written = async {
            stream.write_all(&line).await?;
            stream.shutdown().await
        };
        timeout(ANSWER_WAIT, written).await?
    }

    async fn answer(&self, request: Request) -> Answer {
        let Some(reloader) = self.reloader.get().and_then(Weak::upgrade) else {
            return Answer::Error("the process is starting or stopping".to_owned());
        };
        match request {
            Request::Status => Answer::Status(Box::new(report::status(&reloader))),
            Request::History => Answer::History(reloader.status().history.entries()),
            Request::Files => files(&reloader).await,
            Request::Reload { colour } => {
                let reload = reloader.reload(Cause::Control);
                changed(&reloader, colour, reload).await
            }
            Request::Rollback { back, colour } => {
                changed(&reloader, colour, reloader.rollback(back)).await
            }
            Request::Promote { colour } => changed(&reloader, colour, reloader.promote()).await,
            Request::Shadow {
                policy: Some(policy),
                colour,
            } => tried(&reloader, None, colour, reloader.shadow(policy)).await,
            Request::Shadow { policy: None, .. } => {
                withdrawn(&reloader, reloader.end_shadow().await)
            }
            Request::Canary { percent, .. } if !(0.0 < percent && percent <= 100.0) => {
                Answer::Error("the share of a canary is above 0 and up to 100 percent".to_owned())
            }
            Request::Canary {
                percent,
                policy,
                colour,
            } => {
                let trying = reloader.canary(percent, policy);
                tried(&reloader, Some(percent), colour, trying).await
            }
            Request::Withdraw => withdrawn(&reloader, reloader.withdraw().await),
        }
    }
}

/// The files of the revision in force, read and encoded off the threads that move messages.
async fn files(reloader: &Reloader) -> Answer {
    let status = Arc::clone(reloader.status());
    let read = tokio::task::spawn_blocking(move || match status.history.back(0) {
        Ok((entry, snapshot)) => Answer::Files(Box::new(RunningFiles::new(entry, &snapshot))),
        Err(why) => Answer::Error(why),
    });
    let read = read.await;
    read.unwrap_or_else(|error| Answer::Error(error.to_string()))
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn refused(reloader: &Reloader, colour: bool, mistakes: Mistakes) -> Answer {
    let colour = if colour { Colour::Ansi } else { Colour::Never };
    Answer::Refused(Refused {
        report: mistakes.report.map(|report| report.render(colour)),
        mistakes: mistakes.reasons,
        revision: reloader.shared().live.load().policy.revision.full(),
    })
}

/// Tries another policy, and says what came of it.
async fn tried(
    reloader: &Reloader,
    percent: Option<f64>,
    colour: bool,
    trying: impl Future<Output = Result<Entry, Mistakes>>,
) -> Answer {
    let started = Instant::now();
    match trying.await {
        Ok(entry) => Answer::Tried(Tried {
            what: match percent {
                Some(_) => "canary",
                None => "shadow",
            }
            .to_owned(),
            policy: entry.policy,
            revision: entry.revision,
            commit: entry.commit,
            percent,
            running: reloader.shared().live.load().policy.revision.full(),
            millis: millis(started),
        }),
        Err(mistakes) => refused(reloader, colour, mistakes),
    }
}

fn withdrawn(reloader: &Reloader, outcome: Result<Ended, Mistakes>) -> Answer {
    match outcome {
        Ok(Ended { what, entry }) => Answer::Withdrawn(Withdrawn {
            what: what.to_owned(),
            policy: entry.policy,
            revision: entry.revision,
            running: reloader.shared().live.load().policy.revision.full(),
        }),
        Err(mistakes) => refused(reloader, false, mistakes),
    }
}

/// Puts another revision into force, and says what came of it.
async fn changed(
    reloader: &Reloader,
    colour: bool,
    change: impl Future<Output = Reload>,
) -> Answer {
    let started = Instant::now();
    match change.await {
        Reload::Swapped { from, to } => {
            let world = reloader.shared().live.load();
            Answer::Done(Done {
                policy: world.policy.name.to_string(),
                from: from.full(),
                revision: to.full(),
                commit: world.commit.as_deref().map(str::to_owned),
                millis: millis(started),
            })
        }
        Reload::Kept(mistakes) => refused(reloader, colour, mistakes),
    }
}

/// Reads up to the end of the line, or of what is sent.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Request, String> {
    let mut line = Vec::new();
    let mut limited = stream.take(REQUEST_BYTES_MAX);
    while !line.contains(&b'\n') {
        match limited.read_buf(&mut line).await {
            Ok(0) if limited.limit() == 0 => return Err("the request is too long".to_owned()),
            Ok(0) => break,
            Ok(_) => (),
            Err(error) => return Err(error.to_string()),
        }
    }
    let end = line.iter().position(|byte| *byte == b'\n');
    let line = &line[..end.unwrap_or(line.len())];
    serde_json::from_slice(line).map_err(|error| format!("this is no request: {error}"))
}

/// The file's mode says so as well; but whoever may write the folder could put another file there.
fn may_ask(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(bytes: &[u8]) -> Result<Request, String> {
        read(&mut &*bytes).await
    }

    #[tokio::test]
    async fn a_request_is_one_line_of_known_words() {
        let reload = asked(b"{\"verb\":\"reload\"}\nmore").await;
        assert_eq!(reload, Ok(Request::Reload { colour: false }));
        let rollback = asked(b"{\"verb\":\"rollback\",\"back\":2,\"colour\":true}").await;
        let expected = Request::Rollback {
            back: 2,
            colour: true,
        };
        assert_eq!(rollback, Ok(expected));
        for bytes in [
            &b""[..],
            b"\n",
            b"reload\n",
            b"{\"verb\":\"stop\"}\n",
            b"\xff\n",
        ] {
            let error = asked(bytes).await.unwrap_err();
            assert!(error.starts_with("this is no request"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_request_without_end_is_not_read_to_its_end() {
        let (mut near, mut far) = tokio::io::duplex(64 * 1024);
        near.write_all(&[b' '; 5_000]).await.unwrap();
        let error = read(&mut far).await.unwrap_err();
        assert_eq!(error, "the request is too long");
    }

    #[tokio::test]
    async fn a_stranger_is_told_no() {
        assert!(may_ask(1_000, 1_000) && may_ask(0, 1_000));
        assert!(!may_ask(1_000, 0) && !may_ask(1_001, 1_000));
        let (mut near, far) = UnixStream::pair().unwrap();
        let served = tokio::spawn(async move { Desk::default().serve(far).await });
        near.write_all(b"{\"verb\":\"status\"}\n").await.unwrap();
        let mut text = String::new();
        near.read_to_string(&mut text).await.unwrap();
        let answer: Answer = serde_json::from_str(&text).unwrap();
        assert!(
            matches!(&answer, Answer::Error(why) if why.contains("starting")),
            "{answer:?}"
        );
        served.await.unwrap().unwrap();
    }
}
