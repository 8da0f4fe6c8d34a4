//! The handler that is in use: calling it from async code, and swapping it while requests are in flight.
//!
//! It must not know where requests come from.

use std::error::Error;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use interface::ModuleHandler;
use relib::{Module, Unloaded};
use tokio::sync::oneshot;
use tokio::task;

use crate::lookup::ModuleServerImpl;

/// With errors that may come from another thread.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The handler that new requests go to.
pub struct Handlers {
    /// Locked to read or to change it, never during a call.
    current: RwLock<Current>,
}

struct Current {
    lease: Arc<Lease>,
    retired: Retired,
}

/// A share of a module, which each of its requests has. The last one that is dropped sends the module to [`Retired`].
struct Lease(Option<(Module<ModuleHandler>, oneshot::Sender<Module<ModuleHandler>>)>);

/// A handler that gets no new requests.
pub struct Retired(oneshot::Receiver<Module<ModuleHandler>>);

impl Handlers {
    /// Starts with the handler of this file.
    pub async fn start(path: PathBuf) -> Result<Self> {
        Ok(Self { current: RwLock::new(load(path).await?) })
    }

    /// Answers a request.
    pub async fn handle(&self, request: String) -> Result<String> {
        let lease = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).lease);
        // A call into a module may block, so it must not run on a worker of the runtime.
        let answer = task::spawn_blocking(move || {
            let module = lease.module();
            let answer = module.exports().handle(&request);
            // This thread goes back to the pool, and the module's thread-locals would live on with it, in the way of an
            // unload by another thread.
            module.release_thread()?;
            answer.ok_or_else(|| match module.last_panic() {
                Some(panic) => format!("the handler {panic}").into(),
                None => "the handler panicked".into(),
            })
        });
        answer.await?
    }

    /// Sends new requests to the handler of this file. Those that run go on with the old one.
    pub async fn swap(&self, path: PathBuf) -> Result<Retired> {
        let new = load(path).await?;
        let old = mem::replace(&mut *self.current.write().unwrap_or_else(PoisonError::into_inner), new);
        Ok(old.retired)
    }
}

impl Retired {
    /// Waits for the last request, and unloads the handler.
    pub async fn unload(self) -> Result<Unloaded> {
        let module = self.0.await?;
        task::spawn_blocking(move || Ok(module.unload()?)).await?
    }
}

impl Lease {
    fn module(&self) -> &Module<ModuleHandler> {
        let (module, _) = self.0.as_ref().expect("only dropping a lease empties it");
        module
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some((module, retired)) = self.0.take() {
            // If nobody waits for it, the module stays loaded.
            drop(retired.send(module));
        }
    }
}

async fn load(path: PathBuf) -> Result<Current> {
    let load = move || {
        // SAFETY: the handlers are our own code.
        unsafe { relib::load_module(path, ModuleServerImpl) }
    };
    let module = task::spawn_blocking(load).await??;
    let (sender, receiver) = oneshot::channel();
    Ok(Current { lease: Arc::new(Lease(Some((module, sender)))), retired: Retired(receiver) })
}
