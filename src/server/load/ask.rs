//! Asks a node one declared statement: a node that can be asked, a server connection, the extended protocol, the rows.
//! Owns no pool and no cache.

use super::Way;
use super::Ways;
use crate::hook::Rows;
use crate::policy::Role;
use crate::pool::Lease;
use crate::pool::LeaseError;
use crate::pool::Patience;
use crate::pool::Plan;
use crate::pool::Pool;
use crate::pool::Pools;
use crate::sandbox::DeclaredQuery;
use crate::sandbox::Query;
use crate::sandbox::QueryError;
use crate::sandbox::QueryNode;
use crate::sandbox::QueryResult;
use crate::wire::backend;
use crate::wire::error_response;
use crate::wire::frame;
use crate::wire::frame::HEADER_BYTES;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Bytes of one message beyond the values in it: names of columns, lengths, an error's text.
const MESSAGE_BYTES_EXTRA: usize = 128 * 1024;

/// The rows of a statement, within its time. Cancel safe: a connection on which an answer is under way is closed.
pub(super) async fn ask(ways: &Ways, query: &Query) -> QueryResult {
    let timeout = query.statement.timeout;
    match tokio::time::timeout(timeout, ask_somebody(ways, query)).await {
        Ok(result) => result,
        Err(_) => Err(QueryError::TimedOut),
    }
}

/// The rows of a statement from one node, within its time. Cancel safe, likewise.
pub(super) async fn ask_there(pools: &Pools, way: &Way, query: &Query) -> QueryResult {
    let asking = async {
        let pool = pools.pool(&way.key);
        match lease(&pool, &way.plan).await {
            Ok(lease) => ask_on(lease, query).await,
            Err(LeaseError::Busy { .. }) => Err(QueryError::TimedOut),
            Err(LeaseError::Connect { .. }) => Err(QueryError::Unavailable),
        }
    };
    match tokio::time::timeout(query.statement.timeout, asking).await {
        Ok(result) => result,
        Err(_) => Err(QueryError::TimedOut),
    }
}

/// Asks the nodes in turn until one can be reached.
async fn ask_somebody(ways: &Ways, query: &Query) -> QueryResult {
    let statement = &query.statement;
    let now = ways.pools.started().elapsed();
    let usable = ways.sets.get(&statement.set).into_iter().flatten();
    let usable: Vec<&Way> = usable
        .filter(|way| match statement.node {
            QueryNode::Primary => way.role == Role::Primary,
            QueryNode::Standby => way.role == Role::Standby,
            QueryNode::Any => true,
        })
        .filter(|way| {
            let health = ways.pools.health(&way.key.node);
            health.usable(now) && !health.is_behind(way.max_lag, now)
        })
        .collect();
    let first = ways.turn.fetch_add(1, Relaxed);
    for turn in 0..usable.len() {
        let way = usable[(first + turn) % usable.len()];
        let pool = ways.pools.pool(&way.key);
        match lease(&pool, &way.plan).await {
            Ok(lease) => return ask_on(lease, query).await,
            Err(LeaseError::Busy { .. }) => return Err(QueryError::TimedOut),
            Err(LeaseError::Connect { .. }) => (), // logged where it happened
        }
    }
    Err(QueryError::Unavailable)
}

/// A connection of the set's own. One that has to be made is made to its end even where nobody waits for it any more: a login
/// takes longer than a statement may, and the next who asks should find it.
async fn lease(pool: &Arc<Pool>, plan: &Arc<Plan>) -> Result<Lease, LeaseError> {
    if let Some(lease) = pool.try_lease(plan) {
        return Ok(lease);
    }
    let (sender, receiver) = oneshot::channel();
    let (its_pool, its_plan) = (Arc::clone(pool), Arc::clone(plan));
    // Ends by itself, within the plan's wait and the node's connect timeout.
    tokio::spawn(async move {
        let leased = its_pool.lease(&its_plan, Patience::Once).await;
        if let Err(Ok(lease)) = sender.send(leased) {
            lease.give_back();
        }
    });
    receiver.await.unwrap_or_else(|_| {
        Err(LeaseError::Busy {
            pool: Arc::clone(&pool.key.pool),
            waited: plan.wait,
        })
    })
}

async fn ask_on(mut lease: Lease, query: &Query) -> QueryResult {
    let statement = &query.statement;
    let started = Instant::now();
    // One row more than there may be tells that there are too many.
    let rows_max = u32::try_from(statement.max_rows + 1).unwrap_or(u32::MAX);
    lease.send_own_statement(
        &statement.sql,
        query.args.iter().map(Option::as_deref),
        rows_max,
    );
    let mut answer = Answer::default();
    let ready = answer.receive(&mut lease, statement).await;
    let stats = &lease.pool().stats;
    let micros = started.elapsed().as_micros();
    stats.statements.fetch_add(1, Relaxed);
    stats.transactions.fetch_add(1, Relaxed);
    stats
        .statement_us
        .fetch_add(u64::try_from(micros).unwrap_or(u64::MAX), Relaxed);
    if ready.is_some() {
        lease.give_back();
    }
    match (ready, answer.error) {
        (_, Some(error)) => Err(error),
        (Some(()), None) => Ok(Arc::new(answer.rows)),
        (None, None) => Err(QueryError::Unavailable),
    }
}

#[derive(Default)]
struct Answer {
    rows: Rows,
    bytes: usize,
    /// The first thing that was wrong.
    error: Option<QueryError>,
}

impl Answer {
    /// Reads up to ReadyForQuery. `None` where the connection is of no use any more.
    async fn receive(&mut self, lease: &mut Lease, statement: &DeclaredQuery) -> Option<()> {
        loop {
            while let Some(header) = frame::header(lease.incoming()).ok()? {
                if statement.max_bytes + MESSAGE_BYTES_EXTRA < header.body_bytes {
                    self.error.get_or_insert(QueryError::TooMuch);
                    return None;
                }
                if lease.incoming().len() < header.message_bytes() {
                    break;
                }
                let message = lease.incoming().split_to(header.message_bytes());
                let body = &message[HEADER_BYTES..];
                match header.tag {
                    b'Z' => return (body == b"I").then_some(()),
                    b'T' => self.rows.columns = backend::column_names(body)?,
                    b'D' => self.row(body, statement)?,
                    b'E' => self.refused(body, statement),
                    // What was begun goes well, or says so; parameters and notices are nobody's here.
                    b'1' | b'2' | b'C' | b'I' | b's' | b'n' | b'N' | b'S' | b'A' => (),
                    _ => return None,
                }
            }
            let read = poll_fn(|context| {
                if let Poll::Ready(Err(error)) = lease.poll_write(context) {
                    return Poll::Ready(Err(error));
                }
                lease.poll_read(context)
            });
            if !matches!(read.await, Ok(1..)) {
                return None;
            }
        }
    }

    fn row(&mut self, body: &[u8], statement: &DeclaredQuery) -> Option<()> {
        let values = backend::row_values(body)?;
        self.bytes += values
            .iter()
            .flatten()
            .map(|value| value.len())
            .sum::<usize>();
        if self.rows.rows.len() == statement.max_rows || statement.max_bytes < self.bytes {
            self.error.get_or_insert(QueryError::TooMuch);
            self.rows.rows.clear();
            return Some(());
        }
        let text = |value: Option<&[u8]>| match value {
            None => Some(None),
            Some(bytes) => std::str::from_utf8(bytes)
                .ok()
                .map(|text| Some(text.to_owned())),
        };
        match values.into_iter().map(text).collect() {
            Some(row) => self.rows.rows.push(row),
            // client_encoding is UTF8, so this is a database without an encoding.
            None => drop(
                self.error
                    .get_or_insert(QueryError::Refused("22021".into())),
            ),
        }
        Some(())
    }

    fn refused(&mut self, body: &[u8], statement: &DeclaredQuery) {
        let (code, _) = error_response::parse_error(body);
        // The message may quote an argument, which is data.
        tracing::warn!(permissions = %statement.set, statement = %statement.name, %code, "declared statement failed");
        let error = match code.as_str() {
            "57014" => QueryError::TimedOut,
            code => QueryError::Refused(code.to_owned().into()),
        };
        self.error.get_or_insert(error);
    }
}
