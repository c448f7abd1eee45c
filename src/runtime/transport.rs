//! Transports: streams of bytes between nodes.

use std::{future::Future, io, net::SocketAddr};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

/// Opens streams of bytes between nodes. Authentication, frames and heartbeats are built on top of any transport.
///
/// If the other host refuses or closes a connection, the stream must end, or return an error, at once. A connection that
/// gets no answer may take as long as it likes: the node applies its own timeouts.
///
/// If a stream panics, the node ends with [`RunError::Panicked`](super::RunError::Panicked), unless it is still in its
/// handshake: then the connection has failed. If `connect` panics, the attempt has failed. If `accept` panics, that is
/// logged as an error, and the node accepts no more connections.
///
/// # Example
///
/// TCP that dials from one address of this host:
///
/// ```
/// use interrex::runtime::{Tcp, Transport};
/// use std::{io, net::SocketAddr};
/// use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
///
/// struct From(SocketAddr);
///
/// impl Transport for From {
///     type Stream = TcpStream;
///     type Listener = TcpListener;
///
///     async fn listen(&self, at: &str) -> io::Result<TcpListener> {
///         Tcp.listen(at).await
///     }
///     fn address(listener: &TcpListener) -> io::Result<SocketAddr> {
///         Tcp::address(listener)
///     }
///     async fn accept(listener: &mut TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
///         Tcp::accept(listener).await
///     }
///     async fn connect(&self, to: &str) -> io::Result<TcpStream> {
///         let to = lookup_host(to).await?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
///         let socket = TcpSocket::new_v4()?;
///         socket.bind(self.0)?;
///         let stream = socket.connect(to).await?;
///         stream.set_nodelay(true)?;
///         Ok(stream)
///     }
///     fn hold(stream: &TcpStream, hold: bool) {
///         Tcp::hold(stream, hold);
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let from = From(([127, 0, 0, 2], 0).into());
/// let mut listener = from.listen("127.0.0.1:0").await?;
/// let at = From::address(&listener)?.to_string();
/// let (dialed, accepted) = tokio::join!(from.connect(&at), From::accept(&mut listener));
/// assert_eq!(accepted?.1, dialed?.local_addr()?);
/// # Ok::<(), io::Error>(())
/// # })?;
/// # Ok::<(), io::Error>(())
/// ```
pub trait Transport: Send + Sync + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// A socket that accepts connections. It is closed when it is dropped.
    type Listener: Send + 'static;

    /// Listens at an address, `host:port`. Port 0 means any free port.
    ///
    /// # Errors
    /// Any error ends the start of the node, with [`SpawnError::Listen`](super::SpawnError::Listen).
    fn listen(&self, at: &str) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// The address of a listener, with the actual port.
    ///
    /// # Errors
    /// Any error ends the start of the node, with [`SpawnError::Listen`](super::SpawnError::Listen).
    fn address(listener: &Self::Listener) -> io::Result<SocketAddr>;

    /// Waits for the next inbound connection, and returns it with its address.
    ///
    /// # Errors
    /// An error is logged, and `accept` is called again after 50 ms.
    fn accept(
        listener: &mut Self::Listener,
    ) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Connects to an address, `host:port`.
    ///
    /// # Errors
    /// Any error means that the node at that address is down.
    fn connect(&self, to: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Lets the host gather small writes from now on (`true`), or send everything at once (`false`). Either way, what is
    /// written must still be sent if the process is killed. The default does nothing, which is always correct.
    fn hold(_: &Self::Stream, _hold: bool) {}
}

/// TCP, without Nagle's algorithm.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Transport for Tcp {
    type Stream = TcpStream;
    type Listener = TcpListener;

    async fn listen(&self, at: &str) -> io::Result<TcpListener> {
        TcpListener::bind(at).await
    }

    fn address(listener: &TcpListener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }

    async fn accept(listener: &mut TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, from) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, from))
    }

    async fn connect(&self, to: &str) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// `TCP_CORK`: the kernel holds the bytes, and sends them even if the process ends.
    #[cfg(target_os = "linux")]
    fn hold(stream: &TcpStream, hold: bool) {
        // An error says that the connection has ended, which reads and writes report.
        let _ = socket2::SockRef::from(stream).set_tcp_cork(hold);
    }
}
