use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tokio::runtime::Runtime;

use crate::live::Raised;

/// Runs a notebook that uses `.await`, with a tokio runtime around it.
///
/// The notebook's own future is polled on the main thread, outside of the runtime's workers:
/// cells that do not use `.await` may then call blocking functions, also such as start a
/// runtime themselves, as they may in the live kernel.
///
/// # Errors
/// What the notebook gives, or that the runtime could not be started.
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
