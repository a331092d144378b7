use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tokio::runtime::Runtime;

use crate::live::Raised;

/// Runs a notebook that uses `.await`, inside the context of a tokio runtime.
///
/// Polls the notebook's future on the main thread rather than by `Runtime::block_on`. Cells without
/// `.await` may therefore call blocking functions, including those that start a runtime of their
/// own, as they may in the live kernel.
///
/// # Errors
/// The error of the notebook, or that of starting the runtime.
pub fn block_on<F>(notebook: F) -> Result<(), Raised>
where
    F: Future<Output = Result<(), Raised>>,
{
    let runtime = Runtime::new()?;
    let _context = runtime.enter();
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut notebook = pin!(notebook);
    loop {
        match notebook.as_mut().poll(&mut context) {
            Poll::Ready(ended) => return ended,
            Poll::Pending => std::thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
