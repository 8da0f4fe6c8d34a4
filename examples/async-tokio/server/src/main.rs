//! A server whose requests are answered by a module, which is swapped while one of them is in flight.

mod handlers;
mod lookup;

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};

use handlers::{Handlers, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let mut files = std::env::args_os().skip(1).map(Into::into);
    let (Some(old), Some(new)) = (files.next(), files.next()) else {
        return Err("usage: server HANDLER_FILE NEW_HANDLER_FILE".into());
    };
    let handlers = Arc::new(Handlers::start(old).await?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener, Arc::clone(&handlers)));

    println!("first request: {}", request(address, "coffee").await?);

    let slow = tokio::spawn(request(address, "tea"));
    lookup::TEA_BEGUN.acquire().await?.forget();
    println!("second request: the old handler is busy with it");

    let retired = handlers.swap(new).await?;
    println!("the handler is swapped");
    println!("third request: {}", request(address, "coffee").await?);

    lookup::TEA_DONE.add_permits(1);
    println!("second request: {}", slow.await??);
    retired.unload().await?;
    println!("the old handler is unloaded");
    Ok(())
}

/// Answers a line on each connection.
async fn serve(listener: TcpListener, handlers: Arc<Handlers>) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let handlers = Arc::clone(&handlers);
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let answer = match handlers.handle(line.trim_end().to_owned()).await {
                Ok(answer) => answer,
                Err(error) => format!("error: {error}"),
            };
            stream.write_all(answer.as_bytes()).await
        });
    }
}

/// Sends a line and returns the answer.
async fn request(address: impl ToSocketAddrs, line: &str) -> Result<String> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    stream.write_all(format!("{line}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await?;
    Ok(answer)
}
