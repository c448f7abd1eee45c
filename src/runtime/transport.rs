//! Streams of bytes between nodes.

use std::{future::Future, io, net::SocketAddr};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

/// Makes streams of bytes. Everything above (keys, frames, signs of life) is the same over any.
///
/// A connection that is refused or ended by the other host is an error or an end of the stream at once; one that is
/// not answered at all may take as long as it likes, since it is given up from outside.
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
    /// Where others connect to.
    type Listener: Send + 'static;

    /// Listens at an address, `host:port`; port 0 takes any that is free.
    fn listen(&self, at: &str) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Where it listens indeed.
    ///
    /// # Errors
    /// Those of the system.
    fn address(listener: &Self::Listener) -> io::Result<SocketAddr>;

    /// The next connection from outside.
    fn accept(
        listener: &mut Self::Listener,
    ) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Connects to an address, `host:port`.
    fn connect(&self, to: &str) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// From now on, what is written need not leave the host at once (`true`), or goes now (`false`). It must survive
    /// the end of the process either way. Where that cannot be had, nothing is held.
    fn hold(_: &Self::Stream, _hold: bool) {}
}

/// TCP.
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

    /// `TCP_CORK`: what is held back is in the kernel, which sends it when the process ends, too.
    #[cfg(target_os = "linux")]
    fn hold(stream: &TcpStream, hold: bool) {
        // A connection that has ended is noticed elsewhere.
        let _ = socket2::SockRef::from(stream).set_tcp_cork(hold);
    }
}
