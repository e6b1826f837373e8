//! The clients: each gets everything so far and then what comes, as long as the server is followed and it keeps up.
//!
//! A client whose server is lost is closed, and one that is slow too: silence must mean that nobody knows. Nothing that a
//! client sends matters.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use proxyd_gtid::mysql::GtidSet;
use proxyd_gtid::reader::Style;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;

/// As many messages wait for a client that does not read; one more, and it is closed.
const BACKLOG: usize = 256;
/// A client that takes nothing for so long is closed.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of the server while it is followed.
#[derive(Debug)]
pub(crate) struct Feed {
    executed: RefCell<GtidSet>,
    news: broadcast::Sender<Arc<GtidSet>>,
}

impl Feed {
    pub(crate) fn new(executed: GtidSet) -> Feed {
        Feed { executed: RefCell::new(executed), news: broadcast::Sender::new(BACKLOG) }
    }

    /// The server has executed these too.
    pub(crate) fn tell(&self, more: &GtidSet) {
        self.executed.borrow_mut().add_all(more);
        // Nobody may be listening.
        let _ = self.news.send(Arc::new(more.clone()));
    }
}

/// Where the feed of the moment is found; none while the server is lost.
pub(crate) type Current = watch::Receiver<Option<Rc<Feed>>>;

#[derive(Debug)]
pub(crate) struct Publisher(watch::Sender<Option<Rc<Feed>>>);

impl Publisher {
    pub(crate) fn publish(&self, feed: Rc<Feed>) {
        self.0.send_replace(Some(feed));
    }

    /// The server is lost: whoever listens is closed.
    pub(crate) fn withdraw(&self) {
        self.0.send_replace(None);
    }
}

pub(crate) fn feeds() -> (Publisher, Current) {
    let (sender, receiver) = watch::channel(None);
    (Publisher(sender), receiver)
}

/// Takes clients at an address.
pub(crate) async fn listen(
    address: &str,
    style: Style,
    max_clients: usize,
    current: Current,
) -> io::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
    let clients = Rc::new(Cell::new(0));
    tokio::task::spawn_local(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of descriptors, most likely: clients wait in the queue.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            if clients.get() >= max_clients {
                continue;
            }
            let place = Place::take(&clients);
            let current = current.clone();
            tokio::task::spawn_local(async move {
                let _place = place;
                // Why a client has gone is of no interest: it will come back.
                let _ = serve(stream, style, current).await;
            });
        }
    });
    Ok(())
}

/// One of the clients that there may be.
struct Place(Rc<Cell<usize>>);

impl Place {
    fn take(clients: &Rc<Cell<usize>>) -> Place {
        clients.set(clients.get() + 1);
        Place(clients.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A client's life.
async fn serve(mut stream: TcpStream, style: Style, mut current: Current) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(15));
    socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    let (mut input, mut output) = stream.split();
    // A server that is lost may be back soon: the client waits, and knows nothing meanwhile.
    let (everything, mut news) = tokio::select! {
        feed = current.wait_for(Option::is_some) => match feed.as_deref() {
            Ok(Some(feed)) => (style.everything(&feed.executed.borrow()), feed.news.subscribe()),
            _ => return Ok(()),
        },
        () = until_closed(&mut input) => return Ok(()),
    };
    write(&mut output, &everything).await?;
    loop {
        let more = tokio::select! {
            more = news.recv() => more,
            () = until_closed(&mut input) => return Ok(()),
        };
        match more {
            Ok(more) => write(&mut output, &style.more(&more)).await?,
            Err(broadcast::error::RecvError::Lagged(_) | broadcast::error::RecvError::Closed) => {
                return Ok(());
            }
        }
    }
}

async fn write(output: &mut (impl AsyncWriteExt + Unpin), lines: &str) -> io::Result<()> {
    timeout(PATIENCE, output.write_all(lines.as_bytes())).await?
}

/// Returns when the client has closed its side, or is gone.
async fn until_closed(input: &mut (impl AsyncReadExt + Unpin)) {
    let mut scrap = [0; 64];
    while input.read(&mut scrap).await.is_ok_and(|read| read > 0) {}
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn set(numbers: &str) -> GtidSet {
        format!("{A}:{numbers}").parse().unwrap()
    }

    /// A client and the feed that it will get.
    async fn stage() -> (TcpStream, Publisher, Rc<Feed>) {
        let (publisher, current) = feeds();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (served, _) = listener.accept().await.unwrap();
        tokio::task::spawn_local(serve(served, Style::default(), current));
        (client, publisher, Rc::new(Feed::new(set("1-5"))))
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async { timeout(Duration::from_secs(30), test).await }).unwrap();
    }

    #[test]
    fn everything_then_more_then_the_end() {
        run(async {
            let (mut client, publisher, feed) = stage().await;
            publisher.publish(feed.clone());
            let mut text = [0; 44];
            client.read_exact(&mut text).await.unwrap();
            feed.tell(&set("6-7"));
            publisher.withdraw();
            drop(feed);
            let mut rest = String::new();
            client.read_to_string(&mut rest).await.unwrap();
            let plain = A.replace('-', "");
            assert_eq!(str::from_utf8(&text), Ok(&*format!("ST={A}:1-5\n")));
            assert_eq!(rest, format!("I1={plain}:6\nI2=7\n"));
        });
    }

    #[test]
    fn a_client_that_does_not_keep_up_is_closed() {
        run(async {
            let (mut client, publisher, feed) = stage().await;
            publisher.publish(feed.clone());
            let mut first = [0; 1];
            client.read_exact(&mut first).await.unwrap();
            for number in 0..2 * BACKLOG {
                feed.tell(&set(&(number + 100).to_string()));
            }
            let mut rest = String::new();
            client.read_to_string(&mut rest).await.unwrap();
        });
    }
}
